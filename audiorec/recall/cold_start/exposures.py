"""How often to show what: a total of exposures, divided over lists of candidates.

Every list (the audience of a song, or the songs of a user) gets the same part of the total.
Within a list the part falls with the rank as ``1 / log2(1 + rank)``: the first counts 1, the
second 0.63, the tenth 0.29. Whole numbers are made by the largest remainders, between equals
by the better rank (among lists: by the earlier one), so they add up to the total.
"""

import numpy as np

from audiorec.errors import InputError
from audiorec.types import Float64Array, Int64Array


def rank_weights(rank: Int64Array) -> Float64Array:
    """Return what a candidate weighs in its list: shape (n,).

    Parameters
    ----------
    rank : ndarray, shape (n,)
        From 0.

    Examples
    --------
    >>> rank_weights(np.arange(4)).round(3).tolist()
    [1.0, 0.631, 0.5, 0.431]
    """
    weights: Float64Array = 1.0 / np.log2(2.0 + rank)
    return weights


def whole_parts(shares: Float64Array, total: int) -> Int64Array:
    """Divide a total into whole numbers.

    Parameters
    ----------
    shares : ndarray, shape (n,)
        Sum 1.
    total : int
        0 or more.

    Returns
    -------
    parts : ndarray, shape (n,), int64
        Each within 1 of its share; their sum is the total.

    Examples
    --------
    >>> whole_parts(np.array([0.5, 0.3, 0.2]), 4).tolist()
    [2, 1, 1]
    """
    if total < 0:
        raise InputError(f"the exposures must be 0 or more, got {total}")
    exact = shares * total
    parts = np.floor(exact).astype(np.int64)
    # Rounded, so that remainders that are equal but for the last bit count as equal.
    remainder = np.round(exact - parts, 9)
    left = total - int(parts.sum())
    parts[np.argsort(-remainder, kind="stable")[:left]] += 1
    return parts


def list_totals(counts: Int64Array, total: int) -> Int64Array:
    """Divide a total over lists: shape (n,), int64; a list without candidates gets none.

    Raises
    ------
    InputError
        If all lists are empty, so that nothing can be shown.
    """
    filled = np.flatnonzero(counts)
    if not len(filled):
        raise InputError("no list has a candidate that exposures could go to")
    totals = np.zeros(len(counts), np.int64)
    totals[filled] = whole_parts(np.full(len(filled), 1.0 / len(filled)), total)
    return totals
