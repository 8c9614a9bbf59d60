"""`audiorec.store.inventory` and `beside`: what a store is said to hold."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from good_store import METADATA, change, write_good_store

from audiorec.errors import StoreError
from audiorec.store import schema as files_of
from audiorec.store.inventory import files_beside, inventory, kind_of
from audiorec.store.schema import Checked, Kind


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(files_of, "GROUP_ROWS", 3)
    return write_good_store(tmp_path)


def test_counts_over_all_row_groups(store):
    change(store, "status", 1, "short")
    change(store, "duration_s", 3, 0.25)
    pq.write_table(pq.read_table(store), store, row_group_size=3)
    found = inventory(store)
    assert (found["rows"], found["row_groups"], found["dimension"]) == (4, 2, 30)
    assert found["statuses"] == {"ok": 3, "short": 1}
    assert found["codecs"] == {"flac": 2, "mp3": 2}
    assert found["source_rates"] == {"44100": 4}
    assert found["duration_s"] == {"total": 46.75, "least": 0.25, "most": 15.5}
    at = "2026-01-02T03:04:05.678901+00:00"
    assert found["extracted_at"] == {"first": at, "last": at}
    assert found["bytes"] == store.stat().st_size
    assert 0 < found["vector_bytes"] < found["bytes"]
    assert found["weights"] == [{"name": "musicnn_msd", "sha256": "ab" * 32, "licence": "ISC"}]
    assert found["columns_of_your_own"] == []
    assert found["unfinished_run"] is False


def test_vectors_are_not_read(store, monkeypatch):
    read = []
    real = Checked.read_group

    def spy(self, group, columns=None):
        read.extend(columns)
        return real(self, group, columns)

    monkeypatch.setattr(Checked, "read_group", spy)
    inventory(store)
    assert "status" in read
    assert "vector" not in read


def test_files_beside(store):
    beside = {f["kind"]: f for f in inventory(store)["beside"]}
    assert {kind: f["rows"] for kind, f in beside.items()} == {
        "scores": 4,
        "features": 4,
        "errors": 1,
    }
    assert beside["scores"]["path"] == str(store.with_name("scores.parquet"))


def test_what_is_wrong_beside_is_said(store, tmp_path):
    store.with_name("scores.parquet").write_bytes(b"torn")
    other = replace(METADATA, extractor_id="f" * 16)
    theirs = write_good_store(tmp_path / "other", metadata=other).with_name("features.parquet")
    given = {Kind.FEATURES: theirs, Kind.ERRORS: tmp_path / "gone.parquet"}
    problems = {f["kind"]: f["problem"] for f in inventory(store, given)["beside"]}
    assert problems["scores"].startswith("not a valid Parquet file")
    assert problems["features"] == f"made by another extractor: {'f' * 16}"
    assert problems["errors"] == "no such file"


def test_empty_store_and_an_unfinished_run(store, tmp_path):
    table = pq.read_table(store).slice(0, 0)
    pq.write_table(table.append_column("stars", pa.array([], pa.int8())), store)
    (tmp_path / "vecs.parquet.run").mkdir()
    found = inventory(store)
    assert (found["rows"], found["statuses"]) == (0, {})
    assert found["duration_s"]["total"] == 0
    assert found["extracted_at"] == {"first": None, "last": None}
    assert found["columns_of_your_own"] == ["stars"]
    assert found["unfinished_run"] is True


def test_a_store_called_like_a_file_beside_is_not_beside_itself(tmp_path):
    store = write_good_store(tmp_path).rename(tmp_path / "scores.parquet")
    assert set(files_beside(store)) == {Kind.FEATURES}


def test_kind_of(store, tmp_path):
    names = ("vecs", "scores", "features", "vecs.errors")
    assert [kind_of(store.with_name(f"{n}.parquet")) for n in names] == list(Kind)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "plain.parquet")
    assert kind_of(tmp_path / "plain.parquet") is None
    other = pa.table({"a": [1]}).replace_schema_metadata({"audiorec": '{"kind": "manifest"}'})
    pq.write_table(other, tmp_path / "manifest.parquet")
    assert kind_of(tmp_path / "manifest.parquet") is None
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"torn\.parquet: not a valid Parquet file"):
        kind_of(tmp_path / "torn.parquet")
    with pytest.raises(StoreError, match=r"gone\.parquet: no such file"):
        kind_of(tmp_path / "gone.parquet")
