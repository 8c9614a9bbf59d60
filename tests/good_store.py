"""A store that is right in every row, with the files beside it: for tests that break one thing."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.store.records import feature_values, row_batch, score_values
from audiorec.store.schema import Kind, StoreMetadata, schema_of, write_table
from audiorec.tagger.vectors import summarise
from audiorec.types import ScoreSeries

CLASSES = ("version/vocal", "version/other", "genre/rock", "genre/jazz", "genre/hip-hop")
IDS = ("a/one.flac", "a/two.flac", "b/three.mp3", "b/été.mp3")
MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"
METADATA = StoreMetadata(
    kind=Kind.VECTORS,
    extractor_id="0123456789abcdef",
    classes=CLASSES,
    features={"msd_penultimate": 3},
    weights=({"name": "musicnn_msd", "sha256": "ab" * 32, "licence": "ISC"},),
    packages={"numpy": "2.4.6"},
    created_by="audiorec 0.1.0",
)


def scores_of(song_id, n_segments=5):
    """Scores that sum to 1 in each head, shape (T, 5); others for other songs."""
    rng = np.random.default_rng(sum(song_id.encode()))
    raw = rng.random((n_segments, 5), np.float32)
    parts = [raw[:, :2], raw[:, 2:]]
    return np.concatenate([p / p.sum(axis=1, keepdims=True) for p in parts], axis=1)


def write_good_store(folder, ids=IDS, metadata=METADATA, **changes):
    """Write vecs, scores, features and vecs.errors.parquet; returns the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {kind: [] for kind in Kind}
    for number, song_id in enumerate(ids):
        scores = scores_of(song_id)
        series = ScoreSeries(scores, 3 * np.arange(5, dtype=np.float32), metadata.classes)
        content_hash = f"{number + 1:032x}"
        features = {"msd.penultimate": np.float32([[i, i * i, -1] for i in range(5)])}
        names = song_id, content_hash
        rows[Kind.VECTORS].append(_vector_row(song_id, content_hash, summarise(scores)) | changes)
        rows[Kind.SCORES].append(score_values(*names, series))
        rows[Kind.FEATURES].append(feature_values(*names, series.start_s, features))
    rows[Kind.ERRORS].append(
        {
            "song_id": "broken.mp3",
            "uri": "/music/broken.mp3",
            "size": 0,
            "mtime_ns": 5,
            "stage": "read",
            "status": "empty",
            "message": "zero bytes",
            "attempts": 1,
            "failed_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
    )
    for kind in Kind:
        _write(folder, kind, rows[kind], metadata)
    return folder / "vecs.parquet"


def change(path, column, row, value):
    """Change one cell, as other hands might."""
    table = pq.read_table(path)
    field = table.schema.field(column)
    values = table.column(column).to_pylist()
    values[row] = value
    at = table.schema.get_field_index(column)
    pq.write_table(table.set_column(at, field, pa.array(values, field.type)), path)


def _write(folder, kind, rows, metadata):
    of = replace(metadata, kind=kind)
    schema = schema_of(of)
    if kind != Kind.ERRORS:
        rows = [{"extractor_id": of.extractor_id, **row} for row in rows]
    table = pa.Table.from_batches([row_batch(row, schema) for row in rows], schema)
    names = {Kind.VECTORS: "vecs", Kind.ERRORS: "vecs.errors"}
    name = names.get(kind, kind.value)
    write_table(folder / f"{name}.parquet", table, of)


def _vector_row(song_id, content_hash, vector):
    name = song_id.rpartition("/")[2]
    return {
        "song_id": song_id,
        "vector": vector,
        "content_hash": content_hash,
        "uri": f"/music/{song_id}",
        "size": 1_000,
        "mtime_ns": 1_700_000_000_000_000_001,
        "duration_s": 15.5,
        "segments": 5,
        "status": "ok",
        "source_rate": 44_100,
        "source_channels": 2,
        "codec": "flac" if name.endswith("flac") else "mp3",
        "decoder": "soundfile 0.14.0",
        "packet_errors": 0,
        "title": "Eins" if name == "one.flac" else None,
        "isrc": "USRC17607839" if name == "two.flac" else None,
        "musicbrainz_trackid": MBID if name == "three.mp3" else None,
        "extracted_at": datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC),
    }
