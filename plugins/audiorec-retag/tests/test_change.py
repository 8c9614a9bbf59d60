"""`audiorec_retag.change`: what is refused, what a file keeps, what its folder looks like."""

import os
import stat
from pathlib import Path

import pytest

from audiorec.audio.decode import content_hash
from audiorec.errors import MissingSongError, SongError
from audiorec_retag import change as module
from audiorec_retag.change import discard, prepare_copy, swap_in

LONG = "a" * 251 + ".mp3"  # as long as a name can be
HOSTILE = ["-rf.mp3", "a\nb.mp3", "\x1b[31m.mp3", "$(touch x).mp3", " .mp3", "ä\u202e.mp3", LONG]


def run(change):
    changed = prepare_copy(change)
    swap_in(change, changed)
    return changed


def refused(change, match):
    before = {p: p.read_bytes() for p in change_folder(change)}
    with pytest.raises(SongError, match=match):
        run(change)
    assert {p: p.read_bytes() for p in change_folder(change)} == before


def change_folder(change):
    return sorted(p for p in Path(change.root).rglob("*") if p.is_file())


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_any_kind(name, song, change):
    path = song("bare.mp3", name)
    run(change(path))
    assert os.listdir(path.parent) == [name]  # noqa: PTH208 - names


def test_a_song_in_a_folder_below_the_root(song, change, tmp_path):
    path = song("flac")
    (tmp_path / "a" / "b").mkdir(parents=True)
    path = path.rename(tmp_path / "a" / "b" / "song.flac")
    run(change(path, tmp_path))
    assert os.listdir(path.parent) == ["song.flac"]  # noqa: PTH208


def test_links_are_not_followed(song, change, tmp_path):
    path = song("flac")
    known = content_hash(path)
    (tmp_path / "link.flac").symlink_to(path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "way").symlink_to(tmp_path / "folder")
    path.rename(tmp_path / "folder" / "song.flac")
    for way in ("link.flac", "way/song.flac"):
        wanted = change(tmp_path / way, tmp_path, content_hash=known)
        refused(wanted, "is a link|not a regular file")


def test_a_second_name_is_refused(song, change, tmp_path):
    path = song("flac")
    os.link(path, tmp_path / "other.flac")
    refused(change(path), "hard link")


def test_a_read_only_file_is_refused(song, change):
    path = song("flac")
    path.chmod(0o444)
    refused(change(path), "read-only")


def test_what_is_not_a_file_or_not_there(song, change, tmp_path):
    path = song("flac")
    wanted = change(path, content_hash="x")
    path.unlink()
    with pytest.raises(MissingSongError, match="no such file"):
        prepare_copy(wanted)
    os.mkfifo(path)
    with pytest.raises(SongError, match="not a regular file"):
        prepare_copy(wanted)


def test_another_song_than_the_store_knows_is_refused(song, change):
    refused(change(song("flac"), content_hash="0" * 32), "its audio is not the one in the store")


def test_a_writer_that_spoils_the_audio_is_found_out(song, change, monkeypatch):
    path = song("flac")
    wanted = change(path)
    right = module.open_tags

    def wrong(file, container, name):
        tags = right(file, container, name)
        saved = tags.save

        def save(file):
            saved(file)
            file.seek(-100, os.SEEK_END)
            file.write(b"oops")

        monkeypatch.setattr(tags, "save", save)
        return tags

    monkeypatch.setattr(module, "open_tags", wrong)
    refused(wanted, "its audio would change")


def test_a_writer_that_loses_a_tag_is_found_out(song, change, monkeypatch):
    path = song("flac")
    wanted = change(path)
    right = module.open_tags

    def wrong(file, container, name):
        tags = right(file, container, name)
        if len(list(path.parent.iterdir())) > 1:  # the copy's
            tags.put("ALBUM", [])
        return tags

    monkeypatch.setattr(module, "open_tags", wrong)
    refused(wanted, "other tags of it would change")


def test_permissions_stay_and_the_time_moves_on_unless_it_is_to_stay(song, change):
    path = song("flac")
    path.chmod(0o640)
    os.utime(path, ns=(5, 1_000_000_007))
    if hasattr(os, "setxattr"):
        try:
            os.setxattr(path, "user.rated", b"5")
        except OSError:
            pass
        else:
            run(change(path, fields={"mood": ("sad",)}, keep_mtime=True))
            assert os.getxattr(path, "user.rated") == b"5"
    run(change(path, keep_mtime=True))
    about = path.stat()
    assert (stat.S_IMODE(about.st_mode), about.st_mtime_ns) == (0o640, 1_000_000_007)
    run(change(path, fields={"genre": ("Folk",)}, replace=True))
    assert path.stat().st_mtime_ns > 1_000_000_007


def test_a_file_that_changes_between_copy_and_exchange_is_left_alone(song, change):
    path = song("flac")
    wanted = change(path)
    changed = prepare_copy(wanted)
    path.write_bytes(path.read_bytes() + b"edited")
    edited = path.read_bytes()
    with pytest.raises(SongError, match="another program"):
        swap_in(wanted, changed)
    assert path.read_bytes() == edited
    assert len(list(path.parent.iterdir())) == 1


def test_a_copy_that_a_dead_worker_left_is_removed(song, change):
    path = song("flac")
    wanted = change(path)
    prepare_copy(wanted)
    assert len(list(path.parent.iterdir())) == 2
    discard(wanted)
    assert list(path.parent.iterdir()) == [path]
    prepare_copy(wanted)
    run(wanted)  # finds the other copy in its way
    assert list(path.parent.iterdir()) == [path]


def test_a_link_in_the_place_of_the_copy_leads_nowhere(song, change, tmp_path):
    path = song("flac")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    wanted = change(path)
    prepare_copy(wanted)
    copy = next(p for p in tmp_path.iterdir() if p.name.startswith("."))
    copy.unlink()
    copy.symlink_to(victim)
    run(wanted)
    assert victim.read_text() == "mine"
    assert not path.is_symlink()
