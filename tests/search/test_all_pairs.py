"""`audiorec.search.near`: the table of `similar`, ties, resuming, refusals."""

import json
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest

from audiorec.errors import InputError
from audiorec.library.library import Library
from audiorec.search import near as module
from audiorec.search.near import all_pairs
from audiorec.store.embeddings import write_embeddings
from audiorec.store.schema import METADATA_KEY, schema_of
from audiorec.store.store import write_table

IDS = [f"{i:02}" for i in range(23)]


@pytest.fixture
def store(tmp_path, make_table, metadata):
    write_table(tmp_path / "vecs.parquet", make_table(IDS), metadata)
    return Library.open(tmp_path / "vecs.parquet")


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_SONGS", 5)


def lists(path):
    """Return {song: [(neighbour, similarity), ...]} and check the ranks."""
    found = {}
    for row in pq.read_table(path).to_pylist():
        own = found.setdefault(row["song_id"], [])
        own.append((row["neighbour_id"], row["similarity"]))
        assert row["rank"] == len(own)
    return found


def test_is_what_similar_says(store, tmp_path, small_blocks):
    assert all_pairs(store, tmp_path / "n.parquet", k=4)
    found = lists(tmp_path / "n.parquet")
    assert list(found) == IDS
    for song, own in found.items():
        expected = store.similar(song, 4, minimum=-1)
        assert [name for name, _ in own] == [n.song_id for n in expected]
        np.testing.assert_allclose([v for _, v in own], [n.similarity for n in expected], atol=1e-6)


def test_form(store, tmp_path):
    all_pairs(store, tmp_path / "n.parquet", k=2, by="vector")
    schema = pq.read_schema(tmp_path / "n.parquet")
    assert [(f.name, str(f.type), f.nullable) for f in schema] == [
        ("song_id", "string", False),
        ("rank", "int32", False),
        ("neighbour_id", "string", False),
        ("similarity", "float", False),
    ]
    content = json.loads(schema.metadata[METADATA_KEY])
    assert (content["kind"], content["by"], content["k"]) == ("neighbours", "vector", 2)
    assert content["extractor_id"] == store.metadata.extractor_id


def test_equal_songs_come_in_the_order_of_ids(tmp_path, make_table, metadata):
    import pyarrow as pa

    # Twelve twins of one song, more than there is room for, and not in the order of ids.
    same, other = np.linspace(0, 1, 18), np.linspace(1, 0, 18) ** 2
    names = [f"twin {i:02}" for i in range(12)]
    tables = [make_table([name], vector=same) for name in names]
    tables.append(make_table(["other"], vector=other))
    write_table(tmp_path / "vecs.parquet", pa.concat_tables(tables), metadata)
    table = pq.read_table(tmp_path / "vecs.parquet")
    pq.write_table(table.take(np.random.default_rng(1).permutation(13)), tmp_path / "v.parquet")
    all_pairs(Library.open(tmp_path / "v.parquet"), tmp_path / "n.parquet", k=3)
    found = lists(tmp_path / "n.parquet")
    assert [name for name, _ in found["other"]] == names[:3]
    assert [name for name, _ in found["twin 01"]] == ["twin 00", "twin 02", "twin 03"]


def test_more_than_there_are_and_stores_of_one_and_none(tmp_path, make_table, metadata):
    out = tmp_path / "n.parquet"
    for ids, expected in ((["a", "b", "c"], 6), (["a"], 0)):
        write_table(tmp_path / "v.parquet", make_table(ids), metadata)
        assert all_pairs(Library.open(tmp_path / "v.parquet"), out, k=9)
        assert len(pq.read_table(out)) == expected
    write_table(tmp_path / "v.parquet", schema_of(metadata).empty_table(), metadata)
    assert all_pairs(Library.open(tmp_path / "v.parquet"), out)
    assert len(pq.read_table(out)) == 0


def test_goes_on_where_it_was_stopped(store, tmp_path, small_blocks, monkeypatch):
    out, stop = tmp_path / "n.parquet", threading.Event()
    made = []
    real = module._block
    monkeypatch.setattr(module, "_block", lambda *a: made.append(int(a[1][0])) or real(*a))

    def progress(done, _total):
        if done == 2:
            stop.set()

    assert not all_pairs(store, out, k=3, progress=progress, stop=stop)
    assert not out.exists()
    seen = []
    assert all_pairs(store, out, k=3, progress=lambda done, total: seen.append((done, total)))
    assert made == [0, 5, 10, 15, 20]  # each block once
    assert seen[0] == (2, 5)
    assert not (tmp_path / "n.parquet.run").exists()
    assert len(pq.read_table(out)) == 3 * len(IDS)


def test_another_question_begins_anew(store, tmp_path, small_blocks):
    out, stop = tmp_path / "n.parquet", threading.Event()
    stop.set()
    all_pairs(
        store,
        out,
        k=3,
        progress=lambda done, _: stop.clear() if done == 0 else stop.set(),
        stop=stop,
    )
    seen = []
    all_pairs(store, out, k=4, progress=lambda done, _: seen.append(done))
    assert seen[0] == 0
    assert {len(own) for own in lists(out).values()} == {4}


def test_songs_without_an_embedding_are_left_out(store, tmp_path):
    table = tmp_path / "e.parquet"
    values = np.random.default_rng(3).random((4, 5), np.float32)
    write_embeddings(table, ["07", "01", "22", "x"], values, kind="songs", model_id="m")
    all_pairs(store, tmp_path / "n.parquet", k=2, by=table)
    found = lists(tmp_path / "n.parquet")
    assert list(found) == ["01", "07", "22"]
    assert {name for own in found.values() for name, _ in own} == {"01", "07", "22"}


def test_refusals(store, tmp_path):
    before = store.path.read_bytes()
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        all_pairs(store, tmp_path / "n.parquet", k=0)
    with pytest.raises(InputError, match=r"vecs\.parquet: is the store itself"):
        all_pairs(store, store.path)
    assert store.path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["vecs.parquet"]
