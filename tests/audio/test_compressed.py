"""`audiorec.audio.headers`: headers written by hand."""

import io
import struct
from pathlib import Path

import pytest

from audiorec.audio.decode import waveform
from audiorec.audio.headers import read_musepack, read_wavpack
from audiorec.audio.tags import header_duration_s
from audiorec.errors import SongError

CODECS = Path(__file__).parents[2] / "fixtures" / "codecs"


def claimed(read, data, begin=0):
    padded = bytes(begin) + data
    return read(io.BytesIO(padded), begin, len(padded)).claimed_s


def test_one_bit_audio_in_wavpack():
    for flags, is_dsd in ((0x1234, False), (1 << 31 | 0x1234, True)):
        data = b"wvpk" + bytes(20) + struct.pack("<I", flags) + bytes(4)
        assert read_wavpack(io.BytesIO(data), 0, 32).is_dsd is is_dsd
        assert read_wavpack(io.BytesIO(bytes(300) + data), 300, 332).is_dsd is is_dsd


def test_a_length_that_no_header_tells_is_that_of_ffmpeg(tmp_path):
    data = (CODECS / "tabla.wv").read_bytes()
    (tmp_path / "piped.wv").write_bytes(data[:12] + b"\xff" * 4 + data[16:])  # no total
    assert waveform(tmp_path / "piped.wv")[1].claimed_s is None
    assert header_duration_s(tmp_path / "piped.wv") is None
    with pytest.raises(SongError, match="h long; the limit"):  # before it is decoded
        waveform(CODECS / "tabla.wv", max_duration_s=4.0)


def packet(name, content):
    return name + bytes((3 + len(content),)) + content


def test_musepack_8():
    # 2,000 is 15 times 128 and 80; then silence, then the rate's index in three bits.
    size = packet(b"SH", bytes(4) + b"\x08" + b"\x8f\x50" + b"\x00" + b"\x3f\x10")
    data = b"MPCK" + packet(b"RG", bytes(9)) + size + packet(b"AP", bytes(20))
    assert claimed(read_musepack, data) == claimed(read_musepack, data, 5) == 2_000 / 48_000
    assert claimed(read_musepack, b"MPCK" + packet(b"AP", bytes(20)) + size) is None
    assert claimed(read_musepack, b"MPCKSH" + b"\xff" * 40) is None  # a length without end
    assert claimed(read_musepack, b"MPCK" + b"RG\x80" * 30) is None


def test_an_index_beyond_the_end_is_not_shown():
    def blank_at(place):
        data = b"MPCK" + packet(b"EI", b"abc") + packet(b"SO", bytes((place,))) + bytes(50)
        return read_musepack(io.BytesIO(data), 0, len(data)).blank_at

    assert blank_at(20) is None
    assert blank_at(60) == 10  # the packet begins at 10, the file has 64 bytes
    assert blank_at(54) == 10
    assert blank_at(53) is None
