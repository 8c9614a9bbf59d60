"""Several seeds to one direction: the songs between them all.

    unit vectors of the seeds (Q, W)  ──mean_direction──▶  (W,)

A seed is a song to look near. Their vectors have length 1 before the mean is taken, so that
each counts the same.
"""

from typing import TYPE_CHECKING

import numpy as np

from audiorec.errors import InputError
from audiorec.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from audiorec.search.space import Space

OPPOSED = 1e-6  # a mean shorter than this has no direction but that of rounding


def mean_direction(units: FloatArray) -> FloatArray:
    """Return the mean of some vectors of length 1, brought to length 1.

    Parameters
    ----------
    units : ndarray, shape (Q, W)
        One or more; a vector of length 0 counts as one without a direction.

    Returns
    -------
    direction : ndarray, shape (W,), float32
        A single vector comes back as it is.

    Raises
    ------
    InputError
        If there is none, or if the seeds cancel each other out.

    Examples
    --------
    >>> mean_direction(np.float32([[1, 0], [0, 1]])).round(3)
    array([0.707, 0.707], dtype=float32)
    """
    if len(units) == 0:
        raise InputError("no seed: name at least one song")
    if len(units) == 1:
        alone: FloatArray = units[0]
        return alone
    mean = units.astype(np.float64).mean(axis=0)
    length = float(np.sqrt((mean * mean).sum()))
    if length < OPPOSED:
        raise InputError("the seeds are opposites of each other: nothing is near all of them")
    direction: FloatArray = (mean / length).astype(np.float32)
    return direction


def units_by_row(space: "Space") -> tuple[FloatArray, BoolArray]:
    """Return the vectors of all songs of a store in one array.

    Parameters
    ----------
    space : Space
        What songs are compared by.

    Returns
    -------
    units : ndarray, shape (n, W), float32
        By row of the store; zeros for a song that the space does not have.
    there : ndarray, shape (n,), bool
        Whether the space has the song.
    """
    found, n = space.similarity.units, len(space.store)
    there = np.zeros(n, np.bool_)
    there[space.rows] = True
    if len(found) == n:
        return found, there
    units = np.zeros((n, found.shape[1]), np.float32)
    units[space.rows] = found
    return units, there
