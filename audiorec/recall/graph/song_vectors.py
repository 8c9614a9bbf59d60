"""Song vectors in numpy: initial ones, trained ones that answer queries, those of facts alone.

    lists ──initial_vectors──▶ vectors to train from
    facts ──vectors_from_facts──▶ vectors of songs without a list
    history, `SongVectors` ──▶ similarities of all songs

Nothing here needs torch.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audiorec.learning.machine import generator
from audiorec.listening.sequences import Sequences
from audiorec.recall.graph.material import GraphMaterial
from audiorec.types import BoolArray, FloatArray, Int32Array, Int64Array, lengths_of, unit

ASKED = 256  # lists on which the spread of a part is measured
RECALL_AT = 100
ROWS = 65_536  # per block
SPREAD_OVER = 65_536  # songs on which the spread of a part is measured, at most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SongVectors:
    """Vectors of S songs, in one or more parts.

        rows of `ahead` of a history ──mean, each part at length 1──▶ · `behind` of all songs

    A model may score in two ways: by the cosine of two songs' vectors, and by the dot product of a
    vector and a context, which estimates how much more often than by chance the two co-occur. Each
    is a part of the row; the parts are scaled by their spread over songs and added. Neither
    reflects how often a song is in lists at all: a last part of width one adds a multiple of its
    logarithm.

    Attributes
    ----------
    ahead, behind : ndarray, shape (S, W), float32
        Rows that a history averages, and rows that it is compared with; parts side by side.
    parts : tuple of int
        Widths of the parts.
    has_place : ndarray, shape (S,), bool
        Songs that have a vector.
    scales : tuple of float
        What the first parts of `behind` were multiplied by (`scaled`).
    """

    ahead: FloatArray
    behind: FloatArray
    parts: tuple[int, ...]
    has_place: BoolArray
    scales: tuple[float, ...] = ()

    def users(self, histories: Sequences) -> FloatArray:
        """Return histories as rows (Q, W): the unit-length mean of each part, or zeros."""
        known = histories.keep(self.has_place[histories.song])
        if known.lengths.any():
            n = max(1, len(self.ahead))
            pair = np.unique(known.owner * n + known.song)
            owner, song = pair // n, pair % n
        else:
            owner = song = np.empty(0, np.int64)
        result = np.zeros((len(histories), self.ahead.shape[1]), np.float64)
        np.add.at(result, owner, self.ahead[song].astype(np.float64))
        first = 0
        for width in self.parts:
            part = result[:, first : first + width]
            part /= lengths_of(part)
            first += width
        return result.astype(np.float32)

    def similarities(self, histories: Sequences) -> FloatArray:
        """Return similarities to all songs, (Q, S); -inf for unknown histories and songs."""
        users = self.users(histories)
        result = users @ self.behind.T
        result[~users.any(axis=1)] = -np.inf
        result[:, ~self.has_place] = -np.inf
        return result.astype(np.float32, copy=False)


def prior_columns(
    counts: Int64Array, has_place: BoolArray, share: float
) -> tuple[FloatArray, FloatArray]:
    """Return the last column of `ahead` and `behind`, (S, 1): `share` times the log of the counts.

    It adds the same number to every history, since a mean of ones is one.
    """
    behind = share * np.log(np.maximum(counts, 1))
    return has_place[:, None].astype(np.float32), behind[:, None].astype(np.float32)


def scaled(
    places: SongVectors, lists: Sequences, warm: BoolArray, weights: tuple[float, ...]
) -> SongVectors:
    """Scale the parts in place: to a spread of 1 over warm songs, times their weights.

    The spread is measured on evenly spaced samples of lists and songs. Parts without a weight are
    left unchanged.
    """
    users = places.users(lists.take(_spaced(lists.lengths > 0, ASKED)))
    songs = _spaced(warm, SPREAD_OVER)
    first, scales = 0, []
    for width, weight in zip(places.parts, weights, strict=False):
        part = slice(first, first + width)
        spread = float((users[:, part] @ places.behind[songs, part].T).std()) if len(songs) else 0.0
        scales.append(weight / spread if spread > 0 else 0.0)
        places.behind[:, part] *= np.float32(scales[-1])
        first += width
    return replace(places, scales=tuple(scales))


def _spaced(mask: BoolArray, most: int) -> Int64Array:
    result = np.flatnonzero(mask)
    return result[np.linspace(0, len(result) - 1, min(most, len(result))).astype(np.int64)]


def hidden_recall(
    places: SongVectors, known: Sequences, wanted: Sequences, warm: BoolArray
) -> float:
    """Return the mean recall of hidden warm songs at 100, over lists.

    It is capped: divided by min(100, hidden songs). Known songs of a list are not proposed.
    """
    similarities = places.similarities(known)
    similarities[known.owner, known.song] = -np.inf
    similarities[:, ~warm] = -np.inf
    most = min(RECALL_AT, similarities.shape[1])
    best: Int64Array = np.argpartition(-similarities, most - 1, axis=1)[:, :most]
    shares = []
    for row in range(len(known)):
        own = np.unique(wanted[row])
        own = own[warm[own]]
        if len(own):
            there = best[row][similarities[row, best[row]] > -np.inf]
            shares.append(len(np.intersect1d(own, there)) / min(RECALL_AT, len(own)))
    return float(np.mean(shares)) if shares else 0.0


NEW_LENGTH = 2.0  # of the random part of a new song: about half that of a learnt song
SMALL = 0.5  # divided by the dimension: spread of the added noise


class ListProfiles:
    """Untrained song profiles: the mean of the random directions of a song's lists."""

    def __init__(self, plays: Sequences, rng: np.random.Generator, width: int) -> None:
        lists = rng.standard_normal((len(plays), width), dtype=np.float32)
        self._lists = lists / np.float32(width**0.5)
        shape = (len(plays.song_ids), len(plays))
        self._matrix = _sparse(plays.song, plays.owner, None, shape)

    def of(self, songs: slice | Int64Array) -> FloatArray:
        """Return the profiles of songs, (n, width) of unit length; zeros for songs of no list.

        The cosine of two profiles estimates that of the songs' sets of lists, with an error of
        about 1 / sqrt(width).
        """
        return unit(self._matrix[songs] @ self._lists)


def initial_vectors(material: GraphMaterial, rng: np.random.Generator, found: FloatArray) -> None:
    """Fill `found` (entities, D) with initial vectors, by blocks; songs have length about 1.

        lists ──random directions──▶ songs: mean of their lists ──▶ entities: mean of their songs

    Songs that share lists start near each other, which saves most of the epochs that a random
    initialisation needs to discover that.
    """
    n, width = material.n_songs, found.shape[1]
    profiles = ListProfiles(material.plays, rng, width)
    for first in range(0, n, ROWS):
        part = slice(first, min(n, first + ROWS))
        found[part] = profiles.of(part)
    del profiles
    _place_entities(material, found)
    for first in range(0, len(found), ROWS):
        rows = found[first : first + ROWS]
        rows += (rng.random(rows.shape, dtype=np.float32) * 2 - 1) * np.float32(SMALL / width)


def go_on_from(
    material: GraphMaterial,
    rng: np.random.Generator,
    songs: FloatArray,
    learnt: BoolArray,
    found: FloatArray,
) -> None:
    """Fill `found` (entities, D) with the vectors of learnt songs (S,), and place the others.

    A song that is not `learnt` starts as the mean of its lists, moved in a random direction of
    these lists; a list is the mean of its learnt songs. `songs` (S, D) has any numbers there.
    """
    n, plays = material.n_songs, material.plays
    known = plays.keep(learnt[plays.song])
    shape = (len(plays), n)
    lists = _sparse(known.owner, known.song.astype(np.int64), None, shape) @ songs
    lists = lists / np.maximum(known.lengths, 1)[:, None]
    in_lists = _sparse(plays.song, plays.owner, None, shape[::-1]) @ lists
    in_lists /= np.maximum(material.counts, 1)[:, None]
    in_lists += NEW_LENGTH * ListProfiles(plays, rng, songs.shape[1]).of(slice(0, n))
    found[:n] = np.where(learnt[:, None], songs, in_lists)
    _place_entities(material, found)


def _place_entities(material: GraphMaterial, found: FloatArray) -> None:
    """Fill the rows of entities that are no songs: the directions of the means of their songs."""
    n = material.n_songs
    song, _, entity, weight = material.links
    others = entity >= n  # song-song links have no row of their own
    shape = (material.n_entities - n, n)
    matrix = _sparse(entity[others] - n, song[others], weight[others], shape)
    for first in range(0, shape[0], ROWS):
        part = slice(first, min(shape[0], first + ROWS))
        found[n + part.start : n + part.stop] = unit(matrix[part] @ found[:n])


def _sparse(
    row: Int64Array | Int32Array,
    column: Int64Array,
    weight: FloatArray | None,
    shape: tuple[int, int],
) -> Any:
    from scipy.sparse import csr_array

    values = np.ones(len(row), np.float32) if weight is None else weight
    return csr_array((values, (row, column)), shape=shape, dtype=np.float32)


PROFILE = 64  # width of the random list profiles
TRIED = 2_000  # songs in lists on which a relation's cosine is measured
LEAST, MOST = 0.01, 0.95  # bounds of that cosine

RowsOf = Callable[[Int64Array], FloatArray]  # song numbers to rows (n, D)


def vectors_from_facts(
    material: GraphMaterial,
    table: FloatArray,
    warm: BoolArray,
    songs: Int64Array,
) -> tuple[FloatArray, FloatArray]:
    """Compute vectors of songs from their facts, weighting each relation by how telling it is.

    A song lies at the mean of the songs in lists with the same facts. Only entities linked to a
    song in a list count; the more songs one has, the less it weighs.

    Parameters
    ----------
    table : ndarray, shape (entities, D)
    warm : ndarray, shape (S,), bool
        Songs that are in lists.
    songs : ndarray, shape (n,)
        The songs to place.

    Returns
    -------
    place : ndarray, shape (n, D), float32
        Of unit length; zeros if nothing is known.
    length : ndarray, shape (n,), float32
        Length of the mean of the songs in lists with the same facts: the more they agree, and the
        more often they are played, the longer.
    """
    links = _Links(material, table.__getitem__, warm, songs)
    width = table.shape[1]
    counts = _how_telling(material, warm)
    place = np.zeros((len(songs), width), np.float32)
    length = np.zeros(len(songs), np.float32)
    for first in range(0, len(songs), ROWS):
        rows = min(ROWS, len(songs) - first)
        block = slice(*np.searchsorted(links.of, (first, first + rows)).tolist())
        result, middle = (np.zeros((rows, width), np.float32) for _ in range(2))
        share = np.full(rows, 1e-9, np.float32)
        for number in np.unique(links.relation[block]).tolist():
            at = block.start + np.flatnonzero(links.relation[block] == number)
            sums = _summed(links.of[at] - first, links.weight[at], rows)
            ends = links.end[at]
            result += counts[number] * unit(sums @ links.direction[ends])
            total = sums.sum(axis=1)
            middle += counts[number] * (sums @ links.mean[ends]) / np.maximum(total, 1e-9)[:, None]
            share += counts[number] * (total > 0)
        place[first : first + rows] = unit(result)
        length[first : first + rows] = np.linalg.norm(middle / share[:, None], axis=1)
    return place, length


class _Links:
    """Links from some songs to entities that songs in lists are linked to.

    Attributes
    ----------
    of, relation, end : ndarray, shape (L,)
        Row of the song in `songs`, ascending; the relation; row of the entity in `ends`.
    weight : ndarray, shape (L,)
        Weights; the more songs in lists the entity has, the smaller.
    ends : ndarray, shape (n,)
    direction, mean : ndarray, shape (n, D)
        Means of the songs in lists that an entity is linked to; an entity that is a song is itself.
    """

    def __init__(
        self, material: GraphMaterial, rows_of: RowsOf, warm: BoolArray, songs: Int64Array
    ) -> None:
        from scipy.sparse import csr_array

        song, relation, entity, weight = material.links
        n = material.n_songs
        live = warm[song]
        of_warm = np.bincount(entity[live], minlength=material.n_entities)
        row = np.full(n, -1, np.int64)
        row[songs] = np.arange(len(songs))
        speaks = np.where(entity < n, warm[np.minimum(entity, n - 1)], of_warm[entity] > 0)
        asked = (row[song] >= 0) & speaks
        self.of, self.relation = row[song[asked]], relation[asked]
        self.ends, self.end = np.unique(entity[asked], return_inverse=True)
        heavy = weight[asked] / np.sqrt(of_warm[entity[asked]].clip(1))
        self.weight: FloatArray = heavy.astype(np.float32)
        number = np.full(material.n_entities, -1, np.int64)
        number[self.ends] = np.arange(len(self.ends))
        wanted = live & (number[entity] >= 0) & (entity >= n)
        known, column = np.unique(song[wanted], return_inverse=True)
        place = number[entity[wanted]]
        shape = (len(self.ends), len(known))
        matrix = csr_array((np.ones(len(place), np.float32), (place, column)), shape=shape)
        self.counts = np.bincount(place, minlength=len(self.ends))
        rows = rows_of(known)
        self.sums: FloatArray = np.asarray(matrix @ unit(rows), np.float32)
        self.direction = unit(self.sums)
        self.mean: FloatArray = (matrix @ rows / self.counts.clip(1)[:, None]).astype(np.float32)
        itself = self.ends < n
        self.mean[itself] = rows_of(self.ends[itself])
        self.direction[itself] = unit(self.mean[itself])


def _how_telling(material: GraphMaterial, warm: BoolArray) -> FloatArray:
    """Return the weight of each relation, from either end: (2 R,) float32.

    If c is the mean cosine between the list profile of a song and those of the others with the same
    fact, the weight of a relation is c / (1 - c^2), as in a regression on independent signals. So
    many songs that sound alike do not outvote the artist. Trained vectors could not be used to
    measure c: training pulls songs with a common fact together, even if the relation is
    uninformative.
    """
    profiles = ListProfiles(material.plays, generator(0), PROFILE)
    n = material.n_songs
    result = np.flatnonzero(warm)
    tried = result[np.linspace(0, len(result) - 1, min(TRIED, len(result))).astype(np.int64)]
    links = _Links(material, profiles.of, warm, tried)
    own = profiles.of(tried)
    # Leave a song out of its own prediction: subtract it from the sum of its hub.
    is_hub = links.ends[links.end] >= n
    others = np.where(
        is_hub[:, None], links.sums[links.end] - own[links.of], links.direction[links.end]
    )
    speaks = ~is_hub | (links.counts[links.end] > 1)
    counts = np.empty(2 * max(1, len(material.facts.relations)), np.float32)
    for number in range(len(counts)):
        at = np.flatnonzero((links.relation == number) & speaks)
        there = np.unique(links.of[at])
        cosine = LEAST
        if len(there):
            like = unit(_summed(links.of[at], links.weight[at], len(tried)) @ unit(others[at]))
            cosine = float((like[there] * own[there]).sum(axis=1).mean())
        cosine = min(MOST, max(LEAST, cosine))
        counts[number] = cosine / (1 - cosine**2)
    return counts


def _summed(row: Int64Array, weight: FloatArray, rows: int) -> Any:
    from scipy.sparse import csr_array

    return csr_array((weight, (row, np.arange(len(row)))), shape=(rows, len(row)))
