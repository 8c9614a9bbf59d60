"""The boxes ("atoms") of an MP4 file: is it complete, and is it encrypted.

Songs bought with DRM carry ``drms`` or ``enca`` where others carry ``mp4a``; a decoder yields
noise or errors for them. The answer is in the box ``moov/trak/mdia/minf/stbl/stsd``, which is
reached by skipping from box to box: a few hundred bytes are read, whatever the file's size.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

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


def boxes(file: BinaryIO, begin: int, end: int) -> Iterator[Box]:
    """Yield the consecutive boxes between two positions."""
    for _ in range(MAX_BOXES):
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
