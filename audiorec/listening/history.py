"""What a user liked, in time: sequences, what comes before each like, and the mean of it.

    Pairs ──Likes.from_pairs──▶ one sequence a user ──targets──▶ (history, next liked song)
    History ──mean_inputs──▶ one vector a history

Only what came strictly before a like is its history, so a model never sees what it is asked
for. Older songs count less: a song that is one half-life older than the newest of its history
counts half.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, Pairs

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Likes:
    """The liked songs of U users, each user's in the order of time."""

    starts: Int64Array  # (U + 1,): where each user's sequence starts
    song: Int64Array  # (P,)
    # (P,): ``log2(1 + weight of the pair)``: a song that counts three times counts double
    weight: Float64Array
    time: Float64Array  # (P,): seconds since 1970; NaN for all songs of a user without an order

    @classmethod
    def from_pairs(cls, liked: Pairs, n_users: int) -> "Likes":
        """Sort pairs into sequences.

        A user whose pairs do not all have a time has no order: of each of the user's likes the
        history is then all others.
        """
        unordered = np.zeros(n_users, np.bool_)
        unordered[liked.user[np.isnan(liked.time)]] = True
        time = np.where(unordered[liked.user], np.nan, liked.time)
        order = np.lexsort((liked.song, time, liked.user))
        starts = np.zeros(n_users + 1, np.int64)
        np.cumsum(np.bincount(liked.user, minlength=n_users), out=starts[1:])
        return cls(
            starts,
            liked.song[order].astype(np.int64),
            np.log2(1.0 + liked.weight[order].astype(np.float64)),
            time[order],
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def user(self) -> Int64Array:
        """The user of each like: shape (P,), int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))


@dataclass(frozen=True, slots=True)
class Spans:
    """Stretches of the sequences in `Likes`, one a row."""

    first: Int64Array  # (n,): places in the sequences, `stop` not included
    stop: Int64Array  # (n,)
    without: Int64Array  # (n,): a place that is left out, -1 for none

    def __len__(self) -> int:
        return len(self.first)

    def take(self, rows: npt.NDArray[np.integer] | BoolArray) -> "Spans":
        """Return some rows."""
        return Spans(self.first[rows], self.stop[rows], self.without[rows])


@dataclass(frozen=True, slots=True)
class Histories:
    """Songs with weights, one list a row."""

    starts: Int64Array  # (n + 1,)
    song: Int64Array  # (P,)
    weight: Float64Array  # (P,): above 0, not normalised

    def __len__(self) -> int:
        return len(self.starts) - 1

    def keep(self, mask: BoolArray) -> "Histories":
        """Return the lists with the entries of `mask`, shape (P,), only."""
        counts = np.concatenate([[0], np.cumsum(mask)]).astype(np.int64)
        return Histories(counts[self.starts], self.song[mask], self.weight[mask])

    @property
    def counts(self) -> Int64Array:
        """Songs of each list: shape (n,), int64."""
        return np.diff(self.starts)


def before(likes: Likes, *, max_history: int) -> Spans:
    """Return what lies before each like: E spans, of the newest `max_history` songs where ordered.

    Examples
    --------
    >>> pairs = Pairs(np.int32([0, 0, 0]), np.int32([7, 8, 9]), np.float32([1, 1, 1]),
    ...               np.array([30.0, 10.0, 30.0]))
    >>> spans = before(Likes.from_pairs(pairs, 1), max_history=100)
    >>> spans.stop - spans.first  # song 8, then 7 and 9 at the same moment
    array([0, 1, 1])
    """
    if max_history < 1:
        raise InputError(f"max_history must be at least 1, got {max_history}")
    place = np.arange(len(likes.song))
    user = likes.user
    start, end = likes.starts[user], likes.starts[user + 1]
    ordered = ~np.isnan(likes.time)
    # The first like of the same user at the same moment.
    new = np.ones(len(place), np.bool_)
    new[1:] = (user[1:] != user[:-1]) | (likes.time[1:] != likes.time[:-1])
    moment = np.maximum.accumulate(np.where(new, place, 0))
    stop = np.where(ordered, moment, end)
    first = np.where(ordered, np.maximum(start, stop - max_history), start)
    return Spans(first, stop, np.where(ordered, -1, place))


def whole(likes: Likes, *, max_history: int) -> Spans:
    """Return all that each user liked (of an order, the newest `max_history`): U spans."""
    start, stop = likes.starts[:-1], likes.starts[1:]
    has_order = np.zeros(len(likes), np.bool_)
    filled = stop > start
    has_order[filled] = ~np.isnan(likes.time[start[filled]])
    first = np.where(has_order, np.maximum(start, stop - max_history), start)
    return Spans(first, stop, np.full(len(start), -1, np.int64))


def histories(likes: Likes, spans: Spans, *, half_life_days: float | None) -> Histories:
    """Collect the songs of spans, weighing ``log2(1 + w) * 2 ** (-age / half_life)``.

    The age is that behind the newest song of the same history; 0 for songs without a time, and
    for all where the half-life is None.
    """
    if half_life_days is not None and not half_life_days > 0:
        raise InputError(f"the half-life must be above 0 days, got {half_life_days:g}")
    lengths = spans.stop - spans.first
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    row = np.repeat(np.arange(len(spans)), lengths)
    place = np.arange(len(row)) - starts[row] + spans.first[row]
    weight = likes.weight[place].copy()
    if half_life_days is not None and len(place):
        newest = likes.time[np.maximum(spans.stop - 1, 0)][row]
        age = np.nan_to_num(newest - likes.time[place], nan=0.0)
        weight *= np.exp2(-age / (half_life_days * DAY_S))
    found = Histories(starts, likes.song[place], weight)
    return found.keep(place != spans.without[row])


def mean_inputs(rows: Histories, inputs: FloatArray) -> FloatArray:
    """Return the weighted means of the rows of `inputs` (S, V) in each list: (n, V) float32.

    0 for an empty list. Sums run in float64.
    """
    return _weighted_sums(rows, _shares(rows), _rows_of(inputs, rows.song)).astype(np.float32)


def mean_and_spread(rows: Histories, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return weighted means and standard deviations of the songs of each list: (n, V) float32.

    0 for an empty list; the spread of one song is 0.
    """
    shares, values = _shares(rows), _rows_of(inputs, rows.song)
    means = _weighted_sums(rows, shares, values)
    away = np.square(values - np.repeat(means, rows.counts, axis=0))
    spreads = np.sqrt(_weighted_sums(rows, shares, away))
    return means.astype(np.float32), spreads.astype(np.float32)


def _rows_of(inputs: FloatArray, song: Int64Array) -> Float64Array:
    if inputs.ndim != 2:
        raise ShapeError(f"inputs must have shape (S, V), got {inputs.shape}")
    return inputs[song].astype(np.float64)


def _shares(rows: Histories) -> Float64Array:
    """Return the weights of all entries, each list's with sum 1: shape (P,)."""
    total = _weighted_sums(rows, rows.weight, np.ones((len(rows.weight), 1)))
    return rows.weight / np.repeat(total[:, 0], rows.counts)


def _weighted_sums(rows: Histories, weight: Float64Array, values: Float64Array) -> Float64Array:
    """Return the weighted sum of the entries of each list, 0 for an empty one."""
    sums = np.zeros((len(rows), values.shape[1]))
    # Empty lists have no part in the sums: `reduceat` would give them their neighbour's.
    filled = np.flatnonzero(rows.counts)
    if len(filled):
        sums[filled] = np.add.reduceat(values * weight[:, None], rows.starts[filled], axis=0)
    return sums
