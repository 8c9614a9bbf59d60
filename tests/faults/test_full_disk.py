"""Jobs other than `extract` on a full disk: one line, no output, and a repeat that works."""

import os
import subprocess
import sys
from functools import partial

import pytest
from command import run_command
from made_stores import write_store
from needs import needs

TINY_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))"
START = "from audiorec_cli.main import main; main()"
JOBS = {
    "prepare": "listening prepare plays.csv --out o/out",
    "simulate": "listening simulate -v vecs.parquet --users 20 --out o/out",
    "neighbours": "similar -v vecs.parquet --out o/out",
    "train": "recall train item-knn -i plays.csv --out o/out",
    "candidates": "recall candidates model -i plays.csv --keep-heard --out o/out",
    "export": "recall export lists.parquet -i plays.csv --out o/out",
    "run": "recall run --config recall.toml",
}
EXTRAS = {
    "train, by steps": (
        "torch",
        "recall train sasrec -i plays.csv --set max_epochs=1 --out o/out",
        "o/out",
    ),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    ids = write_store(folder / "vecs.parquet", 30)
    rows = ["user_id,song_id,timestamp,event"]
    for user in range(12):
        rows += [
            f"u{user},{ids[(3 * user + place) % 30]},2026-01-01T{user:02}:{place:02}:00Z,finish"
            for place in range(10)
        ]
    (folder / "plays.csv").write_text("\n".join(rows) + "\n")
    (folder / "recall.toml").write_text(
        '[recall]\ninteractions = "plays.csv"\nout = "o/out"\nchannels = ["popular"]\n'
    )
    ended(folder, "recall train popular -i plays.csv --out model")
    ended(folder, "recall candidates model -i plays.csv --keep-heard --out lists.parquet")
    return folder


def ended(folder, words, prelude=""):
    """Run a command in a process of its own; return its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", f"{prelude}\n{START}", *words.split()],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.fixture
def refused_then_done(home, monkeypatch, capsys):
    """Run a job in a process that may write little, then in this one, which may write all."""
    monkeypatch.chdir(home)
    return partial(_refused_then_done, home, partial(run_command, monkeypatch, capsys))


def _refused_then_done(home, run, words, made="o/out"):
    (home / "o").mkdir()
    try:
        code, said = ended(home, words, TINY_FILES)
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        assert (code, len(errors), "Traceback" in said) == (4, 1, False), said
        assert "cannot be written: file too large" in errors[0]
        assert "repeat the command" in errors[0]
        finished = ("*.parquet", "model.json", "world.json", "manifest.json", "out")
        assert not [p for name in finished for p in (home / "o").rglob(name) if p.is_file()]
        assert not (home / made).is_file()
        code, _, said = run(*words.split())
        assert code == 0, said
        assert (home / made).exists()
        assert not list((home / "o").glob("*.run"))
    finally:
        subprocess.run(["rm", "-r", str(home / "o")], check=True)


@pytest.mark.parametrize("words", JOBS.values(), ids=JOBS)
def test_a_job_on_a_full_disk(refused_then_done, words):
    refused_then_done(words)


@pytest.mark.parametrize(("package", "words", "made"), EXTRAS.values(), ids=EXTRAS)
def test_a_job_of_an_extra_on_a_full_disk(refused_then_done, package, words, made):
    needs(package)
    refused_then_done(words, made)
