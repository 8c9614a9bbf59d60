"""`audiorec.extraction.run_record`: what made the output that lies beside it."""

import json
from datetime import UTC, datetime

import pytest

from audiorec.errors import StoreError
from audiorec.extraction.run_record import run_record, write_record
from audiorec.store.schema import Kind, StoreMetadata


def test_a_record_says_what_made_the_output_and_replaces_the_last(tmp_path):
    metadata = StoreMetadata(
        kind=Kind.VECTORS,
        extractor_id="abc",
        classes=("a/b",),
        spec={"mel": {"n_mels": 96}},
        weights=({"name": "w", "sha256": "0", "licence": "ISC"},),
        packages={"audiorec": "9.9"},
    )
    record = run_record(
        metadata,
        {"found": 3},
        arguments=["audiorec", "extract", "caf\udce9"],
        started_at=datetime(2024, 2, 29, tzinfo=UTC),
        exit_code=3,
    )
    place = str(tmp_path / "vecs.parquet.run.json")
    write_record(place, {"schema": "audiorec/run/0", "old": True})
    write_record(place, record)
    found = json.loads((tmp_path / "vecs.parquet.run.json").read_text())
    assert (found["schema"], found["exit_code"]) == ("audiorec/run/1", 3)
    assert found["started_at"] == "2024-02-29T00:00:00+00:00"
    assert found["versions"]["audiorec"] == "9.9"
    assert found["versions"]["python"].count(".") == 2
    assert (found["extractor_id"], found["spec"]) == ("abc", {"mel": {"n_mels": 96}})
    assert found["weights"][0]["name"] == "w"
    assert found["report"] == {"found": 3}
    assert found["arguments"][2] == "caf\udce9"
    assert [p.name for p in tmp_path.iterdir()] == ["vecs.parquet.run.json"]


@pytest.mark.parametrize("content", ['{"schema": "mine/1"}', "[]", "{", "\xff", '{"a": 1}'])
def test_a_file_that_is_no_record_is_left_alone(tmp_path, content):
    path = tmp_path / "run.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(StoreError, match="is no record of a run, and is left alone"):
        write_record(str(path), {"schema": "audiorec/run/1"})
    assert path.read_bytes() == content.encode("latin-1")
