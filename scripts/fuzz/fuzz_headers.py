"""Lies in headers: sizes, counts, rates and time stamps that contradict the file.

Every function takes a generator and a good file of its format, changes one to three fields
of its structure, and returns the file. Where the format has a checksum over the field (Ogg
pages, FLAC frame headers), it is put right, so that the lie reaches the decoder.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import numpy as np

Generator = np.random.Generator
Way = Callable[[Generator, bytes], bytes]

# Values at which sizes and counts turn over.
EDGES = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000)
LONG_EDGES = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 0x100000000, 2**63 - 1, 2**64 - 1)
_OGG_POLYNOMIAL = 0x04C11DB7
_MAX_DEPTH = 16
_CONTAINER_BOXES = frozenset(
    (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"ilst", b"edts", b"dinf")
)


def lie(rng: Generator, n_bytes: int, size: int) -> int:
    """Return a number of `n_bytes` bytes: an edge, one near the file's size, or any."""
    if (way := rng.random()) < 0.5:
        value = int(rng.choice(EDGES)) if rng.random() < 0.5 else LONG_EDGES[int(rng.integers(7))]
    elif way < 0.7:
        value = max(0, size + int(rng.integers(-64, 65)))
    else:
        value = int.from_bytes(rng.bytes(n_bytes), "big")
    return value & ((1 << 8 * n_bytes) - 1)


def put(rng: Generator, data: bytearray, at: int, n_bytes: int, order: str) -> None:
    """Overwrite a number in place by a lie; a place outside of the file is passed over."""
    if at + n_bytes <= len(data):
        value = lie(rng, n_bytes, len(data))
        data[at : at + n_bytes] = value.to_bytes(n_bytes, "big" if order == ">" else "little")


def riff(rng: Generator, data: bytes) -> bytes:
    """Lie in a WAV: chunk sizes, the format, the long sizes of RF64, or chunks once more."""
    return _chunked(rng, data, "<", {b"fmt ": _WAV_FIELDS, b"ds64": ((0, 8), (8, 8), (16, 8))})


def aiff(rng: Generator, data: bytes) -> bytes:
    """Lie in an AIFF: chunk sizes, frames, channels and the rate in extended precision."""
    fields = {b"COMM": ((0, 2), (2, 4), (6, 2), (8, 2), (10, 8)), b"SSND": ((0, 4), (4, 4))}
    return _chunked(rng, data, ">", fields)


_WAV_FIELDS = ((0, 2), (2, 2), (4, 4), (8, 4), (12, 2), (14, 2), (16, 2), (18, 2), (20, 4), (24, 2))


def _chunked(
    rng: Generator, data: bytes, order: str, fields: Mapping[bytes, tuple[tuple[int, int], ...]]
) -> bytes:
    spoilt = bytearray(data)
    places = [(4, 4)]
    for kind, at, _ in _chunks(data, order):
        places.append((at - 4, 4))
        places.extend((at + offset, n_bytes) for offset, n_bytes in fields.get(kind, ()))
    _put_some(rng, spoilt, places, order)
    chunks = list(_chunks(data, order))
    if chunks and rng.random() < 0.2:  # once more, at the end or right behind the header
        _, at, length = chunks[int(rng.integers(len(chunks)))]
        again = data[at - 8 : at + min(length, 4096)]
        spoilt = spoilt + again if rng.random() < 0.5 else spoilt[:12] + again + spoilt[12:]
    return bytes(spoilt)


def _chunks(data: bytes, order: str) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from(order + "4sI", data, at)
        yield kind, at + 8, length
        at += 8 + length + length % 2


def au(rng: Generator, data: bytes) -> bytes:
    """Lie in an AU header: offset, size, encoding, rate, channels."""
    spoilt = bytearray(data)
    _put_some(rng, spoilt, [(at, 4) for at in range(4, 24, 4)], ">")
    return bytes(spoilt)


def caf(rng: Generator, data: bytes) -> bytes:
    """Lie in a CAF: chunk sizes of 64 bits, and the description of the samples."""
    spoilt, places, at = bytearray(data), [], 8
    while at + 12 <= len(data):
        kind, length = struct.unpack_from(">4sq", data, at)
        places.append((at + 4, 8))
        if kind == b"desc":
            places.extend([(at + 12, 8), *((at + 20 + 4 * i, 4) for i in range(6))])
        at += 12 + max(0, length)
    _put_some(rng, spoilt, places, ">")
    return bytes(spoilt)


def flac(rng: Generator, data: bytes) -> bytes:
    """Lie in a FLAC: STREAMINFO, lengths and kinds of the metadata blocks, frame headers."""
    spoilt, places, at = bytearray(data), [], 4
    while at + 4 <= len(data):
        places.extend([(at, 1), (at + 1, 3)])
        if data[at] & 0x80:
            break
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    # Block sizes, frame sizes, rate with channels and bits, total of samples, MD5.
    places.extend([(8, 2), (10, 2), (12, 3), (15, 3), (18, 2), (20, 2), (21, 1), (22, 4), (26, 4)])
    if rng.random() < 0.4:
        return _flac_frames(rng, spoilt)
    _put_some(rng, spoilt, places, ">")
    return bytes(spoilt)


def _flac_frames(rng: Generator, data: bytearray) -> bytes:
    """Change frame headers and make their checksum right: other blocks, rates, channels."""
    starts = [at for at in _find_all(data, b"\xff\xf8") if at + 16 < len(data)]
    for at in rng.permutation(starts)[: int(rng.integers(1, 4))]:
        length = 4 + _utf8_length(data[at + 4])
        if data[at + 2] >> 4 in (6, 7):  # the block size stands behind the number
            length += 1 + (data[at + 2] >> 4 == 7)
        data[at + 2 + int(rng.integers(2))] = int(rng.integers(256))
        data[at + length] = _crc8(data[at : at + length])
    return bytes(data)


def ogg(rng: Generator, data: bytes) -> bytes:
    """Lie in Ogg pages: granules, serials, numbers, flags, lacing; or spoil the content."""
    spoilt = bytearray(data)
    pages = [at for at in _find_all(data, b"OggS") if at + 27 < len(data)]
    for at in (int(at) for at in rng.permutation(pages)[: int(rng.integers(1, 4))]):
        segments = at + 27
        place = int(rng.integers(6))
        if place == 5:  # inside the packets, where the header packets are the worst
            start = segments + data[at + 26] if rng.random() < 0.5 else pages[0] + 28
            put(rng, spoilt, start + int(rng.integers(64)), int(rng.choice([1, 2, 4])), "<")
        else:
            offset, n_bytes = ((5, 1), (6, 8), (14, 4), (18, 4), (26, 1))[place]
            put(rng, spoilt, at + offset, n_bytes, "<")
        if rng.random() < 0.3:
            put(rng, spoilt, segments + int(rng.integers(255)), 1, "<")
    if rng.random() < 0.8:
        for at, end in pairwise([*pages, len(data)]):
            _fix_page(spoilt, at, end)
    return bytes(spoilt)


def mp4(rng: Generator, data: bytes) -> bytes:
    """Lie in an MP4: sizes and kinds of boxes, counts and entries of the tables."""
    spoilt, places = bytearray(data), []
    for kind, at, end in _boxes(data, 0, len(data)):
        places.append((at - 8, 4))
        if kind in (b"stsz", b"stco", b"stsc", b"stts", b"stsd", b"mvhd", b"mdhd", b"elst"):
            words = range(at, min(end, at + 64) - 3, 4)
            places.extend((word, 4) for word in words)
        if kind in (b"mp4a", b"alac", b"esds"):
            places.extend((place, 2) for place in range(at, min(end, at + 48) - 1, 2))
    _put_some(rng, spoilt, places, ">")
    kinds = [at - 4 for _, at, _ in _boxes(data, 0, len(data))]
    if kinds and rng.random() < 0.15:  # a box that is called like another
        a, b = rng.choice(kinds, 2)
        spoilt[a : a + 4] = data[b : b + 4]
    return bytes(spoilt)


def mpeg(rng: Generator, data: bytes) -> bytes:
    """Lie in an MP3: the hidden count of frames and bytes, the table, the frame headers."""
    spoilt = bytearray(data)
    at = max(data.find(b"Xing"), data.find(b"Info"))
    if at >= 0 and rng.random() < 0.5:
        places = [(at + 4, 4), (at + 8, 4), (at + 12, 4), (at + 116, 4), (at + 141, 3)]
        _put_some(rng, spoilt, places, ">")
        return bytes(spoilt)
    sync = data[len(data) // 2 :].find(b"\xff\xf3")
    word = b"\xff\xf3" if sync >= 0 else b"\xff\xf5"
    starts = list(_find_all(data, word)) or [0]
    for start in rng.permutation(starts)[: int(rng.integers(1, 6))]:
        at = start + int(rng.integers(1, 4))
        if at < len(spoilt):
            spoilt[at] = int(rng.integers(256))
    return bytes(spoilt)


def adts(rng: Generator, data: bytes) -> bytes:
    """Lie in ADTS headers: lengths, rates, channels, the number of blocks."""
    spoilt = bytearray(data)
    starts = list(_find_all(data, b"\xff\xf1")) or [0]
    for start in rng.permutation(starts)[: int(rng.integers(1, 6))]:
        at = start + int(rng.integers(2, 7))
        if at < len(spoilt):
            spoilt[at] = int(rng.integers(256))
    return bytes(spoilt)


HEADERS: Mapping[str, Way] = {
    **dict.fromkeys(("wav8", "wav16", "wav24", "wavfloat", "rf64"), riff),
    "aiff": aiff,
    "au": au,
    "caf": caf,
    "flac": flac,
    **dict.fromkeys(("oggflac", "vorbis", "opus"), ogg),
    **dict.fromkeys(("mp3", "mp2"), mpeg),
    **dict.fromkeys(("m4a", "alac"), mp4),
    "adts": adts,
}


def _put_some(rng: Generator, data: bytearray, places: list[tuple[int, int]], order: str) -> None:
    if not places:  # nothing of the structure is left
        return
    for place in rng.integers(len(places), size=int(rng.integers(1, 4))):
        at, n_bytes = places[int(place)]
        put(rng, data, at, n_bytes, order)


def _boxes(data: bytes, begin: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    inside = {b"stsd": 16, b"mp4a": 36, b"alac": 36, b"meta": 12}  # bytes before the first box
    while begin + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, begin)
        stop = min(end, begin + length) if length >= 8 else end
        yield kind, begin + 8, stop
        offset = 8 if kind in _CONTAINER_BOXES else inside.get(kind)
        if offset is not None and depth < _MAX_DEPTH:
            yield from _boxes(data, begin + offset, stop, depth + 1)
        begin = stop


def _find_all(data: bytes | bytearray, word: bytes) -> Iterator[int]:
    at = data.find(word)
    while at >= 0:
        yield at
        at = data.find(word, at + 1)


def _utf8_length(first: int) -> int:
    return next((n for n, top in ((1, 0x80), (2, 0xE0), (3, 0xF0), (4, 0xF8)) if first < top), 5)


def _crc8(data: bytes | bytearray) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


def _fix_page(data: bytearray, at: int, end: int) -> None:
    if end - at < 27:
        return
    data[at + 22 : at + 26] = bytes(4)
    data[at + 22 : at + 26] = struct.pack("<I", _ogg_crc(data[at:end]))


def _ogg_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (_OGG_POLYNOMIAL if crc & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(crc)
    return tuple(table)


_OGG_TABLE = _ogg_table()


def _ogg_crc(data: bytes | bytearray) -> int:
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[crc >> 24 ^ byte]
    return crc
