"""Where things begin: each list is a random direction, a song the mean of its lists.

    lists ──random directions──▶ songs: the mean of their lists ──▶ things: the mean of their songs

Songs that stand together begin near each other, which saves most of the epochs that a start by
chance spends on finding that out.
"""

from typing import Any

import numpy as np

from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.places import ROWS, unit
from audiorec.types import FloatArray, Int32Array, Int64Array

SMALL = 0.5  # over the dimension: the spread of the part that is chance


def first_vectors(material: GraphMaterial, rng: np.random.Generator, found: FloatArray) -> None:
    """Fill `found` (things, D), a block of rows at a time: songs are of length about 1."""
    n, width = material.n_songs, found.shape[1]
    plays = material.plays
    lists = rng.standard_normal((len(plays), width), dtype=np.float32) / np.float32(width**0.5)
    matrix = _sparse(plays.song, plays.owner, None, (n, len(plays)))
    for first in range(0, n, ROWS):
        part = slice(first, min(n, first + ROWS))
        found[part] = unit(matrix[part] @ lists)
    del matrix, lists
    song, _, thing, weight = material.links
    others = thing >= n  # what a song is to other songs has no row of its own
    shape = (material.n_things - n, n)
    matrix = _sparse(thing[others] - n, song[others], weight[others], shape)
    songs = found[:n]
    for first in range(0, shape[0], ROWS):
        part = slice(first, min(shape[0], first + ROWS))
        found[n + part.start : n + part.stop] = unit(matrix[part] @ songs)
    for first in range(0, len(found), ROWS):
        rows = found[first : first + ROWS]
        rows += (rng.random(rows.shape, dtype=np.float32) * 2 - 1) * np.float32(SMALL / width)


def _sparse(
    row: Int64Array | Int32Array,
    column: Int64Array,
    weight: FloatArray | None,
    shape: tuple[int, int],
) -> Any:
    from scipy.sparse import csr_array

    values = np.ones(len(row), np.float32) if weight is None else weight
    return csr_array((values, (row, column)), shape=shape, dtype=np.float32)
