"""`audiorec.store.features`: the same songs whichever way they are read."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_library import series, song, write_library
from made_listening import write_features

from audiorec.errors import InputError, SpecMismatchError, StoreError
from audiorec.store import features
from audiorec.store import schema as files_of
from audiorec.store.features import FeatureFile, open_series
from audiorec.store.schema import Kind
from audiorec.store.store import VectorStore

IDS = [f"song {i:02}" for i in range(9)]
SOUNDS = np.random.default_rng(5).standard_normal((9, 6)).astype(np.float32)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(files_of, "GROUP_ROWS", 4)  # three row groups
    write_features(tmp_path / "features.parquet", IDS, SOUNDS)
    return tmp_path / "features.parquet"


def test_inputs_stand_side_by_side_in_the_order_asked_for(path):
    whole = FeatureFile.open(path)
    assert whole.inputs == ("msd_penultimate", "msd_tags")
    assert whole.width == 6
    turned = FeatureFile.open(path, ["msd_tags", "msd_penultimate"]).read(np.arange(9))
    songs = whole.read(np.arange(9))
    np.testing.assert_array_equal(turned.values[:, :2], songs.values[:, 4:])
    np.testing.assert_array_equal(turned.values[:, 2:], songs.values[:, :4])
    assert np.abs(songs.means() - SOUNDS).max() < 1.2  # around what was written


def test_some_songs_are_the_same_as_among_all(path):
    file = FeatureFile.open(path)
    whole, some = file.read(np.arange(9)), file.read(np.array([1, 3, 4, 8]))
    assert some.song_ids == tuple(IDS[i] for i in (1, 3, 4, 8))
    np.testing.assert_array_equal(some.means(), whole.means()[[1, 3, 4, 8]])


def test_blocks_are_the_whole_file(path):
    file = FeatureFile.open(path)
    whole = file.read(np.arange(9))
    blocks = list(file.blocks())
    assert [len(songs) for songs, _ in blocks] == [4, 4, 1]
    np.testing.assert_array_equal(np.concatenate([s.values for s, _ in blocks]), whole.values)
    assert [h for _, hashes in blocks for h in hashes] == [f"hash of {name}" for name in IDS]


def test_long_songs_are_thinned(path):
    file = FeatureFile.open(path)
    thin = file.read(np.arange(9), max_segments=2)
    whole = file.read(np.arange(9))
    rows, _ = whole.rows(np.arange(9), limit=2)
    np.testing.assert_array_equal(thin.values, whole.values[rows])
    counts = np.diff(whole.offsets)
    assert counts.max() > 2
    assert np.diff(thin.offsets).tolist() == np.minimum(counts, 2).tolist()


def test_no_songs(path):
    assert len(FeatureFile.open(path).read(np.zeros(0, int))) == 0


def test_refusals(path, tmp_path):
    with pytest.raises(InputError, match="no features mtt_tags; it has msd_penultimate, msd_tags"):
        FeatureFile.open(path, ["mtt_tags"])
    with pytest.raises(StoreError, match="no such file"):
        FeatureFile.open(tmp_path / "nothing.parquet")
    with pytest.raises(StoreError, match="holds vectors, not features"):
        FeatureFile.open("fixtures/formats/vecs-v1.parquet")


def test_the_stored_sample_of_version_1():
    file = FeatureFile.open("fixtures/formats/features-v1.parquet")
    songs = file.read(np.arange(len(file)))
    assert songs.values.shape[1] == file.width
    assert np.isfinite(songs.values).all()


@pytest.fixture
def songs():
    return [song(f"s{i}", series(i, segments=3 + i)) for i in range(5)]


def test_series_come_back_whole_and_by_id(tmp_path, songs, monkeypatch):
    monkeypatch.setattr(files_of, "GROUP_ROWS", 2)  # three row groups
    store = VectorStore.open(write_library(tmp_path, songs, scores=True, features=True))
    scores = open_series(store, tmp_path / "scores.parquet", Kind.SCORES)
    found = scores.read(["s4", "s0", "s3"])
    assert sorted(found) == ["s0", "s3", "s4"]
    for name, values in found.items():
        np.testing.assert_array_equal(values, songs[int(name[1])][1])
    features = open_series(store, tmp_path / "features.parquet", Kind.FEATURES)
    assert features.read(["s2"])["s2"].shape == (5, 6)
    assert scores.read([]) == {}


def test_series_that_do_not_fit_the_store_are_refused(tmp_path, songs):
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


def test_means_are_those_that_were_stored(path):
    file = FeatureFile.open(path)
    np.testing.assert_allclose(file.means(), file.read(np.arange(9)).means(), atol=1e-6)
    assert file.hashes == [f"hash of {name}" for name in IDS]


def test_the_last_layers_are_found_or_missed(path, monkeypatch):
    assert FeatureFile.open_last_layers(path).inputs == ("msd_penultimate",)
    monkeypatch.setattr(features, "LAST_LAYERS", ("mtt_penultimate",))
    with pytest.raises(InputError, match="has none of the features mtt_penultimate"):
        FeatureFile.open_last_layers(path)


def test_a_number_that_is_not_finite_names_its_song(tmp_path):
    table = pq.read_table("fixtures/formats/features-v1.parquet")
    number = table.column_names.index("msd_penultimate")
    column = table.column(number).to_pylist()
    column[2][-1][0] = float("inf")
    field = table.schema.field(number)
    pq.write_table(table.set_column(number, field, pa.array(column, field.type)), tmp_path / "f")
    file = FeatureFile.open(tmp_path / "f")
    with pytest.raises(StoreError, match=f"a feature of '{file.ids[2]}' is not finite"):
        file.read(np.arange(len(file)))
    assert len(file.read(np.array([0, 1]))) == 2


def test_a_score_series_has_its_times(tmp_path):
    songs = [song(f"{name}.flac", series(n, segments=3 + n)) for n, name in enumerate("abc")]
    store = VectorStore.open(write_library(tmp_path, songs, scores=True))
    file = open_series(store, tmp_path / "scores.parquet", Kind.SCORES)
    found = file.series("b.flac")
    np.testing.assert_array_equal(found.scores, songs[1][1])
    assert found.start_s.tolist() == [0, 3, 6, 9]
    assert found.classes == store.metadata.classes


def test_times_that_are_not_those_of_the_segments(tmp_path):
    songs = [song("a.flac", series(0, segments=3))]
    store = VectorStore.open(write_library(tmp_path, songs, scores=True))
    path = tmp_path / "scores.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("start_s")
    field = table.schema.field(at)
    pq.write_table(table.set_column(at, field, pa.array([[0.0, 3.0]], field.type)), path)
    with pytest.raises(StoreError):
        open_series(store, path, Kind.SCORES).series("a.flac")
