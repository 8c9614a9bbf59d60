"""A small library whose songs are known: stores with chosen scores, and files to go with it."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from audiorec.store.records import feature_values, row_batch, score_values
from audiorec.store.schema import ATTRIBUTE, Kind, StoreMetadata, schema_of, write_table
from audiorec.tagger.vectors import summarise
from audiorec.types import ScoreSeries

CLASSES = (
    "version/vocal",
    "version/instrumental",
    "genre/jazz",
    "genre/metal",
    "genre/pop",
)
EXTRACTOR = "0123456789abcdef"


def metadata(kind=Kind.VECTORS, *, extractor_id=EXTRACTOR):
    features = {"msd_penultimate": 6} if kind == Kind.FEATURES else {}
    return StoreMetadata(
        kind=kind,
        extractor_id=extractor_id,
        classes=CLASSES,
        features=features,
        created_by="tests",
    )


def series(seed, *, version=(0.0, 0.0), genre=(0.0, 0.0, 0.0), segments=20, spread=0.7):
    """Scores (T, 5) around a mean in log-odds that changes over time in a way of its own."""
    rng = np.random.default_rng(seed)
    odds = np.concatenate([version, genre]) + spread * rng.normal(size=(segments, 5))
    parts = np.exp(odds[:, :2]), np.exp(odds[:, 2:])
    scores = np.hstack([p / p.sum(axis=1, keepdims=True) for p in parts])
    return scores.astype(np.float32)


def song(song_id, scores, **changes):
    """Return a row of the vectors file, and beside it the series that it was made of."""
    row = {
        "song_id": song_id,
        "vector": summarise(scores),
        "content_hash": f"hash of {song_id}",
        "uri": f"/music/{song_id}",
        "size": 1_000_000,
        "mtime_ns": 1,
        "duration_s": 3.0 * len(scores),
        "segments": len(scores),
        "status": "ok",
        "source_rate": 44_100,
        "source_channels": 2,
        "codec": "flac",
        "decoder": "soundfile",
        "packet_errors": 0,
        "extractor_id": EXTRACTOR,
        "extracted_at": datetime(2026, 1, 2, tzinfo=UTC),
    }
    return row | changes, scores


def write_library(folder, songs, *, scores=False, features=False, extractor_id=EXTRACTOR):
    """Write ``vecs.parquet`` and, where asked for, its sisters; return the store's path."""
    _write(folder / "vecs.parquet", Kind.VECTORS, [row for row, _ in songs], extractor_id)
    if scores:
        rows = [
            score_values(
                row["song_id"],
                row["content_hash"],
                ScoreSeries(s, 3 * np.arange(len(s), dtype=np.float32), CLASSES),
            )
            for row, s in songs
        ]
        _write(folder / "scores.parquet", Kind.SCORES, rows, extractor_id)
    if features:
        rows = [
            feature_values(
                row["song_id"],
                row["content_hash"],
                3 * np.arange(len(s), dtype=np.float32),
                {"msd.penultimate": np.hstack([s, s[:, :1]])},
            )
            for row, s in songs
        ]
        _write(folder / "features.parquet", Kind.FEATURES, rows, extractor_id)
    return folder / "vecs.parquet"


def _write(path, kind, rows, extractor_id):
    about = metadata(kind, extractor_id=extractor_id)
    if kind == Kind.VECTORS:
        names = {name for row in rows for name in row if ATTRIBUTE.fullmatch(name)}
        about = replace(about, attributes=dict.fromkeys(names, "the test"))
    schema = schema_of(about)
    batches = [row_batch({**row, "extractor_id": extractor_id}, schema) for row in rows]
    write_table(path, pa.Table.from_batches(batches, schema), about)
