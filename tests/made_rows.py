"""A small store's metadata, and rows that fill it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audiorec.store.records import row_batch
from audiorec.store.schema import Kind, StoreMetadata, schema_of
from audiorec.types import ScoreSeries

CLASSES = ("version/vocal", "version/instrumental", "genre/rock")


@pytest.fixture
def metadata() -> StoreMetadata:
    return StoreMetadata(
        kind=Kind.VECTORS,
        extractor_id="0123456789abcdef",
        classes=CLASSES,
        spec={"mel": {"n_mels": 96}},
        weights=({"name": "musicnn_msd", "sha256": "ab" * 32, "licence": "ISC"},),
        features={"msd_penultimate": 5},
        packages={"numpy": "2.4.6"},
        created_by="audiorec 0.1.0",
    )


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    """`make_row("a.mp3")` is a row of the vectors file; its vector depends on the id."""

    def make(song_id: str, **changes: Any) -> dict[str, Any]:
        seed = sum(song_id.encode()) + len(song_id)
        row = {
            "song_id": song_id,
            "vector": np.random.default_rng(seed).random(18, np.float32),
            "content_hash": f"hash of {song_id}",
            "uri": f"/music/{song_id}",
            "size": 1_000,
            "mtime_ns": 1_700_000_000_000_000_001,
            "duration_s": 63.5,
            "segments": 21,
            "status": "ok",
            "source_rate": 44_100,
            "source_channels": 2,
            "codec": "mp3",
            "decoder": "soundfile 0.14.0",
            "packet_errors": 0,
            "extractor_id": "0123456789abcdef",
            "extracted_at": datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC),
        }
        return row | changes

    return make


@pytest.fixture
def make_failure() -> Callable[..., dict[str, Any]]:
    """`make_failure("a.mp3")` is a row of the errors file."""

    def make(song_id: str, **changes: Any) -> dict[str, Any]:
        row = {
            "song_id": song_id,
            "uri": f"/music/{song_id}",
            "size": 0,
            "mtime_ns": 5,
            "stage": "read",
            "status": "empty",
            "message": "zero bytes",
            "attempts": 1,
        }
        return row | changes

    return make


@pytest.fixture
def make_series() -> Callable[..., ScoreSeries]:
    """`make_series(4, first=0.5)` has 4 segments of 3 classes; the first score is `first`."""

    def make(n_segments: int, *, first: float = 0.25) -> ScoreSeries:
        scores = np.random.default_rng(n_segments).random((n_segments, 3), np.float32)
        scores[0, 0] = first
        return ScoreSeries(scores, 3 * np.arange(n_segments, dtype=np.float32), CLASSES)

    return make


@pytest.fixture
def make_table(metadata, make_row) -> Callable[..., Any]:
    """`make_table(["b", "a"])` is a vectors table with these ids in this order."""

    def make(ids: list[str], **changes: Any) -> Any:
        schema = schema_of(metadata)
        batches = [row_batch(make_row(name, **changes), schema) for name in ids]
        return pa.Table.from_batches(batches, schema)

    return make
