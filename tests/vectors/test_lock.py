"""`audiorec.vectors.lock`: one at a time, and no lock outlives its process."""

import os
import signal
import subprocess
import sys

import pytest

from audiorec.errors import StoreError
from audiorec.vectors.lock import ATTEMPTS, RunLock


def test_second_lock_is_refused_until_the_first_is_released(tmp_path):
    folder = tmp_path / "a" / "vecs.parquet.run"
    first = RunLock(folder)
    with pytest.raises(StoreError, match=r"vecs.parquet.run: another run is writing this output"):
        RunLock(folder)
    first.release()
    first.release()
    second = RunLock(folder)
    second.release(remove=True)
    assert not folder.exists()


def test_lock_ends_with_its_process(tmp_path):
    script = (
        "import sys, time; from pathlib import Path\n"
        "from audiorec.vectors.lock import RunLock\n"
        "lock = RunLock(Path(sys.argv[1])); print('locked', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(StoreError, match="another run"):
            RunLock(tmp_path / "run")
        process.send_signal(signal.SIGKILL)
    RunLock(tmp_path / "run").release()


def test_folder_with_files_stays(tmp_path):
    lock = RunLock(tmp_path / "run")
    (tmp_path / "run" / "new.arrows").touch()
    lock.release(remove=True)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["new.arrows"]


def test_lock_of_a_removed_file_does_not_count(tmp_path, monkeypatch):
    """Between opening and locking, another run ends and removes the file."""
    folder, real, calls = tmp_path / "run", os.open, []

    def open_then_lose(path, flags, mode=0o777, **kwargs):
        descriptor = real(path, flags, mode, **kwargs)
        if len(calls) < 2:
            calls.append(path)
            path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", open_then_lose)
    lock = RunLock(folder)
    monkeypatch.undo()
    assert len(calls) == 2
    with pytest.raises(StoreError, match="another run is writing"):
        RunLock(folder)
    lock.release()


def test_gives_up_in_the_end(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(RunLock, "_try", lambda _self: calls.append(1))
    with pytest.raises(StoreError, match="keeps removing this folder"):
        RunLock(tmp_path / "run")
    assert len(calls) == ATTEMPTS
