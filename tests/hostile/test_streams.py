"""Closed, broken and full standard streams: work is done, and no command ends in a traceback."""

import io
import os
import shlex
import subprocess
import sys
import threading

import pyarrow.parquet as pq
import pytest
from good_store import write_good_store
from made_songs import write_song

from audiorec.library.library import Library
from audiorec.store.verify import verify
from audiorec_cli.shared.console import Guarded

COMMAND = f"{shlex.quote(sys.executable)} -c 'from audiorec_cli.main import main; main()'"
CLOSED = {
    "stdout closed": (">&-", 0),
    "stderr closed": ("2>&-", 0),
    "all closed": ("<&- >&- 2>&-", 0),
    "stderr full": ("2>/dev/full", 0),
    "stdout full": (">/dev/full", 6),
    "no reader": ("| head -c 1", 0),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    write_good_store(folder)
    for seed in range(2):
        write_song(folder / "songs" / f"{seed}.wav", seed=seed, seconds=1.6)
    return folder


def shell(folder, arguments, redirected):
    """Run the command in a shell; returns its own exit code, stdout and stderr."""
    script = f"{COMMAND} {arguments} {redirected}; exit ${{PIPESTATUS[0]}}"
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(
    ("how", "asked"), [("all closed", ""), ("stdout full", "--json"), ("no reader", "--json")]
)
def test_a_run_is_committed_whatever_became_of_the_streams(home, how, asked, tmp_path):
    redirected, code = CLOSED[how]
    store = tmp_path / "vecs.parquet"
    run = shell(home, f"extract songs -j 1 --out {store} {asked}", redirected)
    assert len(Library.open(store)) == 2
    assert "Traceback" not in run.stderr
    # Without --json there is no data to lose.
    assert run.returncode == (code if asked else 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("vecs.copies.parquet", "vecs.parquet", "vecs.parquet.run.json"),
    ]
    assert verify(store).is_good


# With what they print on stdout when they are not asked for JSON.
COMMANDS = {"info --vectors vecs.parquet": True, "store verify vecs.parquet": False}


@pytest.mark.parametrize("how", CLOSED)
def test_other_commands(home, how):
    redirected, code = CLOSED[how]
    for command, prints in COMMANDS.items():
        asked = "" if prints else "--json"
        run = shell(home, f"{command} {asked}", redirected)
        assert "Traceback" not in run.stderr, command
        assert run.returncode == (code if asked or prints else 0), command
        if "stderr" in how:
            assert bool(run.stdout) == bool(asked or prints), command
        if run.returncode == 6:
            assert run.stderr.splitlines()[-1] == (
                "error: stdout could not be written: No space left on device; the command itself "
                "has finished"
            )


def test_a_pipe_that_does_not_block_gets_everything():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    got = []

    def read():
        while data := os.read(reading, 4096):
            got.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(writing, "w") as stream:
        guarded = Guarded(stream)
        guarded.write("x" * 1_000_000)
        guarded.flush()
        assert guarded.sink.lost is None
    reader.join()
    os.close(reading)
    assert b"".join(got) == b"x" * 1_000_000


def test_a_line_from_a_signal_may_come_while_another_is_written(monkeypatch):
    said = []

    class Raw(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            said.append(bytes(data))
            if len(said) == 1:
                print("from the handler", file=sys.stderr, flush=True)
            return len(data)

    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(Raw()), "utf-8"))
    monkeypatch.setattr(sys, "stderr", Guarded(sys.stderr))
    print("first", file=sys.stderr, flush=True)
    told = b"".join(said)
    assert told.startswith(b"first")
    assert b"from the handler" in told


def test_a_failure_keeps_its_own_exit_code(home):
    assert shell(home, "info --vectors nothing.parquet --json", ">/dev/full").returncode == 2
    assert shell(home, "info --vectors nothing.parquet --json", "2>&-").returncode == 2
    assert shell(home, "nosuch", ">&- 2>&-").returncode == 2


@pytest.mark.parametrize("how", ["stdout closed", "stdout full"])
def test_a_log_on_a_stream_that_is_gone_does_not_stop_the_run(home, how, tmp_path):
    redirected, code = CLOSED[how]
    store = tmp_path / "vecs.parquet"
    run = shell(home, f"extract songs -j 1 -q --out {store} --log-json -", redirected)
    assert (run.returncode, "Traceback" in run.stderr) == (code, False)
    assert pq.read_table(store).num_rows == 2
