"""Songs whose listeners, or sessions, overlap with those of the history: item kNN, EASE, VSKNN.

    owners x songs  ──ItemKNN──▶  cosine of each song with its nearest songs
                    ──EASE─────▶  a weight for each pair of songs
    sessions        ──VSKNN────▶  the sessions themselves, searched by the songs of a history

Rows of different lengths lie one after another: row r is ``values[starts[r]:starts[r + 1]]``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.learning.machine import free_memory
from audiorec.listening.sequences import Sequences
from audiorec.options import check_fields
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.channel import CountingChannel
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.types import Float64Array, FloatArray, Int32Array, Int64Array, entries, nth, offsets

T = TypeVar("T", bound=np.generic)


def joined(values: npt.NDArray[T], starts: Int64Array, rows: Int64Array) -> npt.NDArray[T]:
    """Return the values of some rows, one row after another."""
    bounds = zip(starts[rows].tolist(), starts[rows + 1].tolist(), strict=True)
    return np.concatenate([values[:0], *(values[first:stop] for first, stop in bounds)])


class Wanted:
    """A table of a catalogue of S songs, which is reused to find ever other songs."""

    def __init__(self, n_songs: int) -> None:
        self._number = np.full(n_songs, -1, np.int32)

    def grid(
        self,
        wanted: npt.NDArray[Any],
        songs: Int32Array,
        starts: Int64Array,
        values: FloatArray | None = None,
    ) -> FloatArray:
        """Return the values (m,) beside wanted songs in rows of songs: (len(wanted), rows).

        Wanted songs must be distinct, and so must the songs of a row. The value is 1 by default,
        and 0 where a row lacks a song.

        Examples
        --------
        >>> Wanted(9).grid([7, 4], np.array([4, 5, 4, 7]), np.array([0, 2, 4]))
        array([[0., 1.],
               [1., 1.]], dtype=float32)
        """
        self._number[wanted] = np.arange(len(wanted))
        which = self._number[songs]
        self._number[wanted] = -1
        place = np.flatnonzero(which >= 0)
        row = np.searchsorted(starts, place, side="right") - 1
        result = np.zeros((len(wanted), len(starts) - 1), np.float32)
        result[which[place], row] = 1 if values is None else values[place]
        return result


BLOCK_SONGS = 1_024
BLOCK_HISTORIES = 256
Weighting = Literal["cosine", "tf-idf", "bm25"]
BM25_LIMIT, BM25_LENGTH = 1.2, 0.75  # the usual k1 and b


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemKNNRecipe:
    """Neighbours per song, how they are weighted, and the length of history that is used.

    Attributes
    ----------
    weighting : {"cosine", "tf-idf", "bm25"}
        What a play weighs: each the same; less from owners of many songs; or up to a limit.
    neighbours : int
        Neighbours kept per song, the most similar ones.
    shrink : float
        Added to the denominator of the cosine, so that overlaps of few listeners count less; bm25
        has none.
    history : int
        Number of newest songs of the history whose neighbours count.
    """

    weighting: Weighting = "tf-idf"
    neighbours: int = 200
    shrink: float = 10.0
    history: int = 100

    def __post_init__(self) -> None:
        check_fields(self, weighting=get_args(Weighting))
        check_fields(self, neighbours=">=1", history=">=1", shrink=">=0")


class ItemKNN(CountingChannel[ItemKNNRecipe]):
    """Songs played by the same people as the songs of the history.

        owners x songs, weights ──fit──▶ cosine of each song with its nearest songs
        history ──────────────────▶ sum of the rows of its songs

    The cosine is shrunk for songs with few listeners in common: ``both / (sqrt(a b) + shrink)``.
    With tf-idf and bm25 plays count by their logarithm, and an owner of many songs says less about
    each of them; with bm25 plays count up to a limit, which is lower for songs with many plays, and
    the songs' products are compared, so popular songs come first.
    """

    name = "item-knn"
    reason = ReasonKind.LISTENERS
    Recipe = ItemKNNRecipe
    ARRAYS = ("starts", "near", "weights")

    def _count(self, data: RecallData) -> None:
        matrix = weighted(data.plays, len(data.song_ids), self.recipe.weighting)
        size = np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel()
        by_song = matrix.T.tocsr()
        parts = []
        for first in range(0, len(size), BLOCK_SONGS):
            both = (by_song[first : first + BLOCK_SONGS] @ matrix).tocoo()
            row = both.row + first
            near = both.data
            if self.recipe.weighting != "bm25":  # otherwise products, not cosines
                near = near / (np.sqrt(size[row] * size[both.col]) + self.recipe.shrink)
            other = row != both.col
            parts.append(_nearest(row[other], both.col[other], near[other], self.recipe.neighbours))
        row, self.near, self.weights = (np.concatenate(p) for p in zip(*parts, strict=True))
        self.starts = np.searchsorted(row, np.arange(len(size) + 1))

    def _similarities(self, queries: Queries) -> FloatArray:
        from scipy.sparse import csr_array

        n = len(self.song_ids)
        known = queries.histories.newest(self.recipe.history)
        own = (owner_song if self.recipe.weighting == "cosine" else owner_plays)(known, n)
        near = csr_array((self.weights, self.near, self.starts), shape=(n, n))
        similarities = np.empty((own.shape[0], n), np.float32)
        for first in range(0, len(similarities), BLOCK_HISTORIES):
            rows = slice(first, first + BLOCK_HISTORIES)
            similarities[rows] = (own[rows] @ near).toarray()
        similarities[similarities == 0] = -np.inf
        return similarities

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the song of the history with the largest cosine to each candidate."""
        evidence = np.full(song.shape, -1, np.int64)
        histories = histories.newest(self.recipe.history)
        table = Wanted(len(self.song_ids))
        for row in np.flatnonzero(histories.lengths).tolist():
            own, there = np.unique(histories[row]), song[row] >= 0
            learnt = self.starts, self.near, self.weights
            given = cosines(*learnt, own, song[row, there], table)
            evidence[row, there] = np.where(given.max(axis=0) > 0, own[given.argmax(axis=0)], -1)
        return evidence


def cosines(
    starts: Int64Array,
    near: Int32Array,
    weights: FloatArray,
    own: Any,
    proposed: Int64Array,
    table: Wanted,
) -> FloatArray:
    """Return the cosine of own and proposed songs, 0 unless they are neighbours: (own, proposed).

    The first three are the learnt arrays of `ItemKNN`.
    """
    songs, values = joined(near, starts, own), joined(weights, starts, own)
    return table.grid(proposed, songs, offsets(np.diff(starts)[own]), values).T


def owner_song(plays: Sequences, n_songs: int) -> Any:
    """Return which owner played which song: `scipy.sparse.csr_array` (U, S) of ones, float32."""
    from scipy.sparse import csr_array

    pair = np.unique(plays.owner * n_songs + plays.song)
    ones = np.ones(len(pair), np.float32)
    return csr_array((ones, (pair // n_songs, pair % n_songs)), shape=(len(plays), n_songs))


def owner_plays(plays: Sequences, n_songs: int) -> Any:
    """Return ``log2(1 + plays)`` of owners and songs, as `owner_song`: three count as twice one."""
    result = owner_song(plays, n_songs)
    key = plays.owner * n_songs + plays.song
    counts = np.bincount(np.unique(key, return_inverse=True)[1], plays.weight)
    result.data = np.log2(1 + counts).astype(np.float32)
    return result


def weighted(plays: Sequences, n_songs: int, weighting: Weighting) -> Any:
    """Return owners x songs with the weights of a weighting, of mean square 1 (`ItemKNNRecipe`).

    Examples
    --------
    >>> plays = Sequences.from_lists([["a"], ["a", "b"], ["c", "c", "c"]])
    >>> weighted(plays, 3, "tf-idf").toarray().round(2)
    array([[1.02, 0.  , 0.  ],
           [0.67, 0.67, 0.  ],
           [0.  , 0.  , 1.44]], dtype=float32)
    """
    if weighting == "cosine":
        return owner_song(plays, n_songs)
    matrix = owner_plays(plays, n_songs)
    rare = np.log(1 + n_songs / np.diff(matrix.indptr).clip(1)).astype(np.float32)
    if weighting == "tf-idf":
        matrix.data = np.sqrt(matrix.data)
    else:
        length = np.asarray(matrix.sum(axis=0)).ravel()
        length = (1 - BM25_LENGTH + BM25_LENGTH * length / length.mean())[matrix.indices]
        matrix.data = matrix.data * (BM25_LIMIT + 1) / (BM25_LIMIT * length + matrix.data)
    matrix.data = matrix.data * np.repeat(rare, np.diff(matrix.indptr))
    matrix.data = (matrix.data / np.sqrt(np.mean(matrix.data**2))).astype(np.float32)
    return matrix


def _nearest(row: Any, column: Any, cosine: Any, most: int) -> tuple[Any, Any, Any]:
    """Return the `most` largest cosines of each row, sorted by row; ties by column number.

    A row and a positive cosine sort as one number of 64 bits, much faster than as two keys. What is
    below the last that is kept of its row needs no order.
    """
    order_of = -cosine.astype(np.float32).view(np.int32).astype(np.int64) & 0xFFFFFFFF
    key = row.astype(np.int64) << 32 | order_of
    lengths = np.bincount(row)
    last = offsets(lengths)[:-1] + np.minimum(lengths, most) - 1
    kept = np.flatnonzero(key <= np.sort(key)[last][row])
    row, column, cosine = row[kept], column[kept], cosine[kept]
    order = np.lexsort((column, -cosine, row))
    kept = order[nth(row[order]) < most]
    return row[kept], column[kept].astype(np.int32), cosine[kept].astype(np.float32)


MOST_SONGS = 20_000
EASE_BLOCK_SONGS = 512  # rows that are copied at a time
SPARE = 1.25  # memory needed, as a multiple of the matrix of weights


@dataclass(frozen=True, slots=True, kw_only=True)
class EASERecipe:
    """The regularisation of EASE.

    Attributes
    ----------
    regularisation : float
        Added to the diagonal of the co-occurrence matrix: the lambda of the ridge regression.
    dropout : float
        Share of the plays that the regression expects to miss, in [0, 1): the ridge of a song
        grows by ``dropout / (1 - dropout)`` for each of its plays. On play counts 0.67 with a
        regularisation of 50 is better than the default.
    """

    regularisation: float = 100.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, regularisation=">0", dropout="[0, 1)")


class EASE(CountingChannel[EASERecipe]):
    """Songs that go with the whole history, by ridge regression over all songs (EASE).

        G = X'X + D,  P = G^-1,  B = -P / diag(P), diag(B) = 0      history x ──▶ x B

    Plays count by their logarithm. The ridge D is lambda for each song and, with dropout, also
    grows with the plays of the song, so that popular songs are not explained by too few others.
    With fewer owners than songs the inverse comes from a matrix of the owners (Woodbury). The
    catalogue is limited to `MOST_SONGS`.

    Sources: Steck, *Embarrassingly shallow autoencoders for sparse data*, 2019, and *Autoencoders
    that don't overfit towards the identity*, 2020.
    """

    name = "ease"
    reason = ReasonKind.LISTENERS
    Recipe = EASERecipe
    ARRAYS = ("weights",)

    def _count(self, data: RecallData) -> None:
        n = len(data.song_ids)
        _require_memory(n)
        plays = owner_plays(data.plays, n)
        plays.data = (plays.data / np.sqrt(np.mean(plays.data**2))).astype(np.float32)
        each = self.recipe.dropout / (1 - self.recipe.dropout)
        ridge = self.recipe.regularisation + each * plays.power(2).sum(axis=0)
        # The transpose of a symmetric matrix is itself, in the order of rows that `recall` reads.
        weights = _inverse(plays, np.asarray(ridge, np.float32).ravel()).T
        np.divide(weights, -np.diag(weights), out=weights)
        weights[np.diag_indices(n)] = 0
        self.weights = weights

    def _similarities(self, queries: Queries) -> FloatArray:
        histories = queries.histories
        similarities = np.asarray(
            owner_plays(histories, len(self.song_ids)) @ self.weights, np.float32
        )
        similarities[histories.lengths == 0] = -np.inf
        similarities[:, self.is_cold] = -np.inf
        return similarities

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the song of the history that contributes most to each candidate."""
        evidence = np.full(song.shape, -1, np.int64)
        plays = owner_plays(histories, len(self.song_ids))
        for row in np.flatnonzero(histories.lengths).tolist():
            part = slice(plays.indptr[row], plays.indptr[row + 1])
            own, there = plays.indices[part].astype(np.int64), song[row] >= 0
            given = plays.data[part, None] * self.weights[np.ix_(own, song[row, there])]
            evidence[row, there] = np.where(given.max(axis=0) > 0, own[given.argmax(axis=0)], -1)
        return evidence


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


def _inverse(plays: Any, ridge: FloatArray) -> FloatArray:
    """Return the inverse of ``plays' plays + diag(ridge)``, (n, n) float32 in Fortran order."""
    from scipy.linalg import cholesky, inv
    from scipy.linalg.lapack import spotrf, spotri

    n_owners, n = plays.shape
    if n_owners < n / 2:
        scaled = plays.multiply(1 / ridge).tocsr().astype(np.float64)
        among = (scaled @ plays.T).toarray() + np.eye(n_owners)
        half = np.asarray(cholesky(inv(among)) @ scaled, np.float32)
        result = np.empty((n, n), np.float32, order="F")
        np.matmul(half.T, -half, out=result)
        result[np.diag_indices(n)] += 1 / ridge
        return result
    gram = _gram(plays, n)
    gram[np.diag_indices(n)] += ridge
    factor, failed = spotrf(gram, lower=1, overwrite_a=1)
    inverse, failed_too = spotri(factor, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise InputError("ease: the matrix of plays is singular; use a larger regularisation")
    _mirror(inverse)
    return np.asarray(inverse)


def _gram(matrix: Any, n: int) -> FloatArray:
    """Return the products of the columns of a sparse matrix, (n, n) float32 in Fortran order."""
    result = np.zeros((n, n), np.float32, order="F")
    for start in range(0, n, EASE_BLOCK_SONGS):
        part = slice(start, start + EASE_BLOCK_SONGS)
        result[:, part] = (matrix.T @ matrix[:, part]).toarray()
    return result


def _mirror(matrix: FloatArray) -> None:
    """Copy the lower triangle of a square matrix to the upper one, in place."""
    n = len(matrix)
    for start in range(0, n, EASE_BLOCK_SONGS):
        stop = min(n, start + EASE_BLOCK_SONGS)
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T
        own = matrix[start:stop, start:stop]
        own[...] = np.tril(own) + np.tril(own, -1).T


VS_BLOCK_HISTORIES = 512  # looked up by one product
GROWTH = 4  # by which more sessions are looked at, until enough share a song


@dataclass(frozen=True, slots=True, kw_only=True)
class VSKNNRecipe:
    """Settings of the comparison of sessions.

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
        check_fields(self, neighbours=">=1", newest=">=1", history=">=1")


class _Near(NamedTuple):
    """The sessions nearest to a block of q histories, m in all: those of row 0, then of row 1..."""

    starts: Int64Array  # (q + 1,): where the sessions of each history begin
    session: Int64Array  # (m,), from old to new
    weight: Float64Array  # (m,)


class VSKNN(CountingChannel[VSKNNRecipe]):
    """Songs of the past sessions that share most with this one; stores sessions without ids.

    Vector multiplication session kNN:

        histories ──newest sessions that share a song──▶ the k most similar ──▶ their songs

    Later songs of the history weigh more. A session's similarity is the sum of the weights of the
    songs that it shares; a song's similarity is the sum over the sessions that contain it, each
    weighted by the position of the last shared song in the history.

    Source: Ludewig and Jannach, *Evaluation of session-based recommendation algorithms*, 2018.
    """

    name = "vs-knn"
    horizon = "short"
    reason = ReasonKind.LISTENERS
    people = "The sessions it was trained on, without ids and times: this is listening history."
    Recipe = VSKNNRecipe
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
        from scipy.sparse import csr_array

        n_sessions, n = len(self.session_starts) - 1, len(self.song_ids)
        ones = np.ones(len(self.session_songs))  # float64: sums do not depend on their order
        held = csr_array((ones, self.session_songs, self.session_starts), shape=(n_sessions, n))
        similarities = np.empty((len(queries.histories), n), np.float32)
        for rows, _, near in self._near(queries.histories):
            shape = (len(rows), n_sessions)
            weight = csr_array((near.weight, near.session, near.starts), shape=shape)
            similarities[rows] = (weight @ held).toarray()
        similarities[similarities == 0] = -np.inf
        return similarities

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the song of the history that the sessions behind each candidate share most."""
        evidence = np.full(song.shape, -1, np.int64)
        table = Wanted(len(self.song_ids))
        for rows, lateness, near in self._near(histories):
            songs, starts = self._songs_of(near.session)
            for at, row in enumerate(rows.tolist()):
                first, stop = near.starts[at], near.starts[at + 1]
                there = np.flatnonzero(song[row] >= 0)
                if first == stop or not len(there):
                    continue
                of = songs[starts[first] : starts[stop]], starts[first : stop + 1] - starts[first]
                own = lateness.indices[lateness.indptr[at] : lateness.indptr[at + 1]]
                held = table.grid(song[row, there], *of)
                both = held @ (table.grid(own, *of) * near.weight[first:stop]).T
                evidence[row, there] = np.where(both.max(axis=1) > 0, own[both.argmax(axis=1)], -1)
        return evidence

    def _near(self, histories: Sequences) -> Iterator[tuple[Int64Array, Any, _Near]]:
        """Yield rows of the histories, their lateness, and the sessions nearest to them."""
        for first in range(0, len(histories), VS_BLOCK_HISTORIES):
            rows = np.arange(first, min(first + VS_BLOCK_HISTORIES, len(histories)))
            lateness = _lateness(histories.take(rows).newest(self.recipe.history))
            row, session, total = self._sharing(lateness)
            # A session's songs, as columns of a dense table of what this block has heard.
            used, late = _used(lateness)
            number = np.zeros(len(self.song_ids), np.int64)
            number[used] = 1 + np.arange(len(used))
            table = np.zeros((len(rows), 1 + len(used)))
            table[:, 1:] = late.toarray()
            songs, starts = self._songs_of(session)
            shared = table[np.repeat(row, np.diff(starts)), number[songs]]
            last = np.maximum.reduceat(shared, starts[:-1]) if len(shared) else shared
            weight = (total * last).astype(np.float32)
            begins = offsets(np.bincount(row, minlength=len(rows)))
            yield rows, lateness, _Near(begins, session, weight.astype(np.float64))

    def _songs_of(self, session: Int64Array) -> tuple[Int32Array, Int64Array]:
        """Return the songs of sessions, one after another, and where each session begins."""
        lengths = np.diff(self.session_starts)[session]
        return self.session_songs[entries(self.session_starts[session], lengths)], offsets(lengths)

    def _sharing(self, lateness: Any) -> tuple[Int64Array, Int64Array, Float64Array]:
        """Return row, session and sum of shared weights of the neighbours of each history (q, S).

        They are chosen among the `newest` that share a song, by that sum; of equals the newer
        counts. Most histories share a song with many of the very newest sessions, so few are
        looked at first.
        """
        parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
        rows, first = np.flatnonzero(np.diff(lateness.indptr)), len(self.session_starts) - 1
        width = 2 * self.recipe.newest
        while len(rows) and first:
            first = max(0, len(self.session_starts) - 1 - width)
            width *= GROWTH
            songs, some = _used(lateness[rows])
            product = some @ self._sessions_with(songs, first)
            product.sort_indices()
            counts = np.diff(product.indptr)
            enough = (counts >= self.recipe.newest) | (first == 0)
            place = np.flatnonzero(enough)
            most = np.minimum(counts[place], self.recipe.newest)
            at = entries((product.indptr[place + 1] - most).astype(np.int64), most)
            row = np.repeat(place, most)
            kept = _largest(product.data[at], offsets(most), self.recipe.neighbours)
            parts.append(
                (rows[row[kept]], first + product.indices[at[kept]], product.data[at[kept]])
            )
            rows = rows[~enough]
        row, session, total = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(row, kind="stable")
        return row[order], session[order].astype(np.int64), total[order]

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


def _largest(values: Float64Array, starts: Int64Array, most: int) -> Int64Array:
    """Return the places of the `most` largest values of each row, of equal ones the later."""
    lengths = np.diff(starts)
    width = int(lengths.max(initial=0))
    if width <= most:
        return np.arange(len(values))
    there = np.arange(width) < lengths[:, None]
    padded = np.full(there.shape, -np.inf)
    padded[there] = values
    kth = np.partition(padded, width - most, axis=1)[:, [width - most]]
    more, equal = padded > kth, padded == kth
    left = most - more.sum(axis=1, keepdims=True)
    behind = equal[:, ::-1].cumsum(axis=1)[:, ::-1]  # equal values from here on
    return np.flatnonzero((more | (equal & (behind <= left)))[there])


def _lateness(histories: Sequences) -> Any:
    """Return the weight of each song of each history, by its last place: csr (q, S) float64."""
    from scipy.sparse import csr_array

    n, key = max(1, len(histories.song_ids)), histories.pair
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
