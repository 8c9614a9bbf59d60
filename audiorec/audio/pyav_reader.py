"""Formats that libsndfile cannot read, and files it gave up on, to blocks through FFmpeg.

    open file  ──PyavReader.blocks──▶  `RawBlock` (n, channels), source rate

FFmpeg knows hundreds of formats, some of which are scripts that name other files. Whitelists of
containers, protocols and codecs admit only those used for music, and FFmpeg receives an open file,
so it never resolves a name. FFmpeg only decodes: its mono mix is 3 dB too loud, so mixing and
resampling are done here.
"""

import contextlib
import ctypes
import errno
import os
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, BinaryIO

import av
import av.error
import numpy as np

from audiorec.audio import boxes, headers
from audiorec.audio.readers import (
    BLOCK_FRAMES,
    MAX_BLOCK_S,
    MAX_CHANNELS,
    DecoderError,
    PacketHash,
    RawBlock,
)
from audiorec.audio.sniff import Container, Sniffed
from audiorec.errors import Failure
from audiorec.types import FloatArray

DECODER = (
    f"PyAV {av.__version__} "
    f"(libavcodec {'.'.join(str(n) for n in av.library_versions['libavcodec'])})"
)
_PCM = (
    *("pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"),
    *("pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"),
    *("pcm_alaw", "pcm_mulaw"),
)
CODECS = (
    *("mp3float", "mp3", "mp2float", "mp2", "mp1float", "mp1", "aac", "alac", "flac"),
    *("vorbis", "opus", "libopus", "speex", "ac3", "eac3", *_PCM),
    *("wavpack", "ape", "tta", "mpc7", "mpc8"),
    *("wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice"),
    *("dsd_lsbf", "dsd_msbf", "dsd_lsbf_planar", "dsd_msbf_planar", "dst"),
)
# Used whenever a file is opened, for decoding and for hashing.
WHITELISTS = {
    "protocol_whitelist": "file",
    "format_whitelist": (
        "wav,aiff,au,caf,flac,mp3,ogg,mov,aac,ac3,eac3,wv,ape,tta,mpc,mpc8,dsf,iff,asf,matroska"
    ),
    "codec_whitelist": ",".join(CODECS),
}
# FFmpeg's duration of these is what the file claims, also of one that was cut: in other containers
# it is an estimate, or that of what is there.
CLAIMED = frozenset(
    (Container.MP4, Container.WAVPACK, Container.APE, Container.TTA, Container.MUSEPACK)
)
# Lossless codecs store checksums, which FFmpeg checks only on request. AC-3 may carry a dynamic
# range compression curve for quiet listening; it is not part of the recording.
_CODEC_OPTIONS = {
    **{
        name: {"err_detect": "crccheck+explode"}
        for name in ("wavpack", "ape", "tta", "wmalossless")
    },
    **{name: {"drc_scale": "0"} for name in ("ac3", "eac3")},
}
# Samples of the synthesis filter's delay at the start of a file, which FFmpeg leaves in.
_DELAYS = {"mpc7": 481, "mpc8": 481}
# On an SACD, 0 dB is half of one-bit full scale, and mastered music reaches it.
DSD_GAIN = np.float32(2.0)
_SAMPLES = {  # sample format → dtype, full scale
    "u8": (np.uint8, 2.0**7),
    "s16": (np.int16, 2.0**15),
    "s32": (np.int32, 2.0**31),
    "flt": (np.float32, 1.0),
    "dbl": (np.float64, 1.0),
}
# PyAV raises IndexError for a packet of a stream that begins in mid-file.
DEMUXER_ERRORS = (av.error.FFmpegError, IndexError)
READ_BYTES = 1 << 17  # that FFmpeg asks for at a time
MAX_ALLOCATION = 64 << 20  # bytes; the index of a day of AAC, or a large cover, takes a few MB
# Data that FFmpeg would unpack or keep in memory unasked, by a file's first four bytes: ID3 tags
# in RIFF and IFF chunks and in an ASF value, Matroska attachments. They are presented under a name
# of the same length that FFmpeg skips.
_ID3_CHUNK = (re.compile(b"3 "), re.compile(rb"id3 ", re.IGNORECASE), b"junk")
_ID3_VALUE = (
    re.compile(rb"3\0\0\0"),
    re.compile(rb"I\0D\x003\0\0\0"),
    b"x\0D\x003\0\0\0",
)
_ATTACHMENT = (
    re.compile(re.escape(boxes.ATTACHMENTS)),
    re.compile(re.escape(boxes.ATTACHMENTS)),
    b"\x19\x41\xa4\x68",
)
_HIDDEN = {
    **dict.fromkeys((b"RIFF", b"RF64", b"BW64", b"FORM", headers.DFF), _ID3_CHUNK),
    headers.ASF[:4]: _ID3_VALUE,
    boxes.MATROSKA: _ATTACHMENT,
}
_MAX_STALLS = 16  # consecutive demuxer errors; a damaged Ogg page costs one
_MAX_ERRORS = 4096  # demuxer errors per file: a Musepack without a frame count never ends
# A jump of the timestamps by more than this means lost audio. Clean Vorbis jumps by up to
# 20.4 ms where its block size changes; a lost page is longer than this.
_HOLE_S = 0.05


class PyavReader:
    """FFmpeg reader of one file, from beginning to end; the caller closes the file."""

    decoder = DECODER

    def __init__(self, file: BinaryIO, sniffed: Sniffed) -> None:
        self.codec = ""  # known once the first block was requested, like `claimed_s` of an MP4
        self.claimed_s = sniffed.header.claimed_s
        self.packet_errors = 0  # packets that could not be read or decoded
        self.is_damaged = False  # audio is missing between two good packets
        self.ends_in_error = False  # the last packet was bad, as in a file that was cut
        self.content_hash = ""  # once all packets were read without an error
        self._expected_s: float | None = None
        self._refused_channels = 0
        self._file = file
        self._begin, self._end = sniffed.audio_begin, sniffed.audio_end
        self._is_claim = sniffed.container in CLAIMED and self.claimed_s is None
        self._is_dsd, self._blank_at = sniffed.header.is_dsd, sniffed.header.blank_at

    def blocks(self) -> Iterator[RawBlock]:
        """Yield the samples, about 65,536 frames at a time and never more than 10 s.

        The sample rate and the channels may change between blocks. Raises `DecoderError` if FFmpeg
        cannot open the file, finds no audio of a supported codec, or can decode no packet.
        """
        begin, end, blank_at = self._begin, self._end, self._blank_at
        with open_container(self._file, begin=begin, end=end, blank_at=blank_at) as container:
            stream = audio_stream(container)
            self.codec = codec_name(stream)
            if self._is_claim and stream.duration:
                self.claimed_s = float(stream.duration * stream.time_base)
            stream.codec_context.thread_count = 1
            stream.codec_context.options = _CODEC_OPTIONS.get(self.codec, {})
            yield from self._as_recorded(_join(self._frames(container, stream)))
        if self._refused_channels and self._expected_s is None:
            reason = f"{self._refused_channels} channels; 1 to {MAX_CHANNELS} are supported"
            raise DecoderError(reason, DECODER, failure=Failure.UNSUPPORTED)
        if self.packet_errors and self._expected_s is None:
            reason = f"none of {self.packet_errors} packets could be decoded"
            raise DecoderError(reason, DECODER)

    def _as_recorded(self, blocks: Iterator[RawBlock]) -> Iterator[RawBlock]:
        """Remove the codec's delay and apply the gain of DSD."""
        delay = _DELAYS.get(self.codec, 0)
        for samples, rate in blocks:
            kept, delay = samples[delay:], max(0, delay - len(samples))
            if len(kept):
                yield RawBlock(kept * DSD_GAIN if self._is_dsd else kept, rate)

    def _frames(self, container: Any, stream: Any) -> Iterator[Any]:
        """Decode packet by packet, counting failures."""
        for packet in self._packets(container, stream):
            if self.codec == "dst" and packet is not None and _is_raw_dst(packet):
                self._count_error()
                continue
            try:
                frames = packet.decode() if packet is not None else stream.decode(None)
            except EOFError:
                return
            except av.error.FFmpegError:
                self._count_error()
                continue
            is_last = packet is None or packet.size == 0  # flushed by the decoder
            for frame in frames:
                if self._has_fitting_channels(frame):
                    self._follow_clock(frame, is_last=is_last)
                    yield frame

    def _has_fitting_channels(self, frame: Any) -> bool:
        """Return False for more than 8 channels, where PyAV (18.1) reads out of bounds."""
        channels = frame.layout.nb_channels
        if channels > MAX_CHANNELS:
            self._refused_channels = channels
            self._count_error()
        return bool(channels <= MAX_CHANNELS)

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        """Yield packets; after a demuxer error, continue with the next packet."""
        result = packet_hash(stream)
        stalls = errors = 0
        while stalls < _MAX_STALLS and errors < _MAX_ERRORS:
            try:
                for packet in container.demux(stream):
                    stalls = 0
                    result.add(packet)
                    yield packet
                if not errors and self._blank_at is None:
                    self.content_hash = result.hexdigest()
                return
            except DEMUXER_ERRORS:
                stalls, errors = stalls + 1, errors + 1
                self._count_error()
        yield None  # flush the decoder

    def _count_error(self) -> None:
        self.packet_errors += 1
        self.ends_in_error = True

    def _follow_clock(self, frame: Any, *, is_last: bool) -> None:
        """Detect gaps: errors followed by good packets, and jumps of the timestamps."""
        if not is_last:
            self.is_damaged |= self.ends_in_error
            self.ends_in_error = False
        expected_s = self._expected_s
        time_s = frame.time if frame.time is not None else expected_s or 0.0
        # Chained Ogg streams restart their clock: a jump back is not a gap.
        self.is_damaged |= expected_s is not None and time_s > expected_s + _HOLE_S
        self._expected_s = time_s + frame.samples / max(frame.sample_rate, 1)


def claimed_length(file: BinaryIO, sniffed: Sniffed) -> float | None:
    """Return the length in seconds that a file claims, without decoding it; None without a claim.

    Raises `DecoderError` if FFmpeg cannot open it.
    """
    if sniffed.container not in CLAIMED or sniffed.header.claimed_s is not None:
        return sniffed.header.claimed_s
    with open_container(file, begin=sniffed.audio_begin, end=sniffed.audio_end) as container:
        stream = audio_stream(container)
        return float(stream.duration * stream.time_base) if stream.duration else None


@contextlib.contextmanager
def open_container(
    file: BinaryIO, *, end: int, begin: int = 0, blank_at: int | None = None
) -> Iterator[Any]:
    """Open a file with the whitelists; raise `DecoderError` if no listed demuxer accepts it.

    FFmpeg sees only the bytes from `begin` to `end`, without tags: it would decompress the frames
    of a leading tag, and some versions take a trailing tag for a damaged packet. Two bytes at
    `blank_at` read as zeros.
    """
    _limit_allocations()
    source = _Part(file, begin, end, blank_at)
    try:
        container = av.open(
            source, options=dict(WHITELISTS), metadata_errors="replace", buffer_size=READ_BYTES
        )
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DecoderError(reason.strip().lower(), DECODER) from None
    with container:
        yield container


@cache
def _limit_allocations() -> None:
    """Limit the size of FFmpeg's allocations: a 20-byte header made it zero 1.7 GB for a title.

    The limit is FFmpeg's own and applies to the whole process. PyAV does not expose it, so the
    function is looked up in the library that PyAV is linked to; if it cannot be found, only the
    worker's memory limit remains.
    """
    with contextlib.suppress(ImportError, OSError, AttributeError, TypeError):
        from av import _core

        limit = ctypes.CDLL(_core.__file__).av_max_alloc
        limit.argtypes, limit.restype = [ctypes.c_size_t], None
        limit(MAX_ALLOCATION)


class _Part:
    """File-like view for PyAV of the bytes of a file from `begin` up to `end`.

    The names of non-audio data in `_HIDDEN` are replaced: FFmpeg would decompress an ID3 tag, and
    4 MB became 4 GB. (Samples that happen to contain the same four bytes are changed too, once in
    four billion.)
    """

    name = ""  # PyAV passes it to FFmpeg, which would use the extension

    def __init__(self, file: BinaryIO, begin: int, end: int, blank_at: int | None = None) -> None:
        self._file = file
        self._blank = () if blank_at is None else (blank_at, blank_at + 1)
        self._begin = begin
        self._end = end
        file.seek(begin)
        self._hidden = _HIDDEN.get(file.read(4))
        file.seek(begin)

    def tell(self) -> int:
        return self._file.tell() - self._begin

    def read(self, size: int) -> bytes:
        at = self._file.tell()
        size = max(0, min(size, self._end - at))
        data = self._shown(at, size, *self._hidden) if self._hidden else self._file.read(size)
        if inside := [place - at for place in self._blank if at <= place < at + len(data)]:
            data = bytes(0 if i in inside else byte for i, byte in enumerate(data))
        return data

    def _shown(
        self,
        at: int,
        size: int,
        ending: re.Pattern[bytes],
        name: re.Pattern[bytes],
        shown_as: bytes,
    ) -> bytes:
        """Read with hidden names replaced, including those that straddle the edges.

        Each name ends in `ending`, which is searched for first: that is a hundred times as fast.
        """
        margin = len(shown_as) - 1
        start = max(self._begin, at - margin)
        self._file.seek(start)
        whole = self._file.read(at - start + size + margin)
        size = min(size, start + len(whole) - at)
        self._file.seek(at + size)
        ends = (m.end() for m in ending.finditer(whole))
        if any(name.match(whole, end - len(shown_as)) for end in ends if end >= len(shown_as)):
            whole = name.sub(shown_as, whole)
        return whole[at - start : at - start + size]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        bases = {os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._end}
        target = bases.get(whence, self._begin) + offset
        try:  # a false header may point anywhere: FFmpeg copes with a failed seek
            return -errno.EINVAL if target < self._begin else self._file.seek(target) - self._begin
        except (OSError, OverflowError):
            return -errno.EINVAL


def audio_stream(container: Any) -> Any:
    """Return the first audio stream of a codec in `CODECS`; raise `DecoderError` without one."""
    if not container.streams.audio:
        what = "video and no audio" if container.streams.video else "no audio stream"
        raise DecoderError(f"the file contains {what}", DECODER, failure=Failure.NO_AUDIO)
    unknown = []
    for stream in container.streams.audio:
        codec = getattr(stream.codec_context, "name", None)
        if codec in CODECS:
            return stream
        unknown.append(codec or "unknown")
    reason = f"codec {', '.join(unknown)} is not supported"
    raise DecoderError(reason, DECODER, failure=Failure.UNSUPPORTED)


def packet_hash(stream: Any) -> PacketHash:
    """Return the hash of a stream's packets, before the first one."""
    context = stream.codec_context
    return PacketHash(codec_name(stream), context.sample_rate, context.layout.nb_channels)


def codec_name(stream: Any) -> str:
    """Return the codec's name without the decoder's variant: ``mp3`` for ``mp3float``."""
    name = str(stream.codec_context.name)
    if name.startswith("pcm_"):
        return name.removesuffix("le").removesuffix("be")
    return name.removesuffix("float").removeprefix("lib")


def _is_raw_dst(packet: Any) -> bool:
    """Return whether a DST frame is stored uncompressed, which FFmpeg (8.1) turns into noise."""
    return packet.size > 0 and not memoryview(packet)[0] & 0x80


def _join(frames: Iterator[Any]) -> Iterator[RawBlock]:
    """Join frames into blocks, in C: a song may have 13,000 frames of a few hundred samples.

    A change of rate, channels or sample format starts a new block.
    """
    kind: tuple[int, int, str] | None = None
    queue, size = av.AudioFifo(), 0
    for frame in frames:
        result = (frame.sample_rate, frame.layout.nb_channels, frame.format.name)
        if result != kind:
            if kind is not None and (rest := queue.read()) is not None:
                yield _block(rest)
            kind, queue = result, av.AudioFifo()
            size = min(BLOCK_FRAMES, MAX_BLOCK_S * max(frame.sample_rate, 1))
        frame.pts = None  # the queue would refuse a gap
        queue.write(frame)
        while (full := queue.read(size)) is not None:
            yield _block(full)
    if (rest := queue.read()) is not None:
        yield _block(rest)


def _block(frame: Any) -> RawBlock:
    return RawBlock(_to_float(frame).T, frame.sample_rate)


def _to_float(frame: Any) -> FloatArray:
    """Return a frame's samples, shape (channels, n), float32, full scale 1."""
    name, is_planar = frame.format.name, frame.format.is_planar
    kind = _SAMPLES.get(name.removesuffix("p") if is_planar else name)
    if kind is None:
        raise DecoderError(f"sample format {name} is not supported", DECODER)
    dtype, scale = kind
    channels, n = frame.layout.nb_channels, frame.samples
    if is_planar:
        # Not `to_ndarray`: PyAV (18.1) counts planes up to the first null pointer, and with eight
        # planes FFmpeg's list has none, so that PyAV reads a ninth and crashes.
        planes = frame.planes[:channels]
        values = np.stack([np.frombuffer(plane, dtype, count=n) for plane in planes])
    else:  # interleaved
        whole = np.frombuffer(frame.planes[0], dtype, count=n * channels)
        values = whole.reshape(n, channels).T
    samples: FloatArray = values.astype(np.float32, copy=not is_planar)
    if name.startswith("u8"):  # unsigned: silence is at half of the range
        samples = samples - np.float32(scale)
    return samples if scale == 1.0 else samples * np.float32(1.0 / scale)
