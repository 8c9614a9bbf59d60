"""Where a song of no list lies, by what is known of it.

    by the relation      the mean of t - r of its facts                     ┐
    by its like          the mean of the songs of lists with the same facts ┘ halfway between

In trials on validation lists either alone found less.
"""

from typing import Any

import numpy as np

from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.places import ROWS, unit
from audiorec.types import BoolArray, FloatArray, Int64Array


def placed_by_facts(
    material: GraphMaterial,
    table: FloatArray,
    steps: FloatArray,
    warm: BoolArray,
    songs: Int64Array,
) -> FloatArray:
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

    Returns
    -------
    place : ndarray, shape (n, D), float32
        Of unit length, zeros where nothing is known.
    """
    song, relation, thing, weight = material.links
    n, n_relations, width = material.n_songs, len(material.facts.relations), table.shape[1]
    place = np.zeros((len(songs), width), np.float32)
    live = warm[song]
    of_warm = np.bincount(thing[live], minlength=material.n_things)
    row = np.full(n, -1, np.int64)
    row[songs] = np.arange(len(songs))
    is_song = thing < n
    speaks = np.where(is_song, warm[np.minimum(thing, n - 1)], of_warm[thing] > 0)
    asked = (row[song] >= 0) & speaks
    heavy: FloatArray = (weight[asked] / np.sqrt(of_warm[thing[asked]].clip(1))).astype(np.float32)
    ends, end = np.unique(thing[asked], return_inverse=True)
    of, relation = row[song[asked]], relation[asked]
    sign = np.where(relation < n_relations, np.float32(-1), np.float32(1))
    alike = _alike(material, table, live, ends)
    for first in range(0, len(songs), ROWS):
        low, high = np.searchsorted(of, (first, first + ROWS))
        part = slice(int(low), int(high))  # links are in the order of songs
        rows = min(ROWS, len(songs) - first)
        moved = unit(table[ends[end[part]]])
        moved += sign[part, None] * steps[relation[part] % max(1, n_relations)]
        for near in (moved, alike[end[part]]):
            sums = _summed(of[part] - first, heavy[part], rows) @ near
            place[first : first + rows] += unit(sums)
        place[first : first + rows] = unit(place[first : first + rows])
    return place


def _alike(
    material: GraphMaterial, table: FloatArray, live: BoolArray, ends: Int64Array
) -> FloatArray:
    """Return the mean direction of the songs of lists that each thing is linked to, (n, D).

    A thing that is a song stands for itself.
    """
    song, _, thing, _ = material.links
    number = np.full(material.n_things, -1, np.int64)
    number[ends] = np.arange(len(ends))
    wanted = live & (number[thing] >= 0) & (thing >= material.n_songs)
    songs, column = np.unique(song[wanted], return_inverse=True)
    found = np.zeros((len(ends), table.shape[1]), np.float32)
    if len(songs):
        from scipy.sparse import csr_array

        ones = np.ones(len(column), np.float32)
        shape = (len(ends), len(songs))
        matrix = csr_array((ones, (number[thing[wanted]], column)), shape=shape)
        found = unit(matrix @ unit(table[songs]))
    itself = ends < material.n_songs
    found[itself] = unit(table[ends[itself]])
    return found


def _summed(row: Int64Array, weight: FloatArray, rows: int) -> Any:
    from scipy.sparse import csr_array

    return csr_array((weight, (row, np.arange(len(row)))), shape=(rows, len(row)))
