"""What a run tells beside the terminal: ``--log-json``, ``--metrics-textfile``, its record."""

import json
from functools import partial

import pytest
from command import run_command
from made_songs import write_song

from audiorec.runs.prometheus import read_metrics


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder of two songs and a broken one."""
    home = tmp_path_factory.mktemp("home")
    for seed in (1, 2):
        write_song(home / "songs" / f"{seed}.wav", seed=seed, seconds=1.2)
    (home / "songs/page.mp3").write_text("<!DOCTYPE html><p>404\n" * 50)
    return home


@pytest.fixture
def audiorec(home, monkeypatch, capfd):
    monkeypatch.chdir(home)

    return partial(run_command, monkeypatch, capfd)


def events(text):
    return [json.loads(line) for line in text.splitlines()]


def test_two_nights_in_log_metrics_and_record(home, audiorec):
    arguments = ["extract", "songs", "-j1", "--log-json", "run.log"]
    arguments += ["--metrics-textfile", "audiorec.prom"]
    code, out, told = audiorec(*arguments)
    assert (code, out) == (3, "")
    assert "CPU time" in told
    first = events((home / "run.log").read_text())
    assert [e["event"] for e in first] == ["run_start", "song", "song", "song", "run_end"]
    songs = {e["song_id"]: e for e in first[1:4]}
    assert songs["1.wav"]["outcome"] == "extracted"
    assert {"decode", "mel", "backbone", "heads", "read"} <= set(songs["1.wav"]["cpu_s"])
    assert songs["1.wav"]["wall_s"] > 0
    assert (songs["page.mp3"]["outcome"], songs["page.mp3"]["status"]) == ("failed", "not_audio")
    assert songs["page.mp3"]["message"]
    assert first[0]["arguments"][:3] == ["audiorec", "extract", "songs"]
    assert (first[4]["exit_code"], first[4]["report"]["extracted"]) == (3, 2)
    record = json.loads((home / "vecs.parquet.run.json").read_text())
    assert (record["schema"], record["exit_code"]) == ("audiorec/run/1", 3)
    assert record["report"]["statuses"] == {"short": 2}
    assert record["extractor_id"] == first[4]["report"]["extractor_id"]

    assert audiorec(*arguments)[0] == 3
    second = events((home / "run.log").read_text())[5:]
    assert [e["event"] for e in second] == ["run_start", "run_end"]
    assert second[0]["run_id"] != first[0]["run_id"]
    found = read_metrics(home / "audiorec.prom")
    runs = {dict(labels)["exit_code"]: n for labels, n in found["audiorec_runs_total"].items()}
    assert runs == {"3": 2}
    (audio_s,) = found["audiorec_audio_seconds_total"].values()
    assert audio_s == pytest.approx(2.4, abs=0.01)
    assert json.loads((home / "vecs.parquet.run.json").read_text())["report"]["unchanged"] == 2


def test_a_log_on_stdout_is_the_only_thing_there(audiorec):
    code, out, told = audiorec("extract", "songs", "-q", "--log-json", "-")
    assert code == 3
    assert [e["event"] for e in events(out)] == ["run_start", "run_end"]
    assert "unchanged" in told


def test_what_ends_a_run_is_the_logs_last_line(home, audiorec):
    (home / "notes.parquet").write_text("my notes")
    code, out, _ = audiorec("extract", "songs", "-o", "notes.parquet", "--log-json", "-")
    assert code == 4
    assert events(out)[-1]["event"] == "run_error"
    assert "notes.parquet" in events(out)[-1]["error"]
    assert not (home / "notes.parquet.run.json").exists()


def test_a_log_that_cannot_be_written_any_more_does_not_end_the_run(home, audiorec):
    code, _, told = audiorec("extract", "songs", "--log-json", "/dev/full")
    assert code == 3
    assert "warning: logging stopped: No space left on device" in told
    assert "unchanged" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--log-json", "-", "--json"], "would both write to stdout"),
        (["--log-json", "no/such/folder/log"], "cannot be written"),
        (["--metrics-textfile", "no/such/folder/a.prom"], "no such folder"),
        (["--metrics-textfile", "songs/page.mp3"], "not a metrics textfile of audiorec"),
    ],
)
def test_what_cannot_be_told_is_refused_before_the_run(home, audiorec, arguments, message):
    code, out, told = audiorec("extract", "songs", "-o", "other.parquet", *arguments)
    assert (code, out) == (2, "")
    assert message in told
    assert not (home / "other.parquet").exists()
    assert (home / "songs/page.mp3").read_text().startswith("<!DOCTYPE")
