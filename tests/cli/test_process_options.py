"""``audiorec recall train --processes``: what is refused before anything starts; a stop."""

import pytest
from needs import needs

from audiorec_cli.shared import training

PLAYS = "user_id,song_id,event,timestamp\n" + "\n".join(
    f"u{u},s{(u + i) % 6},finish,2026-01-0{i + 1}T00:00:00Z" for u in range(8) for i in range(4)
)


@pytest.fixture
def plays(tmp_path, monkeypatch):
    """A folder with a log."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plays.csv").write_text(f"{PLAYS}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "rules --processes 2",
            "rules trains in one process only; these use several: comirec-sa, mind, sasrec",
        ),
        ("sasrec --processes 2 --runner local:auto", "a runner must be local or ray[:ADDRESS]"),
        ("sasrec --processes 2 --set blocks=0", "blocks must be at least 1"),
        ("sasrec --runner ray -i gone.csv", "gone.csv: no such file"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_starts(plays, audiorec, words, said):
    needs("torch")
    log = "" if "-i" in words else "-i plays.csv"
    code, _, err = audiorec(*f"recall train {words} {log} -o out".split())
    assert code == 2
    assert said in err
    assert "processes with" not in err
    assert sorted(p.name for p in plays.iterdir() if p.suffix != ".json") == ["plays.csv"]


def test_processes_that_torchrun_started_start_none(plays, audiorec, monkeypatch):
    needs("torch")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    code, _, err = audiorec(*"recall train sasrec -i plays.csv -o out --processes 2".split())
    assert code == 2
    assert "already running under torchrun" in err


def test_a_training_that_was_stopped_says_so(plays, audiorec, monkeypatch):
    needs("torch")
    told = []

    def run(self, task, out, stop, *, quiet):
        told.append(task.arguments)

    monkeypatch.setattr(training.ProcessOptions, "_run", run)
    words = "recall train sasrec -i plays.csv -o out --processes 3 --set max_epochs=2"
    code, _, err = audiorec(*words.split())
    assert code == 130
    assert err.splitlines()[0] == "3 processes with Ray on this machine"
    assert "run the same command to resume" in err
    assert told[0]["settings"] == ["max_epochs=2"]
    assert told[0]["log"] == {"path": str(plays / "plays.csv")}


def test_prepared_listening_trains_as_its_log_does(plays, audiorec):
    assert audiorec(*"listening prepare plays.csv --out prepared --buckets 3".split())[0] == 0
    for log, out in (("plays.csv", "a"), ("prepared", "b")):
        assert audiorec(*f"recall train rules -i {log} -o {out}".split())[0] == 0
    one, other = (plays / n / "model.safetensors" for n in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()
    code, _, err = audiorec(*"recall train rules -i prepared -o c --likes".split())
    assert (code, "prepared listening has only plays" in err) == (2, True)
    code, _, err = audiorec(*"recall train rules -i prepared -o c --by session".split())
    assert (code, "was prepared by user" in err) == (2, True)
    (plays / "empty").mkdir()
    code, _, err = audiorec(*"recall train rules -i empty -o c".split())
    assert (code, "empty: is a folder without Parquet files of a log" in err) == (2, True)
