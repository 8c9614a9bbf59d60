"""Vector multiplication session kNN: songs of the past sessions most similar to this one.

    histories ──newest sessions that share a song──▶ the k most similar ──▶ their songs

Later songs of the history weigh more. A session's similarity is the sum of the weights of the
songs that it shares; a song's similarity is the sum over the sessions that contain it, each
weighted by the position of the last shared song in the history.

Sessions are stored without ids and times, but they remain listening history.

Source: Ludewig and Jannach, *Evaluation of session-based recommendation algorithms*, 2018.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.counting import CountingChannel
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.simple.wanted import Wanted, joined, starts_of
from audiorec.types import Float64Array, FloatArray, Int32Array, Int64Array

BLOCK_HISTORIES = 1_024  # looked up by one product
GROWTH = 4  # by which more sessions are looked at, until enough share a song


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


class _Near(NamedTuple):
    """The n sessions nearest to one history, and their m songs."""

    songs: Int32Array  # (m,), of one session after another
    starts: Int64Array  # (n + 1,): where each session begins
    weight: FloatArray  # (n,)
    own: Int32Array  # (o,): the distinct songs of the history
    shared: FloatArray  # (o, n): 1 where a session holds the song


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
        found = np.zeros((len(queries.histories), len(self.song_ids)), np.float32)
        for row, near in enumerate(self._near(queries.histories)):
            weight = np.repeat(near.weight, np.diff(near.starts))
            np.add.at(found[row], near.songs.astype(np.int64), weight)
        found[found == 0] = -np.inf
        return found

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the song of the history that the sessions behind each candidate share most."""
        found = np.full(song.shape, -1, np.int64)
        table = Wanted(len(self.song_ids))
        for row, near in enumerate(self._near(histories)):
            there = np.flatnonzero(song[row] >= 0)
            if not len(near.weight) or not len(there):
                continue
            proposed = np.sort(song[row, there])
            held = table.grid(proposed, near.songs, near.starts)
            both = held @ (near.shared * near.weight).T
            best = np.where(both.max(axis=1) > 0, near.own[both.argmax(axis=1)], -1)
            found[row, there] = best[np.searchsorted(proposed, song[row, there])]
        return found

    def _near(self, histories: Sequences) -> Iterator[_Near]:
        """Yield the neighbouring sessions of each history."""
        table = Wanted(len(self.song_ids))
        for first in range(0, len(histories), BLOCK_HISTORIES):
            rows = np.arange(first, min(first + BLOCK_HISTORIES, len(histories)))
            lateness = _lateness(histories.take(rows).newest(self.recipe.history))
            for row, (session, total) in enumerate(self._sharing(lateness)):
                best = _largest(total, self.recipe.neighbours)
                songs = joined(self.session_songs, self.session_starts, session[best])
                starts = starts_of(self.session_starts, session[best])
                part = slice(lateness.indptr[row], lateness.indptr[row + 1])
                own, late = lateness.indices[part], lateness.data[part]
                shared = table.grid(own, songs, starts)
                last = (shared * late[:, None]).max(axis=0, initial=0)
                yield _Near(songs, starts, (total[best] * last).astype(np.float32), own, shared)

    def _sharing(self, lateness: Any) -> list[tuple[Int64Array, Float64Array]]:
        """Return the newest sessions that share a song with each history (q, S), newest first.

        Beside each session is the sum of the weights of the songs that it shares. Most histories
        share a song with many of the very newest sessions, so few are looked at first.
        """
        found = [(np.empty(0, np.int64), np.empty(0))] * lateness.shape[0]
        rows, first = np.flatnonzero(np.diff(lateness.indptr)), len(self.session_starts) - 1
        width = 2 * self.recipe.newest
        while len(rows) and first:
            first = max(0, len(self.session_starts) - 1 - width)
            width *= GROWTH
            songs, some = _used(lateness[rows])
            product = some @ self._sessions_with(songs, first)
            product.sort_indices()
            enough = np.diff(product.indptr) >= self.recipe.newest
            for place in np.flatnonzero(enough | (first == 0)).tolist():
                stop = product.indptr[place + 1]
                part = slice(max(product.indptr[place], stop - self.recipe.newest), stop)
                session = first + product.indices[part].astype(np.int64)
                found[rows[place]] = session[::-1], product.data[part][::-1]
            rows = rows[~enough]
        return found

    def _sessions_with(self, songs: Int64Array, first: int) -> Any:
        """Return which sessions from number `first` on hold which songs: csr (n, sessions)."""
        from scipy.sparse import csr_array

        begin, counts = self._from(songs, first)
        starts = np.concatenate([[0], np.cumsum(counts)])
        place = np.arange(starts[-1]) + np.repeat(begin - starts[:-1], counts)
        shape = (len(songs), len(self.session_starts) - 1 - first)
        return csr_array((np.ones(len(place)), self.song_sessions[place] - first, starts), shape)

    def _from(self, songs: Int64Array, first: int) -> tuple[Int64Array, Int64Array]:
        """Return where in `song_sessions` each song's sessions from `first` on begin, and how many.

        All songs are searched at once, by bisection.
        """
        low, stop = self.song_starts[songs], self.song_starts[songs + 1]
        high = stop
        while (low < high).any():
            middle = (low + high) // 2
            is_older = self.song_sessions[np.minimum(middle, stop - 1)] < first
            is_older &= low < high
            low, high = np.where(is_older, middle + 1, low), np.where(is_older, high, middle)
        return low, stop - low


def _largest(values: Float64Array, most: int) -> Int64Array:
    """Return the places of the `most` largest values, largest first, equal ones in order."""
    place = np.arange(len(values))
    if len(values) > most:
        place = np.flatnonzero(values >= np.partition(values, -most)[-most])
    order: Int64Array = place[np.argsort(-values[place], kind="stable")[:most]]
    return order


def _lateness(histories: Sequences) -> Any:
    """Return the weight of each song of each history, by its last place: csr (q, S) float64."""
    from scipy.sparse import csr_array

    n = max(1, len(histories.song_ids))
    key = histories.owner * n + histories.song
    pair, newest_first = np.unique(key[::-1], return_index=True)
    place, row = len(key) - newest_first, pair // n  # 1 is the first play of all histories
    late = (place - histories.starts[row]) / histories.lengths[row]
    starts = np.searchsorted(row, np.arange(len(histories) + 1))
    shape = (len(histories), n)
    return csr_array((late, pair % n, starts), shape=shape)


def _used(matrix: Any) -> tuple[Int64Array, Any]:
    """Return the numbers of the columns that a csr matrix uses, and the matrix of these columns."""
    used, column = np.unique(matrix.indices, return_inverse=True)
    shape = (matrix.shape[0], len(used))
    return used, type(matrix)((matrix.data, column, matrix.indptr), shape)
