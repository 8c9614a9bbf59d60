"""`audiorec.files.own_files`: one at a time, no lock outlives its process, nothing is believed."""

import builtins
import errno
import os
import signal
import subprocess
import sys

import filelock
import pytest

from audiorec.errors import StoreError
from audiorec.files import own_files
from audiorec.files.own_files import ATTEMPTS, RunFolder, unfinished_files

NAMES = r"new\.rows|deep/(?:\d\.npy)?"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "a" / "vecs.parquet"


@pytest.fixture
def folder(out):
    path = out.with_name("vecs.parquet.run")
    path.mkdir(parents=True)
    return path


def tree(path):
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*"))


def test_second_lock_is_refused_until_the_first_is_released(out):
    first = RunFolder(out, NAMES)
    with pytest.raises(StoreError, match=r"vecs.parquet.run: another run is writing this output"):
        RunFolder(out, NAMES)
    first.release()
    first.release()
    second = RunFolder(out, NAMES)
    second.release(remove=True)
    assert tree(out.parent) == []


def test_lock_ends_with_its_process(out):
    script = (
        "import sys, time; from pathlib import Path\n"
        "from audiorec.files.own_files import RunFolder\n"
        "lock = RunFolder(Path(sys.argv[1]), 'x'); print('locked', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(StoreError, match="another run"):
            RunFolder(out, "x")
        process.send_signal(signal.SIGKILL)
    RunFolder(out, "x").release()


def test_folder_with_files_stays(out):
    held = RunFolder(out, NAMES)
    (held.path / "new.rows").touch()
    held.release(remove=True)
    assert tree(out.parent) == ["vecs.parquet.run", "vecs.parquet.run/new.rows"]


def test_lock_of_a_removed_file_does_not_count(out, monkeypatch):
    """Between opening and locking, another run ends and removes the file."""
    real, calls = os.open, []

    def open_then_lose(path, flags, mode=0o777, **kwargs):
        descriptor = real(path, flags, mode, **kwargs)
        if len(calls) < 2:
            calls.append(path)
            path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", open_then_lose)
    held = RunFolder(out, NAMES)
    monkeypatch.undo()
    assert len(calls) == 2
    with pytest.raises(StoreError, match="another run is writing"):
        RunFolder(out, NAMES)
    held.release()


def test_gives_up_in_the_end(out, monkeypatch):
    calls = []
    monkeypatch.setattr(RunFolder, "_try", lambda _self: calls.append(1))
    with pytest.raises(StoreError, match="keeps removing this folder"):
        RunFolder(out, NAMES)
    assert len(calls) == ATTEMPTS


def test_a_system_without_locks_on_files_uses_a_marker(out, monkeypatch):
    def no_locks(descriptor, *, blocking):
        raise OSError(errno.ENOSYS, "no such call")

    monkeypatch.setattr(filelock, "lock_descriptor", no_locks)
    first = RunFolder(out, NAMES)
    with pytest.raises(StoreError, match="another run is writing"):
        RunFolder(out, NAMES)
    first.release()
    RunFolder(out, NAMES).release(remove=True)
    assert tree(out.parent) == []


def test_a_disk_that_refuses_locks_is_not_taken_for_a_free_one(out, monkeypatch):
    def broken(descriptor, *, blocking):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(filelock, "lock_descriptor", broken)
    with pytest.raises(OSError, match="no locks available"):
        RunFolder(out, NAMES)


def test_clear_leaves_the_lock_and_release_the_parent(out, folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "1.npy").write_bytes(b"\x93NUMPY...")
    (folder / "new.rows").write_bytes(b"aRec...")
    held = RunFolder(out, NAMES)
    assert held.names() == ["deep/1.npy", "new.rows"]
    assert unfinished_files(out, NAMES) == held.names()
    held.clear()
    assert tree(folder) == ["lock"]
    held.release(remove=True)
    assert tree(out.parent) == []


def test_what_a_killed_run_was_writing_is_removed(out, folder):
    (folder / "deep").mkdir()
    (folder / "deep" / ".1.npy.0123456789ab.tmp").write_bytes(b"\x93NUM")
    (folder / ".new.rows.0123456789ab.tmp").write_bytes(b"aR")
    (folder / ".tmpAbC123").write_bytes((64).to_bytes(8, "little") + b'{"a":')
    (folder / "new.rows").write_bytes(b"aRec...")
    left = [".new.rows.0123456789ab.tmp", ".tmpAbC123", "deep/.1.npy.0123456789ab.tmp"]
    assert unfinished_files(out, NAMES) == [*left, "new.rows"]
    held = RunFolder(out, NAMES)
    assert held.names() == ["new.rows"]
    held.release()


def test_the_last_name_goes_last(out, folder, monkeypatch):
    for name in ("new.rows", "commit.json"):
        (folder / name).touch()
    gone = []
    real = own_files.Path.unlink
    monkeypatch.setattr(own_files.Path, "unlink", lambda p: (gone.append(p.name), real(p)))
    held = RunFolder(out, rf"{NAMES}|commit\.json")
    held.clear(last="commit.json")
    held.release()
    assert gone == ["new.rows", "commit.json"]


def link_to_folder(folder, victim):
    folder.rmdir()
    folder.symlink_to(victim)


def link_to_nothing(folder, victim):
    folder.rmdir()
    folder.symlink_to("nothing")


def foreign_name(folder, victim):
    (folder / "thesis.txt").write_text("years")


def folder_below(folder, victim):
    (folder / "deep").symlink_to(victim)


def file_for_the_folder(folder, victim):
    folder.rmdir()
    folder.write_text("remove? no!")


def empty_folder(folder, victim):
    (folder / "my plans").mkdir()


PLANTED = [
    link_to_folder,
    link_to_nothing,
    foreign_name,
    folder_below,
    file_for_the_folder,
    empty_folder,
]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda p: p.__name__)
def test_a_planted_folder_is_refused_and_nothing_is_touched(tmp_path, out, folder, plant):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "bashrc").write_text("export PATH")
    plant(folder, victim)
    before = tree(tmp_path)
    for use in (RunFolder, unfinished_files):
        with pytest.raises(StoreError, match=r"vecs\.parquet\.run.*(remove|move it away)"):
            use(out, NAMES)
    after = [name for name in tree(tmp_path) if name != "a/vecs.parquet.run/lock"]
    assert after == [name for name in before if name != "a/vecs.parquet.run/lock"]
    assert (victim / "bashrc").read_text() == "export PATH"


def test_looking_makes_nothing(out):
    assert unfinished_files(out, NAMES) == []
    assert not out.parent.exists()


def test_looking_needs_no_lock_module(out, folder, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "filelock":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert unfinished_files(out, NAMES) == []
