"""The SASRec channel."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from audiorec.learning.next_plays import NextPlays, PlayBatch, SongFeatures
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import Queries
from audiorec.recall.contract.next_song import NextSong
from audiorec.recall.sequence.sasrec.forward import (
    SASRecRecipe,
    capped_by_session,
    history_terms,
    newest_query,
    profile_query,
)
from audiorec.types import FloatArray, unit

if TYPE_CHECKING:
    from audiorec.learning.next_model import NextSongModel

FEWEST_REPEATS = 0.01  # share of the plays from which repeats are learnt


class SASRec(NextSong[SASRecRecipe]):
    """The likely next songs, by attention over the order and the times of a history."""

    name = "sasrec"
    serves = frozenset({"history", "profile", "cold_song"})
    Recipe = SASRecRecipe

    def _network(self, features: SongFeatures, plays: NextPlays) -> "NextSongModel":
        from audiorec.recall.sequence.sasrec.network import SASRecNetwork

        return SASRecNetwork(
            features,
            self.recipe,
            is_timed=plays.is_timed,
            repeats=repeated(plays) >= FEWEST_REPEATS,
            favourites=plays.favourites is not None,
            profile=plays.profile.shape[1],
        )

    def _next_plays(self, plays: Sequences, profile: FloatArray) -> NextPlays:
        recipe = self.recipe
        if recipe.session_gap_s:
            days = recipe.longest_gap_days
            time = capped_by_session(plays, gap_s=recipe.session_gap_s, longest_days=days)
            plays = replace(plays, time=time)
        return super()._next_plays(plays, profile)

    def _queries(self, batch: PlayBatch) -> FloatArray:
        return newest_query(batch, self.songs, self.weights, self.recipe)

    def embed_users(self, queries: Queries) -> FloatArray:
        """Embed histories, or profiles for empty histories; see `SharedSpace`."""
        users = np.zeros((len(queries), self.songs.shape[1]), np.float32)
        for rows, batch in self.batches(queries):
            users[rows] = unit(self._queries(batch))
        self._embed_profiles(users, queries)
        return users

    def interests(self, queries: Queries) -> FloatArray:
        """Return the embeddings of users as a single interest: (Q, 1, d)."""
        return self.embed_users(queries)[:, None]

    def _embed_profiles(self, users: FloatArray, queries: Queries) -> None:
        """Fill in the embeddings of users without a history from their profiles."""
        people = queries.profiles
        if people is None or not self.encoder.names:
            return
        alone = ~users.any(axis=1) & self.encoder.knows(people)
        if alone.any():
            users[alone] = unit(profile_query(self.encoder.encode(people)[alone], self.weights))

    def _similarities(self, queries: Queries) -> FloatArray:
        """Return cosines, with the learnt term of songs in the history added."""
        users = np.zeros((len(queries), self.songs.shape[1]), np.float32)
        heard = []
        for rows, batch in self.batches(queries):
            result = self._queries(batch)
            users[rows] = unit(result)
            if "again_by_lag" in self.weights:
                row, song, added = history_terms(batch, result, self.weights)
                heard.append((rows[row], song, self.recipe.temperature * added))
        self._embed_profiles(users, queries)
        similar = self.similarities(users)
        for row, song, added in heard:
            similar[row, song] += added
        return similar


def repeated(plays: NextPlays) -> float:
    """Return the share of plays whose song the user had played before."""
    different = len(np.unique(plays.owner * plays.n_songs + plays.song))
    return 1 - different / max(1, len(plays.song))
