"""`audiorec.audio.headers`: headers written by hand."""

import io
import struct

import pytest

from audiorec.audio.headers import read_ape, read_musepack, read_tta, read_wavpack


def claimed(read, data, begin=0):
    padded = bytes(begin) + data
    return read(io.BytesIO(padded), begin, len(padded)).claimed_s


def wavpack(total=88_200, index=9, high=0, flags=0, sub=b""):
    head = struct.pack("<4sIHBBIIII", b"wvpk", 24 + len(sub), 0x410, 0, high, total, 0, 1, 0)
    return head[:24] + struct.pack("<II", flags | index << 23, 0) + sub


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (wavpack(), 2.0),
        (wavpack(index=6), 4.0),
        (wavpack(0xFFFFFFFF), None),  # written to a pipe
        (wavpack(0, high=1, index=14), 2**32 / 192_000),
        (wavpack(index=15), None),
        # A rate of its own, 0x27 with an odd length: 3 bytes in 2 words.
        (wavpack(index=15, sub=b"\x67\x02\x22\x56\x00\x00"), 88_200 / 22_050),
        # The same behind another block with a length of three bytes.
        (wavpack(index=15, sub=b"\x82\x01\x00\x00ab" + b"\x67\x02\x22\x56\x00\x00"), 4.0),
        # DSD: a power of two of the rate.
        (wavpack(index=9, flags=1 << 31, sub=b"\x4e\x01\x03\x00"), 0.25),
        (b"wvpk", None),
    ],
)
def test_wavpack(data, seconds):
    assert claimed(read_wavpack, data) == claimed(read_wavpack, data, 300) == seconds


def test_one_bit_audio_in_wavpack():
    plain, bits = (io.BytesIO(wavpack(flags=flags)) for flags in (0, 1 << 31))
    assert not read_wavpack(plain, 0, 32).is_dsd
    assert read_wavpack(bits, 0, 32).is_dsd


def ape(version=3990, frames=3, last=4_464, rate=44_100):
    descriptor = struct.pack("<4sHHIIIIIII16s", b"MAC ", version, 0, 52, 24, 0, 44, 0, 0, 0, b"")
    return descriptor + struct.pack("<HHIIIHHI", 2000, 0, 73_728, last, frames, 16, 2, rate)


def old_ape(version, level, frames=3, last=4_464):
    fields = (b"MAC ", version, level, 0, 2, 44_100, 44, 0, frames, last)
    return struct.pack("<4sHHHHIIIII", *fields)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (ape(), (2 * 73_728 + 4_464) / 44_100),
        (ape(frames=1, last=22_050), 0.5),
        (ape(frames=0), None),
        (ape(rate=0), None),
        (old_ape(3970, 2000), (2 * 4 * 73_728 + 4_464) / 44_100),
        (old_ape(3920, 2000), (2 * 73_728 + 4_464) / 44_100),
        (old_ape(3800, 4000), (2 * 73_728 + 4_464) / 44_100),
        (old_ape(3800, 2000), (2 * 9_216 + 4_464) / 44_100),
        (b"MAC ", None),
    ],
)
def test_monkeys_audio(data, seconds):
    assert claimed(read_ape, data) == claimed(read_ape, data, 17) == seconds


def test_true_audio():
    data = struct.pack("<4sHHHIII", b"TTA1", 1, 2, 16, 8_000, 12_000, 0)
    assert claimed(read_tta, data) == claimed(read_tta, data, 90) == 1.5
    assert claimed(read_tta, data[:14] + bytes(8)) is None
    assert read_tta(io.BytesIO(data), 0, 22).drm is None
    locked = struct.pack("<4sH", b"TTA1", 2) + data[6:]
    assert read_tta(io.BytesIO(locked), 0, 22).drm == "encrypted with a password"


@pytest.mark.parametrize(("index", "rate"), [(0, 44_100), (1, 48_000), (2, 37_800), (3, 32_000)])
def test_musepack_7(index, rate):
    data = b"MP+\x17" + struct.pack("<I", 100) + bytes((0, 0, 0xF0 | index, 0))
    assert claimed(read_musepack, data) == claimed(read_musepack, data, 3) == 115_200 / rate


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
