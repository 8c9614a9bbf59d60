"""Frame headers of MPEG audio (MP3) and of AAC in ADTS: detection and claimed length.

Neither format has a file header. Both are a sequence of frames, each with a sync word and its
length, so a file is recognised by a few frames that follow each other. An MP3 encoder may add a
silent first frame that gives the number of frames (``Xing``, ``Info``, ``VBRI``); without it the
length is unknown until the last frame is read.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

from audiorec.audio.headers import Header

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

    Claims nothing without a count, or if the file has far more bytes than it counts (several
    songs joined). libsndfile guesses the length of such files from the first frames and stops
    reading there. `audio_bytes` is the size from the first frame to the trailing tags.
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
