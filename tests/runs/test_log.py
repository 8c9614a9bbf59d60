"""`audiorec.runs.log` and `extraction.run_record`: what a run leaves for machines to read."""

import io
import json
from datetime import UTC, datetime

from audiorec.extraction.run_record import run_record, write_record
from audiorec.runs.log import RunLog
from audiorec.runs.report import SongOutcome
from audiorec.store.schema import Kind, StoreMetadata

SONG = SongOutcome(
    "a\nb.mp3",
    "/music/a\udce9.mp3",
    "failed",
    "not_audio",
    "line\nbreak",
    1.23456,
    2.0,
    {"mel": 0.5},
)


def test_each_event_is_one_line_of_json_with_the_runs_id():
    stream = io.StringIO()
    log = RunLog(stream.write)
    log.event("run_start", songs=2)
    log.song(SONG, done=1, total=2)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["schema"], first["event"], first["songs"]) == ("audiorec/log/1", "run_start", 2)
    assert first["run_id"] == second["run_id"] == log.run_id
    assert (second["event"], second["song_id"], second["message"]) == (
        "song",
        "a\nb.mp3",
        "line\nbreak",
    )
    assert (second["audio_s"], second["cpu_s"], second["done"]) == (1.235, {"mel": 0.5}, 1)
    assert datetime.fromisoformat(second["time"]).tzinfo is not None
    assert stream.getvalue().isascii()  # a name that is not UTF-8 cannot spoil the log


def test_two_runs_in_one_file_are_told_apart():
    stream = io.StringIO()
    assert RunLog(stream.write).run_id != RunLog(stream.write).run_id


def test_a_line_is_given_away_whole(tmp_path):
    path = tmp_path / "log"
    with path.open("a", buffering=1) as file:
        log = RunLog(file.write)
        log.event("run_start")
        assert path.read_text().count("\n") == 1


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
