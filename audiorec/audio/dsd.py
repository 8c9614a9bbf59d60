"""DSF and DFF, the two formats of one-bit audio: claimed length, and where the tag lies.

DSF consists of three little-endian chunks, with the offset of an ID3 tag in the first. DFF
(DSDIFF) is a big-endian IFF with 64-bit lengths; its audio is plain or losslessly compressed
(DST).
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from audiorec.audio.headers import Header, read_exactly

DSF, DFF = b"DSD ", b"FRM8"
_DSF_HEADER = 92  # bytes before the samples
_MAX_CHUNKS = 256


def read_dsf(file: BinaryIO, begin: int, _size: int) -> Header:
    """Read the rate and the samples per channel from the ``fmt`` chunk of a DSF file."""
    file.seek(begin + 28)
    kind, rate, total = struct.unpack("<4s24xI4xQ", read_exactly(file, 44))
    claimed_s = total / rate if kind == b"fmt " and rate else None
    return Header(claimed_s or None, suits_soundfile=False, is_dsd=True)


def read_dff(file: BinaryIO, begin: int, size: int) -> Header:
    """Read the rate, the channels and the number of samples of a DFF file."""
    rate = channels = n_bytes = frames = frame_rate = 0
    for kind, at, length in chunks(file, begin + 16, size):
        if kind == b"PROP":
            rate, channels = _properties(file, at + 4, min(at + length, size))
        elif kind == b"DSD ":
            n_bytes = length
        elif kind == b"DST ":
            for inner, _, _ in chunks(file, at, size):
                if inner == b"FRTE":
                    frames, frame_rate = struct.unpack(">IH", read_exactly(file, 6))
                break
    claimed_s = 8 * n_bytes / (rate * channels) if rate and channels else 0.0
    if frames and frame_rate:
        claimed_s = frames / frame_rate
    return Header(claimed_s or None, suits_soundfile=False, is_dsd=True)


def _properties(file: BinaryIO, at: int, end: int) -> tuple[int, int]:
    rate = channels = 0
    for kind, _, _ in chunks(file, at, end):
        if kind == b"FS  ":
            (rate,) = struct.unpack(">I", read_exactly(file, 4))
        elif kind == b"CHNL":
            (channels,) = struct.unpack(">H", read_exactly(file, 2))
    return rate, channels


def trailing_tag(file: BinaryIO) -> int | None:
    """Return the offset of the ID3 tag at the end of a DSF file; None for any other file."""
    file.seek(0)
    head = read_exactly(file, 28)
    (at,) = struct.unpack_from("<Q", head, 20)
    return at if head[:4] == DSF and at >= _DSF_HEADER else None


def id3_span(file: BinaryIO, size: int) -> tuple[int, int] | None:
    """Return begin and end of the ID3 tag of a DSF or DFF file; None if it has none."""
    if (tag_at := trailing_tag(file)) is not None:
        return (tag_at, size) if tag_at < size else None
    file.seek(0)
    if file.read(4) == DFF:
        for kind, at, length in chunks(file, 16, size):
            if kind == b"ID3 ":
                return at, min(at + length, size)
    return None


def chunks(file: BinaryIO, at: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, begin and length of a DFF's chunks, with the file positioned at the content."""
    for _ in range(_MAX_CHUNKS):
        if at + 12 > size:
            return
        file.seek(at)
        kind, length = struct.unpack(">4sQ", read_exactly(file, 12))
        yield kind, at + 12, length
        at += 12 + length + length % 2
