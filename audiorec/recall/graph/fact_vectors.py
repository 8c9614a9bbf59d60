"""Compute vectors for songs without a list, from their facts.

    by similar songs   the mean of the songs in lists with the same facts
    by the relation    the mean of t - r of its facts, if the recipe gives it a share

Relations are combined by how well each predicts which lists a song is in: if c is the mean cosine
between the list profile of a song and those of the others with the same fact, the weight of a
relation is c / (1 - c^2), as in a regression on independent signals. So many songs that sound
alike do not outvote the artist. Trained vectors could not be used to measure c: training pulls
songs with a common fact together, even if the relation is uninformative.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from audiorec.learning.machine import generator
from audiorec.recall.graph.initialisation import ListProfiles
from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.song_vectors import ROWS, unit
from audiorec.types import BoolArray, FloatArray, Int64Array

PROFILE = 64  # width of the random list profiles
TRIED = 2_000  # songs in lists on which a relation's cosine is measured
LEAST, MOST = 0.01, 0.95  # bounds of that cosine

RowsOf = Callable[[Int64Array], FloatArray]  # song numbers to rows (n, D)


def vectors_from_facts(
    material: GraphMaterial,
    table: FloatArray,
    steps: FloatArray,
    warm: BoolArray,
    songs: Int64Array,
    *,
    by_relation: float = 0.0,
) -> tuple[FloatArray, FloatArray]:
    """Compute vectors of songs from their facts, weighting each relation by how telling it is.

    Only entities linked to a song in a list count; the more songs one has, the less it weighs.

    Parameters
    ----------
    table : ndarray, shape (entities, D)
    steps : ndarray, shape (R, D)
        Translation vectors r of the relations.
    warm : ndarray, shape (S,), bool
        Songs that are in lists.
    songs : ndarray, shape (n,)
        The songs to place.
    by_relation : float
        Share of t - r, in 0..1.

    Returns
    -------
    place : ndarray, shape (n, D), float32
        Of unit length; zeros if nothing is known.
    length : ndarray, shape (n,), float32
        Length of the mean of the songs in lists with the same facts: the more they agree, and the
        more often they are played, the longer.
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
    """Links from some songs to entities that songs in lists are linked to.

    Attributes
    ----------
    of, relation, end : ndarray, shape (L,)
        Row of the song in `songs`, ascending; the relation; row of the entity in `ends`.
    weight : ndarray, shape (L,)
        Weights; the more songs in lists the entity has, the smaller.
    ends : ndarray, shape (n,)
    direction, mean : ndarray, shape (n, D)
        Means of the songs in lists that an entity is linked to; an entity that is a song is itself.
    """

    def __init__(
        self, material: GraphMaterial, rows_of: RowsOf, warm: BoolArray, songs: Int64Array
    ) -> None:
        from scipy.sparse import csr_array

        song, relation, entity, weight = material.links
        n = material.n_songs
        live = warm[song]
        of_warm = np.bincount(entity[live], minlength=material.n_entities)
        row = np.full(n, -1, np.int64)
        row[songs] = np.arange(len(songs))
        speaks = np.where(entity < n, warm[np.minimum(entity, n - 1)], of_warm[entity] > 0)
        asked = (row[song] >= 0) & speaks
        self.of, self.relation = row[song[asked]], relation[asked]
        self.ends, self.end = np.unique(entity[asked], return_inverse=True)
        heavy = weight[asked] / np.sqrt(of_warm[entity[asked]].clip(1))
        self.weight: FloatArray = heavy.astype(np.float32)
        number = np.full(material.n_entities, -1, np.int64)
        number[self.ends] = np.arange(len(self.ends))
        wanted = live & (number[entity] >= 0) & (entity >= n)
        known, column = np.unique(song[wanted], return_inverse=True)
        place = number[entity[wanted]]
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
    """Return the weight of each relation, from either end: (2 R,) float32."""
    profiles = ListProfiles(material.plays, generator(0), PROFILE)
    n = material.n_songs
    found = np.flatnonzero(warm)
    tried = found[np.linspace(0, len(found) - 1, min(TRIED, len(found))).astype(np.int64)]
    links = _Links(material, profiles.of, warm, tried)
    own = profiles.of(tried)
    # Leave a song out of its own prediction: subtract it from the sum of its hub.
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
