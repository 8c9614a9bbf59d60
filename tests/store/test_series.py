"""`audiorec.store.series`: the series of some songs, from files that fit the store."""

import numpy as np
import pytest
from made_library import series, song, write_library

from audiorec.errors import SpecMismatchError, StoreError
from audiorec.store import parquet
from audiorec.store.schema import Kind
from audiorec.store.series import open_series
from audiorec.store.store import VectorStore


@pytest.fixture
def songs():
    return [song(f"s{i}", series(i, segments=3 + i)) for i in range(5)]


def test_series_come_back_whole_and_by_id(tmp_path, songs, monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_ROWS", 2)  # three row groups
    store = VectorStore.open(write_library(tmp_path, songs, scores=True, features=True))
    scores = open_series(store, tmp_path / "scores.parquet", Kind.SCORES)
    assert scores.segment_bytes == 20
    found = scores.read(["s4", "s0", "s3"])
    assert sorted(found) == ["s0", "s3", "s4"]
    for name, values in found.items():
        np.testing.assert_array_equal(values, songs[int(name[1])][1])
    features = open_series(store, tmp_path / "features.parquet", Kind.FEATURES)
    assert features.read(["s2"])["s2"].shape == (5, 6)
    assert scores.read([]) == {}


def test_refusals(tmp_path, songs):
    store = VectorStore.open(write_library(tmp_path, songs, scores=True))
    with pytest.raises(StoreError, match="no such file"):
        open_series(store, tmp_path / "gone.parquet", Kind.SCORES)
    with pytest.raises(StoreError, match="holds scores, not features"):
        open_series(store, tmp_path / "scores.parquet", Kind.FEATURES)
    other = tmp_path / "other"
    other.mkdir()
    write_library(other, songs, scores=True, extractor_id="fedcba9876543210")
    with pytest.raises(SpecMismatchError, match="fedcba9876543210"):
        open_series(store, other / "scores.parquet", Kind.SCORES)
