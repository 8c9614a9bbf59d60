"""A kill at any step: the file is the old one or the new one, and the undo gives the old one."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from audiorec.audio.tags import read_tag
from audiorec.runs.workers import Answer
from audiorec_retag import retagging
from audiorec_retag.change import prepare_copy
from audiorec_retag.undo import Undo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="os.fork")

STEPS = ("open", "write", "fsync", "replace", "unlink", "truncate", "utime", "fchmod")


def killed_at(step, work):
    """Run `work` in a child that dies at its `step`-th call of the system; say whether it did."""
    child = os.fork()
    if child == 0:
        calls = 0

        def deadly(function):
            def run(*args, **more):
                nonlocal calls
                calls += 1
                if calls == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **more)

            return run

        for name in STEPS:
            setattr(os, name, deadly(getattr(os, name)))
        shutil.copyfileobj = deadly(shutil.copyfileobj)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def write(change, undo_file):
    with Undo(undo_file) as undo:
        retagging._outcome("song", change, Answer(change, value=prepare_copy(change)), undo)


@pytest.mark.parametrize("name", ["flac", "2.3.mp3", "m4a", "ogg", "wv"])
def test_writing(name, song, change, tmp_path):
    (tmp_path / "music").mkdir()
    path = song(name, f"music/song.{name}")
    undo_file = tmp_path / "retag.undo.jsonl"
    wanted = change(path)
    old = path.read_bytes()
    new, step, seen = None, 0, []
    while step < 200:
        step += 1
        if not killed_at(step, lambda: write(wanted, undo_file)):
            new = path.read_bytes()
            break
        seen.append(path.read_bytes())
        undone = (
            retagging.restore(undo_file, [path.parent], write=True) if undo_file.exists() else None
        )
        assert path.read_bytes() == old
        assert len(left(path)) <= 1  # a copy, which the next run removes
        assert undone is None or all(
            song.state in ("restored", "as it was") for song in undone.songs
        )
    assert step > 8
    assert new is not None
    assert new != old
    assert set(seen) == {old, new}  # some were killed before the exchange, some behind it
    assert not left(path)
    assert read_tag(path, "audiorec_genre") == "jazz"


def left(path):
    return [p.name for p in path.parent.iterdir() if p != path]


def test_undoing(song, change, tmp_path):
    path = song("flac")
    undo_file = tmp_path / "undo" / "retag.undo.jsonl"
    undo_file.parent.mkdir()
    wanted, old = change(path), path.read_bytes()
    write(wanted, undo_file)
    new, step = path.read_bytes(), 0
    while step < 100:
        step += 1
        path.write_bytes(new)
        if not killed_at(step, lambda: retagging.restore(undo_file, [tmp_path], write=True)):
            break
        assert path.read_bytes() in (old, new)
        retagging.restore(undo_file, [tmp_path], write=True)
        assert path.read_bytes() == old
        assert [p for p in tmp_path.iterdir() if p.is_file()] == [path]
    assert step > 4
    assert path.read_bytes() == old


def test_folders_are_synced_after_the_exchange(song, change, tmp_path, monkeypatch):
    """The line is on the disk before the file changes, and the name after it."""
    path, order = song("flac"), []
    (tmp_path / "u").mkdir()

    def spied(name, real):
        def run(*args, **more):
            order.append(name)
            return real(*args, **more)

        return run

    for name in ("fsync", "replace", "write"):
        monkeypatch.setattr(os, name, spied(name, getattr(os, name)))
    write(change(path), Path(tmp_path / "u" / "undo.jsonl"))
    assert order[-4:] == ["write", "fsync", "replace", "fsync"]
