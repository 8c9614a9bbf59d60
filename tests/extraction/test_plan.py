"""`audiorec.extraction.plan`: a row goes only if its song is known to be gone."""

import os
from pathlib import Path

import pytest

from audiorec.extraction.catalogue import Source
from audiorec.extraction.plan import (
    KnownFailure,
    KnownSong,
    failures_to_report,
    known_to_exist,
    rows_to_drop,
)


def known(song_id, uri, content="c"):
    return KnownSong(song_id, str(uri), 1, 1, content)


def failure(song_id, uri):
    return KnownFailure(song_id, str(uri), -1, -1, 1, "unreadable")


def found(song_id, uri, problem=""):
    return Source(song_id, str(uri), str(uri), 1, 1, problem)


def dropped(sources, songs, failures=(), **options):
    return rows_to_drop(sources, songs, failures, **{"prune": True, **options})


@pytest.fixture
def music(tmp_path) -> Path:
    """A folder with a song."""
    (tmp_path / "rock").mkdir()
    (tmp_path / "rock/here.mp3").write_bytes(b"1")
    return tmp_path


def test_prune_drops_what_is_gone_and_nothing_without_it(music):
    songs = [known("gone", music / "rock/gone.mp3"), known("here", music / "rock/here.mp3")]
    failures = [failure("broken", music / "rock/broken.mp3")]
    assert dropped([], songs, failures).song_ids == {"gone", "broken"}
    assert dropped([], songs, failures, prune=False).song_ids == set()
    assert dropped([found("gone", music / "x.mp3")], songs).song_ids == set()


def test_a_folder_that_is_gone_with_its_songs_is_gone(music):
    songs = [known("a", music / "jazz/deep/a.mp3"), known("b", music / "rock/here.mp3/b.mp3")]
    assert dropped([], songs).song_ids == {"a", "b"}


@pytest.mark.parametrize(
    "uri", ["s3://bucket/a.mp3", "memory://a.mp3", "/m/caf\\xe9.mp3", "/" + "x/" * 4000 + "a.mp3"]
)
def test_what_cannot_be_looked_up_stays(uri):
    assert known_to_exist(uri) is None
    assert dropped([], [known("a", uri)]).song_ids == set()


@pytest.mark.parametrize("error", [PermissionError(13, "no"), OSError(5, "no"), OSError(40, "no")])
def test_what_the_system_does_not_tell_stays(music, monkeypatch, error):
    def failing(path):
        raise error

    monkeypatch.setattr(os, "lstat", failing)
    told = dropped([], [known("a", music / "rock/a.mp3")])
    assert (told.song_ids, told.kept) == (set(), {str(music / "rock"): 1})


def test_an_escaped_name_that_is_there_is_found(music):
    Path(os.fsdecode(os.fsencode(music) + b"/caf\xe9.mp3")).write_bytes(b"")
    (music / "caf\\xe8.mp3").write_bytes(b"")
    for name in ("caf\\xe9.mp3", "caf\\xe8.mp3"):
        assert known_to_exist(f"{music}/{name}") is True


def test_nothing_below_a_place_that_was_not_seen_is_gone(music):
    songs = [known("a", music / "rock/deep/a.mp3"), known("b", music / "rocking.mp3")]
    told = dropped([found("rock/", music / "rock", "permission denied")], songs)
    assert (told.song_ids, told.kept) == ({"b"}, {str(music / "rock"): 1})


def test_an_empty_folder_may_be_a_disk_that_is_not_mounted(music):
    (music / "usb").mkdir()
    songs = [known("a", music / "usb/album/a.mp3"), known("b", music / "usb/b.mp3")]
    told = dropped([], songs)
    assert (told.song_ids, told.kept) == (set(), {str(music / "usb"): 2})
    (music / "usb").rmdir()
    assert dropped([], songs).song_ids == {"a", "b"}


def test_a_root_without_songs_may_be_a_disk_that_is_not_mounted(music):
    songs = [known("a", music / "rock/a.mp3")]
    root = str(music / "rock")
    assert dropped([], songs, roots=[root]).kept == {root: 1}
    assert dropped([found("b", music / "rock/b.mp3")], songs, roots=[root]).song_ids == {"a"}
    assert dropped([found("b", music / "rocks/b.mp3")], songs, roots=[root]).song_ids == set()


def test_a_song_that_moved_leaves_its_old_row_without_prune(music):
    (music / "old").mkdir()
    songs = [known("a", music / "old/a.mp3", "moved"), known("b", music / "old/b.mp3", "not")]
    assert dropped([], songs, moved={"moved"}, prune=False).song_ids == {"a"}


def test_a_folder_that_can_be_listed_again_leaves_the_failures(music):
    failures = [failure("rock/", music / "rock"), failure("jazz/", music / "jazz")]
    told = dropped([], [], failures, prune=False)
    assert (told.song_ids, told.healed) == ({"rock/"}, {"rock/"})
    again = [found("rock/", music / "rock", "permission denied")]
    assert dropped(again, [], failures, prune=False).song_ids == set()


def test_a_song_with_a_vector_is_reported_by_its_folder(music):
    unseen = [found(name, music / f"rock/{name}", "no such file") for name in ("a", "b", "c")]
    a, folder = failures_to_report(unseen, {"b", "c"})
    assert a is unseen[0]
    assert (folder.song_id, folder.uri) == (f"{music}/rock/", f"{music}/rock")
    assert folder.problem == "b and 1 more: no such file; vectors are kept"
    assert failures_to_report(unseen, {"b", "c"}, prune=True) == unseen
    (music / "rock/here.mp3").unlink()
    assert len(failures_to_report(unseen, {"b", "c"}, prune=True)) == 2
