"""How many tags a file declares, before a demuxer reads them.

FFmpeg looks for the place of each new tag among all before it, so its time grows with the square of
their number: 100,000 comments in 1.4 MB of FLAC take a minute. The number is declared, and FFmpeg
reads as many as are declared, so a few bytes are enough to know it. Their size is not limited here,
since a cover is one comment of several megabytes.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from audiorec.audio.boxes import MAX_PARENTS, boxes

MOST_TAGS = 4096  # a song has some thirty; FFmpeg takes 0.1 s for as many

_FLAC_COMMENTS = 4  # the type of a metadata block
_MAX_BLOCKS = 1024  # of metadata in a FLAC
_MAX_PAGES = 64  # of an Ogg file, until the comments of every stream have begun
_MAX_VENDOR = 1 << 16  # bytes of the name of the encoder
# What the comments of an Ogg stream begin with, by the beginning of its first packet.
_OGG_PREFIX: Mapping[bytes, int] = {
    b"\x01vorbis": 7,
    b"OpusHead": 8,
    b"\x7fFLAC": 4,
    b"Speex   ": 0,
}
# Where an MP4 file has tags: of the file, of a track, of old players.
_TO_ITEMS = (
    (b"moov", b"udta", b"meta", b"ilst"),
    (b"moov", b"meta", b"ilst"),
    (b"moov", b"trak", b"udta", b"meta", b"ilst"),
    (b"moov", b"trak", b"udta"),
    (b"moov", b"udta"),
    (b"meta", b"ilst"),
)


def count_flac(file: BinaryIO, begin: int) -> int:
    """Count the Vorbis comments of a FLAC that begins at a byte; stops above `MOST_TAGS`."""
    at, count = begin + 4, 0
    for _ in range(_MAX_BLOCKS):
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            return count
        if head[0] & 0x7F == _FLAC_COMMENTS:
            room = int.from_bytes(head[1:4], "big")
            count += _declared(file.read(min(room, 4 + _MAX_VENDOR + 4)), room)
        if head[0] & 0x80 or count > MOST_TAGS:  # the last block
            return count
        at += 4 + int.from_bytes(head[1:4], "big")
    return MOST_TAGS + 1  # more blocks than any encoder writes


def count_ogg(file: BinaryIO, begin: int, size: int) -> int:
    """Count the comments of the streams with which an Ogg file of `size` bytes begins."""
    prefixes: dict[int, int] = {}
    packets: dict[int, bytes] = {}
    for serial, is_first, payload in _pages(file, begin):
        if is_first:
            kinds = (n for start, n in _OGG_PREFIX.items() if payload.startswith(start))
            prefix = next(kinds, None)
            if prefix is not None:
                prefixes[serial] = prefix
        elif serial in prefixes:
            packets[serial] = packets.get(serial, b"") + payload
            if len(packets[serial]) > _MAX_VENDOR:
                break
    return sum(_declared(packet[prefixes[serial] :], size) for serial, packet in packets.items())


def _pages(file: BinaryIO, begin: int) -> Iterator[tuple[int, bool, bytes]]:
    """Yield the first pages of an Ogg file: serial, whether the stream begins, content."""
    file.seek(begin)
    for _ in range(_MAX_PAGES):
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            return
        sizes = file.read(head[26])
        yield struct.unpack("<I", head[14:18])[0], bool(head[5] & 2), file.read(sum(sizes))


def _declared(comments: bytes, room: int) -> int:
    """Return how many comments a block declares behind the encoder's name, as far as they fit."""
    if len(comments) < 4:
        return 0
    (vendor,) = struct.unpack("<I", comments[:4])
    if vendor > _MAX_VENDOR:
        return 0 if vendor > room else MOST_TAGS + 1
    number = comments[4 + vendor : 8 + vendor]
    declared = int(struct.unpack("<I", number)[0]) if len(number) == 4 else 0
    return min(declared, room // 4)  # each has its length, in four bytes


def count_mp4(file: BinaryIO, size: int) -> int:
    """Count the tags of an MP4 file; stops above `MOST_TAGS`."""
    count = 0
    for path in _TO_ITEMS:
        places = [(0, size)]
        for kind in path:
            places = [
                (box.begin + (4 if kind == b"meta" else 0), min(box.end, size))  # version, flags
                for begin, end in places
                for box in boxes(file, begin, end)
                if box.kind == kind
            ][:MAX_PARENTS]
        for begin, end in places:
            count += sum(1 for _ in boxes(file, begin, end, most=MOST_TAGS + 1))
    return count
