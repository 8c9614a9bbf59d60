"""`audiorec.search.library`: what a person means by a part of an id, and what is like it."""

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiorec.errors import ShapeError, UnknownSongError
from audiorec.search.library import Library
from audiorec.store.schema import schema_of
from audiorec.store.store import write_table

# In the order of UTF-8 bytes: É comes after all of ASCII.
IDS = ["jazz/blue train.flac", "rock/live/etude.mp3", "rock/metude.mp3", "rock/Étude.mp3", "z"]


@pytest.fixture
def store(tmp_path, make_table, metadata):
    write_table(tmp_path / "vecs.parquet", make_table(IDS[::-1]), metadata)
    return Library.open(tmp_path / "vecs.parquet")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("z", "z"),  # exact, though others contain it
        ("etude.mp3", "rock/live/etude.mp3"),  # the end of a path wins over a part of a name
        ("/etude.mp3", "rock/live/etude.mp3"),
        ("live/etude.mp3", "rock/live/etude.mp3"),
        ("Metude", "rock/metude.mp3"),
        ("BLUE", "jazz/blue train.flac"),
        ("étude", "rock/Étude.mp3"),
    ],
)
def test_resolve(store, query, expected):
    assert store.resolve(query) == expected


def test_resolve_takes_text_as_it_is(store):
    with pytest.raises(UnknownSongError):
        store.resolve("blue.train")  # no regular expression


def test_ambiguous_part_names_what_it_may_mean(store):
    with pytest.raises(UnknownSongError) as caught:
        store.resolve("etud")
    assert caught.value.query == "etud"
    assert set(caught.value.near) == {"rock/live/etude.mp3", "rock/metude.mp3"}


def test_nothing_is_what_an_empty_text_means(store):
    with pytest.raises(UnknownSongError, match=r"no song with id ''$"):
        store.resolve("")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True))
def test_every_id_means_itself(tmp_path, make_table, metadata, ids):
    path = tmp_path / "any.parquet"
    write_table(path, make_table(ids), metadata)
    library = Library.open(path)
    assert [library.resolve(name) for name in ids] == ids


def test_empty_store(tmp_path, metadata):
    write_table(tmp_path / "vecs.parquet", schema_of(metadata).empty_table(), metadata)
    empty = Library.open(tmp_path / "vecs.parquet")
    assert empty.similar(np.zeros(18, np.float32)) == []
    with pytest.raises(UnknownSongError, match=r"no song with id 'a'$"):
        empty.resolve("a")


def test_hundred_thousand_ids_are_searched_quickly(store):
    store._ids = pa.array([f"folder {i % 97}/album/{i:06} some song.mp3" for i in range(100_000)])
    start = time.process_time()
    with pytest.raises(UnknownSongError) as caught:
        store.resolve("040404 some sonng.mp3")
    assert time.process_time() - start < 2.0  # 0.15 s where it was written
    assert caught.value.near[0].endswith("/040404 some song.mp3")
    assert len(caught.value.near) == 5


def test_similar_by_part_of_an_id_leaves_the_song_out(store):
    found = store.similar("metude", 10)
    assert {n.song_id for n in found} == set(IDS) - {"rock/metude.mp3"}
    assert found[0].row["uri"] == f"/music/{found[0].song_id}"
    assert [n.similarity for n in found] == sorted((n.similarity for n in found), reverse=True)


def test_similar_by_vector_finds_the_song_itself(store):
    found = store.similar(store.vector("z"), 2)
    assert found[0].song_id == "z"
    assert found[0].similarity == pytest.approx(1.0, abs=1e-6)


def test_similar_leaves_out_what_is_excluded(store):
    found = store.similar("z", 9, exclude_ids=[IDS[0], IDS[2], "not there"])
    assert {n.song_id for n in found} == {IDS[1], IDS[3]}


def test_similar_refuses_a_matrix(store):
    with pytest.raises(ShapeError, match=r"shape \(V,\), got \(1, 18\)"):
        store.similar(np.zeros((1, 18), np.float32))


def test_similarity_is_made_once(store):
    assert store.similarity([0, 0, 1, 0, 0, 0]) is store.similarity((0.0, 0, 1, 0, 0, 0))
