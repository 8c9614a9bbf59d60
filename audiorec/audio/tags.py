"""Title, artist, album, genre, year, language and recording ids from a file's tags.

    path ──read_tags──▶ `SongTags`

Tags are displayed beside a song and never identify it. They are untrusted, so a broken or hostile
tag gives an empty field instead of an error.
"""

import io
import os
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from audiorec.audio import boxes, headers
from audiorec.audio.headers import read_exactly
from audiorec.audio.readers import DecoderError
from audiorec.audio.sniff import (
    APE_FOOTER_BYTES,
    APE_MARK,
    PathLike,
    ape_footer,
    end_of_audio,
    open_regular,
    sniff_open,
)
from audiorec.errors import SongError
from audiorec.files.languages import LATIN, language_named, language_of

MAX_ITEMS = 256
MAX_NAME = 256  # bytes
MAX_TEXT = 4096  # bytes read of a value
_KIND = 6  # the bits of the flags that are 0 for text


def ape_tags(file: BinaryIO) -> Mapping[str, str]:
    """Read the text items of the APEv2 tag at a file's end, keyed by lower-case name.

    Only the first value of an item is kept. Empty for a file without a tag.

    WavPack, Monkey's Audio, Musepack and some MP3 files have them. A footer of 32 bytes gives the
    size of the items before it; an item is the length of its value, flags, a name and the value.
    Binary items, such as covers, are skipped.
    """
    stop = ape_footer(file)
    if stop is None:
        return {}
    at = end_of_audio(file)
    file.seek(at)
    if file.read(len(APE_MARK)) == APE_MARK:  # an optional header, laid out like the footer
        at += APE_FOOTER_BYTES
    tags: dict[str, str] = {}
    for _ in range(MAX_ITEMS):
        file.seek(at)
        item = file.read(8 + MAX_NAME)
        name, zero, _ = item[8:].partition(b"\0")
        if not zero or item[: len(APE_MARK)] == APE_MARK:
            break
        length, flags = struct.unpack_from("<II", item)
        begin = at + 8 + len(name) + 1
        if begin + length > stop:
            break
        if not flags & _KIND:
            file.seek(begin)
            value = read_exactly(file, min(length, MAX_TEXT)).partition(b"\0")[0]
            tags.setdefault(name.decode("latin-1").lower(), value.decode("utf-8", "replace"))
        at = begin + length
    return tags


MAX_CHARACTERS = 500  # of a field; some tools store lyrics as a title
OWNER = b"musicbrainz.org"
MAX_FRAMES = 1_000  # of a hostile tag
MAX_UNSYNC_BYTES = 4 << 20  # of a tag that must be read whole
MAX_ID3_BYTES = 16 << 20  # of the tag in a DSF or DFF file; covers are megabytes
MAX_FRAME_BYTES = 256  # of a ``UFID`` frame
_HEADER = 10
_UNSYNCHRONISED = 0x80
_EXTENDED = 0x40
# Names of the recording's id: Vorbis comments, then ID3 and MP4.
_TRACK_ID_FIELDS = ("musicbrainz_trackid", "musicbrainz track id", "musicbrainz_track_id")
_LYRICS = ("lyrics", "unsynced lyrics", "unsyncedlyrics")
_SUNG_IN = "lyrics language"  # of an ID3 frame: not a name in any file
# Frames by version: the owner and id of a recording, and lyrics.
_UFID, _USLT = (b"UFI", b"UFID"), (b"ULT", b"USLT")


@dataclass(frozen=True, slots=True, kw_only=True)
class SongTags:
    """Tags of a file; None for a missing tag.

    Attributes
    ----------
    title, artist, album : str or None
    genre : str or None
        As written; several are joined by semicolons.
    year : int or None
    isrc : str or None
        International Standard Recording Code.
    musicbrainz_trackid : str or None
        The recording's id at MusicBrainz.
    language : str or None
        English name of the language of the words, such as ``Japanese``: what the file says, or
        else what its lyrics tell.
    """

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    genre: str | None = None
    year: int | None = None
    isrc: str | None = None
    musicbrainz_trackid: str | None = None
    language: str | None = None


def read_tags(path: PathLike) -> SongTags:
    """Read the tags of a file: ID3, APE, Vorbis comments, MP4, ASF, Matroska.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    SongTags
        Fields without control characters, of at most 500 characters. All None for a file that is
        missing, broken or of a format without tags; `decode` reports whether it is audio.
        Pictures are not read.
    """
    fields = _fields(path)
    track_ids = (fields.get(name) for name in _TRACK_ID_FIELDS)
    return SongTags(
        title=_clean(fields.get("title")),
        artist=_clean(fields.get("artist")),
        album=_clean(fields.get("album")),
        genre=_joined(fields.get("genre")),
        year=_year(fields),
        isrc=_clean(fields.get("isrc")),
        musicbrainz_trackid=_clean(next(filter(None, track_ids), None)),
        language=_language(fields),
    )


def read_tag(path: PathLike, name: str) -> str | None:
    """Read one tag by its name.

    Parameters
    ----------
    path : path-like
    name : str
        ``title``, ``artist``, ``album``, ``genre``, ``year``, ``isrc``, ``musicbrainz_trackid``,
        ``language``, or the tag's name in the file, in lower case: ``catalog_number``,
        ``acoustid_id``.

    Returns
    -------
    value : str or None
        Cleaned as in `read_tags`; None if the file has no such tag or cannot be read.
    """
    if name in SongTags.__slots__:
        value = getattr(read_tags(path), name)
        return None if value is None else str(value)
    fields = _fields(path)
    return _clean(fields.get(name) or fields.get(name.replace("_", " ")))


def header_duration_s(path: PathLike) -> float | None:
    """Return the duration in seconds that a file's header claims; None without a claim.

    Good enough to estimate a run's time; only `decode` knows the real duration.
    """
    from tinytag import TinyTag, TinyTagException

    try:
        with open_regular(path) as file:
            return TinyTag.get(file_obj=file, tags=False, duration=True).duration
    except (SongError, OSError):
        return None
    except TinyTagException:
        from audiorec.audio.pyav_reader import claimed_length  # loads FFmpeg

        with suppress(SongError, DecoderError, OSError), open_regular(path) as file:
            return claimed_length(file, sniff_open(path, file))
        return None


def _fields(path: PathLike) -> Mapping[str, object]:
    """Return every tag of a file, keyed by lower-case name; empty if it cannot be read."""
    try:
        with open_regular(path) as file:
            return all_tags(file)
    except (SongError, OSError):
        return {}


def all_tags(file: BinaryIO) -> Mapping[str, object]:
    """Return every tag of an open file, keyed by lower-case name, with its value unchanged."""
    return _ape_or_matroska(file) if (tags := _by_tinytag(file)) is None else tags


def _by_tinytag(file: BinaryIO) -> Mapping[str, object] | None:
    """Return the tags found by tinytag; None if it finds none or does not know the format."""
    from tinytag import TinyTag, TinyTagException  # late: a run's parent process reads no tags

    place = headers.id3_span(file, os.fstat(file.fileno()).st_size)
    source = file
    if place is not None:  # inside or at the end of the file
        file.seek(place[0])
        source = io.BytesIO(file.read(min(place[1] - place[0], MAX_ID3_BYTES)))
    source.seek(0)
    try:
        tag = TinyTag.get(file_obj=source, tags=True, duration=False, image=False)
    except TinyTagException:
        return None
    result: dict[str, object] = {**tag.other, **tag.as_dict()}
    if not any(result.get(name) for name in _TRACK_ID_FIELDS):
        result[_TRACK_ID_FIELDS[0]] = musicbrainz_ufid(source)
    if any(result.get(name) for name in _LYRICS):
        result[_SUNG_IN] = lyrics_language(source)
    return result if any(result.get(name) for name in (*SongTags.__slots__, *tag.other)) else None


def _ape_or_matroska(file: BinaryIO) -> Mapping[str, object]:
    file.seek(0)
    if file.read(len(boxes.MATROSKA)) == boxes.MATROSKA:
        return boxes.matroska_tags(file, 0, os.fstat(file.fileno()).st_size)
    return ape_tags(file)


def _clean(value: object) -> str | None:
    """Return a field as one line of text; the first of several values."""
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, str):
        return None
    # Line breaks and tabs become spaces; other control characters are removed.
    spaced = " ".join(first[: 4 * MAX_CHARACTERS].split())
    return "".join(c for c in spaced if c.isprintable())[:MAX_CHARACTERS].strip() or None


def _joined(value: object) -> str | None:
    """Return all values of a field as one line of text, each once."""
    result = map(_clean, value if isinstance(value, list) else [value])
    return "; ".join(dict.fromkeys(filter(None, result)))[:MAX_CHARACTERS] or None


def _year(found: Mapping[str, object]) -> int | None:
    """Return the year of a date, such as ``1977-05-01``; None for what is no year."""
    text = _clean(found.get("year") or found.get("date")) or ""
    year = re.search(r"(?<!\d)(?:1[5-9]|20)\d\d(?!\d)", text, re.ASCII)
    return int(year[0]) if year else None


def _language(found: Mapping[str, object]) -> str | None:
    """Return the language that tags name, or else that of the lyrics.

    Tag editors write ``eng`` for lyrics unless they are told otherwise, so there it says nothing.
    """
    named = language_named(_clean(found.get("language")))
    if named is not None:
        return named
    lyrics = next(filter(None, (_clean(found.get(name)) for name in _LYRICS)), None)
    of_frame, by_letters = language_named(_clean(found.get(_SUNG_IN))), language_of(lyrics)
    if of_frame not in (None, "English"):
        return of_frame
    return None if by_letters == LATIN else by_letters


def musicbrainz_ufid(file: BinaryIO) -> str | None:
    """Return the MusicBrainz recording id from a file's leading ID3v2 tag; None without one.

    It is stored in a ``UFID`` frame: the owner ``http://musicbrainz.org``, a zero byte, the id.
    """
    for content in _frames(file, _UFID):
        owner, _, identifier = content.partition(b"\0")
        if len(content) <= MAX_FRAME_BYTES and owner.endswith(OWNER):
            return identifier.strip(b"\0 ").decode("ascii", "ignore") or None
    return None


def lyrics_language(file: BinaryIO) -> str | None:
    """Return the code of three letters of the lyrics in a file's leading ID3v2 tag, or None."""
    codes = (frame[1:4].decode("latin-1") for frame in _frames(file, _USLT))
    return next((code for code in codes if code.isascii() and code.isalpha()), None)


def _frames(file: BinaryIO, names: tuple[bytes, bytes]) -> Iterator[bytes]:
    """Yield the content of frames of a name, which version 2.2 abbreviates to three letters.

    Of long ones the beginning, one byte more than `MAX_FRAME_BYTES`. tinytag reads text frames
    only. Layout: ID3v2.2 to 2.4, sections 3 and 4.1 (https://id3.org/id3v2.4.0-frames).
    """
    file.seek(0)
    header = file.read(_HEADER)
    if len(header) < _HEADER or header[:3] != b"ID3" or header[3] not in (2, 3, 4):
        return
    version, flags = header[3], header[5]
    start, end = _HEADER, _HEADER + _synchsafe(header[6:10])
    if flags & _UNSYNCHRONISED and version < 4:  # a zero follows every 0xFF
        content = file.read(min(end - _HEADER, MAX_UNSYNC_BYTES)).replace(b"\xff\x00", b"\xff")
        file, start, end = io.BytesIO(content), 0, len(content)
    elif flags & _EXTENDED and version > 2:
        size = file.read(4)
        start += _synchsafe(size) if version == 4 else int.from_bytes(size, "big") + 4
    id_bytes, header_bytes = (3, 6) if version == 2 else (4, 10)
    for _ in range(MAX_FRAMES):
        file.seek(start)
        header = file.read(header_bytes)
        # At the end of the tag, or its padding.
        if start + header_bytes > end or len(header) < header_bytes or header[0] == 0:
            return
        size_bytes = header[id_bytes : 2 * id_bytes]
        length = _synchsafe(size_bytes) if version == 4 else int.from_bytes(size_bytes, "big")
        if header[:id_bytes] == names[version > 2]:
            yield file.read(min(length, MAX_FRAME_BYTES + 1))
        start += header_bytes + length


def _synchsafe(data: bytes) -> int:
    """Decode a synchsafe integer, which has seven bits per byte."""
    number = 0
    for byte in data:
        number = number << 7 | byte & 0x7F
    return number
