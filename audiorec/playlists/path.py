"""Find a smooth path from one song to another through the songs of a store.

    units (n, W), start, end  ──find_path──▶  start, m songs between, end

The *position* of a song is its similarity to the end minus its similarity to the start. A path is
*monotone*: the position rises with every step, so each song is, on balance, nearer to the end than
the one before, and no song occurs twice.

Among the monotone paths of the requested length the *smoothest* is chosen: it minimises the
largest step and then the sum of the steps, where a step is 1 - similarity. Steps behave like
squared distances, so a small sum also favours even steps. No step may be larger than the direct
one from start to end: if no path of the requested length satisfies that, the path is shorter.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.runs.timing import check_deadline
from audiorec.search.choice import Limit
from audiorec.search.filters import UNKNOWN
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

POOL = 1_000  # candidate songs of a path; the cost grows with the square
BINS_PER_STEP = 4  # bins per step between start and end, which the pool fills evenly
SAME = 1e-6  # songs nearer than this count as identical; their order would be rounding noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A path from one song to another.

    Attributes
    ----------
    rows : ndarray, shape (m + 2,), int64
        Rows of the store in order, start and end included.
    steps : ndarray, shape (m + 1,), float64
        Similarity of each song to the next.
    to_start, to_end : ndarray, shape (m + 2,), float64
        Similarity of each song to the start and to the end.
    """

    rows: Int64Array
    steps: Float64Array
    to_start: Float64Array
    to_end: Float64Array

    @property
    def position(self) -> Float64Array:
        """`to_end` minus `to_start` of each song, strictly increasing: shape (m + 2,)."""
        return self.to_end - self.to_start


def find_path(
    units: FloatArray,
    start: int,
    end: int,
    steps: int,
    *,
    allowed: BoolArray | None = None,
    limits: Sequence[Limit] = (),
    pool: int = POOL,
) -> Path:
    """Find the smoothest monotone path.

    Parameters
    ----------
    units : ndarray, shape (n, W), float32
        Rows of length 1 (or 0).
    start, end : int
        Rows of the two songs.
    steps : int
        Number of songs between them.
    allowed : ndarray, shape (n,), bool, optional
        Songs that may lie between; all by default.
    limits : sequence of Limit
        Apply to the whole path, ends included.
    pool : int
        Maximum number of candidates; if more songs lie between the ends, a sample of this size
        that covers the path evenly.

    Returns
    -------
    path : Path
        With fewer songs between than requested, if no longer path within the limits keeps
        every step below the direct one.

    Raises
    ------
    InputError
        If start and end are one song or sound the same, if `steps` is below 1, or if the
        store has too few songs.

    Notes
    -----
    Without limits the path is optimal over the pool. With limits, if too many songs of one
    kind occur, all but the best placed are removed from the pool and the search is repeated,
    so the result is good but not necessarily optimal.
    """
    _check(units, start, end, steps)
    between = np.ones(len(units), np.bool_) if allowed is None else allowed.copy()
    between[[start, end]] = False
    for limit in limits:
        counts = Counter(limit.kinds[[start, end]].tolist())
        full = [kind for kind, n in counts.items() if kind != UNKNOWN and n >= limit.most]
        between &= ~np.isin(limit.kinds, full)
    rows = _pool(units, (start, end), np.flatnonzero(between), steps, pool)
    while True:
        path = _smoothest(units, np.concatenate([[start], rows, [end]]), steps)
        surplus = _surplus(path, rows, limits)
        if not len(surplus):
            return path
        rows = np.setdiff1d(rows, surplus)


def _check(units: FloatArray, start: int, end: int, steps: int) -> None:
    if start == end:
        raise InputError("a path needs two different songs")
    if steps < 1:
        raise InputError(f"a path needs at least 1 song between its ends, got {steps}")
    if len(units) < steps + 2:
        raise InputError(
            f"a path with {steps} songs between two needs {steps + 2} songs; the store has "
            f"{len(units)}"
        )
    if float(units[start].astype(np.float64) @ units[end]) > 1 - SAME:
        raise InputError("the two songs sound the same: no path leads between them")


def _pool(
    units: FloatArray,
    ends: tuple[int, int],
    rows: Int64Array,
    steps: int,
    size: int,
) -> Int64Array:
    """Return up to `size` of the rows that lie between the ends.

    They cover the path evenly; within each bin, those nearest to the straight line are kept.
    """
    a, b = (units @ units[end] for end in ends)
    apart = float(b[ends[0]])
    position = b - a
    rows = rows[(position[rows] > apart - 1 + SAME) & (position[rows] < 1 - apart - SAME)]
    if len(rows) <= size:
        return rows
    a, b, position = a[rows], b[rows], position[rows]
    n_bins = BINS_PER_STEP * (steps + 1)
    edges = np.linspace(position.min(), position.max(), n_bins + 1)[1:-1]
    bins = np.digitize(position, edges)
    # Up to a factor, the squared length of the song's projection onto the plane of the ends.
    in_plane = a * a + b * b - 2 * a * b * apart
    order = np.lexsort((-in_plane, bins))
    counts = np.bincount(bins, minlength=n_bins)
    place_in_bin = np.arange(len(rows)) - (np.cumsum(counts) - counts)[bins[order]]
    # Round robin over the bins, until the pool is full.
    chosen = order[np.lexsort((bins[order], place_in_bin))[:size]]
    return np.sort(rows[chosen])


def _smoothest(units: FloatArray, rows: Int64Array, steps: int) -> Path:
    """Find the smoothest path through `rows`, the first and last of which are the ends."""
    vectors = units[rows].astype(np.float64)
    similarities = np.clip(vectors @ vectors.T, -1.0, 1.0)
    to_start, to_end = similarities[0].copy(), similarities[-1].copy()
    to_start[0] = to_end[-1] = 1.0
    to_end[0] = to_start[-1]  # the two products may differ by rounding
    position = to_end - to_start
    order = np.argsort(position, kind="stable")
    order = np.concatenate([[0], order[(order != 0) & (order != len(rows) - 1)], [len(rows) - 1]])
    position = position[order]
    # From row i to column j.
    may_follow = position[None] > position[:, None] + SAME
    cost = np.where(may_follow, 1.0 - similarities[np.ix_(order, order)], np.inf)
    # A step larger than the direct one never makes a path smoother.
    cost[cost > cost[0, -1]] = np.inf
    worst = best_paths(cost, steps, np.maximum)
    between = max(n for n, (_, total) in enumerate(worst) if np.isfinite(total))
    cost[cost > worst[between][1]] = np.inf
    places = order[best_paths(cost, between, np.add)[between][0]]
    return Path(
        rows=rows[places],
        steps=similarities[places[:-1], places[1:]],
        to_start=to_start[places],
        to_end=to_end[places],
    )


def best_paths(cost: Float64Array, steps: int, join: np.ufunc) -> list[tuple[list[int], float]]:
    """Return the best path from the first song to the last with 0, 1, ... `steps` between.

    The cost of a path is its steps combined by `join`: their maximum, or their sum. Dynamic
    programming: each layer holds the best path to every song in exactly that many steps.
    """
    best = cost[0].copy()
    before: list[Int64Array] = []
    ways = [([0, len(cost) - 1], float(best[-1]))]
    for _ in range(steps):
        check_deadline()  # a server's: hundreds of steps take seconds
        joined = join(best[:, None], cost)
        before.append(joined.argmin(axis=0))
        best = joined[before[-1], np.arange(len(cost))]
        way = [len(cost) - 1]
        for layer in reversed(before):
            way.append(int(layer[way[-1]]))
        ways.append(([0, *reversed(way)], float(best[-1])))
    return ways


def _surplus(path: Path, rows: Int64Array, limits: Sequence[Limit]) -> Int64Array:
    """Return songs of kinds that exceed a limit, except the most smoothly placed ones."""
    inner = path.rows[1:-1]
    around = path.steps[:-1] + path.steps[1:]
    surplus: list[int] = []
    for limit in limits:
        kinds = limit.kinds[inner]
        at_the_ends = Counter(limit.kinds[path.rows[[0, -1]]].tolist())
        for kind in set(kinds[kinds != UNKNOWN].tolist()):
            of_kind = np.flatnonzero(kinds == kind)
            free = limit.most - at_the_ends[kind]
            if len(of_kind) > free:
                kept = inner[of_kind[np.argsort(-around[of_kind], kind="stable")[:free]]]
                others = rows[limit.kinds[rows] == kind]
                surplus += np.setdiff1d(others, kept).tolist()
    return np.unique(np.asarray(surplus, np.int64))
