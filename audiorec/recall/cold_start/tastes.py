"""Tastes of users over the vectors of a store: for comparison, and as ranker features.

Without a trained model, a user's taste is a *preference profile*: the weighted mean of the liked
songs' vectors, standardised and weighted as in `similar`, normalised to length 1. Ranker features
use the plain vectors: their weighted mean and their weighted standard deviation, which separates
users of one kind of music from users of many. Weights are those of the user model's histories:
``log2(1 + w)`` of a like's weight, halved for every half-life that it is older than the user's
newest like.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from audiorec.listening.history import (
    Histories,
    Likes,
    all_spans,
    histories,
    mean_and_spread,
    mean_inputs,
)
from audiorec.search.searchable import SearchableStore
from audiorec.search.space import Space
from audiorec.types import FloatArray, IdMap, Int64Array, Pairs, Preferences, unit

BLOCK_ROWS = 2_048  # users at a time; with 100 songs of 84 numbers each, 140 MB
HALF_LIFE_DAYS = 90.0
MAX_HISTORY = 100  # newest likes that are used


@dataclass(frozen=True, slots=True)
class TasteFeatures:
    """Ranker features of n users."""

    songs: Int64Array  # (n,): number of liked songs with a vector
    mean: FloatArray  # (n, V): 0 for a user without such a song
    spread: FloatArray  # (n, V)


class Tastes:
    """Liked songs of users and their vectors in a store, in the order of `user_ids`.

    By default, all users of the preferences.
    """

    def __init__(
        self,
        preferences: Preferences,
        store: SearchableStore,
        *,
        user_ids: Sequence[str] | None = None,
        half_life_days: float | None = HALF_LIFE_DAYS,
        max_history: int = MAX_HISTORY,
    ) -> None:
        self.user_ids = tuple(preferences.user_ids if user_ids is None else user_ids)
        self._store = store
        self._half_life = half_life_days
        self._likes = _likes(preferences, self.user_ids, store.ids)
        self._spans = all_spans(self._likes, max_history=max_history)

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def dimension(self) -> int:
        """Numbers in a vector of the store."""
        return self._store.metadata.dimension

    @property
    def counts(self) -> Int64Array:
        """Number of liked songs with a vector per user, at most `max_history`: shape (U,)."""
        return self._spans.stop - self._spans.first

    def take(self, users: Int64Array) -> "Tastes":
        """Return the tastes of the given users, by number."""
        chosen = copy(self)
        chosen.user_ids = tuple(self.user_ids[i] for i in users)
        chosen._spans = self._spans.take(users)
        return chosen

    def features(self, users: Int64Array) -> TasteFeatures:
        """Return the ranker features of the given users."""
        past = self._histories(users)
        mean, spread = mean_and_spread(past, self._store.vectors)
        return TasteFeatures(self.counts[users], mean, spread)

    def profiles(self, space: Space) -> FloatArray:
        """Return the preference profiles of all users: shape (U, W), float32.

        Rows have length 1; zeros for a user without liked songs. `space` must be of the same store.
        """
        found = np.empty((len(self), space.matrix.shape[1]), np.float32)
        for start in range(0, len(self), BLOCK_ROWS):
            users = np.arange(start, min(start + BLOCK_ROWS, len(self)))
            mean = mean_inputs(self._histories(users), space.matrix)
            found[users] = unit(mean.astype(np.float64))
        return found

    def _histories(self, users: Int64Array) -> Histories:
        return histories(self._likes, self._spans.take(users), half_life_days=self._half_life)


def _likes(preferences: Preferences, user_ids: Sequence[str], song_ids: Sequence[str]) -> Likes:
    """Return likes of the given users and songs, renumbered to the order of both."""
    liked = preferences.liked
    user = IdMap(user_ids).rows(preferences.user_ids)[liked.user]
    song = IdMap(song_ids).rows(preferences.song_ids)[liked.song]
    pairs = Pairs(user.astype(np.int32), song.astype(np.int32), liked.weight, liked.time)
    return Likes.from_pairs(pairs.take((user >= 0) & (song >= 0)), len(user_ids))
