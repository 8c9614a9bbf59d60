"""`audiorec.runs.report`: a run as lines of JSON."""

import io
import json
from datetime import datetime

from audiorec.runs.report import RunLog, SongOutcome

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
