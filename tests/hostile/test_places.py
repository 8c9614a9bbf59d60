"""Names and places that are no music: loops of links, pipes, sockets, devices, odd names."""

import os
import shutil
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest
from odd_files import mp3, music, sound

from audiorec.audio import sniff
from audiorec.audio.decode import content_hash, decode
from audiorec.errors import Failure, InputError, SongError
from audiorec.extraction.catalogue import find_songs, read_list
from audiorec.extraction.manifest import read_manifest
from audiorec.types import Status
from audiorec_cli.shared.console import say


def count(blocks):
    return sum(map(len, blocks))


def failure_of(path):
    with pytest.raises(SongError) as caught:
        decode(path, count)
    assert "\n" not in caught.value.reason
    return caught.value


def ids(sources):
    return [source.song_id for source in sources]


@pytest.fixture
def looped(tmp_path) -> Path:
    """A folder with one song, links that lead in circles, and one that leads out."""
    root, outside = tmp_path / "songs", tmp_path / "elsewhere"
    for folder in (root / "deep", outside):
        folder.mkdir(parents=True)
        sound(folder / "a.wav", music(seconds=1.5))
    (root / "deep" / "up").symlink_to(root)
    (root / "deep" / "here").symlink_to(".")
    (root / "twin").symlink_to(root / "deep")
    (root / "self.mp3").symlink_to("self.mp3")
    (root / "nothing.mp3").symlink_to("gone.mp3")
    (root / "out").symlink_to(outside)
    (root / "out.wav").symlink_to(outside / "a.wav")
    return root


def test_loops_of_links_are_walked_once(looped):
    assert ids(find_songs([looped])) == ["deep/a.wav", "nothing.mp3", "self.mp3"]
    followed = ids(find_songs([looped], follow_links=True))
    assert followed == ["deep/a.wav", "nothing.mp3", "out.wav", "out/a.wav", "self.mp3"]


def test_links_to_themselves_and_to_nothing_are_failures_with_a_reason(looped):
    for name, reason in (("self.mp3", "symbolic links"), ("nothing.mp3", "no such file")):
        error = failure_of(looped / name)
        assert (error.failure, error.stage) == (Failure.UNREADABLE, "read")
        assert reason in error.reason


def test_pipes_sockets_and_devices_are_refused_and_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp3")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "s.mp3"))
        odd = [tmp_path / "pipe.mp3", tmp_path / "s.mp3", "/dev/zero", "/dev/stdin", tmp_path]
        for path in odd:
            assert failure_of(path).failure is Failure.UNREADABLE
        assert "a named pipe" in failure_of(odd[0]).reason
        assert "a socket" in failure_of(odd[1]).reason
        assert "a device" in failure_of(odd[2]).reason
        assert {s.song_id for s in find_songs([tmp_path])} == {"pipe.mp3", "s.mp3"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 10_000 + ".mp3", "too long"),
        ("d/" * 5_000 + "a.mp3", "too long"),
        ("a\0b.mp3", "null"),
    ],
)
def test_names_that_no_disk_has_are_failures_of_one_song(tmp_path, name, reason):
    sources = read_list([f"{tmp_path}/{name}\n"], root=tmp_path)
    assert (ids(sources), sources[0].size) == ([name], -1)
    assert reason in failure_of(sources[0].path).reason
    manifest = tmp_path / "m.csv"
    manifest.write_text(f'path,song_id\n"{name}",1\n')
    assert ids(read_manifest(str(manifest))) == ["1"]


def test_a_name_of_10000_letters_as_an_argument_is_one_line():
    with pytest.raises(InputError, match="no such file or folder") as caught:
        find_songs(["x" * 10_000])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"two\nlines.wav", b"\x1b[2J.wav", b"-rf.wav"])
def test_every_name_that_a_disk_takes_is_read(tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    sound(path, music(seconds=1.5))
    source = find_songs([tmp_path])[0]
    source.song_id.encode()
    assert decode(source.path, count)[1].status is Status.SHORT


@contextmanager
def as_nobody():
    """Without root's right to open everything; for others, nothing changes."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_song_without_permission_is_one_failure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the folders above may be closed as well
    sound(tmp_path / "a.wav", music(seconds=1.5))
    Path("a.wav").chmod(0)
    with as_nobody():
        error = failure_of("a.wav")
    assert (error.failure, error.reason) == (Failure.UNREADABLE, "permission denied")


@pytest.fixture(scope="module")
def long_songs(tmp_path_factory) -> Path:
    """Songs of several blocks."""
    folder = tmp_path_factory.mktemp("long")
    mp3(folder / "a.mp3", music(seconds=20.0))
    for kind in ("WAV", "OGG", "FLAC"):
        sound(folder / f"a.{kind.lower()}", music(seconds=20.0), kind=kind)
    return folder


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.ogg", "a.flac"])
@pytest.mark.parametrize("what", ["cut", "grow", "vanish", "replace"])
def test_a_file_that_changes_while_it_is_read(long_songs, tmp_path, name, what):
    """Whatever it was: a status or a failure, for what was there when it was read."""
    path = tmp_path / name
    shutil.copy(long_songs / name, path)
    size = path.stat().st_size

    def disturbed(blocks):
        blocks = iter(blocks)
        n_samples = len(next(blocks))
        if what == "cut":
            os.truncate(path, size // 2)
        elif what == "grow":
            with path.open("ab") as file:
                file.write(os.urandom(1 << 20))
        elif what == "vanish":
            path.unlink()
        else:
            path.unlink()
            os.mkfifo(path)
        return n_samples + sum(map(len, blocks))

    try:
        n_samples, info = decode(path, disturbed)
    except SongError as error:
        assert error.failure in (Failure.UNREADABLE, Failure.UNDECODABLE)  # noqa: PT017
        assert what != "grow"
        return
    assert 0 < n_samples / 16_000 < 21
    assert info.status in (Status.OK, Status.TRUNCATED, Status.DAMAGED)
    if what == "cut":
        assert info.status is not Status.OK


class FailingDisk:
    """A file whose reads fail from some byte on, as on a disk that dies."""

    def __init__(self, file, good_bytes):
        self._file, self._good_bytes = file, good_bytes

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._file.close()

    def read(self, size=-1):
        if self._file.tell() + max(size, 1) > self._good_bytes:
            raise OSError(5, "Input/output error")
        return self._file.read(size)


@pytest.mark.parametrize("good_bytes", [0, 60_000])
def test_a_disk_that_fails_is_a_failure_of_one_song(tmp_path, monkeypatch, good_bytes):
    path = tmp_path / "a.ogg"
    sound(path, music(seconds=20.0), kind="OGG")
    real = sniff.open_regular
    failing = lambda p: FailingDisk(real(p), good_bytes)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr("audiorec.audio.decode.open_regular", failing)
        if good_bytes == 0:
            patch.setattr(sniff, "open_regular", failing)
        error = failure_of(path)
        assert (error.failure, error.reason) == (Failure.UNREADABLE, "input/output error")
    monkeypatch.setattr("audiorec.audio.decode.open_regular", failing)
    with pytest.raises(SongError, match="input/output error"):
        content_hash(path)


def test_a_playlist_that_names_itself_is_a_song_that_is_no_audio(tmp_path):
    """Lists are read one line at a time and never followed."""
    for name, other in (("a.m3u", "b.m3u"), ("b.m3u", "a.m3u"), ("c.mp3", "c.mp3")):
        (tmp_path / name).write_text(f"#EXTM3U\n#EXTINF:1,x\n{tmp_path / other}\n")
    sources = read_list((tmp_path / "a.m3u").read_text().splitlines(), root=tmp_path)
    assert ids(sources) == ["b.m3u"]
    for name in ("a.m3u", "b.m3u", "c.mp3"):
        assert failure_of(tmp_path / name).failure is Failure.NOT_AUDIO
    assert ids(find_songs([tmp_path])) == ["c.mp3"]


def test_a_name_cannot_break_the_terminal(capsys):
    say("error: \x1b[2J\nno such song: caf\udce9 \u202eé")
    assert capsys.readouterr().err == "error: \\x1b[2J\\nno such song: caf\\udce9 \\u202eé\n"
