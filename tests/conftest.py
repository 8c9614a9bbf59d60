"""Small libraries for the tests of whole runs."""

import os
import threading
from pathlib import Path

import pytest
from made_rows import make_failure, make_row, make_series, make_table, metadata  # noqa: F401
from made_songs import write_song

from audiorec.errors import AudiorecError
from audiorec.runs.workers import Answer, Workers, _make_handler

# Ray reads it once per process; without it, Ray writes a token into the home folder.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
# Started by `uv run`, Ray's workers would run uv too, and point this environment at their own copy.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")


@pytest.fixture
def library(tmp_path) -> Path:
    """A folder of four songs in two folders and three formats."""
    root = tmp_path / "songs"
    for i, name in enumerate(["a/one.flac", "a/two.wav", "b/three.flac", "b/four.mp3"]):
        write_song(root / name, seed=i)
    return root


@pytest.fixture
def in_this_process(monkeypatch):
    """Let a single worker answer in this process: one of its own takes 0.4 CPU seconds to start.

    What crashes, limits and signals do to a worker is in the tests of `runs`, `hostile`, `faults`.
    """
    ask_process = Workers.ask

    def ask(workers, item):
        if workers._jobs > 1 or b"poison" in workers._setup:
            return ask_process(workers, item)
        try:
            if not hasattr(workers, "handler"):
                workers.handler = _make_handler(workers._setup)
            return Answer(item, value=workers.handler(item))
        except AudiorecError as error:
            return Answer(item, error=error)

    monkeypatch.setattr(Workers, "ask", ask)


@pytest.fixture
def hangs_are_over_at_once(monkeypatch, tmp_path_factory):
    """Let a song's time be over once it hangs, and not before, however slow the machine is.

    That time is kept by the clock is in `tests/runs/test_workers.py`.
    """
    marks = tmp_path_factory.mktemp("marks")
    monkeypatch.setenv("HANGS", str(marks))

    class Timer(threading.Timer):
        def run(self):
            mark = marks / str(self.function.__self__._process.pid)
            while not self.finished.wait(0.05):
                if mark.exists():
                    self.function()
                    return

    monkeypatch.setattr(threading, "Timer", Timer)
