"""Stores of many made-up songs, for tests that need more songs than a folder of clips."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from audiorec.store.schema import Kind, StoreMetadata, schema_of
from audiorec.store.store import write_table

CLASSES = ("version/vocal", "version/instrumental", "genre/rock", "genre/jazz")


def write_store(path, n_songs, *, seed=0, **columns):
    """Write `n_songs` songs whose vectors lie around a few kinds of music; return their ids.

    `columns` hold other values than the same for all songs, one a song.
    """
    rng = np.random.default_rng(seed)
    metadata = StoreMetadata(
        kind=Kind.VECTORS, extractor_id="0123456789abcdef", classes=CLASSES, created_by="tests"
    )
    kinds = rng.normal(size=(6, metadata.dimension))
    vectors = kinds[rng.integers(0, 6, n_songs)] + rng.normal(size=(n_songs, metadata.dimension))
    ids = [f"kind/song-{i:04}.flac" for i in range(n_songs)]
    same = {
        "content_hash": "hash",
        "uri": "/music/song",
        "size": 1,
        "mtime_ns": 1,
        "duration_s": 60.0,
        "segments": 20,
        "status": "ok",
        "source_rate": 44_100,
        "source_channels": 2,
        "codec": "flac",
        "decoder": "soundfile",
        "packet_errors": 0,
        "extractor_id": metadata.extractor_id,
        "extracted_at": datetime(2026, 1, 2, tzinfo=UTC),
    }
    schema = schema_of(metadata)
    rows = [
        {"song_id": song_id, "vector": vector.astype(np.float32).tolist(), **same}
        for song_id, vector in zip(ids, vectors, strict=True)
    ]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    ids = [row["song_id"] for row in rows]
    write_table(path, pa.Table.from_pylist(rows, schema=schema), metadata)
    return ids
