"""`audiorec.files.storage`: songs that lie in an object store."""

from pathlib import Path

import pytest
from needs import needs

from audiorec.errors import Failure, SongError
from audiorec.files.storage import fetched, handler, write

needs("fsspec")


def make(prefix):
    """A handler that tells what it was given."""

    def handle(path):
        if Path(path).read_bytes() == b"bad":
            raise SongError(path, Failure.NOT_AUDIO, "no music", "decode", "ear 1.0")
        return prefix, path, Path(path).read_bytes()

    return handle


MAKE = f"{__name__}:make"


@pytest.fixture
def handle(tmp_path):
    return handler(MAKE, ("p",), tmp_path, max_bytes=10)


def test_a_uri_becomes_a_file_with_its_ending_for_as_long_as_it_is_used(handle, tmp_path):
    write("memory://fetch/a b.MP3", b"song")
    prefix, path, content = handle("memory://fetch/a b.MP3")
    assert (prefix, content) == ("p", b"song")
    assert Path(path).name == "song.MP3"
    assert tmp_path in Path(path).parents
    assert list(tmp_path.iterdir()) == []


def test_a_path_goes_straight_through(handle, tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"here")
    assert handle(str(tmp_path / "a.mp3")) == ("p", str(tmp_path / "a.mp3"), b"here")


def test_a_failure_is_known_by_the_songs_place(handle, tmp_path):
    write("memory://fetch/bad.mp3", b"bad")
    with pytest.raises(SongError) as caught:
        handle("memory://fetch/bad.mp3")
    error = caught.value
    assert (error.path, error.failure, error.reason) == (
        "memory://fetch/bad.mp3",
        Failure.NOT_AUDIO,
        "no music",
    )
    assert (error.stage, error.decoder) == ("decode", "ear 1.0")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"), [("gone.mp3", "no such file"), ("large.mp3", "larger than the limit")]
)
def test_what_cannot_be_fetched_is_unreadable(handle, tmp_path, name, reason):
    write("memory://fetch/large.mp3", b"12345678901")
    with pytest.raises(SongError, match=reason) as caught:
        handle(f"memory://fetch/{name}")
    assert (caught.value.failure, caught.value.stage) == (Failure.UNREADABLE, "read")
    assert list(tmp_path.iterdir()) == []


def test_no_disk_to_copy_to_is_the_songs_failure_not_the_runs(tmp_path, monkeypatch):
    def full(*_arguments, **_limits):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("audiorec.files.storage.fetch", full)
    with (
        pytest.raises(SongError, match="No space left on device"),
        fetched("memory://fetch/a.mp3", tmp_path),
    ):
        pass


def test_a_key_with_an_endless_ending_makes_a_name_that_a_disk_takes(tmp_path):
    place = f"memory://fetch/a.{'x' * 5000}"
    write(place, b"song")
    with fetched(place, tmp_path) as path:
        assert len(path.name) < 30
