"""The MusicBrainz recording id of an ID3v2 tag, which stands in a frame of its own.

    an open file ──musicbrainz_ufid──▶ "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae" or None

Taggers write the id of a recording to MP3 files as a ``UFID`` frame: the owner
``http://musicbrainz.org``, a zero byte, the id. The tag reader in use knows text frames only.
Layout: ID3v2.2 to 2.4, sections 3 and 4.1 (https://id3.org/id3v2.4.0-frames).
"""

import io
from typing import BinaryIO

OWNER = b"musicbrainz.org"
MAX_FRAMES = 1_000  # of a hostile tag
MAX_UNSYNC_BYTES = 4 << 20  # of a tag that has to be read whole
MAX_FRAME_BYTES = 256  # of the frame we look for
_HEADER = 10
_UNSYNCHRONISED = 0x80
_EXTENDED = 0x40


def musicbrainz_ufid(file: BinaryIO) -> str | None:
    """Find the recording's id in the ID3v2 tag at the beginning of a file.

    Parameters
    ----------
    file : binary file
        Open and seekable; read from its beginning, wherever it is.

    Returns
    -------
    track_id : str or None
        None if there is no tag, no such frame, or the tag is broken before it.
    """
    file.seek(0)
    header = file.read(_HEADER)
    if len(header) < _HEADER or header[:3] != b"ID3" or header[3] not in (2, 3, 4):
        return None
    version, flags = header[3], header[5]
    end = _HEADER + _synchsafe(header[6:10])
    if flags & _UNSYNCHRONISED and version < 4:
        return _in_unsynchronised(file, version, end - _HEADER)
    start = _HEADER
    if flags & _EXTENDED and version > 2:
        size = file.read(4)
        start += _synchsafe(size) if version == 4 else int.from_bytes(size, "big") + 4
    return _find_frame(file, version, start, end)


def _find_frame(file: BinaryIO, version: int, start: int, end: int) -> str | None:
    """Walk over the frames; the others are passed over without being read."""
    id_bytes, header_bytes, wanted = (3, 6, b"UFI") if version == 2 else (4, 10, b"UFID")
    for _ in range(MAX_FRAMES):
        if start + header_bytes > end:
            return None
        file.seek(start)
        header = file.read(header_bytes)
        if len(header) < header_bytes or header[0] == 0:  # the padding, or the end
            return None
        size_bytes = header[id_bytes : 2 * id_bytes]
        size = _synchsafe(size_bytes) if version == 4 else int.from_bytes(size_bytes, "big")
        if header[:id_bytes] == wanted and size <= MAX_FRAME_BYTES:
            owner, _, identifier = file.read(size).partition(b"\0")
            if owner.endswith(OWNER):
                return identifier.strip(b"\0 ").decode("ascii", "ignore") or None
        start += header_bytes + size
    return None


def _in_unsynchronised(file: BinaryIO, version: int, size: int) -> str | None:
    """Look in a tag of version 2.2 or 2.3 in which a zero follows every 0xFF."""
    content = file.read(min(size, MAX_UNSYNC_BYTES)).replace(b"\xff\x00", b"\xff")
    return _find_frame(io.BytesIO(content), version, 0, len(content))


def _synchsafe(data: bytes) -> int:
    """Read a number whose bytes have seven bits each."""
    number = 0
    for byte in data:
        number = number << 7 | byte & 0x7F
    return number
