"""The stored samples of each format version load for ever, and other tools open them as is."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from needs import needs

from audiorec.errors import SpecMismatchError, StoreError
from audiorec.extraction.pipeline import Extractor
from audiorec.spec import FeatureSpec
from audiorec.store.compact import compact
from audiorec.store.features import open_series
from audiorec.store.schema import Kind, open_checked, schema_of, write_table
from audiorec.store.store import VectorStore
from audiorec.tagger.vectors import summarise
from audiorec.types import STATISTICS

SAMPLES = Path(__file__).parents[2] / "fixtures" / "formats"
VECTORS = SAMPLES / "vecs-v1.parquet"
SOUND = SAMPLES / "vecs-v1-sound.parquet"  # with all that a plain extract writes
SCORES = SAMPLES / "scores-v1.parquet"
IDS = ["piano/etude.flac", "piano/prelude.flac", "rock/live.mp3", "speech/news.ogg", "tiny.wav"]
# max, min, mean, variance, kurtosis, skewness of version/vocal in rock/live.mp3
LIVE_VOCAL = [0.9815, 0.0333, 0.5023, 0.0687, -1.0725, -0.0146]


def test_vectors_of_version_1():
    store = VectorStore.open(VECTORS)
    assert store.metadata.format_version == 1
    assert list(store.ids) == IDS
    assert store.metadata.classes[0] == "version/vocal"
    assert store.metadata.classes[-1] == "genre/rock"
    assert len(store.metadata.classes) == 14
    assert store.metadata.statistics == STATISTICS
    vector = store.vector("rock/live.mp3").reshape(14, 6)
    np.testing.assert_allclose(vector[0], LIVE_VOCAL, atol=6e-5)
    assert store.vectors.sum(dtype=np.float64) == pytest.approx(354.818201522287, abs=1e-9)
    row = store.row("rock/live.mp3")
    assert (row["status"], row["claimed_s"], row["duration_s"]) == ("truncated", 300.0, 200.0)
    assert row["extracted_at"] == datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
    assert store.row("piano/etude.flac")["title"] == "Étude"


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_version_1(kind):
    name = "vecs" if kind == Kind.VECTORS else kind.value
    file = open_checked(SAMPLES / f"{name}-v1.parquet", kind)
    assert file.metadata.extractor_id == "0123456789abcdef"
    assert file.metadata.spec["level"] == FeatureSpec().to_dict()["level"]
    assert file.read().schema.equals(schema_of(file.metadata))
    assert file.read().column("song_id").to_pylist() == (
        ["broken.mp3"] if kind == Kind.ERRORS else IDS
    )


def test_attributes_and_tags_of_version_1():
    store = VectorStore.open(SOUND)
    assert store.metadata.attributes["bpm"] == "tempo 1"
    assert store.column("bpm").to_pylist()[1:4] == [pytest.approx(120.2), None, 174.0]
    assert store.column("key").to_pylist() == ["F#", "C", None, "C", "Bb"]
    assert store.metadata.tags.keys() == {"genre_tag", "year", "language"}
    assert store.column("genre_tag").to_pylist()[1:4] == ["古典音乐; Baroque", "Hip-Hop/Rap", None]
    assert store.column("year").to_pylist() == [1998, None, 2003, 2020, 1977]
    assert store.column("language").to_pylist() == ["German", None, "English", "Japanese", None]
    plain = VectorStore.open(VECTORS)
    names = [name for name in plain.table().column_names if name != "extractor_id"]
    assert store.table(names).equals(plain.table(names))


@pytest.mark.parametrize("version", [2, 3, "1", None])
def test_a_store_of_another_format_names_the_command(version, tmp_path):
    table = pq.read_table(VECTORS)
    about = json.loads(table.schema.metadata[b"audiorec"]) | {"format_version": version}
    metadata = {b"audiorec": json.dumps(about).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "vecs.parquet")
    with pytest.raises(StoreError, match=r"format.version"):
        VectorStore.open(tmp_path / "vecs.parquet")
    if version in (2, 3):
        with pytest.raises(StoreError, match="audiorec extract FOLDER --overwrite --out STORE"):
            VectorStore.open(tmp_path / "vecs.parquet")


def test_lists_of_version_1():
    store = VectorStore.open(SOUND)
    rows, sound = store.read_list("sound")
    assert rows.tolist() == [0, 1, 3, 4]
    assert np.linalg.norm(sound, axis=1) == pytest.approx(1, abs=1e-6)
    found = {name: store.read_list(name)[1] for name in store.metadata.lists}
    assert {n: (v.shape, str(v.dtype)) for n, v in found.items()} == {
        "sound": ((4, 128), "float32"),
        "embedding": ((4, 624), "float16"),
        "heard_tags": ((4, 50), "float16"),
    }
    assert sound[0, :3] == pytest.approx([-0.0203, 0.0033, 0.1256], abs=1e-4)
    assert found["heard_tags"][3, :2] == pytest.approx([0.6489, 0.2769], abs=1e-3)
    assert store.rows([2])[0].keys().isdisjoint(store.metadata.lists)


def test_a_store_with_sound_and_one_without_are_joined(tmp_path):
    table = pq.read_table(VECTORS)
    other = table.set_column(
        table.schema.get_field_index("extractor_id"),
        table.schema.field("extractor_id"),
        pa.array([VectorStore.open(SOUND).metadata.extractor_id] * 5),
    )
    plain = replace(VectorStore.open(SOUND).metadata, attributes={}, tags={}, lists={}, sound_id="")
    write_table(tmp_path / "plain.parquet", other, plain)
    out = tmp_path / "both.parquet"
    assert compact([SOUND, tmp_path / "plain.parquet"], out, on_duplicate="newest") == 5
    assert pq.read_table(out).equals(pq.read_table(SOUND))


def test_two_extractors_are_never_mixed():
    store = VectorStore.open(SOUND)
    for kind in (Kind.SCORES, Kind.FEATURES):
        again = r"extract both again \(audiorec extract FOLDER --out .*vecs-v1-sound.parquet"
        with pytest.raises(SpecMismatchError, match=again):
            open_series(store, SAMPLES / f"{kind}-v1.parquet", kind)
        assert open_series(VectorStore.open(VECTORS), SAMPLES / f"{kind}-v1.parquet", kind)
    with pytest.raises(SpecMismatchError, match="extract FOLDER"):
        compact([VECTORS, SOUND], Path("never.parquet"))
    for path in (VECTORS, SOUND):
        with pytest.raises(SpecMismatchError, match="extract it again"):
            Extractor.for_store(VectorStore.open(path).metadata)


def test_scores_of_version_1_belong_to_the_vectors():
    store = VectorStore.open(VECTORS)
    for row in pq.read_table(SCORES).to_pylist():
        scores = np.float32(row["scores"])
        assert scores.shape == (len(row["start_s"]), 14)
        np.testing.assert_array_equal(summarise(scores), store.vector(row["song_id"]))


def test_pandas():
    pandas = needs("pandas")
    frame = pandas.read_parquet(VECTORS)
    assert frame["song_id"].tolist() == IDS
    vectors = np.stack(frame["vector"].to_list())
    assert (vectors.shape, vectors.dtype) == ((5, 84), np.float32)
    np.testing.assert_allclose(vectors[2, :6], LIVE_VOCAL, atol=6e-5)
    assert frame["title"].isna().sum() == 2
    assert str(frame["extracted_at"].dt.tz) == "UTC"
    scores = pandas.read_parquet(SCORES).set_index("song_id").loc["rock/live.mp3", "scores"]
    assert np.stack(scores).shape == (66, 14)


def test_polars():
    polars = needs("polars")
    frame = polars.read_parquet(VECTORS)
    assert frame.schema["vector"] == polars.Array(polars.Float32, 84)
    np.testing.assert_allclose(frame["vector"].to_numpy()[2, :6], LIVE_VOCAL, atol=6e-5)
    lazy = polars.scan_parquet(VECTORS).filter(polars.col("status") == "short")
    assert lazy.select("song_id").collect().item() == "tiny.wav"
    scores = polars.read_parquet(SCORES).filter(song_id="rock/live.mp3")["scores"][0]
    assert scores.to_numpy().shape == (66, 14)


def test_duckdb(monkeypatch):
    duckdb = needs("duckdb")
    monkeypatch.chdir(SAMPLES)
    live = duckdb.sql("FROM 'vecs-v1.parquet' WHERE song_id = 'rock/live.mp3'")
    found = live.project("vector[3], status").fetchall()
    assert found == [(pytest.approx(LIVE_VOCAL[2], abs=6e-5), "truncated")]
    nearest = duckdb.sql(
        "SELECT v.song_id,"
        " array_cosine_similarity(v.vector::FLOAT[84], live.vector::FLOAT[84]) AS cosine"
        " FROM 'vecs-v1.parquet' v, live ORDER BY cosine DESC"
    ).fetchall()
    assert nearest[0] == ("rock/live.mp3", pytest.approx(1, abs=1e-6))
    assert len(nearest) == 5
    lengths = "SELECT len(scores), len(scores[1]) FROM 'scores-v1.parquet' ORDER BY song_id"
    assert duckdb.sql(lengths).fetchall()[2] == (66, 14)
