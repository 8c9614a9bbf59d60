"""Play sequences: the songs of each owner in order, with repeats, after named filters.

    log ──noise(log, name)──▶ rows that say nothing about taste   ──without_noise──▶ the other rows
    log ──to_sequences──▶ `Sequences`: starts (U + 1,), song (P,), time (P,)

An owner is a user, a session or a list.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from audiorec.columns import LogColumns
from audiorec.errors import InputError, ShapeError
from audiorec.listening.events import EVENTS, Interactions, is_listening
from audiorec.listening.rule import duplicates
from audiorec.types import (
    BoolArray,
    Float64Array,
    FloatArray,
    IdMap,
    Int32Array,
    Int64Array,
    Ragged,
    entries,
    nth,
    offsets,
)

FilterName = Literal["looped", "flood", "skip-chain", "doubled"]
FILTERS: tuple[FilterName, ...] = get_args(FilterName)
PER_USER: tuple[FilterName, ...] = ("looped", "flood", "skip-chain")  # depend on one user's rows
LOOP_RUN, LOOP_DAY = 10, 30  # plays of one song
HOUR_PLAYS = 200
CHAIN, CHAIN_GAP_S = 5, 10.0
HOUR_S, DAY_S = 3_600.0, 86_400.0


def noise(log: Interactions, name: str) -> BoolArray:
    """Return which rows of a log a filter removes: shape (P,), bool.

    =================  =======================================================================
    ``looped``         a song on repeat: a user's plays of it beyond `LOOP_RUN` in a row, or
                       beyond `LOOP_DAY` on one day
    ``flood``          all plays of a user in hours with more than `HOUR_PLAYS` of them
    ``skip-chain``     `CHAIN` or more successive skips of a user, each within `CHAIN_GAP_S` of
                       the previous one: nobody was listening
    ``doubled``        rows with a time that repeat another one in every column
    =================  =======================================================================

    Days and hours are in UTC. Rows without a time have no day or hour; only their order is used.
    Only listening events (play, finish, skip) are removed; explicit feedback stays.

    Raises
    ------
    InputError
        If there is no filter of this name.

    Examples
    --------
    >>> from audiorec.listening.interactions import read_interactions
    >>> noise(read_interactions("fixtures/formats/interactions-v1.csv"), "looped").any()
    np.False_
    """
    if name not in FILTERS:
        raise InputError(f"there is no filter {name!r}, there are: {', '.join(FILTERS)}")
    rows = np.flatnonzero(is_listening(log.event))
    rows = rows[np.lexsort((log.timestamp[rows], log.user[rows]))]
    mask = np.zeros(len(log), np.bool_)
    mask[rows[_TAKES[name](log, rows)]] = True
    return mask


def without_noise(log: Interactions, names: Collection[str]) -> Interactions:
    """Return a log without the rows that any of the filters removes; each sees the whole log."""
    taken = np.zeros(len(log), np.bool_)
    for name in names:
        taken |= noise(log, name)
    return log.take(~taken) if taken.any() else log


def count_noise(log: Interactions) -> dict[str, dict[str, int]]:
    """Return for each filter the number of rows it removes, and of users affected."""
    result: dict[str, dict[str, int]] = {}
    for name in FILTERS:
        mask = noise(log, name)
        users = int(np.count_nonzero(np.bincount(log.user[mask], minlength=1)))
        result[name] = {"rows": int(mask.sum()), "users": users}
    return result


def _looped(log: Interactions, rows: Int64Array) -> BoolArray:
    user, song = log.user[rows].astype(np.int64), log.song[rows].astype(np.int64)
    new = np.ones(len(rows), np.bool_)
    new[1:] = (np.diff(user) != 0) | (np.diff(song) != 0)
    in_a_row = nth(np.cumsum(new) - 1) >= LOOP_RUN
    timed = np.flatnonzero(~np.isnan(log.timestamp[rows]))
    day = np.floor(log.timestamp[rows][timed] / DAY_S).astype(np.int64)
    order = np.lexsort((timed, day, song[timed], user[timed]))
    same = np.zeros(len(order), np.bool_)
    for key in (user[timed], song[timed], day):
        same[1:] |= np.diff(key[order]) != 0
    in_a_row[timed[order]] |= nth(np.cumsum(same)) >= LOOP_DAY
    return in_a_row


def _flood(log: Interactions, rows: Int64Array) -> BoolArray:
    hour = np.floor(log.timestamp[rows] / HOUR_S)
    return _counts(log.user[rows], hour) > HOUR_PLAYS


def _skip_chain(log: Interactions, rows: Int64Array) -> BoolArray:
    skip = log.event[rows] == EVENTS.index("skip")
    user, time = log.user[rows], log.timestamp[rows]
    joined = np.zeros(len(rows), np.bool_)
    joined[1:] = skip[1:] & skip[:-1] & (np.diff(user) == 0) & (np.diff(time) <= CHAIN_GAP_S)
    chain = np.cumsum(~joined) - 1
    long = np.bincount(chain, minlength=1) >= CHAIN
    return skip & long[chain] if len(rows) else skip


def _counts(user: npt.NDArray[Any], moment: Float64Array) -> Int64Array:
    """Return how many rows each row's user has in the same period; 0 without a time."""
    count = np.zeros(len(user), np.int64)
    timed = np.flatnonzero(~np.isnan(moment))
    if len(timed):
        keys = np.stack([user[timed].astype(np.int64), moment[timed].astype(np.int64)], axis=1)
        _, number, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
        count[timed] = counts[number]
    return count


_TAKES: dict[str, Callable[[Interactions, Int64Array], BoolArray]] = {
    "looped": _looped,
    "flood": _flood,
    "skip-chain": _skip_chain,
    "doubled": lambda log, rows: duplicates(log)[rows] & ~np.isnan(log.timestamp[rows]),
}


MIN_RATIO = 0.5  # played ratio of a finished play
PLAYS = ("play", "finish")
By = Literal["user", "session", "list"]
LABEL_OF = {"session": "session_id", "list": "list_id"}
SESSION_GAP_S = 1_800.0  # half an hour of silence ends a session


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sequences(Ragged):
    """Songs of U owners, each owner's in order.

    Attributes
    ----------
    owner_ids : tuple of str, length U
    song_ids : tuple of str, length S
        Ids of the song numbers in `song`.
    starts : ndarray, shape (U + 1,), int64
        Owner u has the entries ``starts[u]:starts[u + 1]``.
    song : ndarray, shape (P,), int32
    time : ndarray, shape (P,), float64
        Seconds since 1970, ascending in each sequence; NaN if unknown.
    weight : ndarray, shape (P,), float32, optional
        Weight of each entry, above 0: in a log of counts the plays of a song. None if all entries
        count the same, as for plays.
    session : ndarray, shape (P,), int32, optional
        Session number of each play, from ``session_id``; -1 if it has none.
    """

    COLUMNS = ("song", "time", LogColumns.WEIGHT, "session")

    owner_ids: tuple[str, ...]
    song_ids: tuple[str, ...]
    starts: Int64Array
    song: Int32Array
    time: Float64Array
    weight: FloatArray | None = None
    session: Int32Array | None = None

    def __repr__(self) -> str:
        plays, songs = f"{len(self.song):,} plays", f"{len(self.song_ids):,} songs"
        return f"{plays} of {songs} in {len(self):,} sequences"

    def __post_init__(self) -> None:
        columns = (self.song, self.time, self.weight, self.session)
        fits = len(self.starts) == len(self.owner_ids) + 1
        fits &= {a.shape for a in columns if a is not None} == {self.song.shape}
        if not fits or self.starts[0] != 0 or self.starts[-1] != len(self.song):
            raise ShapeError(f"starts must cut {len(self.song)} plays into {len(self)} sequences")

    def __len__(self) -> int:
        return len(self.owner_ids)

    def __getitem__(self, row: int) -> Int32Array:
        return self.song[self.starts[row] : self.starts[row + 1]]

    @property
    def pair(self) -> Int64Array:
        """A number for the owner and the song of each entry: (P,), ascending with the owner."""
        return self.owner * max(1, len(self.song_ids)) + self.song

    def distinct(self) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Return owner and song of each different pair, by owner, and how often it occurs.

        Examples
        --------
        >>> owner, song, times = Sequences.from_lists([["b", "a", "b"], ["a"]]).distinct()
        >>> owner.tolist(), song.tolist(), times.tolist()
        ([0, 0, 1], [0, 1, 0], [1, 2, 1])
        """
        pair, times = np.unique(self.pair, return_counts=True)
        return *np.divmod(pair, max(1, len(self.song_ids))), times

    @property
    def is_counted(self) -> bool:
        """Whether entries are counts of plays, which have no order."""
        return self.weight is not None and bool(np.isnan(self.time).all())

    @classmethod
    def from_lists(
        cls, lists: Sequence[Sequence[str]], owner_ids: Sequence[str] | None = None
    ) -> "Sequences":
        """Build sequences from lists of song ids, without times.

        Examples
        --------
        >>> found = Sequences.from_lists([["b", "a"], [], ["a"]])
        >>> found.song_ids, found[0].tolist(), found.lengths.tolist()
        (('a', 'b'), [1, 0], [2, 0, 1])
        """
        ids = owner_ids or [str(number) for number in range(len(lists))]
        song_ids = tuple(sorted({song for songs in lists for song in songs}))
        number = {song_id: index for index, song_id in enumerate(song_ids)}
        starts = offsets(list(map(len, lists)))
        song = np.fromiter((number[s] for songs in lists for s in songs), np.int32, starts[-1])
        return cls(tuple(ids), song_ids, starts, song, np.full(len(song), np.nan))

    @classmethod
    def from_pairs(
        cls, owner: Any, song: Any, owner_ids: tuple[str, ...], song_ids: tuple[str, ...]
    ) -> "Sequences":
        """Build sequences from owner and song numbers, (P,) each, in the given order.

        Examples
        --------
        >>> owner, song = np.array([1, 0, 1]), np.array([0, 0, 1])
        >>> Sequences.from_pairs(owner, song, ("u", "v"), ("a", "b"))[1].tolist()
        [0, 1]
        """
        order = np.argsort(owner, kind="stable")
        starts = offsets(np.bincount(owner, minlength=len(owner_ids)))
        never = np.full(len(order), np.nan)
        return cls(owner_ids, song_ids, starts, np.asarray(song)[order].astype(np.int32), never)

    def take(self, rows: npt.NDArray[Any]) -> "Sequences":
        """Return the given owners (numbers or a mask), in order; `song_ids` is unchanged."""
        rows = np.arange(len(self))[rows]
        lengths = self.lengths[rows]
        owners = tuple(self.owner_ids[row] for row in rows.tolist())
        chosen = entries(self.starts[rows], lengths)
        return self._with(offsets(lengths), chosen, owner_ids=owners)

    def with_owners(self, owner_ids: Sequence[str]) -> "Sequences":
        """Append the owners that are new, with empty sequences.

        Examples
        --------
        >>> Sequences.from_lists([["a"]], ["ana"]).with_owners(["ben", "ana"]).owner_ids
        ('ana', 'ben')
        """
        there = set(self.owner_ids)
        new = tuple(name for name in owner_ids if name not in there)
        starts = np.append(self.starts, np.full(len(new), self.starts[-1]))
        return replace(self, owner_ids=(*self.owner_ids, *new), starts=starts)

    def of_owners(self, owner_ids: Sequence[str]) -> "Sequences":
        """Return the sequences of these owners, in this order; empty for unknown owners.

        Examples
        --------
        >>> found = Sequences.from_lists([["a"], ["b"]], ["ana", "ben"]).of_owners(["eva", "ben"])
        >>> found.owner_ids, found.lengths.tolist()
        (('eva', 'ben'), [0, 1])
        """
        known = self.with_owners(owner_ids)
        return known.take(IdMap(known.owner_ids).rows(owner_ids))

    def newest(self, most: int) -> "Sequences":
        """Keep the last `most` plays of each owner."""
        return self.keep(self.place >= np.repeat(self.lengths - most, self.lengths))

    def among(self, song_ids: Any) -> "Sequences":
        """Renumber songs by another id table; plays of songs that it lacks are dropped."""
        if song_ids is self.song_ids or tuple(song_ids) == self.song_ids:
            return self
        row = IdMap(song_ids).rows(self.song_ids).astype(np.int32)
        renumbered = replace(self, song=row[self.song], song_ids=tuple(song_ids))
        return renumbered.keep(renumbered.song >= 0)


def to_sequences(log: Interactions, *, by: By = "user", filters: Collection[str] = ()) -> Sequences:
    """Sort plays or list entries into sequences; rows without a time keep their file order.

    A **finished play** is a ``finish`` event, or a ``play`` with a played ratio of at least half or
    unknown. ``like`` and ``playlist`` events do not mean that a song was heard; sequences by list
    consist of ``playlist`` events. A log of counts has one entry for each user and song, weighted
    by its plays; the most played song comes last.

    Parameters
    ----------
    log : Interactions
    by : {"user", "session", "list"}
        The owners: finished plays by user or by session (``session_id``, or a user's plays
        without a pause of `SESSION_GAP_S`), or ``playlist`` events by ``list_id`` (by user if the
        log has no lists).
    filters : collection of str
        Names in `audiorec.listening.sequences.FILTERS` of filters to apply.

    Raises
    ------
    InputError
        If `by` or a filter is unknown, or sessions are asked of a log of counts.

    Examples
    --------
    >>> from audiorec.listening.interactions import read_interactions
    >>> found = to_sequences(read_interactions("fixtures/formats/interactions-v1.csv"))
    >>> {owner: [found.song_ids[s] for s in found[u]] for u, owner in enumerate(found.owner_ids)}
    ... # doctest: +NORMALIZE_WHITESPACE
    {'ana': ['piano/etude.flac'], 'ben': ['rock/live.mp3', 'piano/prelude.flac'],
     'eva': ['lost/gone.mp3']}
    """
    if by not in get_args(By):
        raise InputError(f"by must be one of {', '.join(get_args(By))}, got {by!r}")
    log = without_noise(log, filters)
    if log.is_counted and by == "session":
        raise InputError("a log of counts has no sessions (no timestamp): leave by=session out")
    if log.is_counted and by == "user":
        return _counts_of(log)
    return in_order(log, by)


def in_order(log: Interactions, by: By = "user") -> Sequences:
    """Sort plays or list entries into sequences, as `to_sequences` of a log that has an order."""
    wanted = log.event == EVENTS.index("playlist") if by == "list" else is_finished(log)
    owner: npt.NDArray[Any] = log.user
    owner_ids = log.user_ids
    label = log.labels.get(LABEL_OF[by]) if by in LABEL_OF else None
    if label is not None:
        owner, owner_ids, wanted = label.number, label.texts, wanted & (label.number >= 0)
    rows = np.flatnonzero(wanted)
    rows = rows[np.lexsort((log.timestamp[rows], owner[rows]))]
    owner = owner[rows]
    if by == "session" and label is None:
        owner, owner_ids = _cut_at_pauses(log, rows)
    starts = offsets(np.bincount(owner, minlength=len(owner_ids)))
    named = log.labels.get("session_id") if by == "user" else None
    session = None if named is None else named.number[rows].astype(np.int32)
    columns = (log.song[rows], log.timestamp[rows])
    return Sequences(owner_ids, log.song_ids, starts, *columns, session=session)


def _counts_of(log: Interactions) -> Sequences:
    """Return the songs of each user of a log of counts, the most played last, ties by id."""
    rows = np.flatnonzero(is_finished(log))
    n = max(1, len(log.song_ids))
    pair, place = np.unique(
        log.user[rows].astype(np.int64) * n + log.song[rows], return_inverse=True
    )
    weight = np.bincount(place, log.weight[rows], len(pair))
    order = np.lexsort((pair, weight, pair // n))
    user, song = pair[order] // n, (pair[order] % n).astype(np.int32)
    starts = offsets(np.bincount(user, minlength=len(log.user_ids)))
    never = np.full(len(order), np.nan)
    counts = weight[order].astype(np.float32)
    return Sequences(log.user_ids, log.song_ids, starts, song, never, counts)


def favourites_of(log: Interactions) -> Sequences:
    """Return the songs that each user liked by ``like`` events, oldest first.

    For repeated likes of a song the first one counts.

    Examples
    --------
    >>> from audiorec.listening.interactions import read_interactions
    >>> found = favourites_of(read_interactions("fixtures/formats/interactions-v1.csv"))
    >>> {owner: [found.song_ids[s] for s in found[u]] for u, owner in enumerate(found.owner_ids)}
    {'ana': ['rock/live.mp3'], 'ben': [], 'eva': []}
    """
    rows = np.flatnonzero(log.event == EVENTS.index("like"))
    rows = rows[np.lexsort((log.timestamp[rows], log.user[rows]))]
    pairs = log.user[rows].astype(np.int64) * len(log.song_ids) + log.song[rows]
    rows = rows[np.sort(np.unique(pairs, return_index=True)[1])]
    starts = offsets(np.bincount(log.user[rows], minlength=len(log.user_ids)))
    return Sequences(log.user_ids, log.song_ids, starts, log.song[rows], log.timestamp[rows])


def is_finished(log: Interactions) -> BoolArray:
    """Return which events are finished plays: shape (P,), bool."""
    play = np.isin(log.event, [EVENTS.index(name) for name in PLAYS])
    return play & ~(log.played_ratio < np.float32(MIN_RATIO))


def _cut_at_pauses(log: Interactions, rows: Int64Array) -> tuple[Int64Array, tuple[str, ...]]:
    """Split rows, sorted by user and time, into sessions named ``user#N``, N from 1."""
    user, time = log.user[rows], log.timestamp[rows]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (np.diff(user) != 0) | (np.diff(time) > SESSION_GAP_S)
    first = np.flatnonzero(new)
    nth = np.arange(len(first)) - np.searchsorted(user[first], user[first])
    names = zip(user[first].tolist(), nth.tolist(), strict=True)
    return np.cumsum(new) - 1, tuple(f"{log.user_ids[u]}#{n + 1}" for u, n in names)
