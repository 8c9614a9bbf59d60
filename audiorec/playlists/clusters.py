"""Group songs by sound, in groups of bounded size that stay stable from run to run.

    units (m, W)            ──divide────▶ group of each song (m,)
    the same, earlier groups ──update_groups──▶ the same groups, with new songs added to the nearest

Groups come from k-means (scikit-learn, extra ``sklearn``). Groups that are too large are split;
the songs of groups that are too small go to the nearest groups with room. The choice of method,
and how many songs move when new ones arrive, are documented in docs/benchmarks/playlists.md.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiorec.errors import InputError, MissingExtraError
from audiorec.types import FloatArray, Int64Array

NEW = -1  # earlier group of a song that had none
STARTS = 4  # k-means initialisations, of which the best is kept
RENEWED = 0.25  # share of songs added since the last full division that triggers another


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bounds on the number of songs in a group: about `usual`, from `least` to `most`."""

    usual: int

    def __post_init__(self) -> None:
        if self.usual < 2:
            raise InputError(f"a playlist needs 2 songs or more, got {self.usual}")

    @property
    def least(self) -> int:
        """A third of `usual`, at least 2; a library of fewer than twice that is one group."""
        return max(2, self.usual // 3)

    @property
    def most(self) -> int:
        """Twice `usual`."""
        return 2 * self.usual


def divide(units: FloatArray, sizes: Sizes, *, seed: int = 0) -> Int64Array:
    """Divide songs into groups.

    Parameters
    ----------
    units : ndarray, shape (m, W), float32
        Rows of length 1.
    sizes : Sizes
    seed : int
        The same songs in the same order and the same seed give the same groups.

    Returns
    -------
    groups : ndarray, shape (m,), int64
        Group numbers from 0, without gaps.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    if len(units) <= sizes.most and len(units) < 2 * sizes.least:
        return np.zeros(len(units), np.int64)
    count = max(1, round(len(units) / sizes.usual))
    return bound_sizes(units, _means(units, count, seed), sizes, seed=seed)


def update_groups(
    units: FloatArray, before: Int64Array, sizes: Sizes, *, joined: int = 0, seed: int = 0
) -> tuple[Int64Array, int]:
    """Keep existing groups, and add new songs to the nearest group.

    Parameters
    ----------
    units : ndarray, shape (m, W), float32
    before : ndarray, shape (m,), int64
        The earlier group of each song; `NEW` for none.
    sizes : Sizes
        Groups that have become too large are split, those too small dissolved.
    joined : int
        Songs added by earlier runs since the last full division.
    seed : int

    Returns
    -------
    groups : ndarray, shape (m,), int64
        Divided afresh if more than a quarter of the songs were added since the last time.
    joined : int
        The updated number, for the next run.
    """
    is_new = before == NEW
    joined += int(is_new.sum())
    if joined > RENEWED * len(units) or is_new.all():
        return divide(units, sizes, seed=seed), 0
    groups = np.unique(before[~is_new], return_inverse=True)[1]
    every = np.full(len(units), NEW, np.int64)
    every[~is_new] = groups
    centres = _centres(units[~is_new], groups)
    every[is_new] = (units[is_new] @ centres.T).argmax(axis=1)
    return bound_sizes(units, every, sizes, seed=seed), joined


def bound_sizes(
    units: FloatArray, groups: Int64Array, sizes: Sizes, *, seed: int = 0
) -> Int64Array:
    """Return groups within the size bounds: large ones split, small ones dissolved."""
    groups = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    for group in range(int(groups.max()) + 1):
        _split(units, groups, group, sizes, seed)
    while True:
        counts = np.bincount(groups)
        small = np.flatnonzero(counts < sizes.least)
        if not len(small) or len(counts) == 1:
            return groups
        _dissolve(units, groups, int(small[counts[small].argmin()]), sizes)
        groups = np.unique(groups, return_inverse=True)[1].astype(np.int64)


def match_earlier(groups: Int64Array, before: Int64Array) -> dict[int, int]:
    """Return the earlier group that each group continues, judged by shared songs.

    A group continues an earlier one if it has at least half of that one's remaining songs, or if
    at least half of its own songs come from it. Each is matched at most once, by the assignment
    that maximises the number of shared songs.
    """
    from scipy.optimize import linear_sum_assignment

    known = before != NEW
    if not known.any():
        return {}
    shared = np.zeros((int(groups.max()) + 1, int(before.max()) + 1), np.int64)
    np.add.at(shared, (groups[known], before[known]), 1)
    new, old = shared.sum(axis=1), shared.sum(axis=0)
    pairs = zip(*linear_sum_assignment(-shared), strict=True)
    return {
        int(a): int(b) for a, b in pairs if shared[a, b] and 2 * shared[a, b] >= min(new[a], old[b])
    }


def _split(units: FloatArray, groups: Int64Array, group: int, sizes: Sizes, seed: int) -> None:
    """Split a group that is too large, recursively and in place."""
    rows = np.flatnonzero(groups == group)
    if len(rows) <= sizes.most:
        return
    parts = _means(units[rows], math.ceil(len(rows) / sizes.usual), seed)
    if not parts.any():  # identical units: split in row order
        parts = np.arange(len(rows)) // sizes.usual
    first = int(groups.max()) + 1
    for part in range(1, int(parts.max()) + 1):
        groups[rows[parts == part]] = first + part - 1
    for part in (group, *range(first, int(groups.max()) + 1)):
        _split(units, groups, part, sizes, seed)


def _dissolve(units: FloatArray, groups: Int64Array, group: int, sizes: Sizes) -> None:
    """Move the songs of a group to the nearest groups with room, in place."""
    rows = np.flatnonzero(groups == group)
    others = np.setdiff1d(np.unique(groups), [group])
    near = units[rows] @ np.stack([_centre(units[groups == other]) for other in others]).T
    room = sizes.most - np.bincount(groups, minlength=int(others.max()) + 1)[others]
    if room.sum() < len(rows):  # not enough room: merge into one oversized group
        groups[rows] = others[near.mean(axis=0).argmax()]
        return
    for place in np.argsort(-near.max(axis=1), kind="stable"):
        best = int(np.where(room > 0, near[place], -np.inf).argmax())
        groups[rows[place]] = others[best]
        room[best] -= 1


def _means(units: FloatArray, count: int, seed: int) -> Int64Array:
    if count < 2:
        return np.zeros(len(units), np.int64)
    k_means = _k_means()
    distinct = len(np.unique(units, axis=0))
    found = k_means(n_clusters=min(count, distinct), n_init=STARTS, random_state=seed).fit(units)
    return np.asarray(found.labels_, np.int64)


def _k_means() -> Any:
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise MissingExtraError("dividing a library", "sklearn", str(error)) from error
    return KMeans


def _centres(units: FloatArray, groups: Int64Array) -> FloatArray:
    return np.stack([_centre(units[groups == g]) for g in range(int(groups.max()) + 1)])


def _centre(units: FloatArray) -> FloatArray:
    mean = units.mean(axis=0, dtype=np.float64)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)


def playing_order(units: FloatArray, artists: Int64Array, unknown: int) -> Int64Array:
    """Return a playing order of a group: most typical songs first, artists separated.

    Parameters
    ----------
    units : ndarray, shape (m, W), float32
    artists : ndarray, shape (m,), int
    unknown : int
        The artist code of songs whose artist is unknown.
    """
    order = np.argsort(-(units @ _centre(units)), kind="stable").tolist()
    ordered: list[int] = []
    while order:
        last = artists[ordered[-1]] if ordered else unknown
        apart = (p for p, row in enumerate(order) if last == unknown or artists[row] != last)
        ordered.append(order.pop(next(apart, 0)))
    return np.asarray(ordered, np.int64)
