"""Initial vectors: each list gets a random direction, each song the mean of its lists.

    lists ──random directions──▶ songs: mean of their lists ──▶ entities: mean of their songs

Songs that share lists start near each other, which saves most of the epochs that a random
initialisation needs to discover that.
"""

from typing import Any

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.song_vectors import ROWS, unit
from audiorec.types import FloatArray, Int32Array, Int64Array

SMALL = 0.5  # divided by the dimension: spread of the added noise


class ListProfiles:
    """Untrained song profiles: the mean of the random directions of a song's lists."""

    def __init__(self, plays: Sequences, rng: np.random.Generator, width: int) -> None:
        lists = rng.standard_normal((len(plays), width), dtype=np.float32)
        self._lists = lists / np.float32(width**0.5)
        shape = (len(plays.song_ids), len(plays))
        self._matrix = _sparse(plays.song, plays.owner, None, shape)

    def of(self, songs: slice | Int64Array) -> FloatArray:
        """Return the profiles of songs, (n, width) of unit length; zeros for songs of no list.

        The cosine of two profiles estimates that of the songs' sets of lists, with an error of
        about 1 / sqrt(width).
        """
        return unit(self._matrix[songs] @ self._lists)


def initial_vectors(material: GraphMaterial, rng: np.random.Generator, found: FloatArray) -> None:
    """Fill `found` (entities, D) with initial vectors, by blocks; songs have length about 1."""
    n, width = material.n_songs, found.shape[1]
    profiles = ListProfiles(material.plays, rng, width)
    for first in range(0, n, ROWS):
        part = slice(first, min(n, first + ROWS))
        found[part] = profiles.of(part)
    del profiles
    song, _, entity, weight = material.links
    others = entity >= n  # song-song links have no row of their own
    shape = (material.n_entities - n, n)
    matrix = _sparse(entity[others] - n, song[others], weight[others], shape)
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
