"""Header objects of an ASF file (WMA): its length, and whether it is encrypted.

A header object contains the others, each with a GUID and a length, little-endian. Files from
online shops of the 2000s carry an encryption object; a decoder turns such a file into noise.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO
from uuid import UUID

from audiorec.audio.headers import Header, read_exactly

MAGIC = UUID("75b22630-668e-11cf-a6d9-00aa0062ce6c").bytes_le  # of the header object
_FILE = UUID("8cabdca1-a947-11cf-8ee4-00c00c205365").bytes_le
_STREAM = UUID("b7dc0791-a9b7-11cf-8ee6-00c00c205365").bytes_le
_VIDEO = UUID("bc19efc0-5b4d-11cf-a8fd-00805f5c442b").bytes_le
_EXTENSION = UUID("5fbf03b5-a92e-11cf-8ee3-00c00c205365").bytes_le
_ENCRYPTION = frozenset(
    UUID(text).bytes_le
    for text in (
        "2211b3fb-bd23-11d2-b4b7-00a0c955fc6e",  # content encryption
        "298ae614-2622-4c17-b935-dae07ee9289c",  # extended
        "43058533-6981-49e6-9b74-ad12cb86d58c",  # advanced
    )
)
_BROADCAST = 1  # flag of a stream of unknown length
_OBJECT_HEADER = 24  # bytes
_MAX_OBJECTS = 1024


def read_asf(file: BinaryIO, begin: int, size: int) -> Header:
    """Read the duration of an audio-only ASF file, and its encryption.

    A file with video makes no claim: its audio may end before the video does.
    """
    file.seek(begin + 16)
    (length,) = struct.unpack("<Q", read_exactly(file, 8))
    claimed_s, has_video = None, False
    for kind, at, _ in _objects(file, begin + 30, min(begin + length, size)):
        if kind in _ENCRYPTION:
            return Header(suits_soundfile=False, drm="protected by DRM (Windows Media)")
        file.seek(at)
        if kind == _FILE:
            claimed_s = _duration(read_exactly(file, 80))
        elif kind == _STREAM:
            has_video |= read_exactly(file, 16) == _VIDEO
    return Header(None if has_video else claimed_s, suits_soundfile=False)


def _duration(content: bytes) -> float | None:
    """Return the seconds of audio: the play time less the player's initial buffering."""
    play, preroll, flags = struct.unpack("<40xQ8xQI12x", content)
    seconds = play / 1e7 - preroll / 1e3  # in 100 ns, in ms
    return seconds if seconds > 0 and not flags & _BROADCAST else None


def _objects(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield GUID, begin and end of each object's content, including the extension's objects."""
    for _ in range(_MAX_OBJECTS):
        if at + _OBJECT_HEADER > end:
            return
        file.seek(at)
        kind, length = struct.unpack("<16sQ", read_exactly(file, _OBJECT_HEADER))
        yield kind, at + _OBJECT_HEADER, at + length
        if length < _OBJECT_HEADER:
            return
        # The extension contains objects after 22 bytes of header: step into it, not over it.
        at += _OBJECT_HEADER + 22 if kind == _EXTENSION else length
