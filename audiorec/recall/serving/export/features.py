"""Features of users and songs at a point in time, computed only from earlier events.

    log, side information, sound ──EventHistory──▶ .of(users) ──features(user, song, at)──▶ numbers
    users, their plays, side information ──user_columns──▶ columns of the table `users`

The features of a row at time t read only events before t. Log rows without a time count as before
any t; if no row has a time, features of the last days are unknown. The log is in memory, as
`Interactions`; sums over it are computed for a block of users at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.columns import ListColumns
from audiorec.files.arrow import float_array, integers
from audiorec.listening.events import EVENTS, Interactions
from audiorec.listening.sequences import DAY_S, Sequences, is_finished
from audiorec.listening.side import SongSide
from audiorec.recall.contract.data import Sound
from audiorec.recall.serving.export.schema import ARROW, HORIZONS, TIME
from audiorec.recall.serving.one_user.reasons import KINDS, PORTRAIT, portraits
from audiorec.types import (
    BoolArray,
    Float64Array,
    FloatArray,
    IdMap,
    Int64Array,
    name_numbers,
    string_array,
)

MOST = 5  # values per kind in a portrait


def user_columns(
    user_ids: Any, plays: Sequences, likes: Int64Array, side: SongSide | None
) -> dict[str, Any]:
    """Return the columns of a block of users, except embeddings.

    Parameters
    ----------
    user_ids : pyarrow.StringArray, length n
        Sorted.
    plays : Sequences
        Finished plays of the users who are in the log.
    likes : ndarray, shape (len(plays),), int64
        Number of liked songs of each of them.
    side : SongSide, optional
    """
    row = IdMap(user_ids).rows(plays.owner_ids)
    n = len(user_ids)
    songs = np.bincount(plays.distinct()[0], minlength=len(plays))
    first, last = first_and_last(plays.owner, plays.time, len(plays))
    columns: dict[str, Any] = {
        ListColumns.USER: user_ids,
        "plays": pa.array(_spread(plays.lengths, row, n)),
        "songs": pa.array(_spread(songs, row, n)),
        "likes": pa.array(_spread(likes, row, n)),
        "first_played": moments(_spread(first, row, n, LONG_AGO)),
        "last_played": moments(_spread(last, row, n, LONG_AGO)),
    }
    drawn = PORTRAIT.empty_table() if side is None else portraits(plays, side, most=MOST)
    return columns | _portrait_lists(drawn, user_ids)


def moments(time: Float64Array) -> Any:
    """Return seconds since 1970 as an Arrow timestamp array; null where not finite."""
    known = np.isfinite(time)
    micro = np.rint(np.where(known, time, 0) * 1e6).astype(np.int64)
    return pa.array(micro, mask=~known).cast(TIME)


def vectors(rows: FloatArray, known: Any = None) -> Any:
    """Return rows (n, W) as an Arrow list array; null if not `known`, by default if all zero."""
    known = np.asarray(rows.any(axis=1)) if known is None else known
    ends = np.concatenate([[0], np.cumsum(known)]).astype(np.int32) * np.int32(rows.shape[1])
    bits = pa.py_buffer(np.packbits(known, bitorder="little"))
    numbers = float_array(rows[known].reshape(-1))
    buffers = [bits, pa.py_buffer(ends)]
    return pa.Array.from_buffers(ARROW["vector"], len(rows), buffers, children=[numbers])


def _spread(values: Any, row: Int64Array, n: int, usual: float = 0) -> Any:
    result = np.full(n, usual, values.dtype if usual == 0 else np.float64)
    result[row] = values
    return result


def first_and_last(
    group: Int64Array, time: Float64Array, n: int
) -> tuple[Float64Array, Float64Array]:
    """Return the first and last known time of each group: (n,), `LONG_AGO` for none."""
    known = np.flatnonzero(~np.isnan(time))
    first, last = np.full(n, np.inf), np.full(n, LONG_AGO)
    np.minimum.at(first, group[known], time[known])
    np.maximum.at(last, group[known], time[known])
    return np.where(np.isfinite(first), first, LONG_AGO), last


def _portrait_lists(table: Any, user_ids: Any) -> dict[str, Any]:
    """Return portraits as two lists per user, horizon and kind: values and their shares."""
    lists: dict[str, Any] = {}
    horizon, kind = (np.array(table.column(n).to_pylist(), object) for n in ("horizon", "kind"))
    owner = IdMap(user_ids).rows(table.column(ListColumns.USER).combine_chunks())
    for name in KINDS:
        for when in HORIZONS:
            rows = np.flatnonzero((kind == name) & (horizon == when))
            part = table.take(integers(rows))
            counts = np.bincount(owner[rows], minlength=len(user_ids))
            ends = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
            for column, values in (
                (f"{name}s_{when}", "value"),
                (f"{name}s_{when}_share", "share"),
            ):
                flat = part.column(values).combine_chunks()
                lists[column] = pa.ListArray.from_arrays(ends, flat)
    return lists


SHORT_S = 7 * DAY_S  # window of features whose names end in _short
LONG_AGO = -np.inf  # an unknown time
WANTED = ("like", "playlist")  # events that count as wanted, besides finished plays
ROWS = 16_384  # rows whose vector sums are in memory at a time
NEVER = np.iinfo(np.int64).max  # key of a group that does not exist
DENSE, SMALL = 8, 1_024  # use a lookup table if the largest key < DENSE * groups + SMALL
NOBODY = -2  # a key that is never looked up


@dataclass(frozen=True, slots=True)
class FeatureColumn:
    """One feature of n rows."""

    values: Any  # ndarray, shape (n,)
    unknown: BoolArray | None = None  # (n,); None: all are known


class EventsInTime:
    """Rows sorted by group and time, to count or sum those of a group before a given time.

    Parameters
    ----------
    group : ndarray, shape (R,), int64
    time : ndarray, shape (R,), float64
        Seconds since 1970; -inf if unknown.
    is_summed : bool
        Whether `order` is needed; if not, rows can only be counted.

    Examples
    --------
    >>> events = EventsInTime(np.array([7, 7, 3]), np.array([1.0, 2.0, 9.0]))
    >>> events.before(np.array([7, 7, 3, 5]), np.array([2.0, 3.0, 9.0, 9.0])).tolist()
    [1, 2, 0, 0]
    """

    def __init__(self, group: Int64Array, time: Float64Array, *, is_summed: bool = True) -> None:
        self._groups, self._times = np.unique(group), np.unique(time)
        self._width = len(self._times) + 1
        key = np.searchsorted(self._groups, group) * self._width
        key += np.searchsorted(self._times, time)
        self.order = np.argsort(key, kind="stable") if is_summed else np.empty(0, np.int64)
        self._keys = key[self.order] if is_summed else np.sort(key)
        self._first = np.arange(len(self._groups)) * self._width
        self._starts = np.append(np.searchsorted(self._keys, self._first), 0)
        most = int(self._groups[-1]) if len(self._groups) else -1
        self._place: Int64Array | None = None
        if most < DENSE * len(self._groups) + SMALL:  # a table is faster than a binary search
            self._place = np.full(most + 2, -1, np.int64)
            self._place[self._groups] = np.arange(len(self._groups))

    def span(self, group: Int64Array, until: Any) -> tuple[Int64Array, Int64Array]:
        """Return start and end, in `order`, of the rows of each group before `until`: (n,) each."""
        place = self._places(group)
        start = self._starts[place]
        until = np.asarray(until, np.float64)
        if len(until) and until.min() == until.max():  # one time for all: search once per group
            rank = np.searchsorted(self._times, until[0])
            stops = np.append(np.searchsorted(self._keys, self._first + rank), 0)
            return start, stops[place]
        keys = np.append(self._first, 0)[place] + np.searchsorted(self._times, until)
        return start, np.where(place < 0, start, np.searchsorted(self._keys, keys))

    def _places(self, group: Int64Array) -> Int64Array:
        """Return the position of each group among the known ones; -1 if unknown."""
        if self._place is not None:
            last = len(self._place) - 1
            return self._place[np.where((group < 0) | (group > last), last, group)]
        place = np.searchsorted(self._groups, group)
        return np.where(np.append(self._groups, NOBODY)[place] == group, place, -1)

    def before(self, group: Int64Array, until: Any) -> Int64Array:
        """Return the number of rows of each group before `until`: (n,)."""
        start, stop = self.span(group, until)
        return stop - start


@dataclass(frozen=True, eq=False)
class EventHistory:
    """A log with information on its songs, prepared for computing features.

    Attributes
    ----------
    log : Interactions
    side : SongSide, optional
        Artists, genres and release dates.
    sound : Sound, optional
        Units of songs.
    more_songs : tuple of str
        Songs that are in none of the above.
    """

    log: Interactions
    side: SongSide | None = None
    sound: Sound | None = None
    more_songs: tuple[str, ...] = field(default=())

    @cached_property
    def song_ids(self) -> tuple[str, ...]:
        """All songs, sorted: length S."""
        known = [one.song_ids for one in (self.side, self.sound) if one is not None]
        ids = {song for one in (self.log.song_ids, self.more_songs, *known) for song in one}
        return tuple(sorted(ids))

    @cached_property
    def song_rows(self) -> dict[str, int]:
        """Numbers of songs by id."""
        return {song: row for row, song in enumerate(self.song_ids)}

    @cached_property
    def song(self) -> Int64Array:
        """The song of each event: (P,)."""
        return IdMap(string_array(self.song_ids)).rows(self.log.song_ids)[self.log.song]

    @cached_property
    def time(self) -> Float64Array:
        """Time of each event: (P,), `LONG_AGO` where unknown."""
        return np.where(np.isnan(self.log.timestamp), LONG_AGO, self.log.timestamp)

    @cached_property
    def has_times(self) -> bool:
        """Whether any event has a time."""
        return bool(np.isfinite(self.time).any())

    @cached_property
    def newest(self) -> float:
        """The newest time of the log; -inf if it has none."""
        return float(self.time.max(initial=LONG_AGO))

    @cached_property
    def finished(self) -> BoolArray:
        """Which events are finished plays: (P,)."""
        return is_finished(self.log)

    @cached_property
    def wanted(self) -> BoolArray:
        """Which events count as wanting the song: finished plays, likes, additions to lists."""
        said = np.isin(self.log.event, [EVENTS.index(name) for name in WANTED])
        return self.finished | said

    @cached_property
    def artist(self) -> Int64Array:
        """The artist of each song: (S,), -1 where unknown."""
        return self._numbers("artist", by_name=True)

    @cached_property
    def genre(self) -> Int64Array:
        """The genre of each song: (S,), -1 where unknown."""
        return self._numbers("genre")

    @cached_property
    def released(self) -> Float64Array:
        """Release date of each song: (S,), seconds since 1970; NaN where unknown."""
        if self._known is None:
            return np.full(len(self.song_ids), np.nan)
        return self._known.released.astype(np.float64) * DAY_S

    @cached_property
    def units(self) -> FloatArray:
        """Units of the songs: (S, W), zeros where nothing is known."""
        if self.sound is None:
            return np.zeros((len(self.song_ids), 1), np.float32)
        return self.sound.among(self.song_ids).units

    @cached_property
    def is_heard(self) -> BoolArray:
        """Which songs have a unit: (S,)."""
        return np.asarray(self.units.any(axis=1))

    @cached_property
    def by_song(self) -> EventsInTime:
        """Finished plays by song."""
        done = self.finished
        return EventsInTime(self.song[done], self.time[done], is_summed=False)

    @cached_property
    def listeners(self) -> EventsInTime:
        """First finished plays of each user and song, by song."""
        song, time = self.song[self.finished], self.time[self.finished]
        pair = self.log.user[self.finished].astype(np.int64) * len(self.song_ids) + song
        order = np.lexsort((time, pair))
        first = order[np.unique(pair[order], return_index=True)[1]]
        return EventsInTime(song[first], time[first], is_summed=False)

    @cached_property
    def all_plays(self) -> Float64Array:
        """Times of all finished plays, sorted."""
        return np.sort(self.time[self.finished])

    @cached_property
    def by_user(self) -> tuple[Int64Array, Int64Array]:
        """Rows of the log sorted by user, and the start of each user: (P,), (U + 1,)."""
        order = np.argsort(self.log.user, kind="stable").astype(np.int64)
        counts = np.bincount(self.log.user, minlength=len(self.log.user_ids))
        return order, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def of(self, first: int, stop: int) -> "UserEventHistory":
        """Return the past of the users ``first:stop`` of the log."""
        return UserEventHistory(self, first, stop)

    @cached_property
    def _known(self) -> SongSide | None:
        return None if self.side is None else self.side.among(self.song_ids)

    def _numbers(self, name: str, *, by_name: bool = False) -> Int64Array:
        category = None if self._known is None else self._known.categories.get(name)
        if category is None:
            return np.full(len(self.song_ids), -1, np.int64)
        values = name_numbers(category.values) if by_name else np.arange(len(category.values))
        return np.append(values, -1)[category.number].astype(np.int64)


class UserEventHistory:
    """The past of consecutive users of the log; created by `EventHistory.of`."""

    def __init__(self, past: EventHistory, first: int, stop: int) -> None:
        self.past, self.first, self.n = past, first, stop - first
        order, starts = past.by_user
        self.rows = order[starts[first] : starts[stop]]
        self.user = past.log.user[self.rows].astype(np.int64) - first
        self.song, self.time = past.song[self.rows], past.time[self.rows]
        done, wanted = past.finished[self.rows], past.wanted[self.rows]
        self._plays = EventsInTime(self.user[done], self.time[done])
        self._pairs = EventsInTime(self.pair(self.user[done], self.song[done]), self.time[done])
        self._pair_times = self.time[done][self._pairs.order]
        self._wanted = np.flatnonzero(wanted)
        self._weight = past.log.weight[self.rows].astype(np.float64)

    def features(
        self, user: Int64Array, song: Int64Array, at: Float64Array
    ) -> Mapping[str, FeatureColumn]:
        """Return `audiorec.recall.serving.export.schema.FEATURES` of n rows.

        Parameters
        ----------
        user : ndarray, shape (n,), int64
            User numbers, counted from `first`; -1: a user who is not in the log.
        song : ndarray, shape (n,), int64
            Positions in `EventHistory.song_ids`; -1: a song that is in none of the tables.
        at : ndarray, shape (n,), float64
            Times in seconds since 1970; only events strictly before them count.
        """
        past = self.past
        pairs = self.pair(user, song)
        start, stop = self._pairs.span(pairs, at)
        last = np.append(self._pair_times, LONG_AGO)[np.where(stop > start, stop - 1, -1)]
        plays = past.by_song.before(song, at)
        lately = plays - past.by_song.before(song, at - SHORT_S)
        every = np.searchsorted(past.all_plays, at)
        released = np.append(past.released, np.nan)[song]
        age = (at - released) / DAY_S
        with np.errstate(invalid="ignore"):
            since = (at - last) / DAY_S
        no_time = np.full(len(user), not past.has_times)
        result = {
            "user_plays": FeatureColumn(self._plays.before(user, at)),
            "user_song_plays": FeatureColumn(stop - start),
            "days_since_played": FeatureColumn(since, ~np.isfinite(since)),
            "song_plays": FeatureColumn(plays),
            "song_plays_short": FeatureColumn(lately, no_time),
            "song_listeners": FeatureColumn(past.listeners.before(song, at)),
            "popularity": FeatureColumn(np.log1p(plays) / np.log1p(np.maximum(every, 1))),
            "days_since_released": FeatureColumn(age, ~(np.isfinite(age) & (age >= 0))),
        }
        for name, of in (("artist", past.artist), ("genre", past.genre)):
            value = np.append(of, -1)[song]
            result[f"{name}_affinity"] = self._affinity(name, of, user, value, at)
            result[f"{name}_affinity_short"] = self._affinity(name, of, user, value, at, SHORT_S)
        result["audio_similarity"] = self._likeness(user, song, at)
        result["audio_similarity_short"] = self._likeness(user, song, at, SHORT_S)
        return result

    def pair(self, user: Int64Array, song: Int64Array) -> Int64Array:
        """Return the key of each user and song; `NEVER` if either is -1."""
        pair = user * len(self.past.song_ids) + song
        return np.where((user < 0) | (song < 0), NEVER, pair)

    def _affinity(
        self,
        name: str,
        of: Int64Array,
        user: Int64Array,
        value: Int64Array,
        at: Float64Array,
        window: float = np.inf,
    ) -> FeatureColumn:
        """Return the weighted share of this value among the known values of wanted songs."""
        tallies = self._shares.get(name)
        if tallies is None:
            rows = self._wanted[of[self.song[self._wanted]] >= 0]
            width, own = int(of.max(initial=0)) + 1, of[self.song[rows]]
            groups = (self.user[rows] * width + own, self.user[rows])
            tallies = tuple(
                _Sums(EventsInTime(group, self.time[rows]), self._weight[rows, None])
                for group in groups
            )
            self._shares[name] = tallies
        width = int(of.max(initial=0)) + 1
        group = np.where((user < 0) | (value < 0), NEVER, user * width + value)
        part = tallies[0].between(group, at, window)[:, 0]
        whole = tallies[1].between(user, at, window)[:, 0]
        unknown = (value < 0) | (whole <= 0)
        if window != np.inf:
            unknown |= not self.past.has_times
        return FeatureColumn(np.clip(part / np.where(unknown, 1, whole), 0, 1), unknown)

    def _likeness(
        self, user: Int64Array, song: Int64Array, at: Float64Array, window: float = np.inf
    ) -> FeatureColumn:
        """Return the weighted mean similarity of each song to the songs that its user wanted."""
        past, n = self.past, len(user)
        value, whole = np.zeros(n), np.zeros(n)
        known = np.flatnonzero((song >= 0) & (user >= 0))
        known = known[past.is_heard[song[known]]]
        if past.sound is None or (window != np.inf and not past.has_times):
            known = known[:0]
        for start in range(0, len(known), ROWS):
            rows = known[start : start + ROWS]
            sums = self._heard.between(user[rows], at[rows], window)
            whole[rows] = sums[:, -1]
            value[rows] = np.einsum("ij,ij->i", sums[:, :-1], past.units[song[rows]])
        unknown = whole <= 0
        return FeatureColumn(np.clip(value / np.where(unknown, 1, whole), -1, 1), unknown)

    @cached_property
    def _shares(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _heard(self) -> "_Sums":
        """Weighted sums of the units of wanted songs, and sums of the weights."""
        rows = self._wanted[self.past.is_heard[self.song[self._wanted]]]
        weight = self._weight[rows, None]
        values = np.concatenate([self.past.units[self.song[rows]] * weight, weight], axis=1)
        return _Sums(EventsInTime(self.user[rows], self.time[rows]), values)


class _Sums:
    """Prefix sums of the values of groups, to sum between two times."""

    def __init__(self, tally: EventsInTime, values: Float64Array) -> None:
        self._tally = tally
        self._sums = np.zeros((len(values) + 1, values.shape[1]))
        np.cumsum(values[tally.order], axis=0, out=self._sums[1:])

    def between(self, group: Int64Array, at: Float64Array, window: float) -> Float64Array:
        """Return the sums of rows in ``[at - window, at)``: (n, V)."""
        start, stop = self._tally.span(group, at)
        if window != np.inf:
            start = np.minimum(self._tally.span(group, at - window)[1], stop)
        return np.where((stop > start)[:, None], self._sums[stop] - self._sums[start], 0.0)
