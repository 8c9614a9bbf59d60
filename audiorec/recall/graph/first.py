"""Where things begin: each list is a random direction, a song the mean of its lists.

    lists ──random directions──▶ songs: the mean of their lists ──▶ things: the mean of their songs

Songs that stand together begin near each other, which saves most of the epochs that a start by
chance spends on finding that out.
"""

from typing import Any

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.places import ROWS, unit
from audiorec.types import FloatArray, Int32Array, Int64Array

SMALL = 0.5  # over the dimension: the spread of the part that is chance


class ListProfiles:
    """Songs by the lists they stand in, before anything is learnt: each list a random direction."""

    def __init__(self, plays: Sequences, rng: np.random.Generator, width: int) -> None:
        lists = rng.standard_normal((len(plays), width), dtype=np.float32)
        self._lists = lists / np.float32(width**0.5)
        shape = (len(plays.song_ids), len(plays))
        self._matrix = _sparse(plays.song, plays.owner, None, shape)

    def of(self, songs: slice | Int64Array) -> FloatArray:
        """Return the mean of the lists of songs, (n, width) of unit length; zeros of no list.

        The cosine of two songs is that of the sets of their lists, give or take 1 / sqrt(width).
        """
        return unit(self._matrix[songs] @ self._lists)


def first_vectors(material: GraphMaterial, rng: np.random.Generator, found: FloatArray) -> None:
    """Fill `found` (things, D), a block of rows at a time: songs are of length about 1."""
    n, width = material.n_songs, found.shape[1]
    profiles = ListProfiles(material.plays, rng, width)
    for first in range(0, n, ROWS):
        part = slice(first, min(n, first + ROWS))
        found[part] = profiles.of(part)
    del profiles
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
