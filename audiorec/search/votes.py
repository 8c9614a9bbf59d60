"""Songs near several seeds: each seed votes for its neighbours, and each taste gets its share.

    seeds (Q, W) ──together──▶ Q directions ──search──▶ Q rankings ──draw──▶ one ranking

The mean of seeds of two tastes lies between them, where neither has its songs. So each seed asks
by itself, from a place that seeds near it pull a little towards them, and gives the song at place
r of its ranking a vote of ``1 / (5 + r)``. Songs are drawn one by one: the next is the one with the
most votes, and the votes of a seed count less the more of the drawn songs it has voted for, as in
sequential proportional approval voting [1]_.

The constants were chosen on GTZAN's clips (``benchmarks/eval_seeds.py``; docs/decisions/0056).

References
----------
.. [1] T. N. Thiele, "Om flerfoldsvalg", Oversigt over det Kongelige Danske Videnskabernes Selskabs
   Forhandlinger, 1895.
"""

from collections.abc import Sequence

import numpy as np

from audiorec.search.diversify import Ranking
from audiorec.types import FloatArray

FIRST_PLACES = 5  # the larger, the less the first places of a ranking are worth
VOTES = 60  # songs that a seed votes for, at least
PULL = 0.3  # the larger, the more seeds of one taste ask as one


def together(units: FloatArray) -> FloatArray:
    """Return the direction that each seed asks in: (Q, W), pulled towards the seeds near it.

    Each is the mean of all seeds, weighted by ``exp((similarity - 1) / 0.3)``, of length 1.

    Examples
    --------
    >>> together(np.float32([[1, 0], [1, 0], [0, 1]])).round(2)
    array([[1.  , 0.02],
           [1.  , 0.02],
           [0.07, 1.  ]], dtype=float32)
    """
    exact = units.astype(np.float64)
    pulled = np.exp((exact @ exact.T - 1) / PULL) @ exact
    length = np.sqrt(np.einsum("ij,ij->i", pulled, pulled))[:, None]
    # Of length 0 only where a seed has no direction of its own, and no other pulls it.
    directions: FloatArray = np.where(length > 0, pulled / np.maximum(length, 1e-12), exact).astype(
        np.float32
    )
    return directions


def draw(rankings: Sequence[Ranking], most: int) -> Ranking:
    """Draw the songs of several rankings into one.

    Parameters
    ----------
    rankings : sequence of (ndarray, ndarray)
        Rows of the songs nearest to each seed and their similarities, nearest first.
    most : int
        Songs to draw.

    Returns
    -------
    rows : ndarray, shape (m,), int64
        Songs that a seed voted for, in the order of drawing; ties go to the larger similarity, then
        to the smaller row.
    similarities : ndarray, shape (m,), float64
        To the nearest of the seeds that voted for it.

    Examples
    --------
    Two seeds of one taste, one of another, which has the third song.

    >>> of_one, of_other = np.array([1, 2, 3, 4]), np.array([7, 8, 9])
    >>> near = np.array([0.9, 0.8, 0.7, 0.6])
    >>> draw([(of_one, near), (of_one, near), (of_other, near[:3])], 4)[0].tolist()
    [1, 2, 7, 3]
    """
    rows = np.unique(np.concatenate([ranking[0] for ranking in rankings]))
    votes = np.zeros((len(rows), len(rankings)))
    nearest = np.full(len(rows), -1.0)
    for seed, (of_seed, similarities) in enumerate(rankings):
        places = np.searchsorted(rows, of_seed)
        votes[places, seed] = 1 / (FIRST_PLACES + 1 + np.arange(len(of_seed)))
        nearest[places] = np.maximum(nearest[places], similarities)
    order = np.lexsort((rows, -nearest))
    rows, votes, nearest = rows[order], votes[order], nearest[order]
    shares = votes / votes.sum(axis=1, keepdims=True)
    served = np.zeros(len(rankings))
    drawn = np.empty(min(most, len(rows)), np.int64)
    for place in range(len(drawn)):
        drawn[place] = best = int(np.argmax(votes @ (1 / (1 + served))))
        served += shares[best]
        votes[best] = -1.0
    return rows[drawn], nearest[drawn]
