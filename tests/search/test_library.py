"""`audiorec.library.library`: search by similarity: ties, odd vectors, one or many, refusals."""

import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import needs

from audiorec.errors import InputError, SeveralSongsError, ShapeError, UnknownSongError
from audiorec.library.library import Library
from audiorec.search.questions import Choice
from audiorec.store.schema import schema_of
from audiorec.store.store import write_table

# In the order of UTF-8 bytes: É comes after all of ASCII.
IDS = ["jazz/blue train.flac", "rock/live/etude.mp3", "rock/metude.mp3", "rock/Étude.mp3", "z"]


@pytest.fixture
def open_with(tmp_path, make_table, metadata, make_row):
    """`open_with({"a": vector, ...})` is a store of these vectors."""

    def make(vectors):
        import pyarrow as pa

        tables = [make_table([name], vector=vector) for name, vector in vectors.items()]
        write_table(tmp_path / "vecs.parquet", pa.concat_tables(tables), metadata)
        return Library.open(tmp_path / "vecs.parquet")

    return make


def test_ties_come_in_the_order_of_ids(open_with):
    same, other = np.linspace(0, 1, 18), np.linspace(1, 0, 18) ** 2
    store = open_with({"d": same, "b": other, "a": same, "c": same, "e": other})
    assert [n.song_id for n in store.similar(np.float32(same), 2)] == ["a", "c"]
    assert [n.song_id for n in store.similar("c", 2)] == ["a", "d"]
    assert [n.song_id for n in store.similar("c", 5, minimum=-1)] == ["a", "d", "b", "e"]


def test_store_of_one(open_with):
    store = open_with({"a": np.linspace(0, 1, 18)})
    assert len(store.similar("a", 3)) == 0
    found = store.similar(np.ones(18, np.float32), 3, minimum=-1)
    assert [n.song_id for n in found] == ["a"]


def test_more_than_there_are(open_with):
    store = open_with({name: np.random.default_rng(i).random(18) for i, name in enumerate("abc")})
    assert len(store.similar("a", 99, minimum=-1)) == 2
    assert len(store.similar("a", 99, choice=Choice(exclude_ids={"b", "c"}))) == 0


def test_song_that_is_average_in_everything_is_similar_to_none(open_with):
    # Symmetric about a half, so that the log-odds of max and min are 0 there as well.
    low = np.linspace(0.1, 0.4, 18)
    store = open_with({"low": low, "high": 1 - low, "average": np.full(18, 0.5)})
    found = store.similar("average", 3)
    assert [(n.song_id, n.similarity) for n in found] == [("high", 0.0), ("low", 0.0)]
    found = store.similar("high", 3, minimum=-1)
    assert [n.song_id for n in found] == ["average", "low"]
    assert found[1].similarity == pytest.approx(-1, abs=1e-6)


def test_batch_equals_single(open_with):
    rng = np.random.default_rng(11)
    store = open_with({f"{i:02}": rng.random(18) for i in range(30)})
    together = store.similar(store.vectors, 4)
    assert together.similarities.shape == (30, 4)
    assert list(together) == [store.similar(vector, 4) for vector in store.vectors]
    named = store.similar(store.ids, 4)
    assert list(named) == [store.similar(song_id, 4) for song_id in store.ids]
    assert store.similar([store.ids[3]], 4)[0] == store.similar(store.ids[3], 4)


def test_names_may_be_parts_of_ids(open_with):
    rng = np.random.default_rng(12)
    store = open_with({f"a/{name}.flac": rng.random(18) for name in ("one", "two", "three")})
    assert store.similar(["two", "a/one.flac"], 2) == store.similar(["a/two.flac", "one"], 2)
    with pytest.raises(UnknownSongError):
        store.similar(["two", "four"], 2)


def test_pandas_is_not_imported(open_with):
    needs("pandas")
    store = open_with({name: np.linspace(0, i, 18) for i, name in enumerate("abc")})
    script = (
        f"import sys; from audiorec import open_store; store = open_store({str(store.path)!r})\n"
        "store.similar(['a', 'b'], 2)[0].songs; print('pandas' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_refusals(open_with):
    store = open_with({"a": np.arange(18.0), "b": np.arange(18.0) ** 2})
    good = np.zeros((1, 18), np.float32)
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        store.similar(good, 0)
    with pytest.raises(ShapeError, match=r"shape \(Q, 18\), got \(1, 17\)"):
        store.similar(good[:, 1:], 1)
    with pytest.raises(ShapeError, match=r"shape \(V,\) or \(Q, V\), got \(1, 1, 18\)"):
        store.similar(good[None], 1)
    with pytest.raises(InputError, match="NaN or infinite"):
        store.similar(good + np.float32(np.nan), 1)
    with pytest.raises(InputError, match="by must be one of auto, sound, vector, or embeddings"):
        store.similar(good, 1, by="max")


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
    with pytest.raises(SeveralSongsError, match=r"^2 songs match 'etud': ") as caught:
        store.resolve("etud")
    assert caught.value.query == "etud"
    assert set(caught.value.near) == {"rock/live/etude.mp3", "rock/metude.mp3"}


def test_nothing_is_what_an_empty_text_means(store):
    with pytest.raises(UnknownSongError, match=r"no song with id '' in .*vecs\.parquet; list"):
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
    assert len(empty.similar(np.zeros(18, np.float32))) == 0
    with pytest.raises(
        UnknownSongError,
        match=r"no song with id 'a' in .*vecs\.parquet; list its songs: audiorec classify",
    ):
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
    found = store.similar("metude", 10, minimum=-1)
    assert {n.song_id for n in found} == set(IDS) - {"rock/metude.mp3"}
    assert found[0].row["uri"] == f"/music/{found[0].song_id}"
    assert [n.similarity for n in found] == sorted((n.similarity for n in found), reverse=True)


def test_similar_by_vector_finds_the_song_itself(store):
    found = store.similar(store.vector("z"), 2)
    assert found[0].song_id == "z"
    assert found[0].similarity == pytest.approx(1.0, abs=1e-6)


def test_similar_leaves_out_what_is_excluded(store):
    left = [IDS[0], IDS[2], "not there"]
    found = store.similar("z", 9, choice=Choice(exclude_ids=left), minimum=-1)
    assert {n.song_id for n in found} == {IDS[1], IDS[3]}


def test_similar_refuses_more_than_a_matrix(store):
    with pytest.raises(ShapeError, match=r"shape \(V,\) or \(Q, V\), got \(1, 1, 18\)"):
        store.similar(np.zeros((1, 1, 18), np.float32))
