"""Headers of WavPack, Monkey's Audio, True Audio and Musepack: the length that they claim.

Each of these formats begins with a small header that counts the samples. The layouts follow the
formats' specifications; all numbers are little-endian except the variable-length ones of
Musepack's stream version 8.
"""

import struct
from typing import BinaryIO

from audiorec.audio.headers import Header, read_exactly

_WAVPACK_HEADER = 32  # bytes of a block before its sub-blocks
_WAVPACK_RATES = (
    *(6_000, 8_000, 9_600, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100),
    *(48_000, 64_000, 88_200, 96_000, 192_000),
)
_WAVPACK_DSD = 1 << 31  # flag of a block that holds one-bit audio
_MAX_SUB_BLOCKS = 64
_MUSEPACK_RATES = (44_100, 48_000, 37_800, 32_000)
_MUSEPACK_FRAME = 1152  # samples
_MAX_PACKETS = 16  # of a Musepack file, to find the one that counts its samples


def read_wavpack(file: BinaryIO, begin: int, _size: int) -> Header:
    """Read the first block of a WavPack file: total samples, rate, PCM or DSD."""
    file.seek(begin)
    head = read_exactly(file, _WAVPACK_HEADER)
    length, high, total, flags = struct.unpack("<4xI3xBI8xI4x", head)
    index = flags >> 23 & 15
    is_dsd = bool(flags & _WAVPACK_DSD)
    rate = _WAVPACK_RATES[index] if index < len(_WAVPACK_RATES) else 0
    factor = 1
    for kind, content in _sub_blocks(read_exactly(file, min(length, 1 << 12))):
        if kind == 0x27:  # a rate outside the table
            rate = int.from_bytes(content[:3], "little")
        elif kind == 0x0E and content:  # DSD: samples are octets, at a power of two of the rate
            factor = 1 << min(content[0], 16)
    claimed_s = None
    if total != 0xFFFFFFFF and rate:
        claimed_s = (total | high << 32) / (rate * factor) or None
    return Header(claimed_s, suits_soundfile=False, is_dsd=is_dsd)


def _sub_blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Return the kind (without its flags) and content of each sub-block of a WavPack block."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at + 2 <= len(data) and len(found) < _MAX_SUB_BLOCKS:
        kind, words, head = data[at], data[at + 1], 2
        if kind & 0x80:  # a length of three bytes
            words |= int.from_bytes(data[at + 2 : at + 4], "little") << 8
            head = 4
        begin, end = at + head, at + head + 2 * words
        found.append((kind & 0x3F, data[begin : end - bool(kind & 0x40)]))  # 0x40: an odd length
        at = end
    return found


def read_ape(file: BinaryIO, begin: int, _size: int) -> Header:
    """Read a Monkey's Audio header: samples per frame, frames, samples of the last frame."""
    file.seek(begin + 4)
    (version,) = struct.unpack("<H", read_exactly(file, 2))
    if version >= 3980:
        (descriptor,) = struct.unpack("<2xI", read_exactly(file, 6))
        file.seek(begin + descriptor)
        per_frame, last, frames, rate = struct.unpack("<4xIII4xI", read_exactly(file, 24))
    else:
        level, rate, frames, last = struct.unpack("<H4xI8xII", read_exactly(file, 26))
        is_long = version >= 3900 or (version >= 3800 and level >= 4000)
        per_frame = 4 * 73_728 if version >= 3950 else 73_728 if is_long else 9_216
    total = (frames - 1) * per_frame + last
    return Header(total / rate if frames and rate else None, suits_soundfile=False)


def read_tta(file: BinaryIO, begin: int, _size: int) -> Header:
    """Read a True Audio header: rate, total samples, and whether it needs a password."""
    file.seek(begin + 4)
    kind, rate, total = struct.unpack("<H4xII", read_exactly(file, 14))
    drm = "encrypted with a password" if kind == 2 else None
    return Header(total / rate if total and rate else None, suits_soundfile=False, drm=drm)


def read_musepack(file: BinaryIO, begin: int, size: int) -> Header:
    """Read a Musepack header of stream version 7 or 8."""
    file.seek(begin)
    head = read_exactly(file, 12)
    if head[:4] == b"MPCK":
        return _musepack_8(file, begin, size)
    (frames,) = struct.unpack_from("<I", head, 4)
    claimed_s = frames * _MUSEPACK_FRAME / _MUSEPACK_RATES[head[10] & 3]
    return Header(claimed_s or None, suits_soundfile=False)


def _musepack_8(file: BinaryIO, begin: int, size: int) -> Header:
    claimed_s, blank_at, at = None, None, begin + 4
    for _ in range(_MAX_PACKETS):
        if at >= size:
            break
        file.seek(at)
        packet = read_exactly(file, 40)
        length, content = _varint(packet, 2)
        if packet[:2] == b"SH":
            claimed_s = _musepack_length(packet, content + 5)  # after a checksum and the version
        elif packet[:2] == b"SO" and at + _varint(packet, content)[0] >= size:
            # The seek table was cut off with the end of the file: FFmpeg would stop there.
            blank_at = at
        elif packet[:2] == b"AP":
            break
        at += max(length, 3)
    return Header(claimed_s, suits_soundfile=False, blank_at=blank_at)


def _musepack_length(packet: bytes, at: int) -> float | None:
    total, at = _varint(packet, at)
    _, at = _varint(packet, at)  # silence that the encoder prepended
    index = packet[at] >> 5
    rate = _MUSEPACK_RATES[index] if index < len(_MUSEPACK_RATES) else 0
    return total / rate if total and rate else None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number stored in seven bits per byte, and the position after it."""
    number = 0
    for place in range(at, min(at + 9, len(data) - 1)):
        number = number << 7 | data[place] & 0x7F
        if not data[place] & 0x80:
            return number, place + 1
    return 0, min(at + 9, len(data) - 1)
