"""`audiorec.store.merge_stores`: two libraries become one, or a clear refusal."""

from datetime import UTC, datetime

import pytest

from audiorec.errors import InputError
from audiorec.store.merge_stores import merge_stores
from audiorec.store.parquet import write_table
from audiorec.store.store import VectorStore


@pytest.fixture
def store(tmp_path, metadata, make_table):
    def write(name, ids, **changes):
        path = tmp_path / f"{name}.parquet"
        write_table(path, make_table(ids, **changes), metadata)
        return path

    return write


def test_songs_of_both(tmp_path, store):
    a, b = store("a", ["x", "b"]), store("b", ["a", "y"])
    merge_stores([a, b], tmp_path / "c.parquet")
    assert VectorStore.open(tmp_path / "c.parquet").ids == ("a", "b", "x", "y")


def test_the_same_song_in_both_is_one_and_the_newer_row_stays(tmp_path, store):
    newer = datetime(2027, 1, 1, tzinfo=UTC)
    a, b = store("a", ["x", "b"], title="new", extracted_at=newer), store("b", ["x"], title="old")
    merge_stores([b, a], tmp_path / "c.parquet")
    assert VectorStore.open(tmp_path / "c.parquet").row("x")["title"] == "new"


def test_two_songs_of_one_id(tmp_path, store):
    a, b = store("a", ["x"], content_hash="1" * 32), store("b", ["x"], content_hash="2" * 32)
    with pytest.raises(InputError, match=r"songs have the id 'x': one in .*a.parquet, one in .*b"):
        merge_stores([a, b], tmp_path / "c.parquet")
    for stores, content in (([b, a], "2" * 32), ([a, b], "1" * 32)):
        merge_stores(stores, tmp_path / "c.parquet", on_duplicate="first")
        assert VectorStore.open(tmp_path / "c.parquet").row("x")["content_hash"] == content


def test_one_store_is_none_to_merge(tmp_path, store):
    a = store("a", ["x"])
    with pytest.raises(InputError, match="two stores or more"):
        merge_stores([a, tmp_path / "." / "a.parquet"], tmp_path / "c.parquet")


def test_into_one_of_them(tmp_path, store):
    a, b = store("a", ["x"]), store("b", ["y"])
    merge_stores([a, b], a)
    assert VectorStore.open(a).ids == ("x", "y")
