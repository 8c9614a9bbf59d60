"""The nearest songs of every song, as one table, by a job that can be stopped.

    store ──all_pairs──▶ neighbours.parquet: song_id, rank, neighbour_id, similarity

Songs are taken in blocks. Each block is compared with all songs in float32, and what comes
near the last place is compared again in float64, so that the numbers and their order are
those of `similar`.
"""

import json
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audiorec.errors import InputError
from audiorec.files.arrow import integers
from audiorec.files.blocks import run_blocks
from audiorec.search.similar import ROUNDING, By, nearest_units
from audiorec.search.space import open_space
from audiorec.search.topk import top_k
from audiorec.spec import fingerprint
from audiorec.store.schema import METADATA_KEY
from audiorec.store.store import VectorStore
from audiorec.types import Float64Array, FloatArray, Int64Array

if TYPE_CHECKING:
    from audiorec.search.space import Space

BLOCK_SONGS = 4_096
# Songs more than asked for: float32 puts those that differ by less than its rounding in any
# order.
SLACK = 8


def all_pairs(
    store: VectorStore,
    out: Path,
    *,
    k: int = 20,
    by: By = "vector",
    table: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> bool:
    """Write the `k` nearest songs of every song to a Parquet file.

    Parameters
    ----------
    store : VectorStore
    out : Path
        Replaced at the end, at once. Columns: ``song_id``, ``rank`` (int32, from 1),
        ``neighbour_id``, ``similarity`` (float32); songs in the order of the store, the
        nearest first. A song is not among its own neighbours.
    k : int
        Fewer rows a song in a store of fewer songs.
    by : {"vector", "mean", "features", "embedding"}
    table : path, optional
        ``features.parquet`` or ``embeddings.parquet``; songs that it lacks are left out.
    progress : callable of (done, total), optional
        Blocks of 4,096 songs.
    stop : threading.Event, optional
        Ends the job after the block in work; the next call goes on from there.

    Returns
    -------
    finished : bool

    Raises
    ------
    InputError
        If `k` is below 1 or `out` is the store itself, and as `Library.space`.
    StoreError
        If another job is writing `out`.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    if Path(out).resolve() == store.path.resolve():
        raise InputError(f"{out}: is the store itself; name another file")
    space = open_space(store, by, table=None if table is None else Path(table))
    units = space.similarity.units
    scaling = space.scaling.to_dict()
    job = {"store": store.fingerprint, "k": k, "by": by, "scaling": scaling, "songs": len(units)}
    if table is not None:  # its numbers have no fingerprint but themselves
        job["sums"] = units.sum(axis=0, dtype=np.float64).tolist()
    return run_blocks(
        Path(out),
        -(-len(units) // BLOCK_SONGS),
        lambda number: _block(space, number * BLOCK_SONGS, k),
        schema=_schema(store, by, k),
        fingerprint=fingerprint(job),
        progress=progress,
        stop=stop,
    )


def nearest_pairs(
    units: FloatArray, start: int, stop: int, k: int, *, ranks: Int64Array
) -> tuple[Int64Array, Float64Array]:
    """Return the nearest rows of rows `start` to before `stop`, without themselves.

    Parameters
    ----------
    units : ndarray, shape (n, W), float32
        Rows of length 1 or 0.
    start, stop : int
    k : int
        Less than n.
    ranks : ndarray, shape (n,), int64
        Order among equals.

    Returns
    -------
    rows : ndarray, shape (stop - start, k), int64
    similarities : ndarray, shape (stop - start, k), float64
        The most similar first.
    """
    queries = units[start:stop]
    fetch = min(len(units), k + 1 + SLACK)
    rows = top_k(queries, units, fetch).indices
    exact = np.einsum(
        "qw,qkw->qk", queries.astype(np.float64), units[rows].astype(np.float64), optimize=True
    )
    exact = np.clip(exact, -1.0, 1.0)
    least = exact.min(axis=1)
    exact[rows == np.arange(start, stop)[:, None]] = -np.inf
    order = np.lexsort((ranks[rows], -exact), axis=1)[:, :k]
    rows, exact = np.take_along_axis(rows, order, 1), np.take_along_axis(exact, order, 1)
    if fetch < len(units) and k:
        # Among equals at the end of the list chance has chosen which were fetched.
        for query in np.flatnonzero(exact[:, -1] <= least + ROUNDING):
            ((all_rows, values),) = nearest_units(units, queries[[query]], k + 1, ranks=ranks)
            others = np.flatnonzero(all_rows != start + query)[:k]
            rows[query], exact[query] = all_rows[others], values[others]
    return rows, exact


def _block(space: "Space", start: int, k: int) -> Any:
    """Return the rows of the table that belong to one block of songs."""
    units, store = space.similarity.units, space.store
    stop = min(start + BLOCK_SONGS, len(units))
    k = min(k, len(units) - 1)
    ranks = store.ranks[space.rows]
    rows, values = nearest_pairs(units, start, stop, k, ranks=ranks)
    songs = np.repeat(space.rows[start:stop], k)
    columns = [
        store.id_array.take(integers(songs)),
        _array(np.tile(np.arange(1, k + 1, dtype=np.int32), stop - start), pa.int32()),
        store.id_array.take(integers(space.rows[rows.ravel()])),
        _array(values.ravel().astype(np.float32), pa.float32()),
    ]
    return pa.Table.from_arrays(columns, schema=_schema(store, space.by, k))


def _schema(store: VectorStore, by: By, k: int) -> Any:
    fields = {
        "song_id": pa.string(),
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
        "created_by": f"audiorec {version('audiorec')}",
    }
    return pa.schema(
        [pa.field(name, kind, nullable=False) for name, kind in fields.items()],
        metadata={METADATA_KEY: json.dumps(content).encode()},
    )


def _array(values: npt.NDArray[Any], kind: Any) -> Any:
    """Return an Arrow array over the numbers' own memory, without pandas."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
