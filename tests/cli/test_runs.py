"""``audiorec runs``, and the records and metrics that jobs leave."""

import json
import os
from functools import partial

import pytest
from command import run_command
from made_runs import made_run, two_nights

from audiorec.runs.prometheus import read_metrics
from audiorec.runs.record import read_runs, write_run

LOG = "user_id,song_id,timestamp,event\n" + "".join(
    f"u{user},s{(user + i) % 7},2024-05-0{1 + i}T10:00:00Z,finish\n"
    for user in range(9)
    for i in range(5)
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "plays.csv").write_text(LOG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def audiorec(home, monkeypatch, capfd):
    return partial(run_command, monkeypatch, capfd)


def test_a_night_leaves_records_that_can_be_looked_at(home, audiorec):
    metrics = ("--metrics-textfile", "a.prom")
    train = ("recall", "train", "popular", "-i", "plays.csv", "--out", "model", *metrics)
    assert audiorec(*train)[0] == 0
    ask = ("recall", "candidates", "model", "-i", "plays.csv", "--out", "c.parquet", *metrics)
    for _ in range(2):
        assert audiorec(*ask, "--keep-heard")[0] == 0
    found = read_metrics(home / "a.prom")
    rows = {dict(labels)["output"]: n for labels, n in found["audiorec_run_count"].items()
            if dict(labels)["count"] == "rows"}  # fmt: skip
    assert rows == {"c.parquet": 63}
    runs = {dict(labels)["output"]: n for labels, n in found["audiorec_runs_total"].items()}
    assert runs == {"model": 1, "c.parquet": 2}
    code, out, err = audiorec("runs", "--json")
    listed = json.loads(out)["runs"]
    assert (code, [run["job"] for run in listed].count("recall candidates")) == (0, 2), err
    assert audiorec("runs", "--job", "recall train")[1].count("recall train") == 1
    code, out, _ = audiorec("runs", "model", "--json")
    run = json.loads(out)
    assert (code, run["counts"]["songs"], run["exit_code"]) == (0, 7, 0)
    assert run["arguments"][:4] == ["audiorec", "recall", "train", "popular"]
    code, out, _ = audiorec("runs", "c.parquet", "--diff", "--json")
    document = json.loads(out)
    assert (code, document["counts"]["rows"], document["arguments"]["added"]) == (0, [63, 63], [])
    assert audiorec("runs", "model", "c.parquet")[1].count("arguments") == 1


def test_a_job_removes_what_a_killed_one_of_the_same_output_left(home, audiorec):
    assert audiorec(*"recall train popular -i plays.csv --out model".split())[0] == 0
    left = [home / f".{name}.parquet.0123456789ab.tmp" for name in ("c", "d")]
    for path in left:
        path.write_bytes(b"PAR1")
        os.utime(path, (0, 0))
    assert audiorec(*"recall candidates model -i plays.csv --out c.parquet".split())[0] == 0
    assert [path.exists() for path in left] == [False, True]


def test_a_job_that_fails_is_noted_where_a_record_is(home, audiorec):
    ask = ("recall", "candidates", "model", "-i", "gone.csv", "--out", "c.parquet")
    assert audiorec(*ask)[0] == 2
    assert not (home / "c.parquet.run.json").exists()
    write_run("c.parquet.run.json", made_run())
    code, _, err = audiorec(*ask, "--metrics-textfile", "a.prom")
    assert code == 2
    failed = read_runs("c.parquet.run.json")[-1]
    assert (failed.exit_code, f"error: {failed.error}\n") == (2, err)
    (labels,) = read_metrics(home / "a.prom")["audiorec_runs_total"]
    assert dict(labels) == {"output": "c.parquet", "exit_code": "2"}
    assert failed.error in audiorec("runs")[1]


def test_less_than_the_last_time_is_said_kept_and_counted(home, audiorec):
    assert audiorec(*"recall train popular -i plays.csv --out model".split())[0] == 0
    write_run("c.parquet.run.json", made_run(counts={"rows": 1000}))
    ask = "recall candidates model -i plays.csv --out c.parquet --metrics-textfile a.prom"
    code, _, err = audiorec(*ask.split())
    told = "warning: 18 rows, 1,000 in the run of 2026-11-25 03:00\n"
    assert (code, told in err) == (0, True), err
    assert read_runs("c.parquet.run.json")[-1].warnings == (told.removeprefix("warning: ")[:-1],)
    assert list(read_metrics(home / "a.prom")["audiorec_run_warnings"].values()) == [1]


def test_a_night_of_recall_names_a_channel_that_proposes_nothing(home, audiorec):
    (home / "recall.toml").write_text(
        '[recall]\ninteractions = "plays.csv"\nout = "serving"\nkeep_heard = true\n'
        'channels = ["popular", "replay"]\n'
    )
    code, _, err = audiorec("recall", "run", "--config", "recall.toml")
    assert code == 0, err
    run = read_runs("serving.run.json")[-1]
    assert run.counts["proposed/popular"] == 63
    assert {"users", "rows", "channels/popular"} <= set(run.counts)
    silent = [name for name, n in run.counts.items() if name.startswith("proposed/") and not n]
    assert [f"channel {name[9:]} proposed no songs" for name in silent] == [
        text for text in run.warnings if "proposed" in text
    ]


def test_a_person_is_in_no_record(home, audiorec):
    (home / "scrobbles.csv").write_text("artist,album,track,uts\nAyla,One,Two,1709294400\n")
    line = "listening import lastfm scrobbles.csv --keep any --user ana-maria -o log.parquet"
    assert audiorec(*line.split())[0] == 0
    assert "ana-maria" not in (home / "log.parquet.run.json").read_text()


def test_one_run_is_too_few_to_compare(home, audiorec):
    write_run("c.parquet.run.json", made_run())
    code, _, err = audiorec("runs", "c.parquet", "--diff")
    assert (code, "has 1 of the two finished runs that --diff needs" in err) == (2, True)
    two_nights("c.parquet.run.json", output="c.parquet")
    assert audiorec("runs", "c.parquet", "--diff")[0] == 0


def test_a_textfile_of_anothers_is_refused_before_the_job(home, audiorec):
    train = "recall train popular -i plays.csv --out model --metrics-textfile plays.csv"
    code, _, err = audiorec(*train.split())
    assert (code, "not a metrics textfile" in err) == (2, True)
    assert not (home / "model").exists()


def test_what_cannot_be_shown_is_one_line(audiorec):
    for words, message in (
        (("a", "b", "c"), "name one run to show or two to compare, not 3"),
        (("--diff",), "--diff compares the last two runs of one output: name it"),
    ):
        code, out, err = audiorec("runs", *words)
        assert (code, out, message in err) == (2, "", True)
