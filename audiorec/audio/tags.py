"""Title, artist and album of a file, where it is tagged.

    path ──read_tags──▶ `SongTags`

Tags are shown beside a song and are never what it is recognised by. They come from anyone,
so a broken or hostile tag gives an empty field and not an error.

Taggers write the id of a recording to MP3 files as a ``UFID`` frame: the owner
``http://musicbrainz.org``, a zero byte, the id. The tag reader in use knows text frames only, so
that frame is found here. Layout: ID3v2.2 to 2.4, sections 3 and 4.1
(https://id3.org/id3v2.4.0-frames).
"""

import io
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from audiorec.audio import dsd, matroska
from audiorec.audio.ape_tags import ape_tags
from audiorec.audio.sniff import PathLike, open_regular, sniff
from audiorec.errors import SongError

MAX_CHARACTERS = 500  # of a field; some tools store lyrics as a title
OWNER = b"musicbrainz.org"
MAX_FRAMES = 1_000  # of a hostile tag
MAX_UNSYNC_BYTES = 4 << 20  # of a tag that has to be read whole
MAX_ID3_BYTES = 16 << 20  # of the tag in a DSF or DFF file; covers are megabytes
MAX_FRAME_BYTES = 256  # of the frame we look for
_HEADER = 10
_UNSYNCHRONISED = 0x80
_EXTENDED = 0x40
# One name for the recording's id per family of tags: Vorbis comments, then ID3 and MP4.
_TRACK_ID_FIELDS = ("musicbrainz_trackid", "musicbrainz track id", "musicbrainz_track_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class SongTags:
    """What a file's tags say; None where they say nothing.

    Attributes
    ----------
    title, artist, album : str or None
    isrc : str or None
        International Standard Recording Code.
    musicbrainz_trackid : str or None
        The recording's id at MusicBrainz.
    """

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    isrc: str | None = None
    musicbrainz_trackid: str | None = None


def read_tags(path: PathLike) -> SongTags:
    """Read the tags of a file: ID3, APE, Vorbis comments, MP4, ASF, Matroska.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    SongTags
        Fields without control characters, of at most 500 characters. All None for a file
        that is missing, broken or of a format without tags: whether it is audio is for
        `decode` to say. Pictures are not read.
    """
    found = _fields(path)
    track_ids = (found.get(name) for name in _TRACK_ID_FIELDS)
    return SongTags(
        title=_clean(found.get("title")),
        artist=_clean(found.get("artist")),
        album=_clean(found.get("album")),
        isrc=_clean(found.get("isrc")),
        musicbrainz_trackid=_clean(next(filter(None, track_ids), None)),
    )


def read_tag(path: PathLike, name: str) -> str | None:
    """Read one tag by its name.

    Parameters
    ----------
    path : path-like
    name : str
        ``title``, ``artist``, ``album``, ``isrc``, ``musicbrainz_trackid``, or what the tag
        is called in the file, in lower case: ``catalog_number``, ``acoustid_id``.

    Returns
    -------
    value : str or None
        Cleaned as in `read_tags`; None where the file has no such tag or cannot be read.
    """
    if name in SongTags.__slots__:
        value: str | None = getattr(read_tags(path), name)
        return value
    found = _fields(path)
    return _clean(found.get(name) or found.get(name.replace("_", " ")))


def header_duration_s(path: PathLike) -> float | None:
    """Return the seconds that a file's header promises, None where it promises nothing.

    Good enough to estimate a run's time; what counts is what `decode` finds.
    """
    from tinytag import TinyTag, TinyTagException

    try:
        with open_regular(path) as file:
            return TinyTag.get(file_obj=file, tags=False, duration=True).duration
    except (SongError, OSError):
        return None
    except TinyTagException:
        with suppress(SongError):
            return sniff(path).header.claimed_s
        return None


def _fields(path: PathLike) -> Mapping[str, object]:
    """Every tag of a file by its name in lower case; empty where it cannot be read."""
    try:
        with open_regular(path) as file:
            return all_tags(file)
    except (SongError, OSError):
        return {}


def all_tags(file: BinaryIO) -> Mapping[str, object]:
    """Return every tag of an open file by its name in lower case, as it stands there."""
    return _ape_or_matroska(file) if (found := _by_tinytag(file)) is None else found


def _by_tinytag(file: BinaryIO) -> Mapping[str, object] | None:
    """Tags as tinytag reads them; None where it knows the format not, or finds nothing."""
    from tinytag import TinyTag, TinyTagException  # late: a run's parent reads no tags

    place = dsd.id3_place(file, os.fstat(file.fileno()).st_size)
    source = file
    if place is not None:  # far inside or at the end of the file
        file.seek(place[0])
        source = io.BytesIO(file.read(min(place[1] - place[0], MAX_ID3_BYTES)))
    source.seek(0)
    try:
        tag = TinyTag.get(file_obj=source, tags=True, duration=False, image=False)
    except TinyTagException:
        return None
    found: dict[str, object] = {**tag.other, **tag.as_dict()}
    if not any(found.get(name) for name in _TRACK_ID_FIELDS):
        found[_TRACK_ID_FIELDS[0]] = musicbrainz_ufid(source)
    return found if any(found.get(name) for name in (*SongTags.__slots__, *tag.other)) else None


def _ape_or_matroska(file: BinaryIO) -> Mapping[str, object]:
    file.seek(0)
    if file.read(len(matroska.MAGIC)) == matroska.MAGIC:
        return matroska.matroska_tags(file, 0, os.fstat(file.fileno()).st_size)
    return ape_tags(file)


def _clean(value: object) -> str | None:
    """Return a field as one line of text; the first where there are several."""
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, str):
        return None
    # Line breaks and tabs part words; other control characters part nothing.
    spaced = " ".join(first[: 4 * MAX_CHARACTERS].split())
    return "".join(c for c in spaced if c.isprintable())[:MAX_CHARACTERS].strip() or None


def musicbrainz_ufid(file: BinaryIO) -> str | None:
    """Find the recording's id in the ID3v2 tag at a file's beginning; None if it has none."""
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
