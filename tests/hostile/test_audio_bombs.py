"""Small files that claim or hold far too much: hours of silence, days, endless tags."""

import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from odd_files import id3v2, mp3, music, prepend, sound

from audiorec.audio.decode import content_hash, decode
from audiorec.audio.pyav_reader import MAX_ALLOCATION
from audiorec.audio.tags import read_tags
from audiorec.errors import Failure, SongError
from audiorec.types import Status

HOUR = 3600.0
RATE = 8_000


def syncsafe(length):
    return bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))


def seconds_of(path, **limits):
    n_samples, info = decode(path, lambda blocks: sum(map(len, blocks)), **limits)
    return n_samples / 16_000, info


@pytest.fixture(scope="module")
def silence(tmp_path_factory) -> Path:
    """Three hours in a file of less than 2 MB, whose header does not tell."""
    path = tmp_path_factory.mktemp("bomb") / "silence.flac"
    with soundfile.SoundFile(path, "w", RATE, 1, format="FLAC") as file:
        block = np.zeros(RATE * 60, np.int16)
        for _ in range(180):
            file.write(block)
    assert path.stat().st_size < 2 << 20
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # the total in STREAMINFO: unknown
    path.write_bytes(data)
    return path


def test_three_hours_of_silence_end_at_the_limit(silence, peak_mib):
    with peak_mib() as peak, pytest.raises(SongError, match=r"at least 0\.25 h long") as caught:
        seconds_of(silence, max_duration_s=HOUR / 4)
    assert caught.value.failure is Failure.TOO_LONG
    assert peak.grown < 60


def test_what_the_caller_keeps_is_all_that_is_kept(silence, peak_mib):
    """An hour of it, read to the limit in blocks: as much memory as a minute."""
    longest = []

    def consume(blocks):
        longest.append(max(len(block) for block in blocks))

    with peak_mib() as peak, pytest.raises(SongError):
        decode(silence, consume, max_duration_s=HOUR)
    assert peak.grown < 60


def test_a_long_claim_is_refused_without_decoding(tmp_path):
    path = tmp_path / "long.flac"
    sound(path, music(channels=1), kind="FLAC")
    data = bytearray(path.read_bytes())
    data[22:26] = struct.pack(">I", 2**32 - 1)  # 27 hours of samples
    path.write_bytes(data)
    started = time.process_time()
    with pytest.raises(SongError, match=r"27\.05 h long; the limit is 4\.00 h") as caught:
        seconds_of(path)
    assert caught.value.failure is Failure.TOO_LONG
    assert time.process_time() - started < 1


@pytest.mark.parametrize("kind", ["WAV", "RF64"])
def test_a_wav_that_claims_days_gives_what_it_has(tmp_path, kind, peak_mib):
    path = tmp_path / "days.wav"
    sound(path, music(channels=1, rate=8_000), 8_000, kind=kind, subtype="PCM_U8")
    data = bytearray(path.read_bytes())
    if kind == "RF64":
        at = data.index(b"ds64") + 16
        data[at : at + 8] = struct.pack("<Q", 2**62)  # 18 million years
    else:
        at = data.index(b"data") + 4
        data[at : at + 4] = struct.pack("<I", 2**31 + 5)  # three days
    path.write_bytes(data)
    with peak_mib() as peak:
        seconds, info = seconds_of(path)
    assert seconds == pytest.approx(4.0, abs=0.01)
    assert info.status is Status.TRUNCATED
    assert peak.grown < 60


def test_days_of_nothing_on_a_sparse_disk_are_refused_at_once(tmp_path):
    path = tmp_path / "sparse.wav"
    sound(path, music(channels=1, rate=8_000), 8_000, kind="RF64", subtype="PCM_U8")
    data = bytearray(path.read_bytes())
    at = data.index(b"ds64") + 16
    data[at : at + 8] = struct.pack("<Q", 1 << 34)
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(1 << 35)  # 34 GB that take no room
    started = time.process_time()
    with pytest.raises(SongError, match=r"596\.\d+ h long") as caught:
        seconds_of(path)
    assert caught.value.failure is Failure.TOO_LONG
    assert time.process_time() - started < 1


@pytest.mark.parametrize("n_items", [1, 2])
def test_a_title_of_gigabytes_in_a_wav_header_takes_no_memory(tmp_path, n_items, peak_mib):
    path = tmp_path / "title.wav"
    sound(path, music(channels=1))
    data = path.read_bytes()
    item = b"INAM" + struct.pack("<I", 0x6AFFFFF0)
    chunk = b"LIST" + struct.pack("<I", 0xFFFFFFF0) + b"INFO" + item * n_items
    path.write_bytes(data[:12] + chunk + data[12:])
    with peak_mib() as peak, pytest.raises(SongError) as caught:
        seconds_of(path)
    assert caught.value.failure is Failure.UNDECODABLE
    with peak_mib() as hashing:
        assert len(content_hash(path)) == 32
    assert max(peak.grown, hashing.grown) < MAX_ALLOCATION >> 20


@pytest.mark.parametrize("kind", ["mp3", "wav", "aiff"])
def test_compressed_frames_in_a_tag_are_not_unpacked(tmp_path, kind, peak_mib):
    content = struct.pack(">I", 48 << 20) + zlib.compress(bytes(48 << 20))
    frames = 8 * (b"GEOB" + syncsafe(len(content)) + b"\0\x09" + content)
    tag = b"ID3\x04\0\0" + syncsafe(len(frames)) + frames
    path = tmp_path / f"a.{kind}"
    if kind == "mp3":
        mp3(path)
        prepend(path, tag)
    else:
        sound(path, kind=kind.upper(), subtype="PCM_16")
        order, data = (">", path.read_bytes()) if kind == "aiff" else ("<", path.read_bytes())
        name = b"ID3 " if kind == "aiff" else b"id3 "
        chunk = name + struct.pack(order + "I", len(tag)) + tag + bytes(len(tag) % 2)
        path.write_bytes(data[:12] + chunk + data[12:])
    with peak_mib() as peak:
        _, info = seconds_of(path)
        read_tags(path)
        content_hash(path)
    assert info.status is Status.OK
    assert peak.grown < 60


def test_a_tag_of_megabytes_costs_a_title_of_500_letters(tmp_path, peak_mib):
    path = tmp_path / "a.mp3"
    mp3(path)
    prepend(path, id3v2(4 << 20, title="A" * (3 << 20)))
    with peak_mib() as peak:
        assert read_tags(path).title == "A" * 500
        _, info = seconds_of(path)
    assert info.status is Status.OK
    assert peak.grown < 120


def test_a_hundred_tags_in_a_row_are_not_walked(tmp_path):
    path = tmp_path / "a.mp3"
    mp3(path)
    prepend(path, id3v2(20_000) * 100)
    with pytest.raises(SongError) as caught:
        seconds_of(path)
    assert caught.value.failure is Failure.NOT_AUDIO
