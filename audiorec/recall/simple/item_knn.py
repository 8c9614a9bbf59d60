"""Item kNN: songs whose listeners overlap with those of the history's songs.

    owners x songs (0 or 1) ──fit──▶ cosine of each song with its nearest songs
    history ──────────────────▶ sum of the rows of its songs

The cosine is shrunk for songs with few listeners in common: ``both / (sqrt(a b) + shrink)``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.counting import CountingChannel
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.simple.wanted import Wanted, joined, starts_of
from audiorec.types import FloatArray, Int32Array, Int64Array

BLOCK_SONGS = 1_024
BLOCK_HISTORIES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemKnnRecipe:
    """Neighbours per song, shrinkage, and the length of history that is used.

    Attributes
    ----------
    neighbours : int
        Neighbours kept per song, the most similar ones.
    shrink : float
        Added to the denominator of the cosine, so that overlaps of few listeners count less.
    history : int
        Number of newest songs of the history whose neighbours count.
    """

    neighbours: int = 200
    shrink: float = 10.0
    history: int = 100

    def __post_init__(self) -> None:
        if min(self.neighbours, self.history) < 1 or self.shrink < 0:
            raise InputError("neighbours and history must be at least 1, shrink at least 0")


class ItemKnn(CountingChannel[ItemKnnRecipe]):
    """Songs played by the same people as the songs of the history."""

    name = "item-knn"
    reason = ReasonKind.LISTENERS
    Recipe = ItemKnnRecipe
    ARRAYS = ("starts", "near", "weights")

    def _count(self, data: RecallData) -> None:
        matrix = owner_song(data.plays, len(data.song_ids))
        owners = np.asarray(matrix.sum(axis=0)).ravel()
        by_song = matrix.T.tocsr()
        parts = []
        for first in range(0, len(owners), BLOCK_SONGS):
            both = (by_song[first : first + BLOCK_SONGS] @ matrix).tocoo()
            row = both.row + first
            cosine = both.data / (np.sqrt(owners[row] * owners[both.col]) + self.recipe.shrink)
            other = row != both.col
            parts.append(
                _nearest(row[other], both.col[other], cosine[other], self.recipe.neighbours)
            )
        row, self.near, self.weights = (np.concatenate(p) for p in zip(*parts, strict=True))
        self.starts = np.searchsorted(row, np.arange(len(owners) + 1))

    def _similarities(self, queries: Queries) -> FloatArray:
        from scipy.sparse import csr_array

        n = len(self.song_ids)
        own = owner_song(queries.histories.newest(self.recipe.history), n)
        near = csr_array((self.weights, self.near, self.starts), shape=(n, n))
        found = np.empty((own.shape[0], n), np.float32)
        for first in range(0, len(found), BLOCK_HISTORIES):
            rows = slice(first, first + BLOCK_HISTORIES)
            found[rows] = (own[rows] @ near).toarray()
        found[found == 0] = -np.inf
        return found

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the song of the history with the largest cosine to each candidate."""
        found = np.full(song.shape, -1, np.int64)
        histories = histories.newest(self.recipe.history)
        table = Wanted(len(self.song_ids))
        for row in np.flatnonzero(histories.lengths).tolist():
            own, there = np.unique(histories[row]), song[row] >= 0
            learnt = self.starts, self.near, self.weights
            given = cosines(*learnt, own, song[row, there], table)
            found[row, there] = np.where(given.max(axis=0) > 0, own[given.argmax(axis=0)], -1)
        return found


def cosines(
    starts: Int64Array,
    near: Int32Array,
    weights: FloatArray,
    own: Any,
    proposed: Int64Array,
    table: Wanted,
) -> FloatArray:
    """Return the cosine of own and proposed songs, 0 unless they are neighbours: (own, proposed).

    The first three are the learnt arrays of `ItemKnn`.
    """
    songs, values = joined(near, starts, own), joined(weights, starts, own)
    return table.grid(proposed, songs, starts_of(starts, own), values).T


def owner_song(plays: Sequences, n_songs: int) -> Any:
    """Return which owner played which song: `scipy.sparse.csr_array` (U, S) of ones, float32."""
    from scipy.sparse import csr_array

    pair = np.unique(plays.owner * n_songs + plays.song)
    ones = np.ones(len(pair), np.float32)
    return csr_array((ones, (pair // n_songs, pair % n_songs)), shape=(len(plays), n_songs))


def _nearest(row: Any, column: Any, cosine: Any, most: int) -> tuple[Any, Any, Any]:
    """Return the `most` largest cosines of each row, sorted by row; ties by column number."""
    order = np.lexsort((column, -cosine, row))
    row = row[order]
    kept = order[np.arange(len(row)) - np.searchsorted(row, row) < most]
    row, column = (
        np.asarray(row[np.arange(len(row)) - np.searchsorted(row, row) < most]),
        column[kept],
    )
    return row, column.astype(np.int32), cosine[kept].astype(np.float32)
