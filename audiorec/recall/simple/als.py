"""Alternating least squares for implicit feedback (ALS): users and songs as factors of the plays.

    owners x songs, weights ──fit──▶ songs (S, F), owners in turn
    history ──▶ user (F,) ──▶ user · song

Every pair of an owner and a song should be 1 if it was played and 0 if not; pairs that were not
played are many and count less. Users and songs are computed in turn, each from the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.options import check_fields
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.channel import CountingChannel
from audiorec.recall.contract.data import Queries, RecallData, Sound
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.simple.knn import owner_plays
from audiorec.types import FloatArray, Int32Array, Int64Array, entries

STEPS = 3  # of conjugate gradients, from the solution of the last iteration
CELLS = 1 << 17  # numbers of a block of padded rows: half a MB stays in the cache
# `unseen` and `regularisation`. What is hidden at random in a log of counts is found better with
# more of both, and what is played next with less.
PLAYED, COUNTED = (8.0, 0.01), (16.0, 0.02)
TINY = np.finfo(np.float32).tiny
START = 0.1  # standard deviation of the first factors, times 1 / sqrt(F)


@dataclass(frozen=True, slots=True, kw_only=True)
class ALSRecipe:
    """Size of the factors, and what plays and other songs weigh.

    Attributes
    ----------
    factors : int
        Numbers per song and user.
    iterations : int
        Times that users and songs are computed from each other.
    unseen : float, optional
        Weight of all pairs of users and songs, relative to the weight of all plays; by default 8,
        and 16 for a log of counts.
    regularisation : float, optional
        Ridge for each play of a user, and for each of a song; by default 0.01, and 0.02 for a log
        of counts.
    seed : int
        Seed of the first factors.
    """

    factors: int = 64
    iterations: int = 15
    unseen: float | None = None
    regularisation: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, factors=">=1", iterations=">=1", seed=">=0")
        for name in ("unseen", "regularisation"):
            if getattr(self, name) is not None:
                check_fields(self, **{name: ">0"})


class ALS(CountingChannel[ALSRecipe], SharedSpace):
    """Songs near the user in factors of who played what (implicit ALS).

    For one side at a time the factors are a ridge regression for each row:

        (Y'WY + rest Y'Y + ridge I) x = Y'w

    where Y holds the other side, w the weights of the row's plays, ``rest`` is the weight of a pair
    that was not played, and the ridge grows with the number of plays. A few steps of conjugate
    gradients from the last solution suffice, so no row needs a matrix of its own. A model stores
    songs only: the same equation turns a history into a user.

    Source: Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback", ICDM 2008; the
    weights and the ridge as in Rendle and others, *Revisiting the performance of iALS*, 2022.
    """

    name = "als"
    serves = frozenset({"history"})
    reason = ReasonKind.TASTE
    hears: Literal["nothing"] = "nothing"
    Recipe = ALSRecipe
    ARRAYS = ("factors", "rest", "ridge")

    def _count(self, data: RecallData) -> None:
        plays = owner_plays(data.plays, len(data.song_ids))
        mean = float(plays.sum()) / (plays.shape[0] * plays.shape[1])
        unseen, ridge = COUNTED if data.plays.is_counted else PLAYED
        self.rest = np.array([(self.recipe.unseen or unseen) * mean], np.float32)
        self.ridge = np.array([self.recipe.regularisation or ridge], np.float32)
        by_owner, by_song = (
            _PaddedRows.of(side, self.recipe.factors) for side in (plays, plays.T.tocsr())
        )
        rng = np.random.default_rng(self.recipe.seed)
        scale = np.float32(START / np.sqrt(self.recipe.factors))  # all in float32: half the time
        owners, songs = (
            scale * rng.standard_normal((n, self.recipe.factors), np.float32) for n in plays.shape
        )
        for _ in range(self.recipe.iterations):
            owners = self._solved(owners, songs, by_owner)
            songs = self._solved(songs, owners, by_song)
        self.factors = songs

    def _solved(self, start: FloatArray, other: FloatArray, plays: "_PaddedRows") -> FloatArray:
        """Return one side (n, F), from its last solution and the other side (m, F)."""
        common = self.rest * (other.T @ other)
        ridge = self._ridge(plays.lengths, len(other))
        result = np.zeros_like(start)
        for rows, column, weight in plays.blocks:
            result[rows] = _descended(start[rows], other[column], weight, common, ridge[rows])
        return result

    def _ridge(self, plays: Any, n_others: int) -> FloatArray:
        """Return the ridge of rows with so many plays: (n,) float32."""
        return np.asarray(self.ridge * (plays + self.rest * n_others), np.float32)

    def embed_users(self, queries: Queries) -> FloatArray:
        """Return the factors of each history; see `SharedSpace`."""
        histories = queries.histories.among(self.song_ids)
        users = np.zeros((len(histories), self.recipe.factors), np.float32)
        for row, matrix, target, _ in self._equations(histories):
            users[row] = np.linalg.solve(matrix, target.sum(axis=0))
        return users

    def song_embeddings(self) -> FloatArray:
        """Return the factors of the catalogue; see `SharedSpace`."""
        return self.factors

    def embed_sound(self, sound: Sound) -> FloatArray:  # noqa: ARG002
        """Raise `InputError`: songs are placed by who played them; see `SharedSpace`."""
        raise InputError("als: songs are placed by who played them, so it cannot embed new songs")

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the song of the history that adds most to the similarity of each candidate."""
        evidence = np.full(song.shape, -1, np.int64)
        for row, matrix, target, own in self._equations(histories):
            there = song[row] >= 0
            given = np.linalg.solve(matrix, target.T).T @ self.factors[song[row, there]].T
            evidence[row, there] = np.where(given.max(axis=0) > 0, own[given.argmax(axis=0)], -1)
        return evidence

    def _equations(
        self, histories: Sequences
    ) -> Iterator[tuple[int, FloatArray, FloatArray, Int64Array]]:
        """Yield row, matrix (F, F), weighted songs (n, F) and their numbers of each history."""
        weights = owner_plays(histories, len(self.song_ids))
        common = self.rest * (self.factors.T @ self.factors)
        ridge = self._ridge(np.diff(weights.indptr), len(self.song_ids))
        for row in np.flatnonzero(np.diff(weights.indptr)).tolist():
            part = slice(weights.indptr[row], weights.indptr[row + 1])
            own = weights.indices[part].astype(np.int64)
            near = self.factors[own]
            target = weights.data[part, None] * near
            matrix = common + near.T @ target
            matrix[np.diag_indices(len(matrix))] += ridge[row]
            yield row, matrix, target, own


@dataclass(frozen=True, slots=True, eq=False)
class _PaddedRows:
    """The rows of a sparse matrix in blocks of similar length, padded with weight 0."""

    lengths: Int64Array  # (n,)
    blocks: list[tuple[Int64Array, Int32Array, FloatArray]]  # rows (b,), columns and values (b, L)

    @classmethod
    def of(cls, matrix: Any, width: int) -> "_PaddedRows":
        """Cut a csr matrix into blocks of `CELLS` numbers, where an entry is `width` numbers."""
        lengths = np.diff(matrix.indptr).astype(np.int64)
        order = np.argsort(lengths, kind="stable")
        order, blocks = order[lengths[order] > 0], []
        while len(order):
            longest = int(lengths[order[-1]])
            many = min(len(order), max(1, CELLS // (longest * width)))
            rows, order = order[-many:], order[:-many]
            there = np.arange(longest) < lengths[rows][:, None]
            place = entries(matrix.indptr[rows].astype(np.int64), lengths[rows])
            column, value = np.zeros(there.shape, np.int32), np.zeros(there.shape, np.float32)
            column[there], value[there] = matrix.indices[place], matrix.data[place]
            blocks.append((rows, column, value))
        return cls(lengths, blocks)


def _descended(
    start: FloatArray, near: FloatArray, weight: FloatArray, common: FloatArray, ridge: FloatArray
) -> FloatArray:
    """Return rows (n, F) after `STEPS` of conjugate gradients; their songs are `near` (n, L, F)."""

    def times(rows: FloatArray) -> FloatArray:
        played = weight * (near @ rows[:, :, None])[:, :, 0]
        return rows @ common + ridge[:, None] * rows + (played[:, None] @ near)[:, 0]

    result = start
    rest = (weight[:, None] @ near)[:, 0] - times(result)
    step, left = rest, (rest * rest).sum(axis=1)
    for _ in range(STEPS):
        moved = times(step)
        length = left / np.maximum((step * moved).sum(axis=1), TINY)
        result = result + length[:, None] * step
        rest = rest - length[:, None] * moved
        now = (rest * rest).sum(axis=1)
        step, left = rest + (now / np.maximum(left, TINY))[:, None] * step, now
    return np.asarray(result, np.float32)
