"""Build a playlist: add songs greedily, then exchange them until length and curves fit.

    Draft(units, relevance, durations, wish, pool)  ──fill──exchange──improve──▶  .rows

A song's value is its similarity to the seeds, plus half its similarity to the previous song, minus
a penalty for its distance from the curves.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from audiorec.playlists.curves import Curve
from audiorec.search.diversify import Limit, Tally
from audiorec.search.filters import UNKNOWN
from audiorec.types import Float64Array, FloatArray, Int32Array, Int64Array

SMOOTHNESS = 0.5  # weight of the similarity to the previous song
ADHERENCE = 5.0  # penalty per unit of distance: 0.1 of a score outweighs 0.5 of similarity
TOLERANCE_S = 30.0
TOLERANCE_PART = 0.01
MAX_EXCHANGES = 50
MAX_TRIALS = 20_000  # alternative lists evaluated to follow a curve: about a second
CANDIDATES = 8  # songs tried at a position
STAND_INS = 3  # replacements tried where a candidate forces another song out
GAIN = 0.02  # minimum gain in value; less is inaudible


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaylistRequest:
    """The request for a playlist.

    Attributes
    ----------
    seconds : float
        Target length.
    limits : sequence of Limit
    artists : ndarray, shape (n,), int, optional
        Artist code of each song; `UNKNOWN` for none.
    gap : int
        Minimum number of songs between two of one artist; 0 allows adjacent ones.
    curves : sequence of Curve
    """

    seconds: float
    limits: Sequence[Limit] = ()
    artists: Int32Array | None = None
    gap: int = 0
    curves: Sequence[Curve] = field(default=())

    @property
    def tolerance_s(self) -> float:
        """Allowed deviation from the target length: 30 s, or 1 % if that is more."""
        return max(TOLERANCE_S, TOLERANCE_PART * self.seconds)


class Draft:
    """Working state of a playlist: `pool` holds its candidates, `rows` its songs so far."""

    def __init__(
        self,
        units: FloatArray,
        relevance: FloatArray,
        durations: Float64Array,
        wish: PlaylistRequest,
        pool: Int64Array,
    ) -> None:
        self.pool = pool
        self.rows: list[int] = []
        self.seconds = 0.0
        self._units, self._relevance, self._durations = units, relevance, durations
        self._wish = wish
        self._tally = Tally(wish.limits)
        self._offers: dict[int, list[int]] = {}  # per position of the current list
        self._usual_s = float(np.median(durations[pool])) if len(pool) else 0.0

    def fill(self, first: Sequence[int]) -> None:
        """Add songs until the length is reached; `exchange` corrects an overshoot by the last."""
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
        """Exchange songs until the length is right or cannot be improved.

        If the list stays too short, as a list of two long songs may, one more song is added if
        that brings it nearer to the target.
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
        """Exchange songs of the current list."""
        for _ in range(MAX_EXCHANGES):
            missing = self._wish.seconds - self.seconds
            if abs(missing) <= self._wish.tolerance_s:
                return
            found = self._best_exchange(missing, fixed)
            if found is None:
                return
            self._replace(*found)

    def improve(self) -> None:
        """Exchange and swap songs as long as that follows the curves better.

        The length stays within tolerance, or at least no further off. Greedy filling spends the
        few songs that fit a demanding part before it begins, and exhausts the limits of their
        artists; here such a song can be replaced by another one elsewhere.
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
        """Return lists with another song at one position, including forced follow-up changes."""
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
        """Return the most valuable songs for a position, among those not in the list."""
        if place not in self._offers:
            free = self.pool[~np.isin(self.pool, self.rows)]
            order = np.argsort(self._losses(place, free), kind="stable")
            self._offers[place] = free[order[:CANDIDATES]].tolist()
        return self._offers[place]

    def _in_the_way(self, row: int, place: int) -> list[int]:
        """Return positions of songs that conflict with `row` at `place`, by limit or artist gap."""
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
        """Return all positions, furthest from the curves first."""
        far = self._astray(np.asarray([self.rows], np.int64))[0]
        return [int(place) for place in np.argsort(-far, kind="stable")]

    def _astray(self, lists: Int64Array) -> Float64Array:
        """Return the distance of each song in lists (q, m) from all curves together: (q, m)."""
        lengths = self._durations[lists]
        part = (np.cumsum(lengths, axis=1) - lengths / 2) / self._wish.seconds
        far = np.zeros(lists.shape)
        for curve in self._wish.curves:
            far += np.abs(curve.scores[lists] - curve.target(np.minimum(part, 1.0)))
        return far

    def _worths(self, lists: Int64Array) -> Float64Array:
        """Return the total value of each of some lists (q, m): shape (q,)."""
        n = len(self._units)
        pairs, places = np.unique(lists[:, 1:] * n + lists[:, :-1], return_inverse=True)
        # einsum rather than matmul: for so few products, starting BLAS threads costs more.
        alike = np.einsum("ij,ij->i", self._units[pairs // n], self._units[pairs % n])
        worths = self._relevance[lists].sum(axis=1, dtype=np.float64)
        worths += SMOOTHNESS * alike[places.reshape(len(lists), -1)].sum(axis=1, dtype=np.float64)
        worths -= ADHERENCE * self._astray(lists).sum(axis=1)
        return np.asarray(worths, np.float64)

    def _is_right(self, rows: Int64Array) -> bool:
        """Return whether a list respects limits, gap and length (or is no further off than now)."""
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
        """Return the first pending seed that is allowed now, and remove it from `pending`."""
        room = self._wish.seconds + self._wish.tolerance_s - self.seconds
        for row in pending:
            fits = not self.rows or self._durations[row] <= room
            if fits and self._may_stand(row, len(self.rows)) and self._tally.fits(row):
                pending.remove(row)
                return row
        return None

    def _best_next(self, missing: float) -> int | None:
        """Return the best song for the next position."""
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
        """Return the value of each song at a position; higher is better."""
        values = self._relevance[rows].astype(np.float64)
        for row in beside:
            values += SMOOTHNESS / len(beside) * (self._units[rows] @ self._units[row])
        for curve in self._wish.curves:
            values -= ADHERENCE * np.abs(curve.scores[rows] - curve.target(part))
        return values

    def _may_stand(self, row: int, place: int) -> bool:
        """Return whether a position is far enough from other songs of the same artist."""
        artists, gap = self._wish.artists, self._wish.gap
        if artists is None or artists[row] == UNKNOWN:
            return True
        near = [*self.rows[max(0, place - gap) : place], *self.rows[place + 1 : place + 1 + gap]]
        return not any(artists[other] == artists[row] for other in near)

    def _best_exchange(self, missing: float, fixed: Sequence[int]) -> tuple[int, int] | None:
        """Return a position and the row to put there.

        Among exchanges that make the length right, the cheapest; if there are none, the one that
        brings it nearest. The position after the last adds a song.
        """
        free = self.pool[~np.isin(self.pool, self.rows)]
        tolerance = self._wish.tolerance_s
        offers: list[tuple[bool, float, int, int]] = []
        for place, row in enumerate([*self.rows, None]):
            if row in fixed or not len(free):
                continue
            own = 0.0 if row is None else self._durations[row]
            off = np.abs(missing + own - self._durations[free])
            better = off < abs(missing) - 1.0  # at least one second, so that the loop terminates
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
        """Return the loss of value against the song at a position; at the end, against the best."""
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
