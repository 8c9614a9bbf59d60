"""Where a song of no list lies, by what is known of it.

    by its like        the mean of the songs of lists with the same facts    three quarters
    by the relation    the mean of t - r of its facts                        a quarter

On validation lists of two splits (new songs among themselves, capped recall at 10 and at 100) the
mean alone found 21.8 and 42.3, a quarter of the relation 22.6 and 42.8, half of it 22.8 and 41.3,
the relation alone some 20 and 35: all but the last lie within the noise of one split.
"""

from typing import Any

import numpy as np

from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.places import ROWS, unit
from audiorec.types import BoolArray, FloatArray, Int64Array

BY_RELATION = 0.25  # the share of t - r


def placed_by_facts(
    material: GraphMaterial,
    table: FloatArray,
    steps: FloatArray,
    warm: BoolArray,
    songs: Int64Array,
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

    Returns
    -------
    place : ndarray, shape (n, D), float32
        Of unit length, zeros where nothing is known.
    length : ndarray, shape (n,), float32
        Of the mean of the songs of lists with the same facts, which is longer the more they agree
        and the more often they are played.
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
    alike, mean = _alike(material, table, live, ends)
    length = np.zeros(len(songs), np.float32)
    for first in range(0, len(songs), ROWS):
        low, high = np.searchsorted(of, (first, first + ROWS))
        part = slice(int(low), int(high))  # links are in the order of songs
        rows = min(ROWS, len(songs) - first)
        moved = unit(table[ends[end[part]]])
        moved += sign[part, None] * steps[relation[part] % max(1, n_relations)]
        weights = _summed(of[part] - first, heavy[part], rows)
        found = (1 - BY_RELATION) * unit(weights @ alike[end[part]])
        found += BY_RELATION * unit(weights @ moved)
        place[first : first + rows] = unit(found)
        total = np.maximum(weights.sum(axis=1), 1e-9)
        middle = (weights @ mean[end[part]]) / total[:, None]
        length[first : first + rows] = np.linalg.norm(middle, axis=1)
    return place, length


def _alike(
    material: GraphMaterial, table: FloatArray, live: BoolArray, ends: Int64Array
) -> tuple[FloatArray, FloatArray]:
    """Return the songs of lists that each thing is linked to: their mean direction and their mean.

    Both (n, D). A thing that is a song stands for itself.
    """
    from scipy.sparse import csr_array

    song, _, thing, _ = material.links
    number = np.full(material.n_things, -1, np.int64)
    number[ends] = np.arange(len(ends))
    wanted = live & (number[thing] >= 0) & (thing >= material.n_songs)
    songs, column = np.unique(song[wanted], return_inverse=True)
    row, shape = number[thing[wanted]], (len(ends), len(songs))
    matrix = csr_array((np.ones(len(row), np.float32), (row, column)), shape=shape)
    counts = np.maximum(1, np.bincount(row, minlength=len(ends)))[:, None]
    direction = unit(matrix @ unit(table[songs]))
    mean = (matrix @ table[songs] / counts).astype(np.float32)
    itself = ends < material.n_songs
    mean[itself] = table[ends[itself]]
    direction[itself] = unit(mean[itself])
    return direction, mean


def _summed(row: Int64Array, weight: FloatArray, rows: int) -> Any:
    from scipy.sparse import csr_array

    return csr_array((weight, (row, np.arange(len(row)))), shape=(rows, len(row)))
