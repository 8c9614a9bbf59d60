"""How much a similarity makes hubs of some songs, and two ways to undo it.

A hub is among the nearest songs of very many others without being like them. Measured by the
skewness of the 10-occurrence: how often a song is among the ten nearest of another. 0 is none.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

Array = npt.NDArray[np.float64]
NEAREST = 10


def occurrence_skewness(similar: Array) -> float:
    """Return the skewness of the 10-occurrence of a matrix of similarities (n, n)."""
    similar = similar.copy()
    np.fill_diagonal(similar, -np.inf)
    nearest = np.argsort(-similar, axis=1, kind="stable")[:, :NEAREST]
    counts = np.bincount(nearest.ravel(), minlength=len(similar)).astype(np.float64)
    deviation = counts - counts.mean()
    return float((deviation**3).mean() / max(1e-12, counts.std() ** 3))


def mutual_proximity(similar: Array) -> Array:
    """Return how probable it is that two songs are nearer than a random one, from both sides.

    The distances of a song to all others are taken as normal and the two sides as independent.
    """
    distance = 1 - similar
    np.fill_diagonal(distance, np.nan)
    mean, std = np.nanmean(distance, axis=1), np.nanstd(distance, axis=1)
    further = norm.sf(np.nan_to_num(distance), mean[:, None], std[:, None])
    return further * further.T


def local_scaling(similar: Array) -> Array:
    """Return similarities measured by the distance of each song's tenth neighbour."""
    distance = 1 - similar
    np.fill_diagonal(distance, np.inf)
    scale = np.sort(distance, axis=1)[:, NEAREST - 1]
    return np.exp(-np.square(distance) / (scale[:, None] * scale[None, :]))
