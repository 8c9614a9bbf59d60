"""Boxes of MP4, elements of Matroska and WebM: length, completeness, encryption, tags.

The boxes ("atoms") of an MP4 file: is it complete, and is it encrypted. Songs bought with DRM carry
``drms`` or ``enca`` where others carry ``mp4a``; a decoder yields noise or errors for them. The
answer is in the box ``moov/trak/mdia/minf/stbl/stsd``, which is reached by skipping from box to
box: a few hundred bytes are read, whatever the file's size.

Elements of a Matroska or WebM file: length, completeness, encryption and tags. Every element has an
id, a length and a content, which may consist of elements. Contents are skipped unless needed, so
that a few hundred bytes are read, whatever the file's size. A segment without a length, as in live
recordings, is read to its last valid element.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from audiorec.audio.headers import Header, read_exactly

PATH_TO_ENTRIES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
# Sample entries of encrypted tracks: FairPlay, Common Encryption, Audible.
ENCRYPTED = frozenset({b"drms", b"drmi", b"enca", b"encv", b"encs", b"enct", b"aavd"})
# Bounds, so that a hostile file cannot make the walk run for ever.
MAX_BOXES = 1024  # inside one box
MAX_PARENTS = 64  # tracks, in a valid file
_STSD_HEADER = 8  # version, flags and number of entries, before the first sample entry


class Box(NamedTuple):
    """Position of a box's content, in bytes from the start of the file."""

    kind: bytes
    begin: int
    end: int


class Mp4Report(NamedTuple):
    """Findings from the boxes of one file."""

    encrypted: bytes | None  # the encrypted sample entry
    has_index: bool  # the box ``moov``, without which nothing can be decoded
    cut: bool  # a box reaches past the end of the file


def inspect_mp4(file: BinaryIO, size: int) -> Mp4Report:
    """Walk the boxes of an MP4 file of `size` bytes up to the first invalid one."""
    top = list(boxes(file, 0, size))
    tracks = [box for box in top if box.kind == b"moov"]
    encrypted = next((kind for kind in _entries(file, top, size) if kind in ENCRYPTED), None)
    return Mp4Report(encrypted, bool(tracks), any(box.end > size for box in top))


def boxes(file: BinaryIO, begin: int, end: int, *, most: int = MAX_BOXES) -> Iterator[Box]:
    """Yield the consecutive boxes between two positions, `most` of them at most."""
    for _ in range(most):
        if begin + 8 > end:  # a length may claim more than a seek can reach
            return
        file.seek(begin)
        header = file.read(16)
        if len(header) < 8:
            return
        length, kind = struct.unpack(">I4s", header[:8])
        content = begin + 8
        if length == 1 and len(header) == 16:  # a 64-bit length follows
            (length,) = struct.unpack(">Q", header[8:])
            content = begin + 16
        elif length == 0:  # to the end of the file
            length = end - begin
        if begin + length < content:
            return
        yield Box(kind, content, begin + length)
        begin += length


def _entries(file: BinaryIO, top: list[Box], size: int) -> Iterator[bytes]:
    """Yield the kind of every sample entry of every track."""
    level = [box for box in top if box.kind == PATH_TO_ENTRIES[0]]
    for kind in PATH_TO_ENTRIES[1:]:
        level = [
            inner
            for box in level[:MAX_PARENTS]
            for inner in boxes(file, box.begin, min(box.end, size))
            if inner.kind == kind
        ]
    for box in level[:MAX_PARENTS]:
        for entry in boxes(file, box.begin + _STSD_HEADER, min(box.end, size)):
            yield entry.kind


MATROSKA = b"\x1a\x45\xdf\xa3"
ATTACHMENTS = b"\x19\x41\xa4\x69"
_SEGMENT = 0x18538067
_INFO, _TRACKS, _TAGS, _CLUSTER = 0x1549A966, 0x1654AE6B, 0x1254C367, 0x1F43B675
_SCALE, _DURATION, _TITLE = 0x2AD7B1, 0x4489, 0x7BA9
_TRACK, _TRACK_TYPE, _ENCODINGS, _ENCODING, _ENCRYPTION = 0xAE, 0x83, 0x6D80, 0x6240, 0x5035
_TAG, _TARGETS, _LEVEL, _SIMPLE, _NAME, _STRING = 0x7373, 0x63C0, 0x68CA, 0x67C8, 0x45A3, 0x4487
_AUDIO = 2  # a track's type
_ALBUM_LEVEL = 50  # a target's level; songs have 30
_MAX_ELEMENTS = 4096  # inside one element: bounds the walk through a hostile file
_MAX_TEXT = 4096  # bytes of a tag
_UNKNOWN = -1  # a length that is left open


class Element(NamedTuple):
    """Position of an element's content, in bytes from the start of the file."""

    kind: int
    begin: int
    end: int  # as claimed, even beyond the file; `_UNKNOWN` without a claim


def read_matroska(file: BinaryIO, begin: int, size: int) -> Header:
    """Read the duration of an audio-only Matroska file, whether it is cut, and its encryption.

    A file with video makes no claim: its audio may end before the video does.
    """
    segment = _segment(file, begin, size)
    if segment is None:
        return Header(suits_soundfile=False)
    scale, duration = 1_000_000, 0.0
    types: list[int] = []
    for part in _elements(file, segment.begin, _within(segment, size)):
        if part.kind == _INFO:
            for value in _elements(file, part.begin, _within(part, size)):
                if value.kind == _SCALE:
                    scale = _number(file, value)
                elif value.kind == _DURATION:
                    duration = _real(file, value)
        elif part.kind == _TRACKS:
            for track in _children(file, part, size, _TRACK):
                if _is_encrypted(file, track, size):
                    return Header(suits_soundfile=False, drm="encrypted (ContentEncryption)")
                kinds = _children(file, track, size, _TRACK_TYPE)
                types.extend(_number(file, kind) for kind in kinds)
        elif part.kind == _CLUSTER:
            break
    claimed_s = duration * scale / 1e9 if set(types) == {_AUDIO} else 0.0
    is_claim = 0 < claimed_s < float("inf")
    return Header(claimed_s if is_claim else None, suits_soundfile=False, cut=segment.end > size)


def matroska_tags(file: BinaryIO, begin: int, size: int) -> Mapping[str, str]:
    """Read the title and the tags of a Matroska file, keyed by lower-case name.

    The title at album level becomes ``album``.
    """
    tags: dict[str, str] = {}
    segment = _segment(file, begin, size) or Element(_SEGMENT, size, size)
    for part in _elements(file, segment.begin, _within(segment, size)):
        if part.kind == _INFO:
            for value in _children(file, part, size, _TITLE):
                tags.setdefault("title", _text(file, value, size))
        elif part.kind == _TAGS:
            for tag in _children(file, part, size, _TAG):
                _read_tag(file, tag, size, tags)
    return tags


def _read_tag(file: BinaryIO, tag: Element, size: int, found: dict[str, str]) -> None:
    level = 0
    for target in _children(file, tag, size, _TARGETS):
        for value in _children(file, target, size, _LEVEL):
            level = _number(file, value)
    for simple in _children(file, tag, size, _SIMPLE):
        pair = {
            e.kind: _text(file, e, size)
            for e in _elements(file, simple.begin, _within(simple, size))
            if e.kind in (_NAME, _STRING)
        }
        name = pair.get(_NAME, "").lower()
        if name == "title" and level == _ALBUM_LEVEL:
            name = "album"
        if name and pair.get(_STRING):
            found.setdefault(name, pair[_STRING])


def _segment(file: BinaryIO, begin: int, size: int) -> Element | None:
    return next((e for e in _elements(file, begin, size) if e.kind == _SEGMENT), None)


def _is_encrypted(file: BinaryIO, track: Element, size: int) -> bool:
    return any(
        True
        for encodings in _children(file, track, size, _ENCODINGS)
        for encoding in _children(file, encodings, size, _ENCODING)
        for _ in _children(file, encoding, size, _ENCRYPTION)
    )


def _children(file: BinaryIO, parent: Element, size: int, kind: int) -> Iterator[Element]:
    for element in _elements(file, parent.begin, _within(parent, size)):
        if element.kind == kind:
            yield element


def _within(element: Element, size: int) -> int:
    return size if element.end == _UNKNOWN else min(element.end, size)


def _elements(file: BinaryIO, at: int, end: int) -> Iterator[Element]:
    """Yield consecutive elements, up to and including the first without a length."""
    for _ in range(_MAX_ELEMENTS):
        if at + 2 > end:
            return
        file.seek(at)
        head = read_exactly(file, 12)
        id_bytes = 9 - head[0].bit_length()
        if id_bytes > 4:
            return
        kind = int.from_bytes(head[:id_bytes], "big")
        size_bytes = 9 - head[id_bytes].bit_length()
        if size_bytes > 8:
            return
        field = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big")
        mask = (1 << 7 * size_bytes) - 1
        begin = at + id_bytes + size_bytes
        if field & mask == mask:  # all ones: unknown when it was written
            yield Element(kind, begin, _UNKNOWN)
            return
        at = begin + (field & mask)
        yield Element(kind, begin, at)


def _number(file: BinaryIO, element: Element) -> int:
    file.seek(element.begin)
    return int.from_bytes(file.read(min(8, max(0, element.end - element.begin))), "big")


def _real(file: BinaryIO, element: Element) -> float:
    file.seek(element.begin)
    length = element.end - element.begin
    code = {4: ">f", 8: ">d"}.get(length)
    return float(struct.unpack(code, read_exactly(file, length))[0]) if code else 0.0


def _text(file: BinaryIO, element: Element, size: int) -> str:
    file.seek(element.begin)
    length = max(0, min(_within(element, size) - element.begin, _MAX_TEXT))
    return file.read(length).decode("utf-8", "replace").rstrip("\0")
