"""Find the nearest songs of every song, as one table, in a resumable job.

    store ──all_pairs──▶ neighbours.parquet: song_id, rank, neighbour_id, similarity

Songs are processed in blocks. Similarities and their order equal those of `similar`. Every song has
rows, since other programs look up any id; among its neighbours each recording stands once, as its
best copy, and no copy of the song itself.
"""

import hashlib
import json
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.columns import StoreColumns
from audiorec.distribution import created_by
from audiorec.errors import InputError
from audiorec.files.arrow import arrow_array, integers
from audiorec.files.tables import run_blocks
from audiorec.search.choice import is_music
from audiorec.search.copies import best_of, recordings_of
from audiorec.search.filters import UNKNOWN
from audiorec.search.questions import Also
from audiorec.search.scaling import By
from audiorec.search.space import Space, choose_space, open_space
from audiorec.spec import fingerprint
from audiorec.store.schema import METADATA_KEY
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, Int32Array, Int64Array, Progress

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

    Parameters
    ----------
    store : VectorStore
    out : Path
        Replaced atomically at the end. Columns: ``song_id``, ``rank`` (int32, from 1),
        ``neighbour_id``, ``similarity`` (float32); songs in store order, each with its
        nearest first. A song is never its own neighbour.
    k : int
        Neighbours per song; fewer in a store with fewer songs.
    by : {"auto", "sound", "vector", "mean"} or path
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
    found = space.search(space.matrix[places], k + 1, allowed=allowed, own=own)
    kept = found.rows >= 0
    kept &= (codes[own] == UNKNOWN)[:, None] | (codes[found.rows] != codes[own][:, None])
    rank = np.cumsum(kept, axis=1)
    kept &= rank <= k
    columns = [
        store.id_array.take(integers(np.repeat(own, kept.sum(axis=1)))),
        arrow_array(rank[kept].astype(np.int32), pa.int32()),
        store.id_array.take(integers(found.rows[kept])),
        arrow_array(found.similarities[kept].astype(np.float32), pa.float32()),
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
