"""Rows of the table of songs: descriptions, counts of plays, and vectors.

past, store, models ──song_rows──▶ tables of `songs`, some rows at a time
space of the store  ──nearest_agreement──▶ agreement of a raw cosine with ``similar``
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.columns import ListColumns
from audiorec.files.arrow import arrow_array
from audiorec.listening.events import is_listening
from audiorec.listening.side import RELEASED, SongSide
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.serving.export.features import LONG_AGO, EventHistory, moments, vectors
from audiorec.recall.serving.export.schema import DESCRIPTIONS
from audiorec.search.searchable import SearchableStore
from audiorec.search.topk import nearest
from audiorec.types import BoolArray, Float64Array, FloatArray, IdMap, Int64Array, string_array

ROWS = 16_384
NOTHING = SongSide(song_ids=(), released=np.empty(0, np.float32))
QUERIES = 1_000  # sampled songs of `nearest_agreement`
Z = 1.959964  # quantile of the normal distribution for a 95 % interval


def song_rows(
    past: EventHistory,
    song_ids: tuple[str, ...],
    likes: Int64Array,
    *,
    side: SongSide | None,
    store: SearchableStore | None,
    units: bool,
    spaces: Sequence[tuple[str, SharedSpace]],
) -> Iterator[Mapping[str, Any]]:
    """Yield the columns of songs, sorted by id, some rows at a time.

    Parameters
    ----------
    past : EventHistory
    song_ids : tuple of str
        Sorted: all of `EventHistory.song_ids`, and other proposed songs.
    likes : ndarray, shape (songs of the log,), int64
        Number of users who like each song.
    side : SongSide, optional
    store : SearchableStore, optional
    units : bool
        Whether to add the units of the store's vectors.
    spaces : sequence of (slug, channel)
        Models whose song embeddings to add.
    """
    ids = string_array(song_ids)
    known = IdMap(string_array(past.song_ids)).rows(ids)
    counts = {name: np.append(column, 0) for name, column in _counts(past, likes).items()}
    ends = [np.append(column, LONG_AGO) for column in _ends(past)]
    rate = np.append(_finish_rate(past), np.nan)
    in_store = np.full(len(song_ids), -1, np.int64) if store is None else IdMap(store.ids).rows(ids)
    matrix = store.space("vector", use_index=False).matrix if store is not None and units else None
    tables = {slug: (IdMap(c.song_ids).rows(ids), c.song_embeddings()) for slug, c in spaces}
    durations = None if store is None else store.column("duration_s")
    described = _Described(side or NOTHING, store, ids, in_store)
    for first in range(0, len(song_ids), ROWS):
        part = slice(first, first + ROWS)
        row, at = known[part], in_store[part]
        columns: dict[str, Any] = {ListColumns.SONG: ids[part]}
        columns |= described.columns(part)
        columns |= {name: pa.array(column[row]) for name, column in counts.items()}
        for name, column in zip(("first_played", "last_played"), ends, strict=True):
            columns[name] = moments(column[row])
        columns["finish_rate"] = pa.array(rate[row], mask=np.isnan(rate[row]))
        columns["cold"] = pa.array(counts["plays"][row] == 0)
        columns["duration_s"] = _taken(durations, at)
        if store is not None:
            there = at >= 0
            columns["vector"] = vectors(_rows_or_zeros(store.read_rows, at, there), there)
        if matrix is not None:
            columns["unit"] = vectors(_rows_or_zeros(matrix.__getitem__, at, at >= 0), at >= 0)
        for slug, (rows, values) in tables.items():
            place = rows[part]
            columns[f"embedding_{slug}"] = vectors(
                _rows_or_zeros(values.__getitem__, place, place >= 0)
            )
        yield columns


class _Described:
    """Descriptions of songs from side information, with missing titles from the store."""

    def __init__(
        self, side: SongSide, store: SearchableStore | None, ids: Any, in_store: Int64Array
    ) -> None:
        self._row = IdMap(string_array(side.song_ids)).rows(ids)
        self._side, self._at = side, in_store
        self._titles = None if store is None else store.column("title")

    def columns(self, part: slice) -> dict[str, Any]:
        """Return the columns of a slice of the songs."""
        row, found = self._row[part], {}
        for name in DESCRIPTIONS:
            category = self._side.categories.get(name)
            if category is None:
                found[name] = pa.nulls(len(row), pa.string())
                continue
            number = np.append(category.number, np.int32(-1))[row]
            codes = pa.array(number, mask=number < 0)
            values = string_array(category.values)
            found[name] = pa.DictionaryArray.from_arrays(codes, values).dictionary_decode()
        if self._titles is not None:
            found["title"] = found["title"].fill_null("")
            tags = _taken(self._titles, self._at[part]).to_pylist()
            own = found["title"].to_pylist()
            found["title"] = pa.array(
                [a or b or None for a, b in zip(own, tags, strict=True)], pa.string()
            )
        days = np.append(self._side.released, np.float32(np.nan))[row]
        known = ~np.isnan(days)
        whole = pa.array(np.where(known, days, 0).astype(np.int32), mask=~known)
        found[RELEASED] = whole.cast(pa.date32())
        return found


def nearest_agreement(
    store: SearchableStore, *, queries: int = QUERIES, seed: int = 0
) -> dict[str, Any]:
    """Measure how often the nearest song by a raw cosine is the one that ``similar`` finds.

    Returns
    -------
    found : dict
        ``queries``; ``raw_cosine`` and ``units``: share of queries whose nearest song agrees with
        that of the store's own search, with its 95 % Wilson interval.
    """
    space = store.space("vector", use_index=False)
    rng = np.random.default_rng(seed)
    asked = np.sort(rng.permutation(len(store))[:queries])
    raw = np.asarray(store.vectors, np.float64)
    raw /= np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-300)
    wanted = space.search(space.units(asked), 1, own=asked).rows[:, 0]
    found: dict[str, Any] = {"queries": len(asked)}
    for name, matrix in (("raw_cosine", raw.astype(np.float32)), ("units", space.matrix)):
        first = _first(matrix, asked, store.ranks)
        found[name] = _share(int((first == wanted).sum()), len(asked))
    return found


def _first(matrix: FloatArray, asked: Int64Array, ranks: Int64Array) -> Int64Array:
    rows, _ = nearest(matrix, matrix[asked], 1, ranks=ranks, own=asked)
    return rows[:, 0]


def _share(hits: int, n: int) -> list[float]:
    """Return a share and its 95 % Wilson interval: [value, low, high]."""
    if not n:
        return [0.0, 0.0, 1.0]
    p, z2 = hits / n, Z * Z / n
    half = Z * np.sqrt(p * (1 - p) / n + z2 / (4 * n))
    low, high = ((p + z2 / 2 + side * half) / (1 + z2) for side in (-1, 1))
    return [round(float(value), 4) for value in (p, max(0.0, low), min(1.0, high))]


def _counts(past: EventHistory, likes: Int64Array) -> dict[str, Int64Array]:
    n = len(past.song_ids)
    song, user = past.song[past.finished], past.log.user[past.finished].astype(np.int64)
    listeners = np.unique(user * n + song) % n if n else song
    liked = np.zeros(n, np.int64)
    liked[IdMap(string_array(past.song_ids)).rows(past.log.song_ids)] = likes
    plays, users = (np.bincount(s, minlength=n).astype(np.int64) for s in (song, listeners))
    return {"plays": plays, "listeners": users, "likes": liked}


def _ends(past: EventHistory) -> tuple[Float64Array, Float64Array]:
    n = len(past.song_ids)
    song, time = past.song[past.finished], past.time[past.finished]
    first, last = np.full(n, np.inf), np.full(n, LONG_AGO)
    known: BoolArray = np.isfinite(time)
    np.minimum.at(first, song[known], time[known])
    np.maximum.at(last, song[known], time[known])
    return np.where(np.isfinite(first), first, LONG_AGO), last


def _finish_rate(past: EventHistory) -> Float64Array:
    n = len(past.song_ids)
    listened = np.bincount(past.song[is_listening(past.log.event)], minlength=n)
    done = np.bincount(past.song[past.finished], minlength=n)
    return np.where(listened > 0, done / np.maximum(listened, 1), np.nan)


def _rows_or_zeros(read: Any, at: Int64Array, there: BoolArray) -> FloatArray:
    """Return the rows at `at`, zeros where `there` is False."""
    rows = np.asarray(read(at[there]), np.float32)
    if there.all():
        return rows
    width = rows.shape[1] if rows.ndim == 2 else 0
    found = np.zeros((len(at), width), np.float32)
    found[there] = rows
    return found


def _taken(column: Any, at: Int64Array) -> Any:
    """Return the values of a column at the given rows, null for -1."""
    if column is None:
        return pa.nulls(len(at), pa.float32())
    rows = (
        pa.array(at, mask=at < 0)
        if (at < 0).any()
        else arrow_array(np.ascontiguousarray(at), pa.int64())
    )
    taken = column.take(rows)
    return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken
