"""EASE: a linear model from the songs of a history to all songs, solved in closed form.

    G = X'X + lambda I,  P = G^-1,  B = -P / diag(P), diag(B) = 0      history x ──▶ x B

The model stores a weight for each pair of songs, so the catalogue is limited to `MOST_SONGS`.

Source: Steck, *Embarrassingly shallow autoencoders for sparse data*, 2019.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.machine import free_memory
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.counting import CountingChannel
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.simple.item_knn import owner_song
from audiorec.types import FloatArray, Int64Array

MOST_SONGS = 20_000
BLOCK_SONGS = 512  # rows that are copied at a time
SPARE = 1.25  # memory needed, as a multiple of the matrix of weights


@dataclass(frozen=True, slots=True, kw_only=True)
class EASERecipe:
    """The regularisation of EASE.

    Attributes
    ----------
    regularisation : float
        Added to the diagonal of the co-occurrence matrix: the lambda of the ridge regression.
    """

    regularisation: float = 100.0

    def __post_init__(self) -> None:
        if not self.regularisation > 0:
            raise InputError(f"regularisation must be above 0, got {self.regularisation:g}")


class EASE(CountingChannel[EASERecipe]):
    """Songs that go with the whole history, by ridge regression over all songs (EASE)."""

    name = "ease"
    reason = ReasonKind.LISTENERS
    Recipe = EASERecipe
    ARRAYS = ("weights",)

    def _count(self, data: RecallData) -> None:
        from scipy.linalg.lapack import spotrf, spotri

        n = len(data.song_ids)
        _require_memory(n)
        gram = _gram(owner_song(data.plays, n), n)
        gram[np.diag_indices(n)] += self.recipe.regularisation
        factor, failed = spotrf(gram, lower=1, overwrite_a=1)
        inverse, failed_too = spotri(factor, lower=1, overwrite_c=1)
        if failed or failed_too:
            raise InputError("ease: the matrix of plays is singular; use a larger regularisation")
        _mirror(inverse)
        # The transpose of a symmetric matrix is itself, in the order of rows that `recall` reads.
        weights = inverse.T
        np.divide(weights, -np.diag(weights), out=weights)
        weights[np.diag_indices(n)] = 0
        self.weights = weights

    def _similarities(self, queries: Queries) -> FloatArray:
        histories = queries.histories
        found = np.asarray(owner_song(histories, len(self.song_ids)) @ self.weights, np.float32)
        found[histories.lengths == 0] = -np.inf
        found[:, self.is_cold] = -np.inf
        return found

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the song of the history that contributes most to each candidate."""
        found = np.full(song.shape, -1, np.int64)
        for row in np.flatnonzero(histories.lengths).tolist():
            own, there = np.unique(histories[row]), song[row] >= 0
            given = self.weights[np.ix_(own, song[row, there])]
            found[row, there] = np.where(given.max(axis=0) > 0, own[given.argmax(axis=0)], -1)
        return found


def _require_memory(n: int) -> None:
    """Refuse, before anything is computed, a catalogue whose weights do not fit in memory."""
    needed, free = SPARE * 4 * n * n, free_memory()
    tip = "use item-knn, or leave out rarely played songs"
    if n > MOST_SONGS:
        raise InputError(
            f"ease: {n:,} songs would need {needed / 1e9:.1f} GB; the limit is {MOST_SONGS:,} "
            f"songs: {tip}"
        )
    if free is not None and needed > free:
        raise InputError(
            f"ease: {n:,} songs need {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are "
            f"free: {tip}"
        )


def _gram(matrix: Any, n: int) -> FloatArray:
    """Return how many owners played both songs of each pair, (n, n) float32 in Fortran order."""
    found = np.zeros((n, n), np.float32, order="F")
    for start in range(0, n, BLOCK_SONGS):
        part = slice(start, start + BLOCK_SONGS)
        found[:, part] = (matrix.T @ matrix[:, part]).toarray()
    return found


def _mirror(matrix: FloatArray) -> None:
    """Copy the lower triangle of a square matrix to the upper one, in place."""
    n = len(matrix)
    for start in range(0, n, BLOCK_SONGS):
        stop = min(n, start + BLOCK_SONGS)
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T
        own = matrix[start:stop, start:stop]
        own[...] = np.tril(own) + np.tril(own, -1).T
