"""`audiorec.store.export`: other tools read the same numbers under the same ids."""

import csv
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import run_command
from good_store import IDS, METADATA, change, write_good_store
from needs import needs

from audiorec.errors import InputError, StoreError
from audiorec.store import export as module
from audiorec.store.export import export
from audiorec.store.schema import Kind, StoreMetadata, number_names
from audiorec.store.store import VectorStore

NUMBERS = number_names(METADATA)
SAMPLES = Path(__file__).parents[2] / "fixtures" / "formats"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GROUP_ROWS", 3)
    return write_good_store(tmp_path)


@pytest.fixture
def vectors(store):
    return VectorStore.open(store).vectors


def test_npz(store, vectors, tmp_path):
    assert export(store, tmp_path / "v.npz") == [tmp_path / "v.npz"]
    with np.load(tmp_path / "v.npz", allow_pickle=False) as found:
        np.testing.assert_array_equal(found["vectors"], vectors)
        assert found["vectors"].dtype == np.float32
        assert found["ids"].tolist() == list(IDS)
        assert found["classes"].tolist() == list(METADATA.classes)
        assert found["statistics"].tolist() == list(METADATA.statistics)
        assert str(found["extractor_id"]) == METADATA.extractor_id
    before = (tmp_path / "v.npz").read_bytes()
    export(store, tmp_path / "v.npz")
    assert (tmp_path / "v.npz").read_bytes() == before


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_for_each_number(store, vectors, tmp_path, kind):
    pandas = needs("pandas")
    duckdb = needs("duckdb")
    polars = needs("polars")
    out = tmp_path / f"wide.{kind}"
    export(store, out, wide=True)
    read = {"csv": "read_csv", "parquet": "read_parquet"}[kind]
    for frame in (
        getattr(pandas, read)(out),
        getattr(polars, read)(out).to_pandas(),
        getattr(duckdb, read)(str(out)).df(),
    ):
        assert frame.columns[:3].tolist() == ["song_id", *NUMBERS[:2]]
        assert frame["song_id"].tolist() == list(IDS)
        np.testing.assert_array_equal(frame[NUMBERS].to_numpy(np.float32), vectors)
        assert frame["title"][0] == "Eins"
        assert frame["title"].isna().sum() == 3
        assert frame["mtime_ns"].tolist() == [1_700_000_000_000_000_001] * 4


def test_jsonl(store, vectors, tmp_path):
    out = tmp_path / "v.jsonl"
    export(store, out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    np.testing.assert_array_equal(np.float32([r["vector"] for r in rows]), vectors)
    assert rows[3]["song_id"] == "b/été.mp3"
    assert rows[3]["title"] is None
    assert datetime.fromisoformat(rows[0]["extracted_at"]).microsecond == 678_901
    duckdb = needs("duckdb")
    assert duckdb.read_json(str(out)).project("len(vector)").fetchall() == [(30,)] * 4


def test_parquet_for_old_readers(store, vectors, tmp_path):
    out = tmp_path / "old.parquet"
    export(store, out)
    group = pq.ParquetFile(out).metadata.row_group(0)
    chunks = [group.column(n) for n in range(group.num_columns)]
    assert {chunk.compression for chunk in chunks} == {"SNAPPY"}
    new = ("BYTE_STREAM_SPLIT", "DELTA", "RLE_DICTIONARY")
    assert not [c for c in chunks if any(name in e for e in c.encodings for name in new)]
    types = {chunk.path_in_schema: chunk.physical_type for chunk in chunks}
    assert types["extracted_at"] == "INT96"
    table = pq.read_table(out)
    assert table.schema.metadata is None
    np.testing.assert_array_equal(np.stack(table.column("vector").to_numpy()), vectors)


def test_chosen_columns(store, tmp_path):
    out = tmp_path / "some.csv"
    export(store, out, columns=["title", "song_id", "uri", "title"])
    assert out.read_text().splitlines()[0].replace('"', "") == "song_id,title,uri"
    export(store, tmp_path / "v.parquet", columns=["vector"])
    assert pq.read_schema(tmp_path / "v.parquet").names == ["song_id", "vector"]


def test_columns_of_ones_own_go_along(store, tmp_path):
    table = pq.read_table(store)
    table = table.append_column("stars", pa.array([5, None, 3, 1], pa.int8()))
    pq.write_table(table.append_column("energy", pa.array([0.5, np.nan, 1, 2])), store)
    export(store, tmp_path / "v.jsonl", columns=["stars", "energy"])
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert [(r["stars"], r["energy"]) for r in rows] == [(5, 0.5), (None, None), (3, 1), (1, 2)]
    lists = pq.read_table(store).append_column("tags", pa.array([["a"], [], None, ["b"]]))
    pq.write_table(lists, store)
    with pytest.raises(InputError, match="a csv cannot hold the column 'tags'; use `columns`"):
        export(store, tmp_path / "v.csv")
    assert not (tmp_path / "v.csv").exists()


@pytest.mark.parametrize("kind", module.FORMATS)
def test_empty_store(store, tmp_path, kind):
    pq.write_table(pq.read_table(store).slice(0, 0), store)
    out = tmp_path / f"empty.{kind}"
    export(store, out)
    if kind == "npz":
        assert np.load(out)["vectors"].shape == (0, 30)
    elif kind == "parquet":
        assert pq.read_table(out).num_rows == 0
    else:
        assert len(out.read_text().splitlines()) == (1 if kind == "csv" else 0)


@pytest.mark.parametrize(
    ("out", "options", "match"),
    [
        ("v.txt", {}, "give `form`, one of npz, csv"),
        ("v.csv", {"columns": ["tempo"]}, "no column 'tempo', there are: song_id, vector"),
        ("vecs.parquet", {}, "is the store itself"),
        ("gone/v.csv", {}, "no file can be written there"),
        ("folder", {"format": "csv"}, "no file can be written there"),
    ],
)
def test_refusals_write_nothing(store, tmp_path, out, options, match):
    (tmp_path / "folder").mkdir()
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    with pytest.raises(InputError, match=match):
        export(store, tmp_path / out, **options)
    assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_a_vector_that_is_not_finite_is_not_handed_on(store, tmp_path):
    change(store, "vector", 3, [np.nan] * 30)
    for name in ("v.npz", "v.csv"):
        with pytest.raises(
            StoreError, match="a vector is not finite; to find it: audiorec store verify"
        ):
            export(store, tmp_path / name)
    assert not list(tmp_path.glob("v.*"))


def test_names_of_numbers():
    classes = ("genre/hip-hop", "genre/Drum & Bass")
    metadata = StoreMetadata(kind=Kind.VECTORS, extractor_id="a", classes=classes)
    names = number_names(metadata)
    assert names[:2] == ["genre_hip_hop_max", "genre_hip_hop_min"]
    assert names[-1] == "genre_drum_bass_skewness"
    same = StoreMetadata(kind=Kind.VECTORS, extractor_id="a", classes=("g/a-b", "g/a b"))
    with pytest.raises(InputError, match="would be named 'g_a_b_kurtosis': rename a class"):
        number_names(same)


FORMULAS = ("=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1")


def test_a_csv_keeps_what_looks_like_a_formula_and_counts_it(store, tmp_path):
    for row, text in enumerate(FORMULAS[:4]):
        change(store, "title", row, text)
    counts = []
    export(store, tmp_path / "v.csv", columns=["title"], on_formulas=counts.append)
    assert counts == [4]
    assert csv_texts(tmp_path / "v.csv", "title") == list(FORMULAS[:4])


def csv_texts(path, column):
    with path.open(newline="") as file:
        return [row[column] for row in csv.DictReader(file)]


def test_a_guarded_csv_has_no_text_that_a_spreadsheet_runs(store, tmp_path):
    table = pq.read_table(store)
    for name in ("=odd", "dated"):
        table = table.append_column(name, pa.array(FORMULAS[2:]).dictionary_encode())
    table = table.append_column("number", pa.array([-1.5, -2, 3, None]))
    pq.write_table(table.append_column("whole", pa.array([-1, 2, 3, 4])), store)
    counts = []
    export(store, tmp_path / "v.csv", guard_formulas=True, on_formulas=counts.append)
    assert counts == [2 * 4 + 1]  # and the name of a column
    assert csv_texts(tmp_path / "v.csv", "'=odd") == [f"'{text}" for text in FORMULAS[2:]]
    assert csv_texts(tmp_path / "v.csv", "number") == ["-1.5", "-2", "3", ""]  # still numbers
    assert csv_texts(tmp_path / "v.csv", "whole")[0] == "-1"
    with (tmp_path / "v.csv").open(newline="") as file:
        for row in csv.reader(file):
            starts = [cell for cell in row if cell.startswith(("=", "+", "@", "\t", "\r"))]
            assert not starts


def test_the_command_says_what_a_spreadsheet_would_run(store, tmp_path, monkeypatch, capsys):
    change(store, "title", 0, FORMULAS[0])
    asked = ("store", "export", store, "--out", tmp_path / "v.csv")
    assert (
        "1 texts begin like a formula; a spreadsheet" in run_command(monkeypatch, capsys, *asked)[2]
    )
    _, _, told = run_command(monkeypatch, capsys, *asked, "--guard-formulas")
    assert "an apostrophe was put before them" in told
    assert csv_texts(tmp_path / "v.csv", "title")[0] == f"'{FORMULAS[0]}"


@pytest.fixture
def heard(tmp_path):
    """A store with lists beside the vector, which one of its songs lacks."""
    path = tmp_path / "heard.parquet"
    path.write_bytes((SAMPLES / "vecs-v1-sound.parquet").read_bytes())
    return path


def test_lists_become_columns_only_where_they_are_asked_for(heard, tmp_path):
    assert export(heard, tmp_path / "all.csv")
    with (tmp_path / "all.csv").open() as file:
        assert not any(
            name.startswith(("sound", "embedding")) for name in csv.DictReader(file).fieldnames
        )
    export(heard, tmp_path / "sound.csv", columns=["sound", "title"])
    rows, sound = VectorStore.open(heard).read_list("sound")
    with (tmp_path / "sound.csv").open() as file:
        read = list(csv.DictReader(file))
    assert len(read[0]) == 1 + 128 + 1
    found = [[row[f"sound_{n}"] for n in range(128)] for row in read]
    assert set(found[2]) == {""}
    assert np.array_equal(np.float32([found[row] for row in rows]), sound)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_lists_are_floats_for_other_programs(heard, tmp_path, kind):
    out = tmp_path / f"all.{kind}"
    export(heard, out)
    if kind == "jsonl":
        found = [json.loads(line)["embedding"] for line in out.read_text().splitlines()]
    else:
        column = pq.read_table(out).column("embedding")
        assert str(column.type) == "list<element: float not null>"
        found = column.to_pylist()
    rows, embedding = VectorStore.open(heard).read_list("embedding")
    assert found[2] is None
    assert np.array_equal(np.float16([found[row] for row in rows]), embedding)
