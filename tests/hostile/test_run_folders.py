"""What lies beside an output may not be ours: run folders, markers, records, links.

Each test plants something, runs the real command in the folder, and looks at a folder of
somebody else's files: not one of them may have changed.
"""

import hashlib
import json
import os
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from command import run_command
from made_songs import write_song
from quick_songs import QuickWorkers

from audiorec.store.commit import MARKER, MARKER_SCHEMA


def state(folder):
    """Return every name below a folder with its kind, time and content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[path.relative_to(folder).as_posix()] = (
            about.st_mode,
            about.st_mtime_ns if path.is_file() else 0,
            hashlib.sha256(content).hexdigest(),
            os.readlink(path) if path.is_symlink() else "",  # noqa: PTH115
        )
    return found


@pytest.fixture
def victim(tmp_path):
    """A folder that no command is told of."""
    folder = tmp_path / "victim"
    (folder / "deep").mkdir(parents=True)
    (folder / "bashrc").write_text("export PATH")
    (folder / "deep" / "thesis.txt").write_text("years of work")
    return folder


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    write_song(folder / "a.flac", 1, seconds=1.5)
    return folder


@pytest.fixture
def extract(music, monkeypatch, capsys):
    """`extract(*options)` is `audiorec extract .` in the folder: its exit code and stderr."""
    monkeypatch.chdir(music)
    monkeypatch.setattr("audiorec.extraction.run.Workers", QuickWorkers)

    def run(*options):
        code, _out, err = run_command(monkeypatch, capsys, "extract", ".", *options)
        return SimpleNamespace(returncode=code, stderr=err)

    return run


def marker(run_dir, content):
    run_dir.mkdir()
    (run_dir / MARKER).write_text(json.dumps(content))


MARKERS = {
    "of another program": {"files": [["readme.txt", "../victim/bashrc"]]},
    "upwards": {"schema": MARKER_SCHEMA, "files": {"vectors": "../victim/bashrc"}},
    "another output": {"schema": MARKER_SCHEMA, "files": {"scores": "readme.txt"}},
    "no kind": {"schema": MARKER_SCHEMA, "files": {"passwords": "vecs.parquet"}},
}


@pytest.mark.parametrize("name", MARKERS)
def test_a_marker_of_something_else_moves_nothing(music, victim, extract, name):
    (music / "readme.txt").write_text("export PATH=/tmp/evil")
    marker(music / "vecs.parquet.run", MARKERS[name])
    before, ours = state(victim), state(music)
    ended = extract()
    assert ended.returncode == 4
    assert "commit.json: " in ended.stderr
    assert "remove" in ended.stderr
    assert state(victim) == before
    assert {**state(music), "vecs.parquet.run/lock": 0} == {**ours, "vecs.parquet.run/lock": 0}


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)], ids=["resume", "overwrite"])
def test_a_run_folder_that_is_a_link_deletes_nothing(music, victim, extract, overwrite):
    (music / "vecs.parquet.run").symlink_to(victim)
    before, ours = state(victim), state(music)
    ended = extract(*overwrite)
    assert state(victim) == before
    assert state(music) == ours
    assert ended.returncode == 4
    assert "vecs.parquet.run: is a link" in ended.stderr


@pytest.mark.parametrize("record", ["link", "foreign"])
def test_a_record_that_is_not_ours_is_left_alone(music, victim, extract, record):
    path = music / "vecs.parquet.run.json"
    if record == "link":
        path.symlink_to(victim / "bashrc")
    else:
        path.write_text('{"my": "notes"}')
    before, mine = state(victim), path.lstat()
    ended = extract()
    assert ended.returncode == 0
    assert "warning: " in ended.stderr
    assert "vecs.parquet.run.json: " in ended.stderr
    assert (state(victim), path.lstat().st_ino) == (before, mine.st_ino)
    assert pq.read_table(music / "vecs.parquet").num_rows == 1


@pytest.mark.parametrize("name", ["vecs.parquet", "vecs.errors.parquet"])
@pytest.mark.parametrize("target", ["bashrc", "new"])
def test_an_output_that_is_a_link_to_anything_else_is_refused(music, victim, extract, name, target):
    (music / name).symlink_to(victim / target)
    before = state(victim)
    for options in ((), ("--overwrite",), ("--dry-run",)):
        ended = extract(*options)
        assert ended.returncode in (2, 4) or "--dry-run" in options
        assert state(victim) == before


def test_a_planted_staged_file_that_is_no_store_does_not_replace_one(music, extract):
    assert extract().returncode == 0
    before = (music / "vecs.parquet").read_bytes()
    (music / ".vecs.parquet.vecs.parquet.run.staged").write_bytes(b"PAR1, or so it says")
    content = {"schema": MARKER_SCHEMA, "files": {"vectors": "vecs.parquet"}}
    marker(music / "vecs.parquet.run", content)
    ended = extract()
    assert ended.returncode == 4
    assert "not a valid Parquet file" in ended.stderr
    assert (music / "vecs.parquet").read_bytes() == before


def test_parts_that_are_none_cost_their_songs(music, extract):
    (music / "vecs.parquet.run").mkdir()
    for number, junk in enumerate((b"PAR1" + bytes(900), b"", b"PAR1")):
        (music / "vecs.parquet.run" / f"vectors-{number + 1:06d}.parquet").write_bytes(junk)
    ended = extract()
    assert ended.returncode == 0
    assert pq.read_table(music / "vecs.parquet").num_rows == 1
    assert not (music / "vecs.parquet.run").exists()


def test_a_log_that_is_a_link_is_not_appended_to(music, victim, extract):
    (music / "run.jsonl").symlink_to(victim / "bashrc")
    before = state(victim)
    ended = extract("--log-json", "run.jsonl")
    assert ended.returncode in (2, 4)
    assert "run.jsonl: is a link" in ended.stderr
    assert state(victim) == before


def test_a_dry_run_writes_nothing_at_all(music, extract):
    before = state(music)
    assert extract("--dry-run").returncode == 0
    assert state(music) == before
    assert extract().returncode == 0
    write_song(music / "b.flac", 2, seconds=1.5)
    before = state(music)
    ended = extract("--dry-run")
    assert ended.returncode == 0
    assert state(music) == before
