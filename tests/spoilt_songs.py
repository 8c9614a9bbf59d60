"""Songs spoilt on purpose: a good file of each format, lies in it, tags that no player writes.

    good(format)  ──spoil(rng, format, way)──▶  bytes

A lie is a number of a header that turns over: it is put behind a word by which the format marks a
part of itself, and checksums are put right where a decoder would otherwise not look further. Files
that FFmpeg and libsndfile do not write come from ``fixtures/codecs``. All last three to five
seconds: long enough for one whole segment, so that a case may still end as ``ok``.
"""

import io
import os
import struct
import time
import zlib
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import av
import dsd_files
import numpy as np
import soundfile

from audiorec.errors import SongError
from audiorec.extraction.pipeline import song_handler

CODECS = Path(__file__).parents[1] / "fixtures" / "codecs"
DSD_RATE = 16 * 44_100  # of the bits; at the rate of an SACD it would be a megabyte
RATE = 24_000  # hertz: MP3, Opus and AAC all have it
SECONDS = 3.2
TITLE, ARTIST = "Coda in A", "Nobody & the Fuzz"
HUGE = 1 << 20  # bytes of a title or a cover
BOMB = 64 << 20  # bytes that a compressed frame unfolds to
MANY = 20_000  # frames, comments or boxes
MAX_BLOCK = 8192  # bytes that are overwritten, left out or put in at once
# Values at which sizes and counts turn over.
EDGES = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000)
LONG_EDGES = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 0x100000000, 2**63 - 1, 2**64 - 1)


def music(channels):
    """Return a chord that swells, with a little noise: shape (n, channels)."""
    t = np.arange(round(SECONDS * RATE)) / RATE
    rng = np.random.default_rng(11)
    tones = sum(np.sin(2 * np.pi * hz * t) / (i + 2) for i, hz in enumerate((196.0, 247.5, 830.0)))
    swell = 0.7 + 0.3 * np.sin(2 * np.pi * 1.7 * t)
    columns = [0.3 * tones * swell + 0.01 * rng.normal(size=len(t)) for _ in range(channels)]
    return np.stack(columns, axis=1).astype(np.float32)


def _pcm(kind, subtype, channels=1):
    """Write by soundfile, with a title and an artist where the format has them."""
    memory = io.BytesIO()
    with soundfile.SoundFile(
        memory, "w", RATE, channels, subtype=subtype, format=kind, closefd=False
    ) as file:
        if kind in ("WAV", "AIFF", "FLAC", "OGG"):
            file.title, file.artist = TITLE, ARTIST
        file.write(music(channels))
    return memory.getvalue()


def _coded(codec, container, channels=2):
    """Write by PyAV, with a title and an artist where the format has them."""
    memory = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[channels]
    samples = music(channels)
    kind = {"alac": "s16p", "mp2": "s16"}.get(codec, "fltp")
    with av.open(memory, "w", format=container) as out:
        out.metadata.update({"title": TITLE, "artist": ARTIST})
        stream = out.add_stream(codec, rate=RATE, layout=layout)
        size = stream.frame_size or 1024
        for at in range(0, len(samples), size):
            out.mux(stream.encode(_audio_frame(samples[at : at + size], kind, layout, at)))
        out.mux(stream.encode(None))
    return memory.getvalue()


def _audio_frame(block, kind, layout, at):
    values = block if kind == "fltp" else np.round(block * 32767).astype(np.int16)
    values = values.T if kind.endswith("p") else values.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values), format=kind, layout=layout)
    frame.sample_rate, frame.pts = RATE, at
    return frame


def _kept(name):
    return (CODECS / name).read_bytes()


@cache
def _bits():
    return dsd_files.one_bit(music(1)[:, 0], RATE, DSD_RATE)


def _dsf():
    tag = b"ID3\x04\0\0\0\0\0\x0fTIT2\0\0\0\x05\0\0\x03Coda"
    return dsd_files.dsf([_bits()], DSD_RATE, tag)


def _dff(*, packed):
    return dsd_files.dff([_bits()], DSD_RATE, packed=packed)


_MAKERS = {
    "wav8": partial(_pcm, "WAV", "PCM_U8"),
    "wav16": partial(_pcm, "WAV", "PCM_16", 2),
    "wav24": partial(_pcm, "WAVEX", "PCM_24"),
    "wavfloat": partial(_pcm, "WAV", "FLOAT"),
    "rf64": partial(_pcm, "RF64", "PCM_16"),
    "aiff": partial(_pcm, "AIFF", "PCM_16"),
    "au": partial(_pcm, "AU", "PCM_16"),
    "caf": partial(_pcm, "CAF", "PCM_16"),
    "flac": partial(_pcm, "FLAC", "PCM_16", 2),
    "oggflac": partial(_coded, "flac", "ogg", 1),
    "mp3": partial(_coded, "libmp3lame", "mp3"),
    "mp2": partial(_coded, "mp2", "mp2"),
    "vorbis": partial(_pcm, "OGG", "VORBIS", 2),
    "opus": partial(_pcm, "OGG", "OPUS", 2),
    "m4a": partial(_coded, "aac", "ipod"),
    "alac": partial(_coded, "alac", "ipod"),
    "adts": partial(_coded, "aac", "adts"),
    "wavpack": partial(_kept, "tabla.wv"),
    "ape": partial(_kept, "tabla.ape"),
    "tta": partial(_kept, "tabla.tta"),
    "mpc7": partial(_kept, "tabla-sv7.mpc"),
    "mpc8": partial(_kept, "tabla-sv8.mpc"),
    "wma1": partial(_kept, "tabla-v1.wma"),
    "wma2": partial(_kept, "tabla-v2.wma"),
    "ac3": partial(_kept, "tabla.ac3"),
    "eac3": partial(_kept, "tabla.eac3"),
    "speex": partial(_kept, "tabla.spx"),
    "mka": partial(_kept, "tabla-vorbis.mka"),
    "webm": partial(_kept, "tabla-opus.webm"),
    "dsf": _dsf,
    "dff": partial(_dff, packed=False),
    "dst": partial(_dff, packed=True),
}
FORMATS = tuple(_MAKERS)


@cache
def good(form):
    """Return a format's file, made once a process."""
    return _MAKERS[form]()


# Words behind which numbers of a format stand, and the order of their bytes.
_GUIDS = tuple(map(bytes.fromhex, ("3026b275", "a1dcab8c", "9107dcb7", "3626b275", "40a4d0d2")))
_EBML = tuple(
    map(bytes.fromhex, ("1a45dfa3", "18538067", "1549a966", "1654ae6b", "1f43b675", "1254c367"))
)
_RIFF = ((b"RIFF", b"RF64", b"fmt ", b"ds64", b"LIST", b"data"), "little")
_ASF_TAGS = bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850")
CONTAINERS = frozenset(
    (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"ilst", b"edts", b"dinf")
)
_OGG = ((b"OggS", b"vorbis", b"OpusHead", b"Speex", b"FLAC"), "little")
_MPEG = ((b"Xing", b"Info", b"\xff\xf3", b"\xff\xf5", b"\xff\xfb", b"\xff\xfd"), "big")
_BOXES = (b"moov", b"trak", b"mvhd", b"mdhd", b"stsd", b"stts", b"stsc", b"stsz", b"stco", b"mdat")
_MP4 = ((*_BOXES, b"elst", b"mp4a", b"alac", b"esds"), "big")
_DFF = ((b"FRM8", b"FVER", b"PROP", b"FS  ", b"CHNL", b"CMPR", b"DSD ", b"DST ", b"DSTF"), "big")
MARKS = {
    **dict.fromkeys(("wav8", "wav16", "wav24", "wavfloat", "rf64"), _RIFF),
    "aiff": ((b"FORM", b"COMM", b"SSND"), "big"),
    "au": ((b".snd",), "big"),
    "caf": ((b"caff", b"desc", b"data", b"chan"), "big"),
    "flac": ((b"fLaC", b"\xff\xf8"), "big"),
    **dict.fromkeys(("oggflac", "vorbis", "opus", "speex"), _OGG),
    **dict.fromkeys(("mp3", "mp2"), _MPEG),
    **dict.fromkeys(("m4a", "alac"), _MP4),
    "adts": ((b"\xff\xf1",), "big"),
    "wavpack": ((b"wvpk",), "little"),
    "ape": ((b"MAC ",), "little"),
    "tta": ((b"TTA1",), "little"),
    "mpc7": ((b"MP+",), "little"),
    "mpc8": ((b"MPCK", b"SH", b"RG", b"AP"), "big"),
    **dict.fromkeys(("wma1", "wma2"), (_GUIDS, "little")),
    **dict.fromkeys(("ac3", "eac3"), ((b"\x0b\x77",), "big")),
    **dict.fromkeys(("mka", "webm"), (_EBML, "big")),
    "dsf": ((b"DSD ", b"fmt ", b"data"), "little"),
    **dict.fromkeys(("dff", "dst"), _DFF),
}


def lie(rng, n_bytes, size):
    """Return a number of `n_bytes` bytes: an edge, one near the file's size, or any."""
    if (way := rng.random()) < 0.5:
        value = int(rng.choice(EDGES)) if rng.random() < 0.5 else LONG_EDGES[int(rng.integers(7))]
    elif way < 0.7:
        value = max(0, size + int(rng.integers(-64, 65)))
    else:
        value = int.from_bytes(rng.bytes(n_bytes), "big")
    return value & ((1 << 8 * n_bytes) - 1)


def header(rng, form, data):
    """Overwrite one to three numbers behind the marks of a format, and mend its checksums."""
    spoilt, (words, order) = bytearray(data), MARKS[form]
    for _ in range(int(rng.integers(1, 4))):
        places = find_all(data, words[int(rng.integers(len(words)))])[:64] or [0]
        at = places[int(rng.integers(len(places)))] + int(rng.integers(2, 60))
        width = int(rng.choice([1, 2, 3, 4, 4, 8]))
        if at + width <= len(spoilt):
            spoilt[at : at + width] = lie(rng, width, len(data)).to_bytes(width, order)
    if rng.random() < 0.8:
        mend(spoilt)
    return bytes(spoilt)


def mend(data):
    """Put the checksums of Ogg pages, FLAC frame headers and True Audio right, in place."""
    if data[:4] == b"OggS":
        for at, end in pairwise([*find_all(data, b"OggS"), len(data)]):
            _fix_page(data, at, end)
    elif data[:4] == b"fLaC":
        first = find_all(data, b"\xff\xf8")[:1]  # a later one may be no frame
        for at in first if first and first[0] + 16 < len(data) else ():
            length = 4 + _utf8_length(data[at + 4]) + {6: 1, 7: 2}.get(data[at + 2] >> 4, 0)
            data[at + length] = _crc8(data[at : at + length])
    elif data[:4] == b"TTA1" and len(data) > 22:
        data[18:22] = struct.pack("<I", zlib.crc32(data[:18]))


def find_all(data, word):
    """Return every place of a word."""
    places, at = [], data.find(word)
    while at >= 0:
        places.append(at)
        at = data.find(word, at + 1)
    return places


def _utf8_length(first):
    return next((n for n, top in ((1, 0x80), (2, 0xE0), (3, 0xF0), (4, 0xF8)) if first < top), 5)


def _crc8(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


def _fix_page(data, at, end):
    if end - at < 27:
        return
    data[at + 22 : at + 26] = bytes(4)
    data[at + 22 : at + 26] = struct.pack("<I", _ogg_crc(data[at:end]))


def _ogg_table():
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(crc)
    return tuple(table)


_OGG_TABLE = _ogg_table()


def _ogg_crc(data):
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[crc >> 24 ^ byte]
    return crc


_FRAMES = (b"TIT2", b"TPE1", b"TALB", b"TSRC", b"TXXX", b"UFID", b"COMM", b"USLT", b"APIC", b"GEOB")
_NAMES = (b"TITLE", b"ARTIST", b"ALBUM", b"ISRC", b"MUSICBRAINZ_TRACKID", b"METADATA_BLOCK_PICTURE")
# A byte order mark and nothing, half a character, lone surrogates, controls, right to left.
_TEXTS = (
    *(b"", b"\0", b"\x01\xff\xfe", b"\x01\xfe\xff\x00", b"\x01A", b"\x02\xd8\x00", b"\x03\xff"),
    *(b"\x09text", b"\x03\x1b[2J\r\n\x07", b"\x03" + "\u202e\U0001f3b5".encode(), b"\x00" * 999),
)


def id3(rng, data):
    """Put an ID3v2 tag in front, or an APE or ID3v1 tag behind."""
    if (way := rng.random()) < 0.8:
        return _repeat(id3v2(rng), int(rng.integers(2, 40)) if way < 0.1 else 1) + data
    return data + ape(rng) if way < 0.95 else data + b"TAG" + rng.bytes(125)


def id3v2(rng):
    """Return an ID3v2 tag of version 2 to 4 with hostile frames."""
    version = int(rng.choice([2, 3, 4]))
    flags = int(rng.choice([0, 0, 0, 0x80, 0x40, 0x10, 0xF0]))
    body = b"".join(_frame(rng, version) for _ in range(int(rng.integers(1, 6))))
    if rng.random() < 0.1:
        body = _repeat(body, MANY)
    length = len(body) if rng.random() < 0.7 else lie(rng, 4, len(body)) & 0x0FFFFFFF
    return b"ID3" + bytes([version, 0, flags]) + _syncsafe(length) + body


def _frame(rng, version):
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


def ape(rng):
    """Return an APEv2 tag whose numbers lie."""
    items = b"".join(
        struct.pack("<II", lie(rng, 4, 9) if rng.random() < 0.4 else 4, 0) + b"Title\0Coda"
        for _ in range(int(rng.choice([0, 1, 5, 2000])))
    )
    length = len(items) + 32 if rng.random() < 0.5 else lie(rng, 4, len(items))
    footer = struct.pack("<8sIIIIQ", b"APETAGEX", 2000, length, lie(rng, 4, 9), 1 << 31, 0)
    return items + footer


def comments(rng):
    """Return the body of a Vorbis comment: vendor, count, ``NAME=value`` pairs."""
    n_pairs = int(rng.choice([0, 1, 5, MANY]))
    pairs = [_comment(rng) for _ in range(min(n_pairs, 8))]
    body = _repeat(b"".join(pairs), n_pairs // 8 if n_pairs > 8 else 1)
    count = n_pairs if rng.random() < 0.6 else lie(rng, 4, n_pairs)
    vendor_length = 4 if rng.random() < 0.8 else lie(rng, 4, 4)
    return struct.pack("<I", vendor_length) + b"fuzz" + struct.pack("<I", count) + body


def _comment(rng):
    name = _NAMES[int(rng.integers(len(_NAMES)))]
    text = b"x" * HUGE if rng.random() < 0.05 else rng.bytes(int(rng.integers(0, 60)))
    pair = name + (b"=" if rng.random() < 0.9 else b"") + text
    return struct.pack("<I", len(pair) if rng.random() < 0.9 else lie(rng, 4, len(pair))) + pair


def flac(rng, data):
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


def _picture(rng):
    length = int(rng.choice([0, 100, HUGE]))
    claimed = length if rng.random() < 0.6 else lie(rng, 4, length)
    return (
        struct.pack(">II", 3, 10) + b"image/jpeg" + struct.pack(">I", 0) + bytes(16)
        + struct.pack(">I", claimed) + bytes(length)
    )  # fmt: skip


def ogg(rng, data):
    """Replace the comment packet by a hostile one, over as many pages as it takes."""
    if rng.random() < 0.2:
        return id3(rng, data)
    pages = find_all(data, b"OggS")
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


def _pages(packets, serial):
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


def _renumber(pages, number):
    spoilt = bytearray(pages)
    starts = find_all(pages, b"OggS")
    for i, (at, end) in enumerate(pairwise([*starts, len(pages)])):
        if at + 27 <= end:
            spoilt[at + 18 : at + 22] = struct.pack("<I", number + i)
            _fix_page(spoilt, at, end)
    return bytes(spoilt)


def mp4(rng, data):
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


def _item(rng):
    name = (b"\xa9nam", b"\xa9ART", b"covr", b"----", b"trkn")[int(rng.integers(5))]
    kind = int(rng.choice([0, 1, 13, 21, 2**32 - 1]))
    text = bytes(HUGE) if rng.random() < 0.02 else rng.bytes(int(rng.integers(0, 40)))
    return _box(rng, name, _box(rng, b"data", struct.pack(">II", kind, 0) + text))


def _box(rng, kind, content):
    length = len(content) + 8 if rng.random() < 0.97 else lie(rng, 4, len(content))
    return struct.pack(">I", length & 0xFFFFFFFF) + kind + content


def riff(rng, data):
    """Put a ``LIST INFO`` or an ``id3`` chunk with a hostile content behind the header."""
    return _with_chunk(rng, data, "<", b"id3 ")


def aiff(rng, data):
    """Put a text or an ``ID3`` chunk with a hostile content behind the header."""
    return _with_chunk(rng, data, ">", b"ID3 ")


def _with_chunk(rng, data, order, id3_name):
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


def _boxes(data, begin, end, depth=0):
    inside = {b"stsd": 16, b"mp4a": 36, b"alac": 36, b"meta": 12}  # bytes before the first box
    while begin + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, begin)
        stop = min(end, begin + length) if length >= 8 else end
        yield kind, begin + 8, stop
        offset = 8 if kind in CONTAINERS else inside.get(kind)
        if offset is not None and depth < 16:
            yield from _boxes(data, begin + offset, stop, depth + 1)
        begin = stop


def _chunks(data, order):
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from(order + "4sI", data, at)
        yield kind, at + 8, length
        at += 8 + length + length % 2


def dsf_tag(rng, data):
    """Put a hostile ID3 tag where a DSF's header says that it is, or lie about where."""
    tag = id3v2(rng)
    spoilt = bytearray(data[: struct.unpack_from("<Q", data.ljust(28, b"\0"), 20)[0]] + tag)
    if rng.random() < 0.3:
        spoilt[20:28] = lie(rng, 8, len(spoilt)).to_bytes(8, "little")
    return bytes(spoilt)


def dff_tag(rng, data):
    """Put a hostile ID3 tag in a chunk at the end, or right behind the header."""
    tag = id3v2(rng)
    length = len(tag) if rng.random() < 0.8 else lie(rng, 8, len(tag))
    chunk = b"ID3 " + struct.pack(">Q", length) + tag + bytes(len(tag) % 2)
    return data + chunk if rng.random() < 0.5 else data[:16] + chunk + data[16:]


def asf_tag(rng, data):
    """Put an object of values into an ASF header: pictures, ID3 tags, texts that lie."""
    if len(data) < 30:
        return data
    values, count = b"", int(rng.choice([1, 3, 40]))
    for _ in range(count):
        name = ("ID3\0", "WM/Picture\0", "Title\0", "")[int(rng.integers(4))].encode("utf-16-le")
        value = id3v2(rng)[:60_000] if rng.random() < 0.5 else rng.bytes(30)
        length = len(value) if rng.random() < 0.9 else lie(rng, 2, len(value))
        kind = int(rng.integers(7))
        values += struct.pack("<H", len(name)) + name + struct.pack("<HH", kind, length) + value
    content = _ASF_TAGS + struct.pack("<QH", 26 + len(values), count) + values
    whole, objects = struct.unpack_from("<QI", data, 16)
    head = struct.pack("<QI", (whole + len(content)) % 2**64, (objects + 1) % 2**32)
    return data[:16] + head + data[28:30] + content + data[30:]


def matroska_tag(rng, data):
    """Put tags or attachments of any length in front of the first cluster."""
    at = data.find(_EBML[4])
    if at < 0:
        return data
    content = rng.bytes(int(rng.choice([0, 60, 1 << 20])))
    pairs = b"".join(
        _element(
            rng, b"\x67\xc8", _element(rng, b"\x45\xa3", b"TITLE") + _element(rng, b"\x44\x87", t)
        )
        for t in (b"A" * 99, bytes(1 << 16), b"\xff\xfe")
    )
    kind = _EBML[5] if rng.random() < 0.6 else bytes.fromhex("1941a469")
    inner = (
        _element(rng, b"\x73\x73", pairs)
        if kind == _EBML[5]
        else _element(rng, b"\x61\xa7", content)
    )
    return data[:at] + _element(rng, kind, _repeat(inner, int(rng.choice([1, 1, 30])))) + data[at:]


def _element(rng, kind, content):
    length = len(content) if rng.random() < 0.95 else lie(rng, 4, len(content))
    return kind + (length % 2**56 | 1 << 56).to_bytes(8, "big") + content


TAGS = {
    **dict.fromkeys(("wav8", "wav16", "wav24", "wavfloat", "rf64"), riff),
    "aiff": aiff,
    "flac": flac,
    **dict.fromkeys(("oggflac", "vorbis", "opus", "speex"), ogg),
    **dict.fromkeys(("m4a", "alac"), mp4),
    **dict.fromkeys(("wma1", "wma2"), asf_tag),
    **dict.fromkeys(("mka", "webm"), matroska_tag),
    "dsf": dsf_tag,
    **dict.fromkeys(("dff", "dst"), dff_tag),
}


def _repeat(content, n_times):
    """Repeat, but only as often as 4 MiB hold: a file need not be large to be hostile."""
    return content * max(1, min(n_times, 4 * HUGE // max(1, len(content))))


def _syncsafe(length):
    return bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))


def _syncsafe(length):
    return bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))


@cache
def _bomb():
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(BOMB >> 20)) + packer.flush()


def truncated(rng, data):
    """Keep the beginning: any part of it, or little more than the header."""
    return data[: int(rng.integers(0, min(len(data), 512) if rng.random() < 0.4 else len(data)))]


def flipped(rng, data):
    """Flip 1 to 64 bits: anywhere, in the first 512 bytes or in the last."""
    begin, end = ((0, len(data)), (0, 512), (max(0, len(data) - 512), len(data)))[rng.integers(3)]
    spoilt = bytearray(data)
    for bit in rng.integers(8 * begin, 8 * min(end, len(data)), int(rng.integers(1, 65))):
        spoilt[bit // 8] ^= 1 << bit % 8
    return bytes(spoilt)


def overwritten(rng, data):
    """Overwrite a block by zeros, by ones or by noise."""
    at, length = _block(rng, data)
    filling = (bytes(length), b"\xff" * length, rng.bytes(length))[int(rng.integers(3))]
    return data[:at] + filling + data[at + length :]


def moved(rng, data):
    """Leave out a block, or put it in once more: everything behind it moves."""
    at, length = _block(rng, data)
    to = int(rng.integers(0, len(data) + 1))
    again = data[:to] + data[at : at + length] + data[to:]
    return again if rng.random() < 0.5 else data[:at] + data[at + length :]


def mixed(rng, data):
    """Go on with another file at any place, or put noise, zeros or a file before or behind."""
    other = good(FORMATS[int(rng.integers(len(FORMATS)))])
    if rng.random() < 0.5:
        return data[: int(rng.integers(len(data) + 1))] + other[int(rng.integers(len(other))) :]
    length = int(rng.integers(1, MAX_BLOCK))
    more = (rng.bytes(length), bytes(length), other)[int(rng.integers(3))]
    return more + data if rng.random() < 0.5 else data + more


def _block(rng, data):
    length = min(len(data), int(np.exp(rng.uniform(0, np.log(MAX_BLOCK)))))
    return int(rng.integers(0, len(data) - length + 1)), length


BLIND = {way.__name__: way for way in (truncated, flipped, overwritten, moved, mixed)}
WAYS = ("header", "tags", *BLIND)


def spoil(rng, form, data, way):
    """Return the bytes of a file of a format, spoilt in one of `WAYS`."""
    if not data:
        return data
    if way == "header":
        return header(rng, form, data)
    return TAGS.get(form, id3)(rng, data) if way == "tags" else BLIND[way](rng, data)


@dataclass(frozen=True)
class Facts:
    """What a child tells of a case that it lived through."""

    status: str
    message: str
    new_descriptors: int
    cpu_s: float
    peak_rss_mib: float


def watched_handler(*arguments):
    """Make what a child runs: the pipeline's own handler, watched."""
    handle = song_handler(*arguments)

    def watched(path):
        Path("/proc/self/clear_refs").write_text("5")  # the peak of the memory starts anew
        before, start = descriptors(), time.process_time()
        try:
            status, message = _outcome(handle(path)), ""
        except SongError as error:
            status, message = str(error.failure), error.reason
        cpu_s = time.process_time() - start
        return Facts(status, message, descriptors() - before, cpu_s, _peak_rss_mib())

    return watched


def _outcome(song):
    """Return a song's status; a vector that is not as it should be is no status."""
    is_whole = song.vector.shape == (84,) and len(song.content_hash) == 32
    return str(song.info.status) if is_whole and np.isfinite(song.vector).all() else "not finite"


def descriptors():
    """Return how many file descriptors this process holds."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counts its own, always one


def _peak_rss_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
