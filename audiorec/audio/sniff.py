"""Detect a file's container from its content, before any decoder sees it.

    path ──sniff──▶ `Sniffed`: container, claimed length     or a `SongError` with the reason

Names cannot be trusted: WAV files and HTML error pages are called ``.mp3``, and a text file called
``.mp3`` can make FFmpeg open other files that it names. The first bytes are more reliable, and a
file with unknown first bytes reaches no decoder. MPEG audio (MP3), AAC in ADTS and AC-3 have no
file header: they are recognised by a few frames that follow each other, each with a sync word and
its length.
"""

import os
import stat
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, NamedTuple

from audiorec.audio import boxes, comments, headers
from audiorec.audio.boxes import inspect_mp4
from audiorec.audio.headers import Header
from audiorec.errors import Failure, MissingSongError, SongError

CHAIN = 3  # consecutive frames that identify a file; fewer only if they end with the file

_BITRATES_1 = {  # kilobits per second of MPEG-1, by layer; index 0 is "free", 15 is invalid
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_BITRATES_2 = {  # of MPEG-2 and 2.5
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_1 = (44_100, 48_000, 32_000)  # hertz
_RATE_DIVISOR = {3: 1, 2: 2, 0: 4}  # version bits of MPEG-1, MPEG-2, MPEG-2.5
_LONGER = 1.02  # a file longer than its own byte count by this factor has more than one song
_SLACK_BYTES = 8192  # allowance for unrecognised tags
_HEAD, _WALKED = 4096, 1 << 20  # bytes of frames that are read at first, and then at a time
_LAYER_3 = 1 << 1  # bits of the second byte
_SAME = (
    0xFF,
    0xFE,
    0x0C,
    0xCF,
)  # a header without its bit rate and padding, and its mode extension
_GAPLESS_ENCODERS = (b"LAME", b"Lavf", b"Lavc")  # write delay and padding after the count


class MpegFrame(NamedTuple):
    """One frame header."""

    length: int  # bytes to the next frame
    n_samples: int
    sample_rate: int
    xing_at: int  # bytes from the frame's start to a possible ``Xing`` header


def mpeg_frame(data: bytes, at: int) -> MpegFrame | None:
    """Read the MPEG audio frame header at `at`; None if there is none."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    second, third, fourth = data[at + 1 : at + 4]
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    bitrate_index, rate_index = third >> 4, third >> 2 & 3
    if version == 1 or layer == 4 or bitrate_index in (0, 15) or rate_index == 3:
        return None
    is_first = version == 3
    kbits = (_BITRATES_1 if is_first else _BITRATES_2)[layer][bitrate_index - 1]
    rate = _RATES_1[rate_index] // _RATE_DIVISOR[version]
    n_samples = 384 if layer == 1 else 1152 if layer == 2 or is_first else 576
    slot = 4 if layer == 1 else 1  # bytes
    length = (n_samples // 8 * kbits * 1000 // rate // slot + (third >> 1 & 1)) * slot
    is_mono = fourth >> 6 == 3
    side_info = {(True, False): 32, (False, True): 9}.get((is_first, is_mono), 17)  # bytes
    return MpegFrame(length, n_samples, rate, 4 + side_info)


def adts_length(data: bytes, at: int) -> int | None:
    """Return the length in bytes of the ADTS frame at `at`; None if there is none."""
    if at + 7 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return None
    if data[at + 2] >> 2 & 15 > 12:  # index of the sample rate
        return None
    length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    return length if length > 7 else None


def find_mpeg(data: bytes, *, is_whole: bool) -> int | None:
    """Return the offset of the first of several consecutive MPEG frames; None if there are none.

    `is_whole` says that `data` contains all of the audio.
    """
    at = data.find(b"\xff")
    while at >= 0:
        if _is_chain(data, at, is_whole):
            return at
        at = data.find(b"\xff", at + 1)
    return None


def is_adts(data: bytes, *, is_whole: bool) -> bool:
    """Return whether the data begins with several consecutive ADTS frames."""
    return has_consecutive_frames(data, adts_length, is_whole=is_whole)


def has_consecutive_frames(
    data: bytes, length_at: Callable[[bytes, int], int | None], *, is_whole: bool
) -> bool:
    """Return whether the data begins with consecutive frames, by the lengths from `length_at`."""
    at = 0
    for i in range(CHAIN):
        length = length_at(data, at)
        if length is None:
            return False
        at += length
        if at >= len(data):
            return is_whole and _may_be_last(i, at, data)
    return True


def read_mp3(data: bytes, audio_bytes: int) -> Header:
    """Read the frame count that an encoder left in the first frame, where `data` begins.

    The frame is silent and marked ``Xing``, ``Info`` or ``VBRI``. Claims nothing without a count,
    or if the file has far more bytes than it counts (several songs joined). libsndfile guesses the
    length of such files from the first frames and stops reading there. `audio_bytes` is the size
    from the first frame to the trailing tags.
    """
    frame = mpeg_frame(data, 0)
    if frame is None:
        return Header(suits_soundfile=False)
    if data[36:40] == b"VBRI":
        # libsndfile does not know this header and guesses the length.
        n_bytes, n_frames = struct.unpack_from(">II", data.ljust(60, b"\0"), 46)
        claimed_s = n_frames * frame.n_samples / frame.sample_rate
        return Header(claimed_s or None, suits_soundfile=False, cut=n_bytes > audio_bytes)
    return _read_xing(data, frame, audio_bytes)


def _read_xing(data: bytes, frame: MpegFrame, audio_bytes: int) -> Header:
    field = data[frame.xing_at : frame.xing_at + 160].ljust(160, b"\0")
    flags = field[7]
    if field[:4] not in (b"Xing", b"Info") or not flags & 1:
        return Header(suits_soundfile=False)
    (n_frames,) = struct.unpack_from(">I", field, 8)
    n_bytes = struct.unpack_from(">I", field, 12)[0] if flags & 2 else 0
    if n_frames == 0 or (n_bytes and audio_bytes > n_bytes * _LONGER + _SLACK_BYTES):
        return Header(suits_soundfile=False)
    n_samples = n_frames * frame.n_samples
    # The fields for table of contents and quality come before the encoder's name.
    name_at = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 2) + 100 * bool(flags & 4)
    name_at += 4 * bool(flags & 8)
    if field[name_at : name_at + 4] in _GAPLESS_ENCODERS:
        packed = int.from_bytes(field[name_at + 21 : name_at + 24], "big")
        n_samples -= (packed >> 12) + (packed & 0xFFF)  # encoder's delay, padding
    claimed_s = max(n_samples, 0) / frame.sample_rate
    return Header(claimed_s or None, cut=n_bytes > audio_bytes * _LONGER)


class FramesAlone(NamedTuple):
    """Where the audio of an MP3 file lies that is nothing but frames, and what they say of it."""

    begin: int  # behind the frame that counts the others
    sample_rate: int
    channels: int


def frames_alone(file: BinaryIO, begin: int, end: int) -> FramesAlone | None:
    """Return where an MP3 file's audio lies if FFmpeg's packets are all bytes up to `end`.

    They are if a ``Xing`` or ``Info`` frame is followed by whole frames alone, of one version, rate
    and number of channels, the first two also of one mode: FFmpeg begins at such a pair. None for
    any other file. Walking from frame to frame takes a third of the time that demuxing takes.
    """
    file.seek(begin)
    data = file.read(_HEAD)
    counter = mpeg_frame(data, 0)
    if counter is None or not _counts_frames(data[counter.xing_at :].ljust(12)):
        return None
    at = counter.length
    first = mpeg_frame(data, at)
    if first is None or data[at + 1] & 6 != _LAYER_3 or not _same_mode(data, at, at + first.length):
        return None
    second, is_mono = data[at + 1], data[at + 3] >> 6 == 3
    headers = [mpeg_frame(bytes((255, second, third, 0)), 0) for third in range(256)]
    lengths = [h.length if h and h.sample_rate == first.sample_rate else 0 for h in headers]
    start = begin  # of `data`
    while start + at < end:
        start, at = start + at, 0
        file.seek(start)
        data = file.read(min(_WALKED, end - start))
        while at < len(data) - 3:
            if data[at] != 255 or data[at + 1] != second or (data[at + 3] >= 192) != is_mono:
                return None
            length = lengths[data[at + 2]]
            if not length:
                return None
            at += length
        if at == 0:
            return None  # fewer bytes than a header has
    if start + at != end:
        return None
    return FramesAlone(begin + counter.length, first.sample_rate, 1 if is_mono else 2)


def _counts_frames(field: bytes) -> bool:
    """Return whether FFmpeg takes a frame for one that counts the others."""
    return field[:4] in (b"Xing", b"Info") and bool(field[7] & 1) and any(field[8:12])


def _same_mode(data: bytes, one: int, other: int) -> bool:
    """Return whether the headers of two MPEG frames differ in bit rate and padding alone."""
    pairs = zip(data[one : one + 4], data[other : other + 4], _SAME, strict=False)
    return other + 4 <= len(data) and all((a ^ b) & mask == 0 for a, b, mask in pairs)


def _is_chain(data: bytes, at: int, is_whole: bool) -> bool:
    first = mpeg_frame(data, at)
    frame = first
    for i in range(CHAIN):
        if frame is None or first is None or frame.sample_rate != first.sample_rate:
            return False
        at += frame.length
        if at >= len(data):
            return is_whole and _may_be_last(i, at, data)
        frame = mpeg_frame(data, at)
    return True


def _may_be_last(i: int, end: int, data: bytes) -> bool:
    """Return whether frame `i` of a chain may be the file's last: a lone one must fit exactly."""
    return i > 0 or end == len(data)


_KBITS = (
    *(32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640),
)
_LAST_AC3, _LAST_EAC3 = 10, 16  # bit stream identifications


def ac3_length(data: bytes, at: int) -> int | None:
    """Return the length in bytes of the AC-3 or E-AC-3 frame at `at`; None if there is none."""
    if data[at : at + 2] != b"\x0b\x77" or at + 6 > len(data):
        return None
    identification = data[at + 5] >> 3
    if identification > _LAST_EAC3:
        return None
    if identification > _LAST_AC3:
        return 2 * ((data[at + 2] & 7) << 8 | data[at + 3]) + 2
    rate, size = data[at + 4] >> 6, data[at + 4] & 63
    if rate == 3 or size >= 2 * len(_KBITS):
        return None
    kbits = _KBITS[size >> 1]
    # At 48, 44.1 and 32 kHz: 1536 samples in words of 16 bits.
    return 2 * (2 * kbits, 320 * kbits // 147 + (size & 1), 3 * kbits)[rate]


def is_ac3(data: bytes, *, is_whole: bool) -> bool:
    """Return whether the data begins with several consecutive AC-3 or E-AC-3 frames."""
    return has_consecutive_frames(data, ac3_length, is_whole=is_whole)


HEAD_BYTES = 1084  # tracker modules are identified by their bytes up to here
_BEGINNINGS = {
    b"tBaK": "TAK",
    b"riff\x2e\x91\xcf\x11": "Wave64",
    b"#!AMR": "AMR",
    b".RMF": "RealAudio",
    b".ra\xfd": "RealAudio",
    b"\x7f\xfe\x80\x01": "DTS",
    b"\xfe\x7f\x01\x80": "DTS",
    b"\x1f\xff\xe8\x00": "DTS",
    b"\xff\x1f\x00\xe8": "DTS",
    b"DTSHDHDR": "DTS",
    b"OFR ": "OptimFROG",
    b"ajkg": "Shorten",
    b"MACF": "Monkey's Audio with floating-point samples",
    b"MP+": "Musepack with a stream version before 7",
    b"TTA2": "True Audio version 2",
    b"FLV\x01": "Flash video",
    b"MThd": "MIDI (notes, no audio)",
}
_TRACKER = "{} (a tracker module: notes and samples)"
# Tracker modules have a signature at a fixed offset: (offset, signature, kind).
_TRACKERS = (
    (0, b"Extended Module: ", "XM"),
    (0, b"IMPM", "IT"),
    (44, b"SCRM", "S3M"),
    *((1080, name, "MOD") for name in (b"M.K.", b"M!K!", b"M&K!", b"FLT4", b"FLT8", b"OCTA")),
    *((1080, b"%dCHN" % n, "MOD") for n in range(1, 10)),
    *((1080, b"%dCH" % n, "MOD") for n in range(10, 33)),
)


def unsupported_format(head: bytes) -> str | None:
    """Return the name of an unsupported format, from a file's first 1084 bytes; None if unknown.

    An error that names the format, such as "Wave64", tells the user what to convert.
    """
    for beginning, name in _BEGINNINGS.items():
        if head.startswith(beginning):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "AVI"
    for place, name_at, kind in _TRACKERS:
        if head.startswith(name_at, place):
            return _TRACKER.format(kind)
    return None


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
READ_FORMATS = "WAV, FLAC, MP3, Ogg, M4A and other common formats"
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
    headers.DSF: Container.DSF,
    boxes.MATROSKA: Container.MATROSKA,
}
# Found in a folder under any name; others may be films, or need a name to be taken for a song.
_SOUND_ALONE = frozenset(
    (
        *(Container.WAV, Container.AIFF, Container.FLAC, Container.OGG, Container.WAVPACK),
        *(Container.APE, Container.TTA, Container.MUSEPACK, Container.DSF, Container.DFF),
    )
)
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
    Container.WAVPACK: headers.read_wavpack,
    Container.TTA: headers.read_tta,
    Container.MUSEPACK: headers.read_musepack,
    Container.DSF: headers.read_dsf,
    Container.DFF: headers.read_dff,
    Container.ASF: headers.read_asf,
    Container.MATROSKA: boxes.read_matroska,
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
    _require_few_tags(path, file, container, size, begin)
    header = _header(path, file, container, size, begin, audio_end)
    if header.drm:
        raise _refusal(path, Failure.DRM, header.drm)
    if header.refusal:
        reason = f"{header.refusal} is not supported"
        raise _refusal(path, Failure.UNSUPPORTED, reason)
    return Sniffed(
        container=container, size=size, audio_begin=begin, audio_end=audio_end, header=header
    )


def _require_few_tags(
    path: PathLike, file: BinaryIO, container: Container, size: int, begin: int
) -> None:
    match container:
        case Container.FLAC:
            count = comments.count_flac(file, begin)
        case Container.OGG:
            count = comments.count_ogg(file, begin, size)
        case Container.MP4:
            count = comments.count_mp4(file, size)
        case _:
            return
    if count > comments.MOST_TAGS:
        reason = f"more than {comments.MOST_TAGS:,} tags; remove those that nobody needs"
        raise _refusal(path, Failure.UNSUPPORTED, reason)


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
    if (tag_at := headers.trailing_tag(file)) is not None:
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


def begins_like_audio(head: bytes) -> bool:
    """Return whether the first 16 bytes are a tag's, or a container's that holds sound alone."""
    is_m4a = head[4:8] == b"ftyp" and head[8:12] in (b"M4A ", b"M4B ")
    return is_m4a or head[:3] in (b"ID3", b"MP+") or _by_magic(head) in _SOUND_ALONE


def _container(head: bytes, *, is_whole: bool) -> Container | None:
    if (container := _by_magic(head)) is not None:
        return container
    if unsupported_format(head) is not None:
        return None
    if is_adts(head, is_whole=is_whole):
        return Container.ADTS
    if is_ac3(head, is_whole=is_whole):
        return Container.AC3
    is_mp3 = find_mpeg(head, is_whole=is_whole) is not None
    return Container.MP3 if is_mp3 else None


def _by_magic(head: bytes) -> Container | None:
    form = head[8:12]
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and form == b"WAVE":
        return Container.WAV
    if head[:4] == b"FORM" and form in (b"AIFF", b"AIFC"):
        return Container.AIFF
    if head[4:8] in _MP4_FIRST:
        return Container.MP4
    if head[:4] == headers.DFF and head[12:16] == headers.DSF:
        return Container.DFF
    if head[:16] == headers.ASF:
        return Container.ASF
    return _MAGICS.get(head[:4])


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
            first = find_mpeg(head, is_whole=True) or 0
            return read_mp3(head[first:], audio_end - begin - first)
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
    head = file.read(HEAD_BYTES)
    if (name := unsupported_format(head)) is not None:
        reason = f"{name} is not supported; convert it to FLAC"
        return _refusal(path, Failure.UNSUPPORTED, reason)
    head = head[:64]
    is_text = head.lstrip()[:1] in (b"<", b"{", b"#") or (head.isascii() and b"\0" not in head)
    what = "a text file" if is_text else "unknown content"
    return _refusal(path, Failure.NOT_AUDIO, f"{what}, not audio; audiorec reads {READ_FORMATS}")


def _refusal(path: PathLike, failure: Failure, reason: str) -> SongError:
    return SongError(display_path(path), failure, reason, "read")
