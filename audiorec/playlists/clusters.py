"""Songs divided into groups by sound: of bounded sizes, and the same from night to night.

    units (m, W)            ──divide────▶ group of each song (m,)
    the same, groups before ──carry_on──▶ the same groups, new songs joined to the nearest

Groups are k-means' (scikit-learn, extra ``sklearn``). Those that are too large are divided again;
those that are too small go to the nearest groups that have room. Which method is better, and how
much moves when songs come, stands in docs/playlists.md.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiorec.errors import InputError, MissingExtraError
from audiorec.types import FloatArray, Int64Array

NEW = -1  # the group of a song that had none before
STARTS = 4  # of k-means, of which the best counts
RENEWED = 0.25  # of the songs joined since all were divided: then they are divided anew


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many songs a group has: about `usual`, from `least` to `most`."""

    usual: int

    def __post_init__(self) -> None:
        if self.usual < 2:
            raise InputError(f"a playlist needs 2 songs or more, got {self.usual}")

    @property
    def least(self) -> int:
        """A third of the usual; with fewer songs altogether there is one group."""
        return max(2, self.usual // 3)

    @property
    def most(self) -> int:
        """Twice the usual."""
        return 2 * self.usual


def divide(units: FloatArray, sizes: Sizes, *, seed: int = 0) -> Int64Array:
    """Divide songs into groups.

    Parameters
    ----------
    units : ndarray, shape (m, W), float32
        Rows of length 1.
    sizes : Sizes
    seed : int
        Same songs in the same order and same seed, same groups.

    Returns
    -------
    groups : ndarray, shape (m,), int64
        Numbers from 0, none left out.

    Raises
    ------
    MissingExtraError
        Without scikit-learn.
    """
    if len(units) <= sizes.most and len(units) < 2 * sizes.least:
        return np.zeros(len(units), np.int64)
    count = max(1, round(len(units) / sizes.usual))
    return bounded(units, _means(units, count, seed), sizes, seed=seed)


def carry_on(
    units: FloatArray, before: Int64Array, sizes: Sizes, *, joined: int = 0, seed: int = 0
) -> tuple[Int64Array, int]:
    """Keep the groups of songs that have one; join the others to the nearest group.

    Parameters
    ----------
    units : ndarray, shape (m, W), float32
    before : ndarray, shape (m,), int64
        The group of each song before; `NEW` for none.
    sizes : Sizes
        Groups that grew too large are divided, those that shrank too far are dissolved.
    joined : int
        Songs that joined on earlier nights, since all were divided.
    seed : int

    Returns
    -------
    groups : ndarray, shape (m,), int64
        Divided anew where more than a quarter of the songs joined since that was last done.
    joined : int
        The same number for the next night.
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
    return bounded(units, every, sizes, seed=seed), joined


def bounded(units: FloatArray, groups: Int64Array, sizes: Sizes, *, seed: int = 0) -> Int64Array:
    """Return groups of bounded sizes: large ones divided, small ones dissolved."""
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


def matched(groups: Int64Array, before: Int64Array) -> dict[int, int]:
    """Return which group of before each group goes on, by the songs that they share.

    A group goes on another one if it has at least half of those of its songs that are still there,
    or is made of it for at least a half; each at most once, the pairs that share most songs first
    (the best assignment as a whole).
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
    """Divide a group that is too large, and what comes of it, in place."""
    rows = np.flatnonzero(groups == group)
    if len(rows) <= sizes.most:
        return
    parts = _means(units[rows], math.ceil(len(rows) / sizes.usual), seed)
    if not parts.any():  # all of one sound: as they stand
        parts = np.arange(len(rows)) // sizes.usual
    first = int(groups.max()) + 1
    for part in range(1, int(parts.max()) + 1):
        groups[rows[parts == part]] = first + part - 1
    for part in (group, *range(first, int(groups.max()) + 1)):
        _split(units, groups, part, sizes, seed)


def _dissolve(units: FloatArray, groups: Int64Array, group: int, sizes: Sizes) -> None:
    """Send the songs of a group to the nearest groups that have room, in place."""
    rows = np.flatnonzero(groups == group)
    others = np.setdiff1d(np.unique(groups), [group])
    near = units[rows] @ np.stack([_centre(units[groups == other]) for other in others]).T
    room = sizes.most - np.bincount(groups, minlength=int(others.max()) + 1)[others]
    if room.sum() < len(rows):  # two groups become one that is larger than asked for
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


def in_order(units: FloatArray, artists: Int64Array, unknown: int) -> Int64Array:
    """Return the songs of a group in playing order: the most typical first, artists apart.

    Parameters
    ----------
    units : ndarray, shape (m, W), float32
    artists : ndarray, shape (m,), int
    unknown : int
        The number of a song whose artist is not known.
    """
    order = np.argsort(-(units @ _centre(units)), kind="stable").tolist()
    ordered: list[int] = []
    while order:
        last = artists[ordered[-1]] if ordered else unknown
        apart = (p for p, row in enumerate(order) if last == unknown or artists[row] != last)
        ordered.append(order.pop(next(apart, 0)))
    return np.asarray(ordered, np.int64)
