"""Detect a file's container from its content, before any decoder sees it.

    path ──sniff──▶ `Sniffed`: container, claimed length     or a `SongError` with the reason

Names cannot be trusted: WAV files and HTML error pages are called ``.mp3``, and a text file
called ``.mp3`` can make FFmpeg open other files that it names. The first bytes are more reliable,
and a file with unknown first bytes reaches no decoder.
"""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from audiorec.audio import (
    ac3_header,
    asf,
    compressed,
    dsd,
    headers,
    matroska,
    mpeg_header,
    unsupported,
)
from audiorec.audio.atoms import inspect_mp4
from audiorec.audio.headers import Header
from audiorec.errors import Failure, MissingSongError, SongError

PathLike = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class Container(StrEnum):
    """The containers that audiorec reads."""

    WAV = "wav"  # RIFF, RF64, BW64
    AIFF = "aiff"  # and AIFF-C
    AU = "au"
    CAF = "caf"
    FLAC = "flac"
    MP3 = "mp3"  # and MPEG layers I and II
    OGG = "ogg"  # Vorbis, Opus, FLAC, Speex
    MP4 = "mp4"  # AAC, ALAC
    ADTS = "adts"  # bare AAC
    AC3 = "ac3"  # and E-AC-3
    WAVPACK = "wavpack"
    APE = "ape"  # Monkey's Audio
    TTA = "tta"  # True Audio
    MUSEPACK = "musepack"  # stream versions 7 and 8
    DSF = "dsf"
    DFF = "dff"
    ASF = "asf"  # WMA
    MATROSKA = "matroska"  # and WebM


@dataclass(frozen=True, slots=True, kw_only=True)
class Sniffed:
    """Container, size and header of a file that has not been decoded yet."""

    container: Container
    size: int  # bytes in the file
    audio_begin: int = 0  # after the leading tags (ID3v2)
    audio_end: int  # before the trailing tags (ID3v1, APE)
    header: Header


_SCAN_BYTES = 1 << 17  # after the ID3v2 tag; the first MP3 frame must begin within them
_MAX_ID3 = 8  # consecutive tags; some tools prepend a second one
_ID3V1_BYTES = 128
APE_MARK, APE_FOOTER_BYTES = b"APETAGEX", 32
_MP4_FIRST = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
READ_FORMATS = "WAV, FLAC, MP3, Ogg, M4A, WMA and the like (docs/pipeline.md has the list)"
_MAGICS = {
    b"fLaC": Container.FLAC,
    b"OggS": Container.OGG,
    b".snd": Container.AU,
    b"caff": Container.CAF,
    b"wvpk": Container.WAVPACK,
    b"MAC ": Container.APE,
    b"TTA1": Container.TTA,
    b"MPCK": Container.MUSEPACK,
    b"MP+\x07": Container.MUSEPACK,
    b"MP+\x17": Container.MUSEPACK,
    dsd.DSF: Container.DSF,
    matroska.MAGIC: Container.MATROSKA,
}
_FILE_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


_HEADERS: Mapping[Container, Callable[[BinaryIO, int, int], Header]] = {
    Container.WAV: headers.read_wav,
    Container.AIFF: headers.read_aiff,
    Container.AU: headers.read_au,
    Container.WAVPACK: compressed.read_wavpack,
    Container.APE: compressed.read_ape,
    Container.TTA: compressed.read_tta,
    Container.MUSEPACK: compressed.read_musepack,
    Container.DSF: dsd.read_dsf,
    Container.DFF: dsd.read_dff,
    Container.ASF: asf.read_asf,
    Container.MATROSKA: matroska.read_matroska,
}


def sniff(path: PathLike) -> Sniffed:
    """Detect a file's container from its content; the path may contain bytes that are not UTF-8.

    Raises `SongError` with the stage ``read``: ``unreadable`` (gone, no permission, not a regular
    file), ``empty``, ``not_audio``, ``unsupported`` or ``drm``.
    """
    with open_regular(path) as file:
        return sniff_open(path, file)


def sniff_open(path: PathLike, file: BinaryIO) -> Sniffed:
    """Detect the container of an open file, like `sniff`; `path` is used in messages."""
    try:
        return _sniff(path, file)
    except OSError as error:  # a failing disk
        raise unreadable(path, error) from None


def _sniff(path: PathLike, file: BinaryIO) -> Sniffed:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise _refusal(path, Failure.EMPTY, "the file is empty")
    begin = begin_of_audio(file)
    audio_end = max(begin, end_of_audio(file))
    file.seek(begin)
    container = _container(file.read(_SCAN_BYTES), is_whole=audio_end - begin <= _SCAN_BYTES)
    if container is None:
        raise _unknown(path, file, begin)
    header = _header(path, file, container, size, begin, audio_end)
    if header.drm:
        raise _refusal(path, Failure.DRM, header.drm)
    if header.refusal:
        reason = f"{header.refusal} is not supported"
        raise _refusal(path, Failure.UNSUPPORTED, reason)
    return Sniffed(
        container=container, size=size, audio_begin=begin, audio_end=audio_end, header=header
    )


def open_regular(path: PathLike) -> BinaryIO:
    """Open a regular file without blocking; raise `SongError` ``unreadable`` for any other."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        _require_regular(path, os.stat(path).st_mode)  # noqa: PTH116 - bytes paths
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise unreadable(path, error) from None
    file = os.fdopen(descriptor, "rb")
    try:  # again: the file may have been replaced in between
        _require_regular(path, os.fstat(descriptor).st_mode)
    except SongError:
        file.close()
        raise
    return file


def unreadable(path: PathLike, error: Exception) -> SongError:
    """Return the `SongError` for a file that cannot be opened or read any further."""
    reason = getattr(error, "strerror", None) or str(error)
    kind = MissingSongError if isinstance(error, FileNotFoundError) else SongError
    return kind(display_path(path), Failure.UNREADABLE, reason.lower(), "read")


def begin_of_audio(file: BinaryIO) -> int:
    """Return the position after the leading ID3v2 tags, without reading their contents."""
    at = 0
    for _ in range(_MAX_ID3):
        file.seek(at)
        tag = file.read(10)
        if len(tag) < 10 or tag[:3] != b"ID3" or max(tag[6:10]) > 0x7F:
            return at
        length = tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]
        at += 10 + length + (10 if tag[5] & 0x10 else 0)  # flag 0x10: a footer
    return at


def end_of_audio(file: BinaryIO) -> int:
    """Return the position where the trailing tags begin: ID3v1, APE, or the ID3v2 of a DSF."""
    end = file.seek(0, os.SEEK_END)
    if (tag_at := dsd.trailing_tag(file)) is not None:
        return min(end, tag_at)
    end = _before_id3v1(file)
    if (at := ape_footer(file)) is not None:
        file.seek(at)
        footer = file.read(APE_FOOTER_BYTES)
        length = int.from_bytes(footer[12:16], "little")
        has_header = footer[23] & 0x80
        # The length includes the footer, so a smaller one is damaged.
        end -= max(length, APE_FOOTER_BYTES) + (APE_FOOTER_BYTES if has_header else 0)
    return max(0, end)


def ape_footer(file: BinaryIO) -> int | None:
    """Return the position of the footer of an APE tag; only an ID3v1 tag may follow it."""
    at = _before_id3v1(file) - APE_FOOTER_BYTES
    if at < 0:
        return None
    file.seek(at)
    return at if file.read(len(APE_MARK)) == APE_MARK else None


def _before_id3v1(file: BinaryIO) -> int:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _ID3V1_BYTES))
    return end - _ID3V1_BYTES if end >= _ID3V1_BYTES and file.read(3) == b"TAG" else end


def display_path(path: PathLike) -> str:
    """Return a path as text; bytes that are not UTF-8 become surrogate escapes."""
    return os.fsdecode(path)


def _require_regular(path: PathLike, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _FILE_KINDS if is_kind(mode)), "of unknown kind")
        raise _refusal(path, Failure.UNREADABLE, f"not a regular file but {kind}")


def _container(head: bytes, *, is_whole: bool) -> Container | None:
    form = head[8:12]
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and form == b"WAVE":
        return Container.WAV
    if head[:4] == b"FORM" and form in (b"AIFF", b"AIFC"):
        return Container.AIFF
    if head[4:8] in _MP4_FIRST:
        return Container.MP4
    if head[:4] == dsd.DFF and head[12:16] == dsd.DSF:
        return Container.DFF
    if head[:16] == asf.MAGIC:
        return Container.ASF
    if head[:4] in _MAGICS:
        return _MAGICS[head[:4]]
    if unsupported.unsupported_format(head) is not None:
        return None
    if mpeg_header.is_adts(head, is_whole=is_whole):
        return Container.ADTS
    if ac3_header.is_ac3(head, is_whole=is_whole):
        return Container.AC3
    is_mp3 = mpeg_header.find_mpeg(head, is_whole=is_whole) is not None
    return Container.MP3 if is_mp3 else None


def _header(
    path: PathLike, file: BinaryIO, container: Container, size: int, begin: int, audio_end: int
) -> Header:
    if container in _HEADERS:
        return _HEADERS[container](file, begin, size)
    match container:
        case Container.OGG:
            return headers.read_ogg_end(file, audio_end)
        case Container.MP4:
            return _mp4_header(path, file, size)
        case Container.FLAC:
            return headers.read_flac(file, begin)
        case Container.MP3:
            file.seek(begin)
            head = file.read(_SCAN_BYTES)
            first = mpeg_header.find_mpeg(head, is_whole=True) or 0
            return mpeg_header.read_mp3(head[first:], audio_end - begin - first)
        case _:
            return Header(suits_soundfile=False)


def _mp4_header(path: PathLike, file: BinaryIO, size: int) -> Header:
    report = inspect_mp4(file, size)
    if report.encrypted:
        kind = report.encrypted.decode("latin-1")
        raise _refusal(path, Failure.DRM, f"protected by DRM (sample entry {kind!r})")
    if not report.has_index and report.cut:
        reason = "the file ends before its index (box 'moov'); download it again"
        raise _refusal(path, Failure.UNDECODABLE, reason)
    return Header(suits_soundfile=False, cut=report.cut)


def _unknown(path: PathLike, file: BinaryIO, begin: int) -> SongError:
    file.seek(begin)
    head = file.read(unsupported.HEAD_BYTES)
    if (name := unsupported.unsupported_format(head)) is not None:
        reason = f"{name} is not supported; convert it to FLAC"
        return _refusal(path, Failure.UNSUPPORTED, reason)
    head = head[:64]
    is_text = head.lstrip()[:1] in (b"<", b"{", b"#") or (head.isascii() and b"\0" not in head)
    what = "a text file" if is_text else "unknown content"
    return _refusal(path, Failure.NOT_AUDIO, f"{what}, not audio; audiorec reads {READ_FORMATS}")


def _refusal(path: PathLike, failure: Failure, reason: str) -> SongError:
    return SongError(display_path(path), failure, reason, "read")
