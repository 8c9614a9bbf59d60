"""A playlist: near some songs, as long as asked for, no artist twice in a row.

    seeds, minutes  ──make_playlist──▶  rows in playing order

Songs are taken one after the other. Each is the one with the largest

    similarity to the seeds + 0.5 · similarity to the song before - 5 · distance from the curves

among those whose artist has not come within the last places and not too often. Then songs
are exchanged, each at the least cost of the same sum, until the length is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from audiorec.errors import InputError
from audiorec.playlists.curves import Curve
from audiorec.search.diversify import Limit, Tally
from audiorec.search.filters import UNKNOWN
from audiorec.types import BoolArray, Float64Array, FloatArray, Int32Array, Int64Array

SMOOTHNESS = 0.5  # weight of the similarity to the song before
ADHERENCE = 5.0  # weight of the distance from a curve: 0.1 of a score outweighs 0.5 of similarity
POOL = 5_000  # best songs that a playlist is made from, over all its parts
POOL_PARTS = 10  # of a playlist, with curves: each has other best songs
TOLERANCE_S = 30.0
TOLERANCE_PART = 0.01
MAX_EXCHANGES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a playlist is to be like.

    Attributes
    ----------
    seconds : float
        How long.
    limits : sequence of Limit
    artists : ndarray, shape (n,), int, optional
        The artist of each song; `UNKNOWN` for none.
    gap : int
        Places between two songs of one artist, at least; 0 lets them stand side by side.
    curves : sequence of Curve
    """

    seconds: float
    limits: Sequence[Limit] = ()
    artists: Int32Array | None = None
    gap: int = 0
    curves: Sequence[Curve] = field(default=())

    @property
    def tolerance_s(self) -> float:
        """How far the length may be off: half a minute, or 1 % where that is more."""
        return max(TOLERANCE_S, TOLERANCE_PART * self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Playlist:
    """Songs in playing order.

    Attributes
    ----------
    rows : ndarray, shape (m,), int64
    seconds : float
        Of all songs together.
    within_tolerance : bool
        Whether `seconds` is as near to the wish as `Wish.tolerance_s` says.
    left_out : tuple of int
        Rows of seeds that the limits or the length had no place for.
    """

    rows: Int64Array
    seconds: float
    within_tolerance: bool
    left_out: tuple[int, ...] = ()


def make_playlist(
    units: FloatArray,
    direction: FloatArray,
    durations: Float64Array,
    wish: Wish,
    *,
    seeds: Sequence[int] = (),
    allowed: BoolArray | None = None,
) -> Playlist:
    """Make a playlist.

    Parameters
    ----------
    units : ndarray, shape (n, W), float32
        Rows of length 1 (or 0).
    direction : ndarray, shape (W,)
        What the songs are to be near, see `audiorec.search.space.mean_direction`.
    durations : ndarray, shape (n,)
        Seconds of each song.
    wish : Wish
    seeds : sequence of int
        Rows that stand first, in this order as far as the gap between artists lets them. With
        curves they are songs like others: the curves say where they fit.
    allowed : ndarray, shape (n,), bool, optional
        Songs that may be taken; seeds always may.

    Returns
    -------
    playlist : Playlist
        Without any song twice. Shorter than wished for where the store has no more songs
        within the limits; longer only where one seed alone is.

    Raises
    ------
    InputError
        If the wished length or the gap makes no sense.
    """
    if not wish.seconds > 0 or wish.gap < 0:
        raise InputError(f"{wish.seconds} seconds and a gap of {wish.gap} make no playlist")
    usable = durations > 0
    if allowed is not None:
        usable &= allowed
    usable[list(seeds)] = True
    relevance = units @ direction
    pool = _pool(relevance, np.flatnonzero(usable), wish.curves, seeds)
    draft = _Draft(units, relevance, durations, wish, pool)
    draft.fill(() if wish.curves else seeds)
    draft.exchange(fixed=() if wish.curves else seeds)
    off = abs(draft.seconds - wish.seconds)
    return Playlist(
        rows=np.asarray(draft.rows, np.int64),
        seconds=draft.seconds,
        within_tolerance=off <= wish.tolerance_s,
        left_out=tuple(seed for seed in dict.fromkeys(seeds) if seed not in draft.rows),
    )


def _pool(
    relevance: FloatArray, rows: Int64Array, curves: Sequence[Curve], seeds: Sequence[int]
) -> Int64Array:
    """Return the rows that are best for some part of the playlist, and the seeds."""
    if len(rows) <= POOL:
        return rows
    parts = np.linspace(0, 1, POOL_PARTS) if curves else np.zeros(1)
    each = POOL // len(parts)
    kept = [np.asarray(seeds, np.int64)]
    for part in parts:
        values = relevance[rows].astype(np.float64)
        for curve in curves:
            values -= ADHERENCE * np.abs(curve.scores[rows] - curve.wanted(part))
        kept.append(rows[np.argpartition(-values, each)[:each]])
    return np.unique(np.concatenate(kept))


class _Draft:
    """A playlist in the making: `pool` is what it may take, `rows` what it has."""

    def __init__(
        self,
        units: FloatArray,
        relevance: FloatArray,
        durations: Float64Array,
        wish: Wish,
        pool: Int64Array,
    ) -> None:
        self.pool = pool
        self.rows: list[int] = []
        self.seconds = 0.0
        self._units, self._relevance, self._durations = units, relevance, durations
        self._wish = wish
        self._tally = Tally(wish.limits)
        self._usual_s = float(np.median(durations[pool])) if len(pool) else 0.0

    def fill(self, first: Sequence[int]) -> None:
        """Take songs until the length is reached; the last may go too far: see `exchange`."""
        pending = list(dict.fromkeys(first))
        while self.seconds < self._wish.seconds - self._wish.tolerance_s:
            row = self._next_of(pending)
            if row is None:
                row = self._best_next(self._wish.seconds - self.seconds)
            if row is None:
                return
            self._append(row)
        over = self.seconds - self._wish.seconds
        last = self._durations[self.rows[-1]] if self.rows else 0.0
        if len(self.rows) > 1 and over > self._wish.tolerance_s and last - over < over:
            self._tally.add(self.rows[-1], -1)
            self.seconds -= float(self._durations[self.rows.pop()])

    def exchange(self, fixed: Sequence[int]) -> None:
        """Exchange songs until the length is right or nothing makes it better."""
        for _ in range(MAX_EXCHANGES):
            missing = self._wish.seconds - self.seconds
            if abs(missing) <= self._wish.tolerance_s:
                return
            found = self._best_exchange(missing, fixed)
            if found is None:
                return
            self._replace(*found)

    def _next_of(self, pending: list[int]) -> int | None:
        """Return the first of the seeds that may come now, and take it off the list."""
        room = self._wish.seconds + self._wish.tolerance_s - self.seconds
        for row in pending:
            fits = not self.rows or self._durations[row] <= room
            if fits and self._may_stand(row, len(self.rows)) and self._tally.fits(row):
                pending.remove(row)
                return row
        return None

    def _best_next(self, missing: float) -> int | None:
        """Return the best song for the next place."""
        part = (self.seconds + self._durations[self.pool] / 2) / self._wish.seconds
        values = self._values(self.pool, np.minimum(part, 1.0), self.rows[-1:])
        for place in np.argsort(-values, kind="stable"):
            row = int(self.pool[place])
            free = self._durations[row] <= missing + self._usual_s
            free = free and row not in self.rows and self._tally.fits(row)
            if free and self._may_stand(row, len(self.rows)):
                return row
        return None

    def _values(self, rows: Int64Array, part: Float64Array, beside: Sequence[int]) -> Float64Array:
        """Return what songs are worth at a place: higher is better."""
        values = self._relevance[rows].astype(np.float64)
        for row in beside:
            values += SMOOTHNESS / len(beside) * (self._units[rows] @ self._units[row])
        for curve in self._wish.curves:
            values -= ADHERENCE * np.abs(curve.scores[rows] - curve.wanted(part))
        return values

    def _may_stand(self, row: int, place: int) -> bool:
        """Whether no song of the same artist stands too near to a place."""
        artists, gap = self._wish.artists, self._wish.gap
        if artists is None or artists[row] == UNKNOWN:
            return True
        near = [*self.rows[max(0, place - gap) : place], *self.rows[place + 1 : place + 1 + gap]]
        return not any(artists[other] == artists[row] for other in near)

    def _best_exchange(self, missing: float, fixed: Sequence[int]) -> tuple[int, int] | None:
        """Return a place and the row to put there.

        Among exchanges that make the length right the one that costs the least; without
        any, the one that brings it nearest. The place after the last adds a song.
        """
        free = self.pool[~np.isin(self.pool, self.rows)]
        tolerance = self._wish.tolerance_s
        offers: list[tuple[bool, float, int, int]] = []
        for place, row in enumerate([*self.rows, None]):
            if row in fixed or not len(free):
                continue
            own = 0.0 if row is None else self._durations[row]
            off = np.abs(missing + own - self._durations[free])
            better = off < abs(missing) - 1.0  # a second, or it would go on and on
            right = off <= tolerance
            cost = np.where(right, self._losses(place, free), off)
            for i in np.lexsort((cost, ~right, ~better)):
                if not better[i]:
                    break
                if self._may_replace(place, int(free[i])):
                    offers.append((not right[i], float(cost[i]), place, int(free[i])))
                    break
        return min(offers)[2:] if offers else None

    def _losses(self, place: int, rows: Int64Array) -> Float64Array:
        """Return what songs cost at a place, against the one there; at the end, the best."""
        beside = [*self.rows[max(0, place - 1) : place], *self.rows[place + 1 : place + 2]]
        before = float(self._durations[self.rows[:place]].sum())
        with_own = np.concatenate([rows, np.asarray(self.rows[place : place + 1], np.int64)])
        part = (before + self._durations[with_own] / 2) / self._wish.seconds
        values = self._values(with_own, np.minimum(part, 1.0), beside)
        there = values[-1] if place < len(self.rows) else values.max()
        losses: Float64Array = there - values[: len(rows)]
        return losses

    def _may_replace(self, place: int, row: int) -> bool:
        if not self._may_stand(row, place):
            return False
        if place == len(self.rows):
            return self._tally.fits(row)
        self._tally.add(self.rows[place], -1)
        fits = self._tally.fits(row)
        self._tally.add(self.rows[place])
        return fits

    def _append(self, row: int) -> None:
        self._tally.add(row)
        self.rows.append(row)
        self.seconds += float(self._durations[row])

    def _replace(self, place: int, row: int) -> None:
        if place == len(self.rows):
            self._append(row)
            return
        old = self.rows[place]
        self._tally.add(old, -1)
        self._tally.add(row)
        self.rows[place] = row
        self.seconds += float(self._durations[row] - self._durations[old])
