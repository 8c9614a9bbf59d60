"""`audiorec.audio.readers`: retagging keeps the hash, anything else changes it."""

import contextlib
import os
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from odd_files import (
    ape_tag,
    append,
    encode,
    id3v1,
    id3v2,
    m4a,
    mp3,
    music,
    prepend,
    sound,
)

from audiorec.audio import decode as decoding
from audiorec.audio.decode import content_hash, decode
from audiorec.audio.sniff import begin_of_audio, end_of_audio, frames_alone
from audiorec.errors import Failure, SongError

MAKERS = {
    "mp3": mp3,
    "flac": lambda path, samples=None: sound(path, samples, kind="FLAC"),
    "m4a": lambda path, samples=None: encode(path, samples, codec="aac", container="ipod"),
    "ogg": lambda path, samples=None: sound(path, samples, kind="OGG"),
    "wav": lambda path, samples=None: sound(path, samples),
}
MUXERS = {"mp3": "mp3", "flac": "flac", "m4a": "ipod", "ogg": "ogg", "wav": "wav"}


def retag(source: Path, target: Path, muxer: str, **tags: str) -> None:
    """Copy the packets into a new file with other tags."""
    with av.open(str(source)) as old, av.open(str(target), "w", format=muxer) as new:
        new.metadata.update(tags)
        stream = old.streams.audio[0]
        copy = new.add_stream_from_template(stream, opaque=True)  # packets, no codec
        copy.metadata.update(tags)  # where Ogg keeps them
        for packet in old.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                new.mux(packet)


@pytest.fixture(params=MAKERS)
def song(request, tmp_path) -> Path:
    path = tmp_path / f"song.{request.param}"
    MAKERS[request.param](path)
    return path


def test_is_128_bits_in_hex(song):
    assert len(bytes.fromhex(content_hash(song))) == 16


def test_a_remux_with_other_tags_keeps_it(song, tmp_path):
    before = content_hash(song)
    other = tmp_path / "other"
    muxer = MUXERS[song.suffix[1:]]
    retag(song, other, muxer, title="Another title " * 50, artist="Someone")
    assert other.read_bytes() != song.read_bytes()
    assert b"Another title" in other.read_bytes()
    assert content_hash(other) == before


def test_another_song_has_another(song, tmp_path):
    other = tmp_path / f"other{song.suffix}"
    MAKERS[song.suffix[1:]](other, music(seed=1))
    assert content_hash(other) != content_hash(song)


def test_one_flipped_bit_of_audio_changes_it(song):
    before = content_hash(song)
    data = bytearray(song.read_bytes())
    data[len(data) // 2] ^= 0x10
    song.write_bytes(data)
    assert content_hash(song) != before


def test_a_cut_changes_it(song):
    before = content_hash(song)
    song.write_bytes(song.read_bytes()[:-2_000])
    assert content_hash(song) != before


def test_names_and_places_do_not_count(song, tmp_path):
    before = content_hash(song)
    other = tmp_path / os.fsdecode(b"\xff\xfe.bin")
    song.rename(other)
    assert content_hash(os.fsencode(other)) == before


@pytest.mark.parametrize(
    "tail", [id3v1(), ape_tag(), ape_tag() + id3v1()], ids=["ID3v1", "APE", "both"]
)
def test_tags_around_an_mp3(tmp_path, tail):
    path = tmp_path / "a.mp3"
    mp3(path)
    before = content_hash(path)
    append(path, tail)
    assert content_hash(path) == before
    prepend(path, id3v2(300_000, title="Coda"))
    assert content_hash(path) == before


def test_a_cover_in_an_m4a(tmp_path):
    path = tmp_path / "a.m4a"
    m4a(path, index_first=True)
    before = content_hash(path)
    data = path.read_bytes()
    # Put a box with a picture between the index and the samples, and move the samples' places.
    at = data.index(b"mdat") - 4
    cover = b"\x89PNG" + np.random.default_rng(0).bytes(50_000)
    box = struct.pack(">I", 8 + len(cover)) + b"free" + cover
    moved = bytearray(data[:at])
    stco = moved.index(b"stco") + 8
    (count,) = struct.unpack_from(">I", moved, stco)
    for i in range(count):
        place = stco + 4 + 4 * i
        struct.pack_into(">I", moved, place, struct.unpack_from(">I", moved, place)[0] + len(box))
    path.write_bytes(bytes(moved) + box + data[at:])
    assert content_hash(path) == before


def test_the_same_samples_at_another_rate_are_another_song(tmp_path):
    samples = music()
    sound(tmp_path / "a.wav", samples, 44_100)
    sound(tmp_path / "b.wav", samples, 48_000)
    assert content_hash(tmp_path / "a.wav") != content_hash(tmp_path / "b.wav")


def test_decoding_gives_the_same_hash_if_any(odd):
    found = {}
    for name, file in odd.items():
        with contextlib.suppress(SongError):
            _, info = decode(file.path, lambda _blocks: None)
            found[name] = info.content_hash
            assert info.content_hash in ("", content_hash(file.path)), name
    assert found["aac.m4a"] == content_hash(odd["aac.m4a"].path)
    assert found["vorbis.ogg"] == content_hash(odd["vorbis.ogg"].path)
    assert found["pcm16.aiff"] == ""  # libsndfile shows no packets


def test_what_is_not_audio_is_hashed_by_its_bytes(tmp_path, odd):
    small, smaller = tmp_path / "c.mp3", tmp_path / "d.mp3"
    small.write_bytes(b"<html>one")
    smaller.write_bytes(b"<html>two")
    assert content_hash(small) != content_hash(smaller)
    page, other = tmp_path / "a.mp3", tmp_path / "b.mp3"
    page.write_bytes(b"<html>" * 500_000)  # more than is read at once
    other.write_bytes(b"<html>" * 500_000)
    assert content_hash(page) == content_hash(other)
    append(other, b"!")
    assert content_hash(page) != content_hash(other)
    assert content_hash(odd["empty.mp3"].path) != content_hash(page)


def test_a_script_does_not_have_its_targets_hash(odd):
    script = odd["script.mp3"].path
    assert content_hash(script) != content_hash(script.with_name("secret.wav"))


@pytest.mark.parametrize("name", ["pipe.mp3", "folder.mp3", "vanished.mp3"])
def test_what_is_no_file_has_none(name, odd):
    with pytest.raises(SongError, match="unreadable") as caught:
        content_hash(odd[name].path)
    assert caught.value.failure is Failure.UNREADABLE


def walks(path: Path) -> bool:
    """Return whether an MP3 file is hashed from frame to frame, without a demuxer."""
    with path.open("rb") as file:
        return frames_alone(file, begin_of_audio(file), end_of_audio(file)) is not None


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


@pytest.mark.parametrize("vbr", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
def test_frames_alone_are_hashed_as_a_demuxer_splits_them(tmp_path, monkeypatch, vbr, channels):
    path = tmp_path / "song.mp3"
    mp3(path, music(seconds=2.0, channels=channels), vbr=vbr)
    whole = path.read_bytes()
    frames = [i for i in range(len(whole) - 1) if whole[i] == 255 and whole[i + 1] >> 5 == 7]
    changed = [
        *(
            flipped(whole, at + byte, bit)
            for at in frames[:3]
            for byte in (1, 2, 3)
            for bit in range(8)
        ),
        *(whole[: frames[-1] + n] for n in (0, 1, 3, 4, 5)),
        *(whole[: whole.index(b"Info" if not vbr else b"Xing") + n] for n in (4, 7, 8, 12)),
        *(whole[: frames[5]] + b"\0" * n + whole[frames[5] :] for n in (1, 3, 200)),
        whole[: frames[4]] + whole[frames[6] :],
        id3v2() + whole,
    ]
    assert walks(path)
    n_walked = 0
    for data in (whole, *changed):
        path.write_bytes(data)
        n_walked += walks(path)
        by_walking = content_hash(path)
        with monkeypatch.context() as patch:
            patch.setattr(decoding, "frames_alone", lambda *_: None)
            assert content_hash(path) == by_walking
    assert 3 < n_walked < len(changed)
