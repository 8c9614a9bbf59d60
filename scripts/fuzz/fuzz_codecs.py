"""Lies and tags for the formats of `fixtures/codecs` and for one-bit audio.

As in `fuzz_headers`, a function takes a generator and a good file, changes one to three
fields of its structure and returns the file; as in `fuzz_tags`, one puts a hostile tag in.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import partial

import fuzz_tags
import numpy as np
from fuzz_headers import Way, _find_all, _put_some, lie, ogg, put

Generator = np.random.Generator
_ASF_HEADER = 30  # bytes before the first object
_CONTENT = bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850")  # extended content description
_BLOCKS = tuple(bytes.fromhex(word) for word in ("1a45dfa3", "18538067", "1549a966", "1654ae6b"))
_CLUSTER, _TAGS, _ATTACHMENTS = (
    bytes.fromhex(word) for word in ("1f43b675", "1254c367", "1941a469")
)


def fields(rng: Generator, data: bytes, *, widths: str, begin: int = 4, order: str = "<") -> bytes:
    """Lie in a header of numbers that lie one after the other, of as many bytes as `widths`."""
    places, at = [], begin
    for width in map(int, widths):
        places.append((at, width))
        at += width
    spoilt = bytearray(data)
    _put_some(rng, spoilt, places, order)
    return bytes(spoilt)


def wavpack(rng: Generator, data: bytes) -> bytes:
    """Lie in the headers of WavPack's blocks, and in the kinds and lengths inside them."""
    spoilt = bytearray(data)
    starts = list(_find_all(data, b"wvpk")) or [0]
    for start in (int(at) for at in rng.permutation(starts)[: int(rng.integers(1, 3))]):
        places = [(start + at, 4) for at in (4, 8, 12, 16, 20, 24, 28)]
        places += [(start + at, 1) for at in range(32, 80)]
        _put_some(rng, spoilt, places, "<")
    return bytes(spoilt)


def tta(rng: Generator, data: bytes) -> bytes:
    """Lie in a True Audio header, whose checksum is put right, or in the index."""
    spoilt = bytearray(data)
    at = max(0, data.find(b"TTA1"))
    if rng.random() < 0.3:
        _put_some(rng, spoilt, [(place, 4) for place in range(at + 22, at + 60, 4)], "<")
        return bytes(spoilt)
    _put_some(rng, spoilt, [(at + 4, 2), (at + 6, 2), (at + 8, 2), (at + 10, 4), (at + 14, 4)], "<")
    spoilt[at + 18 : at + 22] = struct.pack("<I", zlib.crc32(spoilt[at : at + 18]))
    return bytes(spoilt)


def octets(rng: Generator, data: bytes, *, begin: int, end: int) -> bytes:
    """Overwrite one to three bytes of a header whose numbers have no fixed length."""
    spoilt = bytearray(data)
    _put_some(rng, spoilt, [(at, 1) for at in range(begin, end)], "<")
    return bytes(spoilt)


def ac3(rng: Generator, data: bytes) -> bytes:
    """Lie in frame headers of AC-3 and E-AC-3: rates, lengths, kinds, channels."""
    spoilt = bytearray(data)
    starts = list(_find_all(data, b"\x0b\x77")) or [0]
    for start in rng.permutation(starts)[: int(rng.integers(1, 6))]:
        at = int(start) + int(rng.integers(2, 8))
        if at < len(spoilt):
            spoilt[at] = int(rng.integers(256))
    return bytes(spoilt)


def asf(rng: Generator, data: bytes) -> bytes:
    """Lie in the objects of an ASF header, their lengths and counts, or in a packet's head."""
    spoilt, places = bytearray(data), [(16, 8), (24, 4)]
    for at, length in _objects(data):
        places.append((at + 16, 8))
        places.extend((place, 4) for place in range(at + 24, min(at + length, at + 130), 2))
    end = struct.unpack_from("<Q", data.ljust(24, b"\0"), 16)[0]
    if end < len(data):
        places.extend((int(end) + place, 1) for place in range(16, 90))
    _put_some(rng, spoilt, places, "<")
    return bytes(spoilt)


def _objects(data: bytes) -> Iterator[tuple[int, int]]:
    at = _ASF_HEADER
    while at + 24 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at + 16)
        if not 24 <= length <= len(data):
            return
        yield at, int(length)
        at += int(length)


def matroska(rng: Generator, data: bytes) -> bytes:
    """Lie in the lengths and numbers of a Matroska file's elements."""
    spoilt, places = bytearray(data), []
    for word in (*_BLOCKS, _CLUSTER, _TAGS):
        for at in _find_all(data, word):
            places.extend((at + place, 1) for place in range(4, 40))
    first = data.find(_CLUSTER)
    if first > 0:
        places.extend((at, 1) for at in range(first))
    _put_some(rng, spoilt, places, ">")
    return bytes(spoilt)


def dff(rng: Generator, data: bytes) -> bytes:
    """Lie in the lengths and numbers of a DFF's chunks."""
    spoilt, places = bytearray(data), [(4, 8)]
    for name in (b"FVER", b"PROP", b"FS  ", b"CHNL", b"CMPR", b"DSD ", b"DST ", b"FRTE", b"DSTF"):
        for at in list(_find_all(data, name))[:20]:
            places.extend([(at + 4, 8), (at + 12, 4)])
    _put_some(rng, spoilt, places, ">")
    return bytes(spoilt)


def dsf_tag(rng: Generator, data: bytes) -> bytes:
    """Put a hostile ID3 tag where a DSF's header says that it is, or lie about where."""
    tag = fuzz_tags.id3v2(rng)
    spoilt = bytearray(data[: struct.unpack_from("<Q", data.ljust(28, b"\0"), 20)[0]] + tag)
    if rng.random() < 0.3:
        put(rng, spoilt, 20, 8, "<")
    return bytes(spoilt)


def dff_tag(rng: Generator, data: bytes) -> bytes:
    """Put a hostile ID3 tag in a chunk at the end, or right behind the header."""
    tag = fuzz_tags.id3v2(rng)
    length = len(tag) if rng.random() < 0.8 else lie(rng, 8, len(tag))
    chunk = b"ID3 " + struct.pack(">Q", length) + tag + bytes(len(tag) % 2)
    return data + chunk if rng.random() < 0.5 else data[:16] + chunk + data[16:]


def asf_tag(rng: Generator, data: bytes) -> bytes:
    """Put an object of values into an ASF header: pictures, ID3 tags, texts that lie."""
    if len(data) < _ASF_HEADER:
        return data
    values, count = b"", int(rng.choice([1, 3, 40]))
    for _ in range(count):
        name = ("ID3\0", "WM/Picture\0", "Title\0", "")[int(rng.integers(4))].encode("utf-16-le")
        value = fuzz_tags.id3v2(rng)[:60_000] if rng.random() < 0.5 else rng.bytes(30)
        length = len(value) if rng.random() < 0.9 else lie(rng, 2, len(value))
        kind = int(rng.integers(7))
        values += struct.pack("<H", len(name)) + name + struct.pack("<HH", kind, length) + value
    content = _CONTENT + struct.pack("<QH", 26 + len(values), count) + values
    whole, objects = struct.unpack_from("<QI", data, 16)
    head = struct.pack("<QI", (whole + len(content)) % 2**64, (objects + 1) % 2**32)
    return data[:16] + head + data[28:_ASF_HEADER] + content + data[_ASF_HEADER:]


def matroska_tag(rng: Generator, data: bytes) -> bytes:
    """Put tags or attachments of any length in front of the first cluster."""
    at = data.find(_CLUSTER)
    if at < 0:
        return data
    content = rng.bytes(int(rng.choice([0, 60, 1 << 20])))
    pairs = b"".join(
        _element(
            rng, b"\x67\xc8", _element(rng, b"\x45\xa3", b"TITLE") + _element(rng, b"\x44\x87", t)
        )
        for t in (b"A" * 99, bytes(1 << 16), b"\xff\xfe")
    )
    kind = _TAGS if rng.random() < 0.6 else _ATTACHMENTS
    inner = (
        _element(rng, b"\x73\x73", pairs) if kind == _TAGS else _element(rng, b"\x61\xa7", content)
    )
    return (
        data[:at]
        + _element(rng, kind, fuzz_tags._repeat(inner, int(rng.choice([1, 1, 30]))))
        + data[at:]
    )


def _element(rng: Generator, kind: bytes, content: bytes) -> bytes:
    length = len(content) if rng.random() < 0.95 else lie(rng, 4, len(content))
    return kind + (length % 2**56 | 1 << 56).to_bytes(8, "big") + content


HEADERS: Mapping[str, Way] = {
    "wavpack": wavpack,
    "ape": partial(fields, widths="224444444444224444422444"),
    "tta": tta,
    "mpc7": partial(fields, widths="4442424"),
    "mpc8": partial(octets, begin=4, end=60),
    **dict.fromkeys(("wma1", "wma2"), asf),
    **dict.fromkeys(("ac3", "eac3"), ac3),
    "speex": ogg,
    **dict.fromkeys(("mka", "webm"), matroska),
    "dsf": partial(fields, widths="88848444444844" + "48"),
    **dict.fromkeys(("dff", "dst"), dff),
}
TAGS: Mapping[str, Way] = {
    **dict.fromkeys(("wavpack", "ape", "tta", "mpc7", "mpc8", "ac3", "eac3"), fuzz_tags.id3),
    **dict.fromkeys(("wma1", "wma2"), asf_tag),
    "speex": fuzz_tags.ogg,
    **dict.fromkeys(("mka", "webm"), matroska_tag),
    "dsf": dsf_tag,
    **dict.fromkeys(("dff", "dst"), dff_tag),
}
