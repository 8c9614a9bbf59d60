"""`audiorec.search.atlas`: the columns of the map, and where songs lie on it."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from good_store import IDS, METADATA, change, scores_of, write_good_store
from needs import needs

from audiorec.errors import InputError, StoreError
from audiorec.search.atlas import atlas_table, write_atlas
from audiorec.search.library import Library


@pytest.fixture
def path(tmp_path):
    return write_good_store(tmp_path)


def test_columns(path, tmp_path):
    out = tmp_path / "atlas.parquet"
    assert write_atlas(Library.open(path), out) == 4
    table = pq.read_table(out)
    assert table.column_names == [
        *("song_id", "x", "y", "title", "artist", "album", "version", "genre"),
        *("duration_s", "audio"),
    ]
    rows = table.to_pylist()
    assert [row["song_id"] for row in rows] == list(IDS)
    assert [row["title"] for row in rows] == ["Eins", "two.flac", "three.mp3", "été.mp3"]
    assert rows[3]["audio"] == "/music/b/été.mp3"
    for row in rows:
        means = scores_of(row["song_id"]).mean(axis=0)
        assert row["version"] == ("vocal", "other")[means[:2].argmax()]
        assert row["genre"] == ("rock", "jazz", "hip-hop")[means[2:].argmax()]
    assert len({row["genre"] for row in rows}) > 1
    assert (str(table.schema.field("x").type), str(table.schema.field("y").type)) == (
        "float",
        "float",
    )
    assert table.schema.metadata is None


def test_other_tools_open_it(path, tmp_path):
    out = tmp_path / "atlas.parquet"
    write_atlas(Library.open(path), out)
    duckdb, polars = needs("duckdb"), needs("polars")
    assert len(duckdb.read_parquet(str(out)).project("x, y").distinct().fetchall()) == 4
    assert polars.read_parquet(out)["audio"].null_count() == 0


def test_songs_that_sound_the_same_lie_at_one_place(path):
    first = Library.open(path).vector(IDS[0])
    change(path, "vector", 2, first.tolist())
    table = atlas_table(Library.open(path))
    places = np.stack([table.column("x").to_numpy(), table.column("y").to_numpy()], axis=1)
    np.testing.assert_allclose(places[0], places[2], atol=1e-6)
    assert np.linalg.norm(places[0] - places[1]) > 0.1


def test_heads_of_ones_own(tmp_path):
    classes = ("mood/calm", "mood/wild", "genre/rock", "genre/jazz", "genre/x")
    path = write_good_store(tmp_path / "a", metadata=replace(METADATA, classes=classes))
    assert set(atlas_table(Library.open(path)).column("mood").to_pylist()) <= {"calm", "wild"}
    classes = ("audio/calm", "audio/wild", "genre/rock", "genre/jazz", "genre/x")
    path = write_good_store(tmp_path / "b", metadata=replace(METADATA, classes=classes))
    with pytest.raises(InputError, match="the head 'audio' is called like another column"):
        atlas_table(Library.open(path))


def test_refusals(path, tmp_path):
    store = Library.open(path)
    with pytest.raises(InputError, match="is the store itself"):
        write_atlas(store, path)
    with pytest.raises(InputError, match="no file can be written there"):
        write_atlas(store, tmp_path / "gone" / "atlas.parquet")
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(StoreError, match="has no songs to place on a map"):
        write_atlas(Library.open(path), tmp_path / "atlas.parquet")
    assert not (tmp_path / "atlas.parquet").exists()
