"""`audiorec.audio.sniff`: content decides; refusals name the kind of file."""

import os
import socket

import pytest
from odd_files import ape_tag, append, id3v1, id3v2, mp3, prepend, sound

from audiorec.audio.sniff import Container, open_regular, sniff
from audiorec.errors import Failure, SongError


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("pcm16.wav", "wav"),
        ("rf64.wav", "wav"),
        ("wav_named.mp3", "wav"),
        ("float.aifc", "aiff"),
        ("pcm16.au", "au"),
        ("pcm16.caf", "caf"),
        ("id3.flac", "flac"),
        ("mp3_named.wav", "mp3"),
        ("id3_353kB.mp3", "mp3"),
        ("vbr_no_count.mp3", "mp3"),
        ("layer2.mp2", "mp3"),
        ("vorbis.ogg", "ogg"),
        ("opus.opus", "ogg"),
        ("alac.m4a", "mp4"),
        ("bare.aac", "adts"),
    ],
)
def test_content_decides(name, container, odd):
    assert sniff(odd[name].path).container is Container(container)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.mp3", "the file is empty"),
        ("page.mp3", "a text file, not audio; audiorec reads WAV"),
        ("script.mp3", "a text file, not audio"),
        ("noise.mp3", "unknown content"),
        ("half_a_magic.wma", "unknown content"),
        ("tracker.mod", r"MOD \(a tracker module: .*\) is not supported; convert it to FLAC"),
        ("cinema.dts", "DTS is not supported"),
        ("adpcm.wav", "WAV codec 0x0011"),
        ("shop.m4p", "sample entry 'drms'"),
        ("cut_before_index.m4a", "ends before its index"),
        ("folder.mp3", "not a regular file but a folder"),
        ("pipe.mp3", "not a regular file but a named pipe"),
        ("vanished.mp3", "no such file"),
    ],
)
def test_refusals_say_why(name, words, odd):
    with pytest.raises(SongError, match=words) as caught:
        sniff(odd[name].path)
    assert (caught.value.failure, caught.value.stage) == (odd[name].expected, "read")


def test_sockets_and_devices_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(SongError, match="not a regular file but a socket"):
            sniff("s")
    with pytest.raises(SongError, match="not a regular file but a device"):
        sniff(os.devnull)


def test_the_systems_word_is_passed_on(odd, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SongError, match="unreadable: permission denied"):
        sniff(odd["pcm16.wav"].path)


def test_a_pipe_that_took_the_files_place_is_refused(tmp_path, monkeypatch):
    sound(tmp_path / "a.wav")
    regular = os.stat(tmp_path / "a.wav")  # noqa: PTH116 - what is replaced below
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "stat", lambda _: regular)
    with pytest.raises(SongError, match="named pipe"):
        open_regular(tmp_path / "pipe")  # and does not wait for a writer


def test_bytes_paths(odd):
    (name,) = (name for name in odd if "not_utf8" in name)
    assert sniff(os.fsencode(odd[name].path)).container is Container.FLAC


@pytest.mark.parametrize("tail", [id3v1(), ape_tag(), ape_tag() + id3v1()])
def test_audio_ends_before_trailing_tags(tmp_path, tail):
    mp3(tmp_path / "a.mp3")
    size = (tmp_path / "a.mp3").stat().st_size
    append(tmp_path / "a.mp3", tail)
    found = sniff(tmp_path / "a.mp3")
    assert (found.audio_end, found.size) == (size, size + len(tail))


def test_two_id3_tags_in_a_row(tmp_path):
    mp3(tmp_path / "a.mp3")
    prepend(tmp_path / "a.mp3", id3v2(5_000) + id3v2(200_000))
    assert sniff(tmp_path / "a.mp3").header.claimed_s == pytest.approx(4.0)


def test_a_tag_that_claims_more_than_the_file(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(id3v2(100_000)[:5_000])
    with pytest.raises(SongError, match="not audio") as caught:
        sniff(path)
    assert caught.value.failure is Failure.NOT_AUDIO


def test_an_mp3_behind_junk(tmp_path):
    mp3(tmp_path / "a.mp3")
    prepend(tmp_path / "a.mp3", b"\xff\xfb junk " * 3_000)
    assert sniff(tmp_path / "a.mp3").container is Container.MP3


def test_pictures_and_programs_are_not_audio(tmp_path):
    for head in (b"\xff\xd8\xff\xe0\0\x10JFIF", b"\x89PNG\r\n\x1a\n", b"\x7fELF", b"PK\x03\x04"):
        path = tmp_path / "a.mp3"
        path.write_bytes(head + bytes(range(256)) * 400)
        with pytest.raises(SongError, match="unknown content, not audio"):
            sniff(path)
