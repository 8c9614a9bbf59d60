"""Make a playlist near some songs: of a given length, with artists spread, along curves.

    seeds, minutes  ──make_playlist──▶  `Playlist`: rows in playing order
        Draft(units, relevance, durations, wish, pool)  ──fill──exchange──improve──▶  .rows
    Playlist, wish  ──remarks──▶  where it misses the request, by how much, and why

Songs are added one by one. Each maximises

    similarity to the seeds + 0.5 · similarity to the previous song - 5 · distance from the curves
    + 1.5 · what a sentence adds

among those whose artist is neither too recent nor too frequent. Then songs are exchanged, at the
least loss of the same sum, until the length is right.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from audiorec.errors import InputError
from audiorec.files.visible import clock
from audiorec.playlists.curves import Curve, deviations, midpoints
from audiorec.search.choice import Limit, Tally
from audiorec.search.filters import UNKNOWN
from audiorec.search.near import VOTES, draw
from audiorec.types import BoolArray, Float64Array, FloatArray, Int32Array, Int64Array

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
    pull : ndarray, shape (n,), float32, optional
        What is added to each song's similarity to the seeds.
    """

    seconds: float
    limits: Sequence[Limit] = ()
    artists: Int32Array | None = None
    gap: int = 0
    curves: Sequence[Curve] = field(default=())
    pull: FloatArray | None = None

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
            result = self._best_exchange(missing, fixed)
            if result is None:
                return
            self._replace(*result)

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
        """Return lists with another song at `place`, and others for songs that this forbids."""
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
        for index, artist in enumerate(artists[rows].tolist()):
            if artist != UNKNOWN and index - last.get(artist, -gap - 1) <= gap:
                return False
            last[artist] = index
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
        for index, row in enumerate([*self.rows, None]):
            if row in fixed or not len(free):
                continue
            own = 0.0 if row is None else self._durations[row]
            off = np.abs(missing + own - self._durations[free])
            better = off < abs(missing) - 1.0  # at least one second, so that the loop terminates
            right = off <= tolerance
            cost = np.where(right, self._losses(index, free), off)
            for i in np.lexsort((cost, ~right, ~better)):
                if not better[i]:
                    break
                if self._may_replace(index, int(free[i])):
                    offers.append((not right[i], float(cost[i]), index, int(free[i])))
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
        return there - values[: len(rows)]

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


POOL = 5_000  # candidates of a playlist, over all its parts
POOL_PARTS = 10  # parts of a playlist with curves, each with candidates of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Playlist:
    """Songs in playing order.

    Attributes
    ----------
    rows : ndarray, shape (m,), int64
    seconds : float
        Total length.
    within_tolerance : bool
        Whether `seconds` differs from the request by at most `PlaylistRequest.tolerance_s`.
    left_out : tuple of int
        Rows of seeds that did not fit within the limits or the length.
    """

    rows: Int64Array
    seconds: float
    within_tolerance: bool
    left_out: tuple[int, ...] = ()


def make_playlist(
    units: FloatArray,
    directions: FloatArray,
    durations: Float64Array,
    wish: PlaylistRequest,
    *,
    seeds: Sequence[int] = (),
    allowed: BoolArray | None = None,
) -> Playlist:
    """Make a playlist near one direction or several.

    Parameters
    ----------
    units : ndarray, shape (n, W), float32
        Rows of length 1 (or 0).
    directions : ndarray, shape (W,) or (Q, W)
        Directions to search near, of length 1; several vote (`audiorec.search.near`). Without any
        the pull alone tells which songs are meant.
    durations : ndarray, shape (n,)
        Length of each song in seconds.
    wish : PlaylistRequest
    seeds : sequence of int
        Rows that come first, in this order as far as the artist gap permits. With curves they
        are placed like any other songs.
    allowed : ndarray, shape (n,), bool, optional
        Eligible songs; seeds always are.

    Returns
    -------
    playlist : Playlist
        Without repeated songs. Shorter than requested if the store has no more songs within
        the limits; longer only if a single seed is.

    Raises
    ------
    InputError
        If the requested length is not positive or the gap is negative.
    """
    if not wish.seconds > 0 or wish.gap < 0:
        raise InputError(
            f"a playlist needs a length above 0 s and a gap of at least 0, got {wish.seconds} and "
            f"{wish.gap}"
        )
    usable = durations > 0
    if allowed is not None:
        usable &= allowed
    usable[list(seeds)] = True
    eligible = np.flatnonzero(usable)
    near = units @ np.atleast_2d(directions).T
    if wish.pull is not None:
        pull = wish.pull[:, None]  # against the similarity to the seeds and to the song before
        near = near + (1 + SMOOTHNESS) * pull if near.shape[1] else pull
    relevance = _by_votes(near, eligible)
    pool = _pool(relevance, eligible, wish.curves, seeds)
    draft = Draft(units, relevance, durations, wish, pool)
    draft.fill(() if wish.curves else seeds)
    draft.exchange(fixed=() if wish.curves else seeds)
    draft.improve()
    off = abs(draft.seconds - wish.seconds)
    return Playlist(
        rows=np.asarray(draft.rows, np.int64),
        seconds=draft.seconds,
        within_tolerance=off <= wish.tolerance_s,
        left_out=tuple(seed for seed in dict.fromkeys(seeds) if seed not in draft.rows),
    )


def _by_votes(near: FloatArray, rows: Int64Array) -> FloatArray:
    """Return how near songs are to several directions (n, Q) as one number: (n,).

    The songs that the directions draw by their votes get the same numbers as before, but in the
    order of drawing, so that each taste has its share of the first ones.
    """
    relevance: FloatArray = near.max(axis=1)
    if near.shape[1] == 1:
        return relevance
    rankings = []
    for of in near.T:
        first = rows[np.argsort(-of[rows], kind="stable")[:VOTES]]
        rankings.append((first, of[first].astype(np.float64)))
    drawn = draw(rankings, VOTES * len(rankings))[0]
    relevance[drawn] = np.sort(relevance[drawn])[::-1]
    return relevance


def _pool(
    relevance: FloatArray,
    rows: Int64Array,
    curves: Sequence[Curve],
    seeds: Sequence[int],
) -> Int64Array:
    """Return the best candidates for each part of the playlist, and the seeds."""
    if len(rows) <= POOL:
        return rows
    parts = np.linspace(0, 1, POOL_PARTS) if curves else np.zeros(1)
    each = POOL // len(parts)
    kept = [np.asarray(seeds, np.int64)]
    for part in parts:
        values = relevance[rows].astype(np.float64)
        for curve in curves:
            values -= ADHERENCE * np.abs(curve.scores[rows] - curve.target(part))
        kept.append(rows[np.argpartition(-values, each)[:each]])
    return np.unique(np.concatenate(kept))


HELD = 0.15  # of a score: within this distance a song follows a curve
MOVES = 0.1  # of a score: a curve that spans less is hardly audible


def remarks(
    ids: Sequence[str],
    found: Playlist,
    lengths: Float64Array,
    wish: PlaylistRequest,
    *,
    allowed: BoolArray,
) -> tuple[str, ...]:
    """Say where a playlist misses the request, one line per remark.

    Parameters
    ----------
    ids : sequence of str, length n
    found : Playlist
    lengths : ndarray, shape (n,)
        Length of every song in seconds.
    wish : PlaylistRequest
    allowed : ndarray, shape (n,), bool
        The eligible songs.
    """
    homeless = () if wish.curves else found.left_out
    lines = [f"{ids[row]} did not fit in" for row in homeless]
    if not found.within_tolerance:
        lines.append(
            f"{clock(found.seconds)} instead of {clock(wish.seconds)}: no songs of the store "
            "make the length right within the limits"
        )
    own = lengths[found.rows]
    free = allowed.copy()
    free[found.rows] = False
    for number, curve in enumerate(wish.curves):
        low, high = min(curve.points), max(curve.points)
        if len(curve.points) > 1 and high - low < MOVES:
            lines.append(
                f"{curve.name} only moves between {curve.format(low)} and {curve.format(high)}, "
                "which is hardly audible"
            )
        off = deviations(found.rows, own, wish.curves)[:, number]
        for first, last, worst in _spans(np.abs(off) > HELD, np.abs(off)):
            wanted = float(curve.target(midpoints(own))[worst])
            score = float(curve.scores[found.rows[worst]])
            distance = np.abs(curve.scores - wanted)
            better = np.flatnonzero(free & (distance < abs(score - wanted) - HELD / 2))
            start, end = float(own[:first].sum()), float(own[: last + 1].sum())
            lines.append(
                f"from {clock(start)} to {clock(end)} {curve.name} misses the curve, at worst "
                f"{curve.format(score)} instead of {curve.format(wanted)}: "
                + _why(worst, found.rows, wish, better)
            )
    return tuple(lines)


def _spans(wrong: BoolArray, off: Float64Array) -> Iterator[tuple[int, int, int]]:
    """Yield runs of positions off the curve: first, last, and the worst of each."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wrong, [False]]).astype(np.int8)))
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield first, end - 1, first + int(off[first:end].argmax())


def _why(place: int, rows: Int64Array, wish: PlaylistRequest, better: Int64Array) -> str:
    """Say why songs that suit the curve better are not at a position."""
    if not len(better):
        return "no other eligible song has such a score"
    others = np.delete(rows, place)
    reasons = []
    for limit in wish.limits:
        taken = np.bincount(limit.kinds[others][limit.kinds[others] != UNKNOWN])
        full = np.flatnonzero(taken >= limit.most)
        if limit.name and np.isin(limit.kinds[better], full).any():
            reasons.append(f"at most {limit.most} of one {limit.name}")
    artists = wish.artists
    if artists is not None and wish.gap:
        near = artists[rows[max(0, place - wish.gap) : place + wish.gap + 1]]
        if np.isin(artists[better], near[near != UNKNOWN]).any():
            reasons.append(f"{wish.gap} songs between two of one artist")
    if not reasons:
        return "songs that would fit are less like the seeds, or of another length"
    return f"songs that would fit are used up ({', '.join(reasons)})"
