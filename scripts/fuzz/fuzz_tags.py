"""Tags that no player writes: huge, endless, compressed a thousandfold, or lying about it all.

Each function puts one tag into a good file of its format. Audio and headers stay as they
are, so a file may well end as ``ok``; what must not happen is that a title costs a song its
time or its memory.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise

import numpy as np
from fuzz_headers import _boxes, _chunks, _find_all, _fix_page, lie

Generator = np.random.Generator
Way = Callable[[Generator, bytes], bytes]

HUGE = 1 << 20  # bytes of a title or a cover
BOMB = 64 << 20  # bytes that a compressed frame unfolds to
MANY = 20_000  # frames, comments or boxes
_FRAMES = (b"TIT2", b"TPE1", b"TALB", b"TSRC", b"TXXX", b"UFID", b"COMM", b"USLT", b"APIC", b"GEOB")
_NAMES = (b"TITLE", b"ARTIST", b"ALBUM", b"ISRC", b"MUSICBRAINZ_TRACKID", b"METADATA_BLOCK_PICTURE")
# A byte order mark and nothing, half a character, lone surrogates, controls, right to left.
_TEXTS = (
    *(b"", b"\0", b"\x01\xff\xfe", b"\x01\xfe\xff\x00", b"\x01A", b"\x02\xd8\x00", b"\x03\xff"),
    *(b"\x09text", b"\x03\x1b[2J\r\n\x07", b"\x03" + "\u202e\U0001f3b5".encode(), b"\x00" * 999),
)


def id3(rng: Generator, data: bytes) -> bytes:
    """Put an ID3v2 tag in front, or an APE or ID3v1 tag behind."""
    if (way := rng.random()) < 0.8:
        return _repeat(id3v2(rng), int(rng.integers(2, 40)) if way < 0.1 else 1) + data
    return data + ape(rng) if way < 0.95 else data + b"TAG" + rng.bytes(125)


def id3v2(rng: Generator) -> bytes:
    """Return an ID3v2 tag of version 2 to 4 with hostile frames."""
    version = int(rng.choice([2, 3, 4]))
    flags = int(rng.choice([0, 0, 0, 0x80, 0x40, 0x10, 0xF0]))
    body = b"".join(_frame(rng, version) for _ in range(int(rng.integers(1, 6))))
    if rng.random() < 0.1:
        body = _repeat(body, MANY)
    length = len(body) if rng.random() < 0.7 else lie(rng, 4, len(body)) & 0x0FFFFFFF
    return b"ID3" + bytes([version, 0, flags]) + _syncsafe(length) + body


def _frame(rng: Generator, version: int) -> bytes:
    name = _FRAMES[int(rng.integers(len(_FRAMES)))]
    way, flags = rng.random(), 0
    content = _TEXTS[int(rng.integers(len(_TEXTS)))] + rng.bytes(int(rng.integers(0, 40)))
    if way < 0.1:  # one huge text or cover
        content = b"\x03" + b"A" * HUGE
    elif way < 0.2:  # kilobytes that unfold to 64 MiB
        content = struct.pack(">I", BOMB) + _bomb()
        flags = 0x80 if version == 3 else 0x09
    length = len(content) if rng.random() < 0.7 else lie(rng, 4, len(content))
    if version == 2:
        return name[:3] + (length & 0xFFFFFF).to_bytes(3, "big") + content
    size = struct.pack(">I", length & 0xFFFFFFFF) if version == 3 else _syncsafe(length)
    return name + size + struct.pack(">H", flags) + content


def ape(rng: Generator) -> bytes:
    """Return an APEv2 tag whose numbers lie."""
    items = b"".join(
        struct.pack("<II", lie(rng, 4, 9) if rng.random() < 0.4 else 4, 0) + b"Title\0Coda"
        for _ in range(int(rng.choice([0, 1, 5, 2000])))
    )
    length = len(items) + 32 if rng.random() < 0.5 else lie(rng, 4, len(items))
    footer = struct.pack("<8sIIIIQ", b"APETAGEX", 2000, length, lie(rng, 4, 9), 1 << 31, 0)
    return items + footer


def comments(rng: Generator) -> bytes:
    """Return the body of a Vorbis comment: vendor, count, ``NAME=value`` pairs."""
    n_pairs = int(rng.choice([0, 1, 5, MANY]))
    pairs = [_comment(rng) for _ in range(min(n_pairs, 8))]
    body = _repeat(b"".join(pairs), n_pairs // 8 if n_pairs > 8 else 1)
    count = n_pairs if rng.random() < 0.6 else lie(rng, 4, n_pairs)
    vendor_length = 4 if rng.random() < 0.8 else lie(rng, 4, 4)
    return struct.pack("<I", vendor_length) + b"fuzz" + struct.pack("<I", count) + body


def _comment(rng: Generator) -> bytes:
    name = _NAMES[int(rng.integers(len(_NAMES)))]
    text = b"x" * HUGE if rng.random() < 0.05 else rng.bytes(int(rng.integers(0, 60)))
    pair = name + (b"=" if rng.random() < 0.9 else b"") + text
    return struct.pack("<I", len(pair) if rng.random() < 0.9 else lie(rng, 4, len(pair))) + pair


def flac(rng: Generator, data: bytes) -> bytes:
    """Put comment, picture, padding or unknown blocks behind STREAMINFO, or a tag around."""
    if rng.random() < 0.3:
        return id3(rng, data)
    blocks = b""
    for _ in range(int(rng.choice([1, 2, 300]))):
        kind = int(rng.choice([1, 4, 4, 6, 6, 126]))
        content = comments(rng)[:HUGE] if kind == 4 else _picture(rng)
        length = len(content) if rng.random() < 0.9 else lie(rng, 3, len(content))
        blocks += bytes([kind]) + length.to_bytes(3, "big") + content
        if len(blocks) > 4 * HUGE:
            break
    return data[:42] + blocks + data[42:]


def _picture(rng: Generator) -> bytes:
    length = int(rng.choice([0, 100, HUGE]))
    claimed = length if rng.random() < 0.6 else lie(rng, 4, length)
    return (
        struct.pack(">II", 3, 10) + b"image/jpeg" + struct.pack(">I", 0) + bytes(16)
        + struct.pack(">I", claimed) + bytes(length)
    )  # fmt: skip


def ogg(rng: Generator, data: bytes) -> bytes:
    """Replace the comment packet by a hostile one, over as many pages as it takes."""
    if rng.random() < 0.2:
        return id3(rng, data)
    pages = list(_find_all(data, b"OggS"))
    if len(pages) < 3 or pages[2] - pages[1] < 28:
        return data
    first, second = data[: pages[1]], data[pages[1] : pages[2]]
    lacing = second[27 : 27 + second[26]]
    ends = np.flatnonzero(np.frombuffer(lacing, np.uint8) < 255)
    old = sum(lacing[: ends[0] + 1]) if len(ends) else 0
    body = second[27 + len(lacing) :]
    prefix = b"\x03vorbis" if body[1:7] == b"vorbis" else b"\x84"
    if b"Opus" in body:
        prefix = b"OpusTags"
    elif b"Speex   " in first:
        prefix = b""
    packets = [prefix + comments(rng) + b"\x01"]
    if len(ends) > 1:  # the setup packet of Vorbis
        packets.append(body[old:])
    made = _pages(packets, second[14:18])
    rest = data[pages[2] :]
    return first + made + _renumber(rest, made.count(b"OggS") + 1)


def _pages(packets: list[bytes], serial: bytes) -> bytes:
    lacing, content = bytearray(), b"".join(packets)
    for packet in packets:
        lacing += b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255])
    made, at = bytearray(), 0
    for number, start in enumerate(range(0, len(lacing), 255), start=1):
        values = lacing[start : start + 255]
        continued = start > 0 and lacing[start - 1] == 255
        head = struct.pack("<4sBBq4sII", b"OggS", 0, int(continued), 0, serial, number, 0)
        begin = len(made)
        made += head + bytes([len(values)]) + values + content[at : at + sum(values)]
        at += sum(values)
        _fix_page(made, begin, len(made))
    return bytes(made)


def _renumber(pages: bytes, number: int) -> bytes:
    spoilt = bytearray(pages)
    starts = list(_find_all(pages, b"OggS"))
    for i, (at, end) in enumerate(pairwise([*starts, len(pages)])):
        if at + 27 <= end:
            spoilt[at + 18 : at + 22] = struct.pack("<I", number + i)
            _fix_page(spoilt, at, end)
    return bytes(spoilt)


def mp4(rng: Generator, data: bytes) -> bytes:
    """Append ``udta`` boxes to ``moov``: covers, long titles, many items, lying sizes."""
    found = [(at, end) for kind, at, end in _boxes(data, 0, len(data)) if kind == b"moov"]
    moov = found[0] if found else None
    if moov is None or rng.random() < 0.15:
        return id3(rng, data)
    items = b"".join(_item(rng) for _ in range(int(rng.choice([1, 3, 2000]))))[: 4 * HUGE]
    depth = int(rng.choice([1, 1, 1, 3000]))
    box = _box(rng, b"meta", bytes(4) + _box(rng, b"ilst", items))
    for _ in range(depth):
        box = _box(rng, b"udta", box)
    at, end = moov
    length = end - at + 8 + len(box)
    return data[: at - 8] + struct.pack(">I4s", length, b"moov") + data[at:end] + box + data[end:]


def _item(rng: Generator) -> bytes:
    name = (b"\xa9nam", b"\xa9ART", b"covr", b"----", b"trkn")[int(rng.integers(5))]
    kind = int(rng.choice([0, 1, 13, 21, 2**32 - 1]))
    text = bytes(HUGE) if rng.random() < 0.02 else rng.bytes(int(rng.integers(0, 40)))
    return _box(rng, name, _box(rng, b"data", struct.pack(">II", kind, 0) + text))


def _box(rng: Generator, kind: bytes, content: bytes) -> bytes:
    length = len(content) + 8 if rng.random() < 0.97 else lie(rng, 4, len(content))
    return struct.pack(">I", length & 0xFFFFFFFF) + kind + content


def riff(rng: Generator, data: bytes) -> bytes:
    """Put a ``LIST INFO`` or an ``id3`` chunk with a hostile content behind the header."""
    return _with_chunk(rng, data, "<", b"id3 ")


def aiff(rng: Generator, data: bytes) -> bytes:
    """Put a text or an ``ID3`` chunk with a hostile content behind the header."""
    return _with_chunk(rng, data, ">", b"ID3 ")


def _with_chunk(rng: Generator, data: bytes, order: str, id3_name: bytes) -> bytes:
    if rng.random() < 0.2:
        return id3(rng, data)
    name, content = id3_name, id3v2(rng)
    if rng.random() < 0.5:
        name = b"LIST" if order == "<" else b"NAME"
        item = b"INAM" + struct.pack(order + "I", lie(rng, 4, 8) if rng.random() < 0.5 else 8)
        content = b"INFO" + (item + b"A" * 8) * int(rng.choice([1, MANY]))
    length = len(content) if rng.random() < 0.8 else lie(rng, 4, len(content))
    chunk = name + struct.pack(order + "I", length) + content + b"\0" * (len(content) % 2)
    kinds = list(_chunks(data, order))
    at = 12 if rng.random() < 0.5 or not kinds else kinds[0][1] + kinds[0][2]
    return data[:at] + chunk + data[at:]


TAGS: Mapping[str, Way] = {
    **dict.fromkeys(("wav8", "wav16", "wav24", "wavfloat", "rf64"), riff),
    "aiff": aiff,
    **dict.fromkeys(("au", "caf", "mp3", "mp2", "adts"), id3),
    "flac": flac,
    **dict.fromkeys(("oggflac", "vorbis", "opus"), ogg),
    **dict.fromkeys(("m4a", "alac"), mp4),
}


def _repeat(content: bytes, n_times: int) -> bytes:
    """Repeat, but only as often as 4 MiB hold: a file need not be large to be hostile."""
    return content * max(1, min(n_times, 4 * HUGE // max(1, len(content))))


def _syncsafe(length: int) -> bytes:
    return bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))


@cache
def _bomb() -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(BOMB >> 20)) + packer.flush()
