"""``audiorec index``: what it prints, writes and refuses, and what `similar` makes of it."""

import json
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from made_sound import add_lists, random_sound
from needs import needs

needs("faiss")

from audiorec.store.schema import Kind, StoreMetadata, schema_of
from audiorec.store.store import write_table

CLASSES = ("version/vocal", "version/instrumental", "genre/rock")
IDS = [f"album/{i:02}.flac" for i in range(60)]


def write_store(path, *, seed=0, extractor_id="one", ids=IDS):
    metadata = StoreMetadata(kind=Kind.VECTORS, extractor_id=extractor_id, classes=CLASSES)
    schema = schema_of(metadata)
    vectors = np.random.default_rng(seed).beta(0.5, 2, (len(ids), metadata.dimension))
    known = {"song_id": ids, "vector": vectors.tolist(), "content_hash": ids, "uri": ids}
    known |= {"extractor_id": [extractor_id] * len(ids), "artist": [None] * len(ids)}
    known |= {"title": known["artist"], "album": known["artist"], "segments": [20] * len(ids)}
    columns = []
    for field in schema:
        filler = "ok" if pa.types.is_string(field.type) else 1
        values = known.get(field.name)
        column = pa.array([filler] * len(ids)).cast(field.type) if values is None else None
        columns.append(column if values is None else pa.array(values, field.type))
    write_table(path, pa.Table.from_arrays(columns, schema=schema), metadata)


@pytest.fixture
def home(tmp_path, monkeypatch):
    write_store(tmp_path / "vecs.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_build_info_and_similar(home, audiorec):
    plain = json.loads(audiorec("similar", "07.flac", "--json")[1])
    code, out, err = audiorec("index", "--kind", "hnsw", "--json")
    assert code == 0, err
    built = json.loads(out)
    head = (built["schema"], built["kind"], built["state"])
    assert head == ("audiorec/index-info/1", "hnsw", "fresh")
    assert (built["songs"], built["exact"], built["recall_at_10"]) == (60, False, 1.0)
    names = ["vecs.faiss", "vecs.faiss.json", "vecs.faiss.run.json", "vecs.parquet"]
    assert sorted(p.name for p in home.iterdir()) == names
    of_store = json.loads(audiorec("info", "--json")[1])["index"]
    assert {"schema": "audiorec/index-info/1", **of_store} == built
    code, out, err = audiorec("similar", "07.flac", "--json")
    assert code == 0
    assert "faiss" not in err
    assert json.loads(out) == plain | {"exact": False}


def test_sound_is_indexed_and_another_space_on_request(home, audiorec):
    add_lists(home / "vecs.parquet", sound=random_sound(len(IDS)))
    code, out, err = audiorec("index", "--kind", "flat", "--json")
    assert (code, json.loads(out)["by"]) == (0, "sound"), err
    assert audiorec("similar", "07.flac", "--json")[2] == ""
    err = audiorec("similar", "07.flac", "--by", "vector", "--json")[2]
    assert "vecs.faiss: is of sound, and songs are compared by vector" in err
    out = audiorec("index", "--kind", "flat", "--by", "vector", "--json")[1]
    assert json.loads(out)["by"] == "vector"
    assert audiorec("similar", "07.flac", "--by", "vector", "--json")[2] == ""


def test_info_prints_lines_for_a_person(home, audiorec):
    audiorec("index", "--kind", "flat")
    (line,) = (one for one in audiorec("info")[1].splitlines() if one.startswith("index:"))
    assert "state fresh, by vector, kind flat, exact True, songs 60" in line


def test_a_large_store_has_an_index_in_pieces(home, audiorec, monkeypatch):
    from audiorec.search import index_build

    in_pieces = partial(index_build.build_index, piece_songs=25)
    monkeypatch.setattr(index_build, "build_index", in_pieces)
    plain = json.loads(audiorec("similar", "07.flac", "--json")[1])
    code, out, err = audiorec("index", "--kind", "flat", "--jobs", "2", "--json")
    assert code == 0, err
    built = json.loads(out)
    assert (built["pieces"], built["songs"], built["state"]) == (3, 60, "fresh")
    pieces = sorted(home.glob("vecs.faiss-*"))
    assert len(pieces) == 3
    assert built["bytes"] == sum(p.stat().st_size for p in pieces)
    assert json.loads(audiorec("similar", "07.flac", "--json")[1]) == plain
    pieces[1].unlink()
    assert "state cannot be read: " in audiorec("info")[1]
    code, out, err = audiorec("similar", "07.flac", "--json")
    assert json.loads(out) == plain
    assert pieces[1].name in err


def test_a_stale_index_is_said_and_not_used(home, audiorec):
    audiorec("index", "--kind", "flat")
    write_store(home / "vecs.parquet", seed=1)
    code, out, err = audiorec("similar", "07.flac", "--json")
    assert code == 0
    assert "note: vecs.faiss: built for an earlier state of vecs.parquet" in err
    assert len(err.splitlines()) == 1
    assert json.loads(out)["exact"] is True
    assert "state built for an earlier state" in audiorec("info")[1]


def test_an_index_of_another_extractor_is_refused(home, audiorec):
    audiorec("index", "--kind", "flat")
    write_store(home / "vecs.parquet", extractor_id="two")
    code, out, err = audiorec("similar", "07.flac")
    assert (code, out) == (2, "")
    assert "vecs.faiss: built for extractor one" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--vectors", "gone.parquet"], 2, "no store at gone.parquet"),
        (["--vectors", "cut.parquet"], 4, "cut.parquet: not a valid Parquet"),
        (["--vectors", "empty.parquet"], 2, "empty.parquet: no songs to index"),
        (["--kind", "tree"], 2, "tree"),
    ],
)
def test_a_mistake_is_one_clear_line_and_writes_nothing(home, audiorec, arguments, code, message):
    whole = (home / "vecs.parquet").read_bytes()
    (home / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    write_store(home / "empty.parquet", ids=[])
    before = {p.name: p.read_bytes() for p in home.iterdir()}
    got, out, err = audiorec("index", *arguments)
    assert got == code, err
    assert message in err
    assert out == ""
    assert {p.name: p.read_bytes() for p in home.iterdir()} == before
