"""A playlist in the making: songs are taken one by one, then exchanged until all is right.

    Draft(units, relevance, durations, wish, pool)  ──fill──exchange──improve──▶  .rows

A song is worth its similarity to the seeds, half of that to the song before, and less the further
it lies from the curves.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from audiorec.playlists.curves import Curve
from audiorec.search.diversify import Limit, Tally
from audiorec.search.filters import UNKNOWN
from audiorec.types import Float64Array, FloatArray, Int32Array, Int64Array

SMOOTHNESS = 0.5  # weight of the similarity to the song before
ADHERENCE = 5.0  # weight of the distance from a curve: 0.1 of a score outweighs 0.5 of similarity
TOLERANCE_S = 30.0
TOLERANCE_PART = 0.01
MAX_EXCHANGES = 50
MAX_TRIALS = 20_000  # lists that are weighed to keep a curve: a second
CANDIDATES = 8  # songs that are tried at a place
STAND_INS = 3  # songs that are tried where another has to give way for one of them
GAIN = 0.02  # of worth: less is not heard


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


class Draft:
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
        self._offers: dict[int, list[int]] = {}  # of each place of the list as it is
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
        """Exchange songs until the length is right or nothing makes it better.

        Where the list stays too short, as one of two long songs may, another song joins it, if that
        comes nearer to the length.
        """
        self._settle(fixed)
        missing = self._wish.seconds - self.seconds
        row = self._best_next(missing) if missing > self._wish.tolerance_s else None
        if row is None:
            return
        before = self.rows.copy()
        self._append(row)
        self._settle(fixed)
        if abs(self._wish.seconds - self.seconds) >= missing:
            self._take(before)

    def _settle(self, fixed: Sequence[int]) -> None:
        """Exchange songs of the list as it is."""
        for _ in range(MAX_EXCHANGES):
            missing = self._wish.seconds - self.seconds
            if abs(missing) <= self._wish.tolerance_s:
                return
            found = self._best_exchange(missing, fixed)
            if found is None:
                return
            self._replace(*found)

    def improve(self) -> None:
        """Exchange and swap songs as long as the curves are kept better for it.

        The length stays right, or as far off as it is. Taking songs one after the other spends
        the few songs of a demanding part before it begins, and the places that the limits leave
        to their artists: here a song gives way for another one elsewhere.
        """
        if not self._wish.curves or not self.rows:
            return
        trials = 0
        places = self._worst_first()
        while places and trials < MAX_TRIALS:
            lists = np.asarray(self._trials(places.pop(0)), np.int64)
            trials += len(lists)
            gains = self._worths(lists) - self._worths(np.asarray([self.rows], np.int64))
            for number in np.argsort(-gains, kind="stable"):
                if gains[number] < GAIN:
                    break
                if self._is_right(lists[number]):
                    self._take(lists[number].tolist())
                    places = self._worst_first()
                    break

    def _trials(self, place: int) -> list[list[int]]:
        """Return lists that differ in the song at one place, and in what that makes necessary."""
        lists = []
        for other in range(len(self.rows)):
            rows = self.rows.copy()
            rows[place], rows[other] = rows[other], rows[place]
            lists.append(rows)
        for row in self._best_at(place)[:CANDIDATES]:
            rows = self.rows.copy()
            rows[place] = row
            lists.append(rows)
            for other in self._in_the_way(row, place):
                stand_ins = [r for r in self._best_at(other)[: STAND_INS + 1] if r != row]
                lists += [[*rows[:other], r, *rows[other + 1 :]] for r in stand_ins]
        return lists

    def _best_at(self, place: int) -> list[int]:
        """Return songs that are worth most at a place, of those not in the list."""
        if place not in self._offers:
            free = self.pool[~np.isin(self.pool, self.rows)]
            order = np.argsort(self._losses(place, free), kind="stable")
            self._offers[place] = free[order[:CANDIDATES]].tolist()
        return self._offers[place]

    def _in_the_way(self, row: int, place: int) -> list[int]:
        """Return the places of songs that a limit or the gap sets against a song at a place."""
        rows = np.asarray(self.rows)
        against = np.zeros(len(rows), np.bool_)
        for limit in self._wish.limits:
            same = limit.kinds[rows] == limit.kinds[row]
            if limit.kinds[row] != UNKNOWN and np.delete(same, place).sum() >= limit.most:
                against |= same
        artists, gap = self._wish.artists, self._wish.gap
        if artists is not None and artists[row] != UNKNOWN:
            near = np.abs(np.arange(len(rows)) - place) <= gap
            against |= near & (artists[rows] == artists[row])
        against[place] = False
        return [int(other) for other in np.flatnonzero(against)]

    def _worst_first(self) -> list[int]:
        """Return all places, those furthest from the curves first."""
        far = self._astray(np.asarray([self.rows], np.int64))[0]
        return [int(place) for place in np.argsort(-far, kind="stable")]

    def _astray(self, lists: Int64Array) -> Float64Array:
        """Return how far songs of lists (q, m) lie from the curves, all together: (q, m)."""
        lengths = self._durations[lists]
        part = (np.cumsum(lengths, axis=1) - lengths / 2) / self._wish.seconds
        far = np.zeros(lists.shape)
        for curve in self._wish.curves:
            far += np.abs(curve.scores[lists] - curve.wanted(np.minimum(part, 1.0)))
        return far

    def _worths(self, lists: Int64Array) -> Float64Array:
        """Return what the songs of each of some lists (q, m) are worth together: (q,)."""
        n = len(self._units)
        pairs, places = np.unique(lists[:, 1:] * n + lists[:, :-1], return_inverse=True)
        # Not a product of matrices: these few would wait for the threads of one.
        alike = np.einsum("ij,ij->i", self._units[pairs // n], self._units[pairs % n])
        worths = self._relevance[lists].sum(axis=1, dtype=np.float64)
        worths += SMOOTHNESS * alike[places.reshape(len(lists), -1)].sum(axis=1, dtype=np.float64)
        worths -= ADHERENCE * self._astray(lists).sum(axis=1)
        return np.asarray(worths, np.float64)

    def _is_right(self, rows: Int64Array) -> bool:
        """Whether a list keeps to the limits and the gap, and is as long as it was or better."""
        off = abs(float(self._durations[rows].sum()) - self._wish.seconds)
        if off > max(self._wish.tolerance_s, abs(self.seconds - self._wish.seconds)):
            return False
        for limit in self._wish.limits:
            counts = Counter(limit.kinds[rows].tolist())
            counts.pop(UNKNOWN, None)
            if counts and max(counts.values()) > limit.most:
                return False
        artists, gap = self._wish.artists, self._wish.gap
        if artists is None or not gap:
            return True
        last: dict[int, int] = {}
        for place, artist in enumerate(artists[rows].tolist()):
            if artist != UNKNOWN and place - last.get(artist, -gap - 1) <= gap:
                return False
            last[artist] = place
        return True

    def _take(self, rows: list[int]) -> None:
        for row in self.rows:
            self._tally.add(row, -1)
        self.rows, self.seconds = [], 0.0
        self._offers.clear()
        for row in rows:
            self._append(row)

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
