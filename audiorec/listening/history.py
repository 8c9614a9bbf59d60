"""Likes over time: sequences, the history before each like, and weighted means of histories.

    Pairs ──Likes.from_pairs──▶ one sequence per user ──history_spans──▶ the history of each like
    Histories ──mean_inputs──▶ one vector per history

The history of a like contains only earlier likes, so a model never sees its target. Weights decay
with age: a song one half-life older than the newest song of its history counts half.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.columns import LogColumns
from audiorec.errors import InputError, ShapeError
from audiorec.types import (
    BoolArray,
    Float64Array,
    FloatArray,
    Int64Array,
    Pairs,
    Ragged,
    entries,
    offsets,
)

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Likes(Ragged):
    """Liked songs of U users, each user's in order of time."""

    COLUMNS = ("song", LogColumns.WEIGHT, "time")

    starts: Int64Array  # (U + 1,): start of each user's sequence
    song: Int64Array  # (P,)
    # (P,): ``log2(1 + weight of the pair)``, so a pair of weight 3 counts twice as much as 1
    weight: Float64Array
    time: Float64Array  # (P,): seconds since 1970; NaN for all songs of a user without an order

    @classmethod
    def from_pairs(cls, liked: Pairs, n_users: int) -> "Likes":
        """Sort pairs into sequences.

        A user with any pair without a time has no order: the history of each like is then all
        other likes of the user.
        """
        unordered = np.zeros(n_users, np.bool_)
        unordered[liked.user[np.isnan(liked.time)]] = True
        time = np.where(unordered[liked.user], np.nan, liked.time)
        order = np.lexsort((liked.song, time, liked.user))
        return cls(
            offsets(np.bincount(liked.user, minlength=n_users)),
            liked.song[order].astype(np.int64),
            np.log2(1.0 + liked.weight[order].astype(np.float64)),
            time[order],
        )


@dataclass(frozen=True, slots=True)
class Spans:
    """Ranges of entries in `Likes`, one per row."""

    first: Int64Array  # (n,): indices into `Likes.song`, from `first` to `stop` exclusive
    stop: Int64Array  # (n,)
    without: Int64Array  # (n,): an index that is left out; -1 for none

    def __len__(self) -> int:
        return len(self.first)

    def take(self, rows: npt.NDArray[np.integer] | BoolArray) -> "Spans":
        """Return a selection of rows, by number or mask."""
        return Spans(self.first[rows], self.stop[rows], self.without[rows])


@dataclass(frozen=True, slots=True)
class Histories(Ragged):
    """Weighted lists of songs, one per row."""

    COLUMNS = ("song", LogColumns.WEIGHT)

    starts: Int64Array  # (n + 1,)
    song: Int64Array  # (P,)
    weight: Float64Array  # (P,): above 0, not normalised


def history_spans(likes: Likes, *, max_history: int) -> Spans:
    """Return the history of each like: P spans, of at most the newest `max_history` if ordered.

    Examples
    --------
    >>> pairs = Pairs(np.int32([0, 0, 0]), np.int32([7, 8, 9]), np.float32([1, 1, 1]),
    ...               np.array([30.0, 10.0, 30.0]))
    >>> spans = history_spans(Likes.from_pairs(pairs, 1), max_history=100)
    >>> spans.stop - spans.first  # song 8, then 7 and 9 at the same moment
    array([0, 1, 1])
    """
    if max_history < 1:
        raise InputError(f"max_history must be at least 1, got {max_history}")
    place = np.arange(len(likes.song))
    user = likes.owner
    start, end = likes.starts[user], likes.starts[user + 1]
    ordered = ~np.isnan(likes.time)
    # Index of the first like of the same user at the same time.
    new = np.ones(len(place), np.bool_)
    new[1:] = (user[1:] != user[:-1]) | (likes.time[1:] != likes.time[:-1])
    moment = np.maximum.accumulate(np.where(new, place, 0))
    stop = np.where(ordered, moment, end)
    first = np.where(ordered, np.maximum(start, stop - max_history), start)
    return Spans(first, stop, np.where(ordered, -1, place))


def all_spans(likes: Likes, *, max_history: int) -> Spans:
    """Return all likes of each user (if ordered, the newest `max_history`): U spans."""
    start, stop = likes.starts[:-1], likes.starts[1:]
    has_order = np.zeros(len(likes), np.bool_)
    filled = stop > start
    has_order[filled] = ~np.isnan(likes.time[start[filled]])
    first = np.where(has_order, np.maximum(start, stop - max_history), start)
    return Spans(first, stop, np.full(len(start), -1, np.int64))


def histories(likes: Likes, spans: Spans, *, half_life_days: float | None) -> Histories:
    """Collect the songs of spans with weights ``log2(1 + w) * 2 ** (-age / half_life)``.

    The age is relative to the newest song of the same history; it is 0 for songs without a time,
    and for all songs if the half-life is None.
    """
    if half_life_days is not None and not half_life_days > 0:
        raise InputError(f"the half-life must be above 0 days, got {half_life_days:g}")
    lengths = spans.stop - spans.first
    row, place = np.repeat(np.arange(len(spans)), lengths), entries(spans.first, lengths)
    weight = likes.weight[place].copy()
    if half_life_days is not None and len(place):
        newest = likes.time[np.maximum(spans.stop - 1, 0)][row]
        age = np.nan_to_num(newest - likes.time[place], nan=0.0)
        weight *= np.exp2(-age / (half_life_days * DAY_S))
    result = Histories(offsets(lengths), likes.song[place], weight)
    return result.keep(place != spans.without[row])


def mean_inputs(rows: Histories, inputs: FloatArray) -> FloatArray:
    """Return the weighted mean of the rows of `inputs` (S, V) in each list: (n, V) float32.

    Empty lists give 0. Sums are computed in float64.
    """
    return _weighted_sums(rows, _shares(rows), _rows_of(inputs, rows.song)).astype(np.float32)


def mean_and_spread(rows: Histories, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return weighted mean and standard deviation of the songs in each list: (n, V) float32.

    Empty lists give 0; the deviation of a single song is 0.
    """
    shares, values = _shares(rows), _rows_of(inputs, rows.song)
    means = _weighted_sums(rows, shares, values)
    away = np.square(values - np.repeat(means, rows.lengths, axis=0))
    spreads = np.sqrt(_weighted_sums(rows, shares, away))
    return means.astype(np.float32), spreads.astype(np.float32)


def _rows_of(inputs: FloatArray, song: Int64Array) -> Float64Array:
    if inputs.ndim != 2:
        raise ShapeError(f"inputs must have shape (S, V), got {inputs.shape}")
    return inputs[song].astype(np.float64)


def _shares(rows: Histories) -> Float64Array:
    """Return the weights of all entries, normalised to sum 1 in each list: shape (P,)."""
    total = _weighted_sums(rows, rows.weight, np.ones((len(rows.weight), 1)))
    return rows.weight / np.repeat(total[:, 0], rows.lengths)


def _weighted_sums(rows: Histories, weight: Float64Array, values: Float64Array) -> Float64Array:
    """Return the weighted sum of the entries of each list; 0 for an empty one."""
    sums = np.zeros((len(rows), values.shape[1]))
    # Skip empty lists: `reduceat` would give them the next list's first value.
    filled = np.flatnonzero(rows.lengths)
    if len(filled):
        sums[filled] = np.add.reduceat(values * weight[:, None], rows.starts[filled], axis=0)
    return sums
