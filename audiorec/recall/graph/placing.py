"""Where a song of no list lies, by what is known of it.

    by its like        the mean of the songs of lists with the same facts
    by the relation    the mean of t - r of its facts, where a recipe gives it a share

Each relation speaks for itself, and counts by how well it tells which lists a song stands in: with
c the mean cosine of the lists of a song and of the others with the same fact, c / (1 - c^2), as in
a regression on signals that know nothing of each other. Many songs that sound alike do not outvote
the artist. Vectors that were trained would not tell: the relations have drawn them together, the
idle ones too.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from audiorec.learning.seeds import generator
from audiorec.recall.graph.first import ListProfiles
from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.places import ROWS, unit
from audiorec.types import BoolArray, FloatArray, Int64Array

PROFILE = 64  # the width of what lists are drawn onto
TRIED = 2_000  # songs of lists that say how well a relation tells where a song lies
LEAST, MOST = 0.01, 0.95  # of that cosine

RowsOf = Callable[[Int64Array], FloatArray]  # numbers of songs to rows (n, D)


def placed_by_facts(
    material: GraphMaterial,
    table: FloatArray,
    steps: FloatArray,
    warm: BoolArray,
    songs: Int64Array,
    *,
    by_relation: float = 0.0,
) -> tuple[FloatArray, FloatArray]:
    """Place songs by what is known of them, where the relations and the songs of lists say.

    Only things that a song of some list is linked to say anything; one counts less the more songs
    it has.

    Parameters
    ----------
    table : ndarray, shape (things, D)
    steps : ndarray, shape (R, D)
        Of the relations: r.
    warm : ndarray, shape (S,), bool
        Songs that stand in lists.
    songs : ndarray, shape (n,)
        That are placed.
    by_relation : float
        The share of t - r, in 0..1.

    Returns
    -------
    place : ndarray, shape (n, D), float32
        Of unit length, zeros where nothing is known.
    length : ndarray, shape (n,), float32
        Of the mean of the songs of lists with the same facts, which is longer the more they agree
        and the more often they are played.
    """
    links = _Links(material, table.__getitem__, warm, songs)
    n_relations, width = len(material.facts.relations), table.shape[1]
    counts = _how_telling(material, warm)
    place = np.zeros((len(songs), width), np.float32)
    length = np.zeros(len(songs), np.float32)
    for first in range(0, len(songs), ROWS):
        rows = min(ROWS, len(songs) - first)
        block = slice(*np.searchsorted(links.of, (first, first + rows)).tolist())
        found, middle = (np.zeros((rows, width), np.float32) for _ in range(2))
        share = np.full(rows, 1e-9, np.float32)
        for number in np.unique(links.relation[block]).tolist():
            at = block.start + np.flatnonzero(links.relation[block] == number)
            sums = _summed(links.of[at] - first, links.weight[at], rows)
            ends = links.end[at]
            sign = np.float32(-1 if number < n_relations else 1)
            moved = unit(table[links.ends[ends]]) + sign * steps[number % n_relations]
            found += counts[number] * (1 - by_relation) * unit(sums @ links.direction[ends])
            found += counts[number] * by_relation * unit(sums @ moved)
            total = sums.sum(axis=1)
            middle += counts[number] * (sums @ links.mean[ends]) / np.maximum(total, 1e-9)[:, None]
            share += counts[number] * (total > 0)
        place[first : first + rows] = unit(found)
        length[first : first + rows] = np.linalg.norm(middle / share[:, None], axis=1)
    return place, length


class _Links:
    """What links some songs to what songs of lists have something to say about.

    Attributes
    ----------
    of, relation, end : ndarray, shape (L,)
        The place of the song in `songs`, ascending; the relation; the place of the thing in `ends`.
    weight : ndarray, shape (L,)
        Less the more songs of lists the thing has.
    ends : ndarray, shape (n,)
    direction, mean : ndarray, shape (n, D)
        Of the songs of lists that a thing is linked to; a thing that is a song stands for itself.
    """

    def __init__(
        self, material: GraphMaterial, rows_of: RowsOf, warm: BoolArray, songs: Int64Array
    ) -> None:
        from scipy.sparse import csr_array

        song, relation, thing, weight = material.links
        n = material.n_songs
        live = warm[song]
        of_warm = np.bincount(thing[live], minlength=material.n_things)
        row = np.full(n, -1, np.int64)
        row[songs] = np.arange(len(songs))
        speaks = np.where(thing < n, warm[np.minimum(thing, n - 1)], of_warm[thing] > 0)
        asked = (row[song] >= 0) & speaks
        self.of, self.relation = row[song[asked]], relation[asked]
        self.ends, self.end = np.unique(thing[asked], return_inverse=True)
        heavy = weight[asked] / np.sqrt(of_warm[thing[asked]].clip(1))
        self.weight: FloatArray = heavy.astype(np.float32)
        number = np.full(material.n_things, -1, np.int64)
        number[self.ends] = np.arange(len(self.ends))
        wanted = live & (number[thing] >= 0) & (thing >= n)
        known, column = np.unique(song[wanted], return_inverse=True)
        place = number[thing[wanted]]
        shape = (len(self.ends), len(known))
        matrix = csr_array((np.ones(len(place), np.float32), (place, column)), shape=shape)
        self.counts = np.bincount(place, minlength=len(self.ends))
        rows = rows_of(known)
        self.sums: FloatArray = np.asarray(matrix @ unit(rows), np.float32)
        self.direction = unit(self.sums)
        self.mean: FloatArray = (matrix @ rows / self.counts.clip(1)[:, None]).astype(np.float32)
        itself = self.ends < n
        self.mean[itself] = rows_of(self.ends[itself])
        self.direction[itself] = unit(self.mean[itself])


def _how_telling(material: GraphMaterial, warm: BoolArray) -> FloatArray:
    """Return how much each relation counts, from either end: (2 R,) float32."""
    profiles = ListProfiles(material.plays, generator(0), PROFILE)
    n = material.n_songs
    found = np.flatnonzero(warm)
    tried = found[np.linspace(0, len(found) - 1, min(TRIED, len(found))).astype(np.int64)]
    links = _Links(material, profiles.of, warm, tried)
    own = profiles.of(tried)
    # A song does not speak for itself: what is left of its hub are the others.
    is_hub = links.ends[links.end] >= n
    others = np.where(
        is_hub[:, None], links.sums[links.end] - own[links.of], links.direction[links.end]
    )
    speaks = ~is_hub | (links.counts[links.end] > 1)
    counts = np.empty(2 * max(1, len(material.facts.relations)), np.float32)
    for number in range(len(counts)):
        at = np.flatnonzero((links.relation == number) & speaks)
        there = np.unique(links.of[at])
        cosine = LEAST
        if len(there):
            like = unit(_summed(links.of[at], links.weight[at], len(tried)) @ unit(others[at]))
            cosine = float((like[there] * own[there]).sum(axis=1).mean())
        cosine = min(MOST, max(LEAST, cosine))
        counts[number] = cosine / (1 - cosine**2)
    return counts


def _summed(row: Int64Array, weight: FloatArray, rows: int) -> Any:
    from scipy.sparse import csr_array

    return csr_array((weight, (row, np.arange(len(row)))), shape=(rows, len(row)))
