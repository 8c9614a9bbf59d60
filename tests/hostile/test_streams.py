"""Closed, broken and full standard streams: work is done, and no command ends in a traceback."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from good_store import write_good_store
from made_songs import write_song

from audiorec.vectors.store import VectorStore

COMMAND = f"{shlex.quote(sys.executable)} -c 'from audiorec_cli.main import main; main()'"
CLOSED = {
    "stdout closed": (">&-", 0),
    "stderr closed": ("2>&-", 0),
    "all closed": ("<&- >&- 2>&-", 0),
    "stderr full": ("2>/dev/full", 0),
    "stdout full": (">/dev/full", 6),
    "no reader": ("| head -c 1", 0),
}
FORMATS = Path(__file__).parents[2] / "fixtures" / "formats"
LOG = FORMATS / "interactions-v1.csv"


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


@pytest.mark.parametrize("how", CLOSED)
@pytest.mark.parametrize("asked", ["", "--json"])
def test_a_run_is_committed_whatever_became_of_the_streams(home, how, asked, tmp_path):
    redirected, code = CLOSED[how]
    store = tmp_path / "vecs.parquet"
    run = shell(home, f"extract songs -j 1 --out {store} {asked}", redirected)
    assert len(VectorStore.open(store)) == 2
    assert "Traceback" not in run.stderr
    # Without --json there is no data to lose.
    assert run.returncode == (code if asked else 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["vecs.parquet", "vecs.parquet.run.json"]
    again = shell(home, f"extract songs -j 1 --out {store} --json", "")
    assert json.loads(again.stdout)["unchanged"] == 2


COMMANDS = [
    "info --vectors vecs.parquet",
    "store info vecs.parquet",
    "store verify vecs.parquet",
    "store aliases vecs.parquet",
    "similar one.flac --vectors vecs.parquet",
    f"interactions check {LOG}",
    "manifest songs --out m.parquet",
]


@pytest.mark.parametrize("how", CLOSED)
@pytest.mark.parametrize("asked", ["", "--json"])
def test_other_commands(home, how, asked):
    redirected, code = CLOSED[how]
    for command in COMMANDS:
        whole = shell(home, f"{command} {asked}", "")
        run = shell(home, f"{command} {asked}", redirected)
        assert "Traceback" not in run.stderr, command
        assert whole.returncode == 0, whole.stderr
        assert run.returncode == (code if whole.stdout else 0), command
        if "stderr" in how:
            assert run.stdout == whole.stdout
        if how == "stdout full" and whole.stdout:
            assert run.stderr.splitlines()[-1] == (
                "error: stdout could not be written: No space left on device; the command itself "
                "is done"
            )


def test_a_failure_keeps_its_own_exit_code(home):
    for redirected in (">/dev/full", ">&-", "2>&-", "| head -c 1"):
        assert shell(home, "info --vectors nothing.parquet --json", redirected).returncode == 4
        assert shell(home, "nosuch", redirected).returncode == 2
        assert shell(home, "extract", redirected).returncode == 2


def test_a_log_on_a_stream_that_is_gone_does_not_stop_the_run(home, tmp_path):
    for number, (redirected, code) in enumerate(CLOSED.values()):
        store = tmp_path / f"{number}.parquet"
        run = shell(home, f"extract songs -j 1 -q --out {store} --log-json -", redirected)
        assert (run.returncode, "Traceback" in run.stderr) == (code, False)
        assert pq.read_table(store).num_rows == 2


def test_nothing_is_written_into_a_store_that_got_a_standard_descriptor(home, tmp_path):
    whole, closed = tmp_path / "whole.parquet", tmp_path / "closed.parquet"
    for path, redirected in ((whole, ""), (closed, "<&- >&- 2>&-")):
        shell(home, f"extract songs/0.wav -j 1 --out {path}", redirected)
    kept = [n for n in pq.read_schema(whole).names if n != "extracted_at"]
    assert pq.read_table(closed, columns=kept).equals(pq.read_table(whole, columns=kept))
