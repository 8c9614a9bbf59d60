"""Vector multiplication session kNN: songs of the past sessions most similar to this one.

    history ──newest sessions that share a song──▶ the k most similar ──▶ their songs

Later songs of the history weigh more. A session's similarity is the sum of the weights of the
songs that it shares; a song's similarity is the sum over the sessions that contain it, each
weighted by the position of the last shared song in the history.

Sessions are stored without ids and times, but they remain listening history.

Source: Ludewig and Jannach, *Evaluation of session-based recommendation algorithms*, 2018.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.counting import CountingChannel
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.types import FloatArray, Int32Array, Int64Array


@dataclass(frozen=True, slots=True, kw_only=True)
class VsKnnRecipe:
    """How many sessions are compared.

    Attributes
    ----------
    neighbours : int
        Most similar sessions whose songs count.
    newest : int
        Newest sessions with a song in common, from which the neighbours are chosen.
    history : int
        Number of newest songs of the history that are compared.
    """

    neighbours: int = 100
    newest: int = 1_000
    history: int = 50

    def __post_init__(self) -> None:
        if min(self.neighbours, self.newest, self.history) < 1:
            raise InputError("neighbours, newest and history must be at least 1")


class VsKnn(CountingChannel[VsKnnRecipe]):
    """Songs of the past sessions that share most with this one; stores sessions without ids."""

    name = "vs-knn"
    horizon = "short"
    reason = ReasonKind.LISTENERS
    people = "The sessions it was trained on, without ids and times: this is listening history."
    Recipe = VsKnnRecipe
    ARRAYS = ("session_starts", "session_songs", "song_starts", "song_sessions")

    def _count(self, data: RecallData) -> None:
        plays, n = data.plays, len(data.song_ids)
        filled = np.flatnonzero(plays.lengths)
        plays = plays.take(
            filled[np.argsort(plays.time[plays.starts[filled + 1] - 1], kind="stable")]
        )
        pair = np.unique(plays.owner * n + plays.song)
        session, song = pair // n, (pair % n).astype(np.int32)
        # Sessions from oldest to newest with their distinct songs, and the inverse lookup.
        self.session_starts = np.searchsorted(session, np.arange(len(plays) + 1))
        self.session_songs = song
        order = np.argsort(song, kind="stable")
        self.song_starts = np.searchsorted(song[order], np.arange(n + 1))
        self.song_sessions = session[order].astype(np.int32)

    def _similarities(self, queries: Queries) -> FloatArray:
        histories = queries.histories.newest(self.recipe.history)
        found = np.zeros((len(histories), len(self.song_ids)), np.float32)
        for row in range(len(histories)):
            session, weight = self._neighbours(histories[row])
            songs, of = self._songs_of(session)
            np.add.at(found[row], songs, weight[of])
        found[found == 0] = -np.inf
        return found

    def _neighbours(self, history: Int32Array) -> tuple[Int64Array, FloatArray]:
        """Return the neighbouring sessions of one history and their weights."""
        newest_first, place = np.unique(history[::-1], return_index=True)
        late = (len(history) - place) / max(1, len(history))
        parts = [self._sessions_of(song) for song in newest_first.tolist()]
        late = np.repeat(late, [len(part) for part in parts])
        sessions = np.concatenate([np.empty(0, np.int32), *parts])
        session, at = np.unique(sessions, return_inverse=True)
        shared = np.bincount(at, late, minlength=len(session))
        last = np.zeros(len(session))
        np.maximum.at(last, at, late)
        newest = slice(-self.recipe.newest, None)
        session, shared, last = session[newest], shared[newest], last[newest]
        near = np.lexsort((-session, -shared))[: self.recipe.neighbours]
        return session[near].astype(np.int64), (shared[near] * last[near]).astype(np.float32)

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the song of the history that the sessions behind each candidate share most."""
        found = np.full(song.shape, -1, np.int64)
        histories = histories.newest(self.recipe.history)
        for row in np.flatnonzero(histories.lengths).tolist():
            own = np.unique(histories[row])
            session, weight = self._neighbours(histories[row])
            songs, of = self._songs_of(session)
            proposed, place = np.unique(song[row], return_inverse=True)
            shared, held = _grid(songs, of, own, weight), _grid(songs, of, proposed)
            both = held @ shared.T
            given = both.max(axis=1) > 0
            found[row] = np.where(given, own[both.argmax(axis=1)], -1)[place]
            found[row, song[row] < 0] = -1
        return found

    def _sessions_of(self, song: int) -> Int32Array:
        return self.song_sessions[self.song_starts[song] : self.song_starts[song + 1]]

    def _songs_of(self, session: Int64Array) -> tuple[Int32Array, Int64Array]:
        """Return the songs of some sessions, and for each song its place in `session`."""
        start = self.session_starts[session]
        lengths = self.session_starts[session + 1] - start
        of = np.repeat(np.arange(len(session)), lengths)
        within = np.arange(len(of)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self.session_songs[start[of] + within], of


def _grid(
    songs: Int32Array, session: Int64Array, wanted: Any, weight: FloatArray | None = None
) -> FloatArray:
    """Return which sessions hold which wanted songs, (n, m); `wanted` must be sorted."""
    n = int(session.max(initial=-1)) + 1
    found = np.zeros((len(wanted), n), np.float32)
    at = np.minimum(np.searchsorted(wanted, songs), len(wanted) - 1)
    hit = wanted[at] == songs
    found[at[hit], session[hit]] = 1
    return found if weight is None else found * weight[:n]
