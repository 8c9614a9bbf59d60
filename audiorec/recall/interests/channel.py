"""MIND and ComiRec-SA: how lists of several interests are made, and users are embedded.

    history ──forward──▶ interests (K, d), shares of the songs
    shares, recency ──▶ weights        interests ──largest similarity──▶ one list

A user has several interests. Those that are too similar are merged (`merged_interests`).
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from audiorec.errors import WeightsError
from audiorec.learning.bundle import Bundle
from audiorec.learning.next_plays import NextPlays, PlayBatch, SongFeatures
from audiorec.recall.contract.channel import CELLS, Tensors
from audiorec.recall.contract.data import Queries
from audiorec.recall.contract.next_song import NextSong
from audiorec.recall.contract.space import InterestDescription, InterestSpace, UserInterests
from audiorec.recall.interests.forward import (
    ComiRecSARecipe,
    InterestsRecipe,
    MINDRecipe,
    pooled_interests,
    routed_interests,
)
from audiorec.types import BoolArray, FloatArray, Int64Array, unit

if TYPE_CHECKING:
    from audiorec.learning.next_model import NextSongModel


def merged_interests(
    interests: FloatArray, shares: FloatArray, *, above: float
) -> tuple[FloatArray, FloatArray]:
    """Merge the two most similar interests of each history while their cosine exceeds `above`.

    The merged interest is the mean of the two directions, weighted by their shares of the songs; it
    replaces the first of the two, and the other becomes 0.

    Several means of similar songs are one taste, and carry no more information than their mean.

    Parameters
    ----------
    interests : ndarray, shape (B, K, d), float32
        Zeros where a history has fewer than K.
    shares : ndarray, shape (B, L, K), float32
        Share of each song in each interest.
    above : float
        Cosine above which two are merged; 1: never.

    Returns
    -------
    interests : ndarray, shape (B, K, d), float32
    shares : ndarray, shape (B, L, K), float32
        With the same sums as before.

    Examples
    --------
    >>> two = np.array([[[2.0, 0.0], [0.6, 0.8], [0.0, 1.0]]], np.float32)
    >>> found, shares = merged_interests(two, np.ones((1, 4, 3), np.float32), above=0.7)
    >>> np.round(found.astype(float), 2).tolist()
    [[[2.0, 0.0], [0.32, 0.95], [0.0, 0.0]]]
    >>> shares[0, 0].tolist()
    [1.0, 2.0, 0.0]
    """
    if above >= 1 or interests.shape[1] < 2:
        return interests, shares
    result, shares = interests.copy(), shares.copy()
    number = np.arange(result.shape[1])
    mass = shares.sum(axis=1)
    rows = np.arange(len(result))
    for _ in number[1:]:
        units = unit(result[rows])
        there: BoolArray = np.asarray(units.any(axis=2))
        pairs = there[:, :, None] & there[:, None] & (number[:, None] < number)
        cosine = np.where(pairs, units @ units.transpose(0, 2, 1), -2).reshape(len(rows), -1)
        best = cosine.argmax(axis=1)
        near = cosine[np.arange(len(rows)), best] > above
        if not near.any():
            break
        one, other = np.divmod(best[near], len(number))
        units, rows = units[near], rows[near]
        at = np.arange(len(rows))
        weight = np.maximum(mass[rows], 1e-6)
        own, more = (weight[at, place][:, None] * units[at, place] for place in (one, other))
        result[rows, one], result[rows, other] = unit(own + more), 0
        shares[rows, :, one] += shares[rows, :, other]
        shares[rows, :, other] = 0
        mass[rows, one] += mass[rows, other]
    return result, shares


SHOWN = 3  # top songs and values that describe an interest
SAME = 1 - 1e-6  # interests with a larger cosine are duplicates
R = TypeVar("R", bound=InterestsRecipe)


class SeveralInterests(NextSong[R], InterestSpace):
    """A channel whose network gives a user several embeddings."""

    codes: Int64Array

    @abstractmethod
    def _shared_interests(self, batch: PlayBatch) -> tuple[FloatArray, FloatArray]:
        """Return interests (B, K, d), zeros if missing, and each song's shares (B, L, K)."""

    def _queries(self, batch: PlayBatch) -> FloatArray:
        return self._apart(batch)[0]

    def _apart(self, batch: PlayBatch) -> tuple[FloatArray, FloatArray]:
        """Return `_shared_interests`, with interests that are too similar merged."""
        return merged_interests(*self._shared_interests(batch), above=self.recipe.one_above)

    def _take(self, state: Mapping[str, Any], features: SongFeatures, played: Any) -> None:
        super()._take(state, features, played)
        self.codes = features.codes

    def interests_at(self, queries: Queries) -> tuple[FloatArray, FloatArray]:
        """Return interests (Q, K, d) of length 1, zeros if missing, and their weights (Q, K)."""
        shape = (len(queries), self.recipe.interests)
        result = np.zeros((*shape, self.songs.shape[1]), np.float32)
        weights = np.zeros(shape, np.float32)
        for rows, batch in self.batches(queries):
            interests, shares = self._apart(batch)
            result[rows] = unit(interests)
            weights[rows] = self._weights(batch, interests, shares)
        return result, weights

    def interests(self, queries: Queries) -> FloatArray:
        """Return the interests of each history: (Q, K, d) of length 1, zeros if missing."""
        return self.interests_at(queries)[0]

    def embed_users(self, queries: Queries) -> FloatArray:
        """Embed histories by their heaviest interest only; `user_interests` returns all."""
        users, weights = self.interests_at(queries)
        return users[np.arange(len(users)), weights.argmax(axis=1)]

    def user_interests(self, queries: Queries) -> UserInterests:
        """Return the interests of users, one row each; duplicates are merged."""
        result, weights = self.interests_at(queries)
        there: BoolArray = np.asarray(result.any(axis=2))
        for number in range(1, result.shape[1]):
            for earlier in range(number):
                near = np.einsum("qd,qd->q", result[:, number], result[:, earlier]) > SAME
                near &= there[:, number] & there[:, earlier]
                weights[near, earlier] += weights[near, number]
                there[near, number] = False
        order = np.argsort(-np.where(there, weights, -1), axis=1, kind="stable")
        user, place = np.nonzero(np.take_along_axis(there, order, axis=1))
        interest = order[user, place].astype(np.int64)
        return UserInterests(
            user.astype(np.int64), interest, weights[user, interest], result[user, interest]
        )

    def descriptions(self, queries: Queries) -> list[dict[int, InterestDescription]]:
        """Describe each user's interests by the top songs and categories of the history.

        Returns one mapping per query, from the interest's number.
        """
        result: list[dict[int, InterestDescription]] = [{} for _ in range(len(queries))]
        for rows, batch in self.batches(queries):
            interests, shares = self._apart(batch)
            mass = self._recency(batch)[:, :, None] * shares
            for row, at in enumerate(rows.tolist()):
                songs = batch.songs[row, : batch.lengths[row]]
                for number in np.flatnonzero(interests[row].any(axis=1)).tolist():
                    own = mass[row, : len(songs), number]
                    result[at][number] = self._name(songs, own)
        return result

    def _name(self, songs: Int64Array, mass: FloatArray) -> InterestDescription:
        def heaviest(keys: Int64Array, weight: FloatArray) -> list[int]:
            values, place = np.unique(keys, return_inverse=True)
            sums = np.bincount(place, weights=weight, minlength=len(values))
            order = np.lexsort((values, -sums))[:SHOWN]
            return [int(values[i]) for i in order.tolist() if sums[i] > 0]

        values = {}
        for column, (name, texts) in enumerate(self.facts.categories.items()):
            codes = self.codes[songs, column]
            known = codes > 0
            top = heaviest(codes[known], mass[known])
            values[name] = tuple(texts[code - 1] for code in top)
        own = tuple(self.song_ids[song] for song in heaviest(songs, mass))
        return InterestDescription(own, values)

    def _recency(self, batch: PlayBatch) -> FloatArray:
        """Return the weight of each play: (B, L), halved every `half_life` plays, 0 in padding."""
        since = batch.lengths[:, None] - 1 - np.arange(batch.songs.shape[1])
        faded = 0.5 ** (np.maximum(since, 0) / self.recipe.half_life)
        return np.where(since >= 0, faded, 0).astype(np.float32)

    def _weights(self, batch: PlayBatch, interests: FloatArray, shares: FloatArray) -> FloatArray:
        """Return each interest's share of the history's weight: (B, K)."""
        mass = np.einsum("bl,blk->bk", self._recency(batch), shares)
        mass = np.where(interests.any(axis=2), np.maximum(mass, 1e-6), 0)
        return (mass / mass.sum(axis=1, keepdims=True)).astype(np.float32)

    def _interest(self, queries: Queries, song: Int64Array) -> Int64Array | None:
        result = np.full(song.shape, -1, np.int64)
        interests = self.interests(queries)
        width = max(1, song.shape[1] * self.proposed.shape[1])
        for first in range(0, len(song), max(1, CELLS // width)):
            rows = slice(first, first + max(1, CELLS // width))
            near = np.einsum("qkd,qnd->qnk", interests[rows], self.proposed[song[rows]])
            there: BoolArray = np.asarray(interests[rows].any(axis=2))
            near = np.where(there[:, None], near, -np.inf)
            result[rows] = np.where(song[rows] >= 0, near.argmax(axis=2), -1)
        return result

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors, config = super()._state()
        return {**tensors, "codes": self.codes.astype(np.int32)}, config

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        channel = super()._from_state(bundle)
        channel.codes = bundle.tensors["codes"].astype(np.int64)
        if channel.codes.shape != (len(channel.songs), len(channel.facts.categories)):
            raise WeightsError(f"codes {channel.codes.shape}")
        return channel


class MIND(SeveralInterests[MINDRecipe]):
    """Songs near any of a user's interests, found by dynamic routing of the history."""

    name = "mind"
    Recipe = MINDRecipe

    def _network(self, features: SongFeatures, plays: NextPlays) -> "NextSongModel":
        from audiorec.recall.interests.network import MINDNetwork

        return MINDNetwork(features, self.recipe, profile=plays.profile.shape[1])

    def _shared_interests(self, batch: PlayBatch) -> tuple[FloatArray, FloatArray]:
        return routed_interests(batch, self.songs, self.weights, self.recipe)


class ComiRecSA(SeveralInterests[ComiRecSARecipe]):
    """Songs near any of a user's interests, each found by self-attention over the history."""

    name = "comirec-sa"
    Recipe = ComiRecSARecipe

    def _network(self, features: SongFeatures, plays: NextPlays) -> "NextSongModel":
        from audiorec.recall.interests.network import ComiRecSANetwork

        return ComiRecSANetwork(features, self.recipe, profile=plays.profile.shape[1])

    def _shared_interests(self, batch: PlayBatch) -> tuple[FloatArray, FloatArray]:
        return pooled_interests(batch, self.songs, self.weights, self.recipe)
