"""Learn the value of each place in the list of a channel from later plays.

    `Standings` of validation users ──learn_points──▶ points of each table at the places `KNOTS`

The points of a song are summed over the channels. They maximise the likelihood of the wanted songs
under a softmax over all candidates of a user, with points that never increase with the place. This
generalises a weighted reciprocal rank by a learnt curve for each channel: one channel may be
accurate only at its first place, another down to its last.
"""

from typing import Any

import numpy as np

from audiorec.recall.serving.rules import KNOTS
from audiorec.recall.serving.standings import Standings
from audiorec.types import Float64Array

PENALTY = 1e-3  # on the squared steps between points, per wanted song
ITERATIONS = 200
DIGITS = 4


def learn_points(places: Standings) -> tuple[tuple[float, ...], ...]:
    """Learn the points of each table.

    Parameters
    ----------
    places : Standings
        Of validation users; no channel may have been trained on the wanted songs.

    Returns
    -------
    points : tuple of tuple of float
        As `FusionRecipe.points`: one row for each of C tables.
    """
    from scipy.optimize import minimize

    entry, query = (a[places.wanted >= 0] for a in (places.wanted, places.query))
    n_tables = int(places.place.shape[1])
    if not len(entry):
        return ((0.0,) * len(KNOTS),) * n_tables
    # Users without a hit do not affect the likelihood: the softmax is over their candidates.
    kept = np.isin(places.user, query)
    number = np.cumsum(kept) - 1
    matrix = _curves(places.place[kept])
    owner, starts = np.unique(places.user[kept], return_index=True)
    row = np.searchsorted(owner, query)
    hits = np.bincount(row, minlength=len(owner)).astype(np.float64)
    wanted = np.bincount(number[entry], minlength=matrix.shape[0]).astype(np.float64)
    per_entry = np.diff(np.append(starts, matrix.shape[0]))
    aim = matrix.T @ wanted

    def loss(steps: Float64Array) -> tuple[float, Float64Array]:
        given = matrix @ _summed(steps)
        top = np.maximum.reduceat(given, starts)
        likely = np.exp(given - np.repeat(top, per_entry))
        total = np.add.reduceat(likely, starts)
        share = likely * np.repeat(hits / total, per_entry)
        value = (hits * (np.log(total) + top)).sum() - wanted @ given
        slope = _back(matrix.T @ share - aim)
        n = len(entry)
        return value / n + PENALTY * (steps**2).sum(), slope / n + 2 * PENALTY * steps

    begin = np.full(n_tables * len(KNOTS), 0.3)
    found = minimize(
        loss,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * len(begin),
        options={"maxiter": ITERATIONS},
    )
    grid = _summed(found.x).reshape(n_tables, len(KNOTS)).round(DIGITS)
    return tuple(tuple(map(float, row)) for row in grid)


def _summed(steps: Float64Array) -> Float64Array:
    """Return non-increasing points from non-negative steps."""
    grid = steps.reshape(-1, len(KNOTS))
    return np.asarray(grid[:, ::-1].cumsum(axis=1)[:, ::-1].ravel(), np.float64)


def _back(slope: Float64Array) -> Float64Array:
    """Return the gradient with respect to steps from that with respect to points."""
    return np.asarray(slope.reshape(-1, len(KNOTS)).cumsum(axis=1).ravel(), np.float64)


def _curves(place: Float64Array) -> Any:
    """Return the sparse matrix that maps points to the sum of each entry: (N, C times knots)."""
    from scipy.sparse import csr_array

    rows, columns, values = [], [], []
    knots = np.log(KNOTS)
    for table in range(place.shape[1]):
        there = np.flatnonzero(place[:, table] >= 0)
        depth = np.minimum(np.log(place[there, table] + 1.0), knots[-1])
        low = np.clip(np.searchsorted(knots, depth, side="right") - 1, 0, len(knots) - 2)
        part = (depth - knots[low]) / (knots[low + 1] - knots[low])
        rows += [there, there]
        columns += [table * len(KNOTS) + low, table * len(KNOTS) + low + 1]
        values += [1 - part, part]
    shape = (len(place), place.shape[1] * len(KNOTS))
    cells = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(values), cells), shape=shape)
