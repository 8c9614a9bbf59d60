"""`audiorec.audio.headers`: what containers claim, byte by byte."""

import io
import struct

import pytest
from odd_files import sound

from audiorec.audio.headers import (
    read_aiff,
    read_au,
    read_flac,
    read_ogg_end,
    read_wav,
)


def wav(data_size: int, present: int, *, codec: int = 1, riff_size: int | None = None) -> bytes:
    """16-bit stereo at 10 kHz: 40,000 bytes a second; a chunk of odd length in front."""
    fmt = struct.pack("<HHIIHH", codec, 2, 10_000, 40_000, 4, 16)
    junk = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    chunks = b"fmt " + struct.pack("<I", 16) + fmt + junk + b"data" + struct.pack("<I", data_size)
    content = b"WAVE" + chunks + bytes(present)
    size = len(content) if riff_size is None else riff_size
    return b"RIFF" + struct.pack("<I", size) + content


@pytest.mark.parametrize(
    ("data_size", "present", "claimed_s", "suits", "is_cut"),
    [
        (60_000, 60_000, 1.5, True, False),
        (60_000, 20_000, 1.5, True, True),
        (0xFFFFFFFF, 60_000, None, True, False),
        (2**32 - 40, 60_000, None, True, False),
        (0x7FFFF000, 60_000, None, True, False),
        (0, 0, 0.0, True, False),
    ],
)
def test_wav(data_size, present, claimed_s, suits, is_cut):
    data = wav(data_size, present)
    header = read_wav(io.BytesIO(data), 0, len(data))
    assert (header.claimed_s, header.suits_soundfile, header.cut) == (claimed_s, suits, is_cut)


def test_wav_of_a_recorder_that_crashed():
    data = wav(0, 60_000, riff_size=0)
    header = read_wav(io.BytesIO(data), 0, len(data))
    assert (header.claimed_s, header.suits_soundfile) == (None, False)


def test_wav_with_an_empty_data_chunk_and_a_list_behind():
    data = wav(0, 100)  # the RIFF size is right: it is an empty file
    assert read_wav(io.BytesIO(data), 0, len(data)).suits_soundfile


def test_wav_behind_an_id3_tag():
    data = bytes(333) + wav(60_000, 60_000)
    assert read_wav(io.BytesIO(data), 333, len(data)).claimed_s == 1.5


def test_wav_refuses_codecs_outside_the_list():
    data = wav(60_000, 60_000, codec=0x11)
    assert read_wav(io.BytesIO(data), 0, len(data)).refusal == "WAV codec 0x0011"


def test_wav_extensible_codec_stands_in_its_guid(tmp_path):
    sound(tmp_path / "a.wav", kind="WAVEX", subtype="PCM_24")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    assert read_wav(io.BytesIO(data), 0, len(data)).claimed_s == 4.0
    at = data.index(b"fmt ") + 8 + 24
    data[at : at + 2] = b"\x02\x00"
    assert read_wav(io.BytesIO(data), 0, len(data)).refusal == "WAV codec 0x0002"


def test_rf64_size_stands_in_ds64(tmp_path):
    sound(tmp_path / "a.wav", kind="RF64", subtype="PCM_16")
    data = (tmp_path / "a.wav").read_bytes()
    assert data.startswith(b"RF64")
    assert read_wav(io.BytesIO(data), 0, len(data)).claimed_s == 4.0


def test_wav_of_bytes_that_make_no_sense():
    data = b"RIFF\0\0\0\0WAVE" + b"\xff" * 400
    assert read_wav(io.BytesIO(data), 0, len(data)).claimed_s is None
    data = b"RIFF\0\0\0\0WAVE" + bytes(8) * 10_000  # chunks of no length, without end
    assert read_wav(io.BytesIO(data), 0, len(data)).claimed_s is None


@pytest.mark.parametrize(
    ("subtype", "rate"), [("PCM_16", 44_100), ("PCM_24", 11_025), ("FLOAT", 192_000)]
)
def test_aiff(tmp_path, subtype, rate):
    sound(tmp_path / "a.aiff", rate=rate, kind="AIFF", subtype=subtype)
    data = (tmp_path / "a.aiff").read_bytes()
    assert read_aiff(io.BytesIO(data), 0, len(data)).claimed_s == pytest.approx(4.0)


def test_aiff_refuses_codecs_outside_the_list(tmp_path):
    sound(tmp_path / "a.aiff", kind="AIFF", subtype="IMA_ADPCM")
    data = (tmp_path / "a.aiff").read_bytes()
    assert read_aiff(io.BytesIO(data), 0, len(data)).refusal == "AIFF-C codec b'ima4'"


@pytest.mark.parametrize(("size", "claimed_s"), [(80_000, 2.5), (0xFFFFFFFF, None), (0, None)])
def test_au(size, claimed_s):
    data = b".snd" + struct.pack(">5I", 24, size, 3, 8_000, 2) + bytes(80_000)
    assert read_au(io.BytesIO(data), 0, len(data)).claimed_s == claimed_s


def test_au_refuses_codecs_outside_the_list():
    data = b".snd" + struct.pack(">5I", 24, 100, 23, 8_000, 2) + bytes(100)
    assert read_au(io.BytesIO(data), 0, len(data)).refusal == "AU encoding 23"


@pytest.mark.parametrize(
    ("samples", "claimed_s"), [(22_050, 0.5), (0, None), (2**32 + 44_100, 97_392.55)]
)
def test_flac(samples, claimed_s):
    # 10 bytes of block and frame sizes; then 20 bits rate, 3 channels, 5 depth, 36 total.
    packed = 44_100 << 44 | 1 << 41 | 15 << 36 | samples
    data = b"tag" + b"fLaC\0\0\0\x22" + bytes(10) + struct.pack(">Q", packed) + bytes(16)
    found = read_flac(io.BytesIO(data), 3).claimed_s
    assert found == (claimed_s and pytest.approx(claimed_s, rel=1e-6))


def ogg_page(flags: int, segments: bytes) -> bytes:
    return (
        b"OggS\0"
        + bytes([flags])
        + bytes(20)
        + bytes([len(segments)])
        + segments
        + bytes(sum(segments))
    )


@pytest.mark.parametrize(
    ("data", "is_cut"),
    [
        (ogg_page(2, b"\x1e") + ogg_page(4, b"\xff\x07"), False),
        (ogg_page(2, b"\x1e") + ogg_page(0, b"\xff\x07"), True),
        ((ogg_page(2, b"\x1e") + ogg_page(4, b"\xff\x07"))[:-1], True),
        (ogg_page(2, b"\x1e") + ogg_page(4, b"\xff\x07")[:20], True),
        (bytes(300_000), False),  # nothing is known
    ],
)
def test_ogg_ends_with_a_whole_last_page(data, is_cut):
    assert read_ogg_end(io.BytesIO(data), len(data)).cut is is_cut
