"""Learn the value of each place in the list of a channel from later plays.

    `Standings` of validation users ──learn_points──▶ points of each table at the places `KNOTS`

The points of a song are summed over the channels. They maximise the likelihood of the wanted songs
under a softmax over all candidates of a user, with points that never increase with the place. This
generalises a weighted reciprocal rank by a learnt curve for each channel: one channel may be
accurate only at its first place, another down to its last.

Places of candidates in the lists of all channels as arrays, to evaluate many settings quickly.

    tables (one per channel), wanted songs ──Standings.of──▶ place (N, C)
    weights of N entries ──ranks──▶ ranks of the wanted songs

An entry is a pair of a user and a proposed song. `audiorec.recall.serving.fuse` applies rules and
makes lists; `Standings` only ranks the wanted songs, without rules, in a hundredth of the time, so
that a search can use many users.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.recall.serving.candidate_rows import CandidateRows
from audiorec.recall.serving.rules import KNOTS, FusionRecipe
from audiorec.types import Float64Array, IdMap, Int64Array

ABSENT = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standings:
    """Places of N entries of Q users in the lists of C channels.

    Attributes
    ----------
    place : ndarray, shape (N, C), float64
        From 0, sorted by user and song; `ABSENT` if a channel does not propose the song.
    user : ndarray, shape (N,), int64
        Row of the user in the wanted lists, ascending.
    wanted : ndarray, int64
        Entry of each wanted song; `ABSENT` if no channel proposes it.
    query : ndarray, int64
        User of each wanted song.
    """

    place: Float64Array
    user: Int64Array
    wanted: Int64Array
    query: Int64Array
    # all entries of the user of each proposed wanted song, concatenated; start of each run
    _beside: Int64Array = field(repr=False)
    _starts: Int64Array = field(repr=False)

    @classmethod
    def of(cls, tables: Sequence[Any], wanted: Sequences) -> "Standings":
        """Build from candidates, one table of `SCHEMA` per channel, and wanted songs."""
        rows = CandidateRows.of(tables)
        place = rows.places()
        owner = IdMap(wanted.owner_ids).rows(rows.user_ids)[rows.user]
        kept = owner >= 0
        width = len(rows.song_ids)
        key = owner[kept] * width + rows.song[kept]
        entries, entry = np.unique(key, return_inverse=True)
        grid = np.full((len(entries), len(tables)), float(ABSENT))
        grid[entry, rows.source[kept]] = place[kept]
        song = IdMap(rows.song_ids).rows(wanted.song_ids)[wanted.song]
        asked = np.where(song >= 0, wanted.owner * width + song, -1)
        at = np.searchsorted(entries, asked)
        there = (at < len(entries)) & (entries[np.minimum(at, len(entries) - 1)] == asked)
        user = entries // width
        found = np.where(there, at, ABSENT)
        query = wanted.owner[there]
        first = np.searchsorted(user, query)
        sizes = np.searchsorted(user, query, side="right") - first
        starts = np.cumsum(sizes) - sizes
        beside = np.arange(sizes.sum()) - np.repeat(starts - first, sizes)
        return cls(
            place=grid,
            user=user,
            wanted=found,
            query=wanted.owner,
            _beside=beside,
            _starts=starts,
        )

    def ranks(self, weight: Float64Array) -> Float64Array:
        """Return the rank of each wanted song, from 1, by weights of the entries (N,).

        Ties are ranked by song; inf if no channel proposes the song or its weight is 0.
        """
        there = self.wanted >= 0
        entry = self.wanted[there]
        sizes = np.diff(np.append(self._starts, len(self._beside)))
        own, of = weight[entry], np.repeat(np.arange(len(entry)), sizes)
        other = weight[self._beside]
        before = (other > own[of]) | ((other == own[of]) & (self._beside < entry[of]))
        found = np.full(len(self.wanted), np.inf)
        counts = np.bincount(of[before], minlength=len(entry))
        found[there] = np.where(own > 0, 1 + counts, np.inf)
        return found

    def weigh(self, recipe: FusionRecipe) -> Float64Array:
        """Return the weight of each entry, (N,), as computed by `fuse`; not for quotas."""
        weights = recipe.weights_of(self.place.shape[1])
        found = np.zeros(len(self.place))
        for table, weight in enumerate(weights.tolist()):
            place = self.place[:, table]
            if recipe.method == "points":
                given = recipe.points_at(np.full(len(place), table), np.maximum(place, 0))
            else:
                given = 1 / (recipe.flatness + np.maximum(place, 0) + 1)
            found += weight * np.where(place >= 0, given, 0.0)
        return found


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
