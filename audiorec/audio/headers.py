"""Container headers: the claimed length, whether it can be trusted, and the codec.

A header is a claim. It can show that a file was cut short, but it never decides how much is
read: streaming encoders leave 0 or 0xFFFFFFFF in it, and MP3 has no header except what an
encoder may have hidden in the first frame. Each function here reads one container's header and
returns a `Header`; for a file that contradicts itself, a `Header` that claims nothing.
"""

import math
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

# Streaming encoders write a length of 2 or 4 GiB less the size of a header.
_PLACEHOLDERS = (range(2**31 - 2**16, 2**31), range(2**32 - 2**16, 2**32))
_MAX_CHUNKS = 1024  # of a RIFF or AIFF file: bounds the walk through a hostile file

# Old telephone codecs and ADPCM are left out: music does not use them, and libsndfile's
# ADPCM readers have had memory faults.
WAV_CODECS = {1: "PCM", 3: "float", 6: "A-law", 7: "µ-law", 0x50: "MP2", 0x55: "MP3"}
_WAV_EXTENSIBLE = 0xFFFE
_WAV_UNCOMPRESSED = (1, 3, 6, 7)
AIFC_CODECS = frozenset(
    code.encode()
    for code in (
        *("NONE", "sowt", "twos", "raw ", "in24", "in32", "42ni", "23ni"),
        *("fl32", "FL32", "fl64", "FL64", "alaw", "ALAW", "ulaw", "ULAW"),
    )
)
_FLAC_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_AU_SAMPLE_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # encoding → bytes


class Header(NamedTuple):
    """Content of a container header."""

    claimed_s: float | None = None  # seconds; None without a trustworthy claim
    suits_soundfile: bool = True  # False if libsndfile would stop before the end
    cut: bool = False  # the file ends before its structure does
    refusal: str | None = None  # an unsupported codec
    drm: str | None = None  # how the file is encrypted
    is_dsd: bool = False  # one-bit audio, with other sample rates and another full scale
    blank_at: int | None = None  # offset of two bytes of a cut file to hide from the decoder


def read_wav(file: BinaryIO, begin: int, size: int) -> Header:
    """Read a RIFF, RF64 or BW64 header: ``fmt``, ``ds64`` and the size of ``data``."""
    file.seek(begin)
    magic, riff_size = struct.unpack("<4sI", read_exactly(file, 8))
    codec = rate = frame_bytes = long_size = None
    for kind, at, length in _chunks(file, begin + 12, size, "<"):
        if kind == b"ds64":
            (long_size,) = struct.unpack("<8xQ", read_exactly(file, 16))
        elif kind == b"fmt ":
            codec, rate, frame_bytes = _wav_format(file, length)
            if codec not in WAV_CODECS:
                return Header(refusal=f"WAV codec 0x{codec:04x}")
        elif kind == b"data":
            is_long = magic != b"RIFF" and length == 0xFFFFFFFF
            length = long_size if is_long and long_size is not None else length
            # A recorder that crashed leaves a length of 0; libsndfile would read no samples.
            unclosed = length == 0 and begin + riff_size + 8 != size and at < size
            if not rate or not frame_bytes or codec not in _WAV_UNCOMPRESSED:
                return Header(suits_soundfile=not unclosed)
            claimed = None if unclosed or _is_placeholder(length) else length
            return _by_bytes(claimed, size - at, frame_bytes * rate, not unclosed)
    return Header()


def read_aiff(file: BinaryIO, begin: int, size: int) -> Header:
    """Read an AIFF or AIFF-C header: the number of frames and the rate in ``COMM``."""
    for kind, _, length in _chunks(file, begin + 12, size, ">"):
        if kind != b"COMM" or length < 18:
            continue
        content = read_exactly(file, min(length, 22))
        frames, exponent, mantissa = struct.unpack(">2xI2xHQ", content[:18])
        codec = content[18:22]
        if codec and codec not in AIFC_CODECS:
            return Header(refusal=f"AIFF-C codec {codec!r}")
        # 80-bit extended precision: sign and 15 bits of exponent, 64 bits of mantissa.
        rate = math.ldexp(mantissa, (exponent & 0x7FFF) - 16383 - 63) if exponent < 16447 else 0
        return Header(claimed_s=frames / rate if frames and rate >= 1 else None)
    return Header()


def read_au(file: BinaryIO, begin: int, size: int) -> Header:
    """Read an AU header: the number of data bytes, unless it is left open."""
    file.seek(begin + 4)
    offset, length, encoding, rate, channels = struct.unpack(">5I", read_exactly(file, 20))
    if encoding not in _AU_SAMPLE_BYTES:
        return Header(refusal=f"AU encoding {encoding}")
    claimed = None if length == 0 or _is_placeholder(length) else length
    return _by_bytes(
        claimed, size - begin - offset, _AU_SAMPLE_BYTES[encoding] * channels * rate, True
    )


def read_flac(file: BinaryIO, begin: int) -> Header:
    """Read FLAC's STREAMINFO: 20 bits of sample rate and 36 bits of total samples."""
    file.seek(begin + 18)
    (packed,) = struct.unpack(">Q", read_exactly(file, 8))
    rate, samples = packed >> 44, packed & (2**36 - 1)
    return Header(claimed_s=samples / rate if samples and rate else None)


def has_flac_frame(data: bytes) -> bool:
    """Return whether a frame of FLAC begins in some bytes, by its header and the header's CRC-8."""
    return any(_is_flac_frame(data[m.start() : m.start() + 16]) for m in _FLAC_SYNC.finditer(data))


def _is_flac_frame(data: bytes) -> bool:
    """Check a frame header: sync, four codes, a number as in UTF-8, and what the codes announce."""
    head = data.ljust(16, b"\0")
    size_code, rate_code = head[2] >> 4, head[2] & 15
    if size_code == 0 or rate_code == 15 or head[3] >> 4 > 10 or head[3] & 1:
        return False
    ones = 8 - (head[4] ^ 0xFF).bit_length()  # leading ones: bytes of the number; none: one byte
    if ones in (1, 8):
        return False
    end = (
        4 + max(ones, 1) + {6: 1, 7: 2}.get(size_code, 0) + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    )
    crc = 0
    for byte in head[: end + 1]:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc == 0  # of the header with its own CRC


def read_ogg_end(file: BinaryIO, size: int) -> Header:
    """Check the last page of an Ogg file: a complete file ends with an end-of-stream page."""
    longest_page = 27 + 255 + 255 * 255  # bytes
    file.seek(max(0, size - 2 * longest_page))
    tail = file.read()
    at = tail.rfind(b"OggS\x00")
    if at < 0 or at + 27 > len(tail):
        return Header(cut=at >= 0)
    n_lacing = tail[at + 26]
    page_end = at + 27 + n_lacing + sum(tail[at + 27 : at + 27 + n_lacing])
    is_last = bool(tail[at + 5] & 4)
    return Header(cut=not is_last or page_end > len(tail))


def read_exactly(file: BinaryIO, length: int) -> bytes:
    """Read `length` bytes; if the file ends earlier, pad them with zeros."""
    return file.read(length).ljust(length, b"\0")


def _chunks(file: BinaryIO, at: int, size: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, begin and length of RIFF-like chunks, with the file positioned at the content."""
    header = struct.Struct(order + "4sI")
    for _ in range(_MAX_CHUNKS):
        if at + header.size > size:
            return
        file.seek(at)
        kind, length = header.unpack(read_exactly(file, header.size))
        begin = at + header.size
        yield kind, begin, length
        at = begin + length + length % 2  # chunks are padded to an even length


def _wav_format(file: BinaryIO, length: int) -> tuple[int, int, int]:
    """Return codec, frames per second and bytes per frame of a ``fmt`` chunk."""
    content = read_exactly(file, min(length, 40)).ljust(40, b"\0")
    codec, _, rate, _, frame_bytes = struct.unpack("<HHIIH", content[:14])
    if codec == _WAV_EXTENSIBLE:  # the codec is the first field of a GUID
        (codec,) = struct.unpack("<H", content[24:26])
    return codec, rate, frame_bytes


def _by_bytes(claimed: int | None, present: int, byte_rate: int, suits: bool) -> Header:
    """Return the header of samples at a constant `byte_rate` in bytes per second."""
    if claimed is None or byte_rate == 0:
        return Header(suits_soundfile=suits)
    return Header(claimed / byte_rate, suits, cut=claimed > present)


def _is_placeholder(length: int) -> bool:
    return any(length in span for span in _PLACEHOLDERS)
