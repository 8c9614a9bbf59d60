"""Find the nearest eligible songs of one query or several, or of every song.

    space, seeds (Q, W), Chosen ──near_seeds─▶ `Neighbours` of one or several seeds as one query
    space, units (Q, W), ...    ──near_each──▶ `Neighbours` of each of several
    store ──all_pairs──▶ neighbours.parquet: song_id, rank, neighbour_id, similarity

`Space.search` knows similarity only. This module adds duplicates, limits and a minimum similarity,
with the names and defaults of the command line.
"""

import hashlib
import json
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from audiorec.columns import StoreColumns
from audiorec.distribution import created_by
from audiorec.errors import InputError
from audiorec.files.arrow import arrow_array, integers
from audiorec.files.tables import run_blocks
from audiorec.search.choice import OVERFETCH, Chosen, Ranking, select
from audiorec.search.copies import best_of, recordings_of
from audiorec.search.filters import UNKNOWN
from audiorec.search.music import is_music
from audiorec.search.questions import MINIMUM, Also
from audiorec.search.scaling import By
from audiorec.search.space import Neighbours, Space, choose_space, mean_direction, open_space
from audiorec.spec import fingerprint
from audiorec.store.schema import METADATA_KEY
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, Float64Array, FloatArray, Int32Array, Int64Array, Progress

FIRST_PLACES = 5  # the larger, the less the first places of a ranking are worth
VOTES = 60  # songs that a seed votes for, at least
PULL = 0.3  # the larger, the more seeds of one taste ask as one


def together(units: FloatArray) -> FloatArray:
    """Return the direction that each seed asks in: (Q, W), pulled towards the seeds near it.

    Each is the mean of all seeds, weighted by ``exp((similarity - 1) / 0.3)``, of length 1.

    Examples
    --------
    >>> together(np.float32([[1, 0], [1, 0], [0, 1]])).round(2)
    array([[1.  , 0.02],
           [1.  , 0.02],
           [0.07, 1.  ]], dtype=float32)
    """
    exact = units.astype(np.float64)
    pulled = np.exp((exact @ exact.T - 1) / PULL) @ exact
    length = np.sqrt(np.einsum("ij,ij->i", pulled, pulled))[:, None]
    # Of length 0 only where a seed has no direction of its own, and no other pulls it.
    return np.where(length > 0, pulled / np.maximum(length, 1e-12), exact).astype(np.float32)


def draw(rankings: Sequence[Ranking], most: int) -> Ranking:
    """Draw the songs of several rankings into one.

    The song at place r of a seed's ranking gets a vote of ``1 / (5 + r)``. Songs are drawn one by
    one: the next is the one with the most votes, and the votes of a seed count less the more of the
    drawn songs it has voted for, as in sequential proportional approval voting (T. N. Thiele, "Om
    flerfoldsvalg", Oversigt over det Kongelige Danske Videnskabernes Selskabs Forhandlinger, 1895).
    The constants were chosen on GTZAN's clips (docs/decisions/0056).

    Parameters
    ----------
    rankings : sequence of (ndarray, ndarray)
        Rows of the songs nearest to each seed and their similarities, nearest first.
    most : int
        Songs to draw.

    Returns
    -------
    rows : ndarray, shape (m,), int64
        Songs that a seed voted for, in the order of drawing; ties go to the larger similarity, then
        to the smaller row.
    similarities : ndarray, shape (m,), float64
        To the nearest of the seeds that voted for it.

    Examples
    --------
    Two seeds of one taste, one of another, which has the third song.

    >>> of_one, of_other = np.array([1, 2, 3, 4]), np.array([7, 8, 9])
    >>> near = np.array([0.9, 0.8, 0.7, 0.6])
    >>> draw([(of_one, near), (of_one, near), (of_other, near[:3])], 4)[0].tolist()
    [1, 2, 7, 3]
    """
    rows = np.unique(np.concatenate([ranking[0] for ranking in rankings]))
    votes = np.zeros((len(rows), len(rankings)))
    nearest = np.full(len(rows), -np.inf)
    for seed, (of_seed, similarities) in enumerate(rankings):
        places = np.searchsorted(rows, of_seed)
        votes[places, seed] = 1 / (FIRST_PLACES + 1 + np.arange(len(of_seed)))
        nearest[places] = np.maximum(nearest[places], similarities)
    order = np.lexsort((rows, -nearest))
    rows, votes, nearest = rows[order], votes[order], nearest[order]
    shares = votes / votes.sum(axis=1, keepdims=True)
    served = np.zeros(len(rankings))
    drawn = np.empty(min(most, len(rows)), np.int64)
    for place in range(len(drawn)):
        drawn[place] = best = int(np.argmax(votes @ (1 / (1 + served))))
        served += shares[best]
        votes[best] = -1.0
    return rows[drawn], nearest[drawn]


AWAY = 0.5  # weight of the song to avoid; with more, results resemble neither song
SAME = 0.999  # cosine above which two songs count as the same
FIRST = 3  # first request: this times k, so that few queries are repeated


class _Options(NamedTuple):
    k: int
    chosen: Chosen
    diversity: float
    minimum: float
    pull: FloatArray | None = None


def away_from(unit: FloatArray, other: FloatArray) -> FloatArray:
    """Return the unit direction (W,) towards `unit` and, at half the weight, away from `other`.

    Raises
    ------
    InputError
        If the two are the same song, so that no direction is left.

    Examples
    --------
    >>> away_from(np.float32([1, 0]), np.float32([0, 1])).round(3)
    array([ 0.894, -0.447], dtype=float32)
    """
    direction = unit.astype(np.float64) - AWAY * other
    length = float(np.sqrt(direction @ direction))
    if float(unit @ other) > SAME or length == 0.0:
        raise InputError("cannot search for more like and less like the same song; name two songs")
    return (direction / length).astype(np.float32)


def near_seeds(
    space: Space,
    units: FloatArray,
    k: int,
    chosen: Chosen,
    *,
    taken: Sequence[int] = (),
    away: FloatArray | None = None,
    mean: bool = False,
    diversity: float = 0.0,
    minimum: float = MINIMUM,
    pull: FloatArray | None = None,
) -> Neighbours:
    """Return up to `k` eligible songs near several seeds, each taste with its share.

        seeds (Q, W) ──together──▶ Q directions ──search──▶ Q rankings ──draw──▶ one ranking

    The mean of seeds of two tastes lies between them, where neither has its songs. So each seed
    asks by itself, in a direction that seeds near it pull a little towards them.

    Parameters
    ----------
    space, k, chosen, taken, diversity, minimum
        As for `near_seeds`.
    units : ndarray, shape (Q, W)
        The seeds, each of length 1.
    away : ndarray, shape (W,), optional
        A direction to avoid; see `away_from`.
    mean : bool
        Search near the mean of the seeds, instead of near each of them.
    pull : ndarray, shape (n,), optional
        What is added to the similarity of each song of the store where songs are chosen; songs of
        -inf are not found.

    Returns
    -------
    found : Neighbours
        In the order of picking (`audiorec.search.near`). Similarities are to the nearest seed, or
        to the mean; with `away`, to the nearest of the directions that are searched in.
    """
    asked = mean_direction(units)[None] if mean or len(units) < 2 else together(units)
    if away is not None:
        asked = np.stack([away_from(unit, away) for unit in asked])
    options = _Options(k, chosen, diversity, minimum, pull)
    rows, similarities = _chosen(space, asked, options, taken)
    voted = len(asked) > 1 and away is None
    if (voted or pull is not None) and len(rows):
        seeds = (units if voted else asked).T.astype(np.float64)
        similarities = (space.units(rows).astype(np.float64) @ seeds).max(axis=1)
    return Neighbours(space.store, rows, similarities, by=space.by)


def near_each(
    space: Space,
    units: FloatArray,
    k: int,
    chosen: Chosen,
    *,
    own: Int64Array | None = None,
    diversity: float = 0.0,
    minimum: float = MINIMUM,
) -> Neighbours:
    """Return up to `k` eligible songs near each of several queries (Q, W), like `near_seeds`.

    `own` (Q,) is the store row of the song behind each query; it is not its own neighbour, but
    counts against the limits.
    """
    if not chosen.limits and not diversity:
        nearest = space.search(units, k, allowed=chosen.allowed, own=own)
        good = nearest.similarities >= minimum
        rows, similarities = np.where(good, nearest.rows, -1), nearest.similarities
        return Neighbours(space.store, rows, np.where(good, similarities, np.nan), by=space.by)
    options = _Options(k, chosen, diversity, minimum)
    result: Neighbours | None = None
    if len(units) > 1:
        result = space.search(units, FIRST * k, allowed=chosen.allowed, own=own)
    rows, similarities = np.full((len(units), k), -1, np.int64), np.full((len(units), k), np.nan)
    for index, unit in enumerate(units):
        taken = () if own is None else (int(own[index]),)
        first = None if result is None else (result[index].rows, result[index].similarities)
        one = _chosen(space, unit[None], options, taken, first)
        rows[index, : len(one[0])], similarities[index, : len(one[0])] = one
    return Neighbours(space.store, rows, similarities, by=space.by)


def _chosen(
    space: Space,
    units: FloatArray,
    options: _Options,
    taken: Sequence[int],
    first: Ranking | None = None,
) -> tuple[Int64Array, Float64Array]:
    """Return rows and similarities of one query (1, W), or of several that vote, (Q, W).

    `first` holds the `FIRST` * k nearest songs of one query, if known.
    """
    k, chosen, diversity, minimum, pull = options
    allowed = chosen.allowed
    if taken:
        allowed = allowed.copy()
        allowed[list(taken)] = False

    def ranking(m: int) -> Ranking:
        if first is not None and m <= FIRST * k:
            rows, similarities = first[0][:m], first[1][:m]
        else:
            return _ranked(space, units, m, allowed, minimum, pull)
        good = similarities >= minimum
        return rows[good], similarities[good]

    return select(
        ranking, k, limits=chosen.limits, taken=taken, diversity=diversity, units=space.units
    )


def _ranked(
    space: Space,
    units: FloatArray,
    most: int,
    allowed: BoolArray,
    minimum: float,
    pull: FloatArray | None,
) -> Ranking:
    """Return the `most` nearest songs of one query, or those that several draw by their votes."""
    asked = most if len(units) == 1 else VOTES
    while True:
        if pull is not None:
            rankings = list(_pulled(space, units, asked, allowed & (pull > -np.inf), minimum, pull))
        else:
            result = space.search(units, asked, allowed=allowed)
            near = [(one, one.similarities >= minimum) for one in result]
            rankings = [(one.rows[good], one.similarities[good]) for one, good in near]
        if len(units) == 1:
            return rankings[0]
        rows, similarities = draw(rankings, most)
        if len(rows) == most or all(len(ranking[0]) < asked for ranking in rankings):
            return rows, similarities
        asked = min(max(asked * OVERFETCH, most), len(space))


def _pulled(
    space: Space,
    units: FloatArray,
    most: int,
    allowed: BoolArray,
    minimum: float,
    pull: FloatArray,
) -> Iterator[Ranking]:
    """Yield for each query the `most` songs of the largest similarity and pull together."""
    every, there = space.units_by_row()
    for near in units @ every.T:
        rows = np.flatnonzero(allowed & there & (near >= minimum))
        values = near[rows].astype(np.float64) + pull[rows]
        order = np.argsort(-values, kind="stable")[:most]
        yield rows[order], values[order]


BLOCK_SONGS = 4_096


def all_pairs(
    store: VectorStore,
    out: Path,
    *,
    k: int = 20,
    by: str | Path = "auto",
    also: Collection[Also] = (),
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> bool:
    """Write the `k` nearest songs of every song to a Parquet file.

    Songs are processed in blocks, and an interrupted job resumes. Similarities and their order
    equal those of `similar`. Every song has rows, since other programs look up any id; among its
    neighbours each recording stands once, as its best copy, and no copy of the song itself.

    Parameters
    ----------
    store : VectorStore
    out : Path
        Replaced atomically at the end. Columns: ``song_id``, ``rank`` (int32, from 1),
        ``neighbour_id``, ``similarity`` (float32); songs in store order, each with its
        nearest first. A song is never its own neighbour.
    k : int
        Neighbours per song; fewer in a store with fewer songs.
    by : {"auto", "sound", "vector"} or path
        By default sound, or the vector in a store without; or a file of learnt embeddings. Songs
        that lack what is compared are left out.
    also : collection of {"copies", "non-music"}
        With non-music, speech, noise, silence and jingles get rows as well, and can be neighbours;
        see `is_music`. With copies, all copies of a recording can be.
    progress : callable of (done, total), optional
        Counts blocks of 4,096 songs.
    stop : threading.Event, optional
        Stops the job after the current block; calling it again resumes from there.

    Returns
    -------
    finished : bool

        False if `stop` ended the job early.

    Raises
    ------
    InputError
        If `k` is below 1, `out` is the store itself, or as for `SearchableStore.space`.
    StoreError
        If another job is writing `out`.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    if Path(out).resolve() == store.path.resolve():
        raise InputError(f"{out}: is the store itself; name another file")
    compared = choose_space(store, by)
    space = open_space(store, compared)
    allowed = np.ones(len(store), np.bool_) if "non-music" in also else is_music(store)
    asked = np.flatnonzero(allowed[space.rows])
    codes = np.full(len(store), UNKNOWN, np.int32)
    if "copies" not in also:
        recordings = recordings_of(store)
        codes = recordings.codes
        allowed &= best_of(codes, recordings.rank, allowed)
    scaling = space.scaling.to_dict()
    job = {
        "store": store.fingerprint_of("sound" if compared.by == "sound" else "vector"),
        "k": k,
        "by": compared.by,
        "scaling": scaling,
        "songs": len(space),
        "asked": hashlib.sha256(asked.tobytes() + allowed.tobytes()).hexdigest(),
    }
    if compared.table is not None:  # the table has no fingerprint; its column sums act as one
        job["sums"] = space.matrix.sum(axis=0, dtype=np.float64).tolist()
    return run_blocks(
        Path(out),
        -(-len(asked) // BLOCK_SONGS),
        lambda number: _block(
            space, asked[number * BLOCK_SONGS :][:BLOCK_SONGS], k, allowed, codes
        ),
        schema=_schema(store, compared.by, k),
        fingerprint=fingerprint(job),
        progress=progress,
        stop=stop,
    )


def _block(space: Space, places: Int64Array, k: int, allowed: BoolArray, codes: Int32Array) -> Any:
    """Return the table rows of the songs at `places` in the space, up to `k` per song."""
    own, store = space.rows[places], space.store
    # One more, as the best copy of the song itself may be among them.
    result = space.search(space.matrix[places], k + 1, allowed=allowed, own=own)
    kept = result.rows >= 0
    kept &= (codes[own] == UNKNOWN)[:, None] | (codes[result.rows] != codes[own][:, None])
    rank = np.cumsum(kept, axis=1)
    kept &= rank <= k
    columns = [
        store.id_array.take(integers(np.repeat(own, kept.sum(axis=1)))),
        arrow_array(rank[kept].astype(np.int32), pa.int32()),
        store.id_array.take(integers(result.rows[kept])),
        arrow_array(result.similarities[kept].astype(np.float32), pa.float32()),
    ]
    return pa.Table.from_arrays(columns, schema=_schema(store, space.by, k))


def _schema(store: VectorStore, by: By, k: int) -> Any:
    fields = {
        StoreColumns.ID: pa.string(),
        "rank": pa.int32(),
        "neighbour_id": pa.string(),
        "similarity": pa.float32(),
    }
    content = {
        "kind": "neighbours",
        "format_version": 1,
        "by": by,
        "k": k,
        "extractor_id": store.metadata.extractor_id,
        "created_by": created_by(),
    }
    return pa.schema(
        [pa.field(name, kind, nullable=False) for name, kind in fields.items()],
        metadata={METADATA_KEY: json.dumps(content).encode()},
    )
