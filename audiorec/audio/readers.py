"""Shared by the readers: their contract, the hash of packets, and what C libraries print.

The hash of a stream's packets: part of `content_hash`, and computed while packets are decoded.

codec, rate, channels, packets  ──PacketHash──▶ 32 hex digits

Capture what C libraries print to file descriptor 2, for error messages. Decoders write warnings
such as "Illegal Audio-MPEG-Header" straight to the terminal, bypassing Python, where they garble a
progress bar. A worker captures them and adds the last one to the song's error.

WAV, AIFF, AU, FLAC and MP3 to blocks of samples, through libsndfile.

    open file  ──SoundfileReader.blocks──▶  `RawBlock` (n, channels), source rate

Three traps of libsndfile are avoided here. The Python binding seeks after each block of a
seekable file, and an MP3 decoder loses its bit reservoir on a seek: up to a fifth of the samples
of a VBR file came out wrong. libsndfile stops at the number of frames that the header claims. And
it supports codecs that music does not use and that have had memory faults.
"""

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np
import soundfile

from audiorec.audio.headers import has_flac_frame
from audiorec.audio.sniff import Container, Sniffed
from audiorec.errors import Failure
from audiorec.types import FloatArray

BLOCK_FRAMES = 1 << 16  # 0.5 MB of stereo: stays in the cache until mixed down
MAX_CHANNELS = 8
MAX_BLOCK_S = 10  # seconds, at low sample rates


class RawBlock(NamedTuple):
    """One block of decoded samples."""

    samples: FloatArray  # (n, channels), full scale 1; valid until the next block is requested
    sample_rate: int  # hertz


class DecoderError(Exception):
    """A decoder cannot start or cannot continue; another decoder may.

    `damaged`: the file itself is at fault, since decoding failed midway. `failure`: the song's
    failure if no other decoder can read it.
    """

    def __init__(
        self,
        reason: str,
        decoder: str,
        damaged: bool = False,
        failure: Failure = Failure.UNDECODABLE,
    ) -> None:
        super().__init__(reason, decoder, damaged, failure)
        self.reason = reason
        self.decoder = decoder
        self.damaged = damaged
        self.failure = failure


DIGEST_BYTES = 16


class PacketHash:
    """128-bit blake2b over the codec, the sample rate, the channels and all packets of a stream."""

    def __init__(self, codec: str, sample_rate: int, channels: int) -> None:
        self._digest = new_hash("packets", codec, str(sample_rate), str(channels))
        self._bytes = 0

    def add(self, packet: Any) -> None:
        """Add the next packet of PyAV."""
        self._digest.update(packet)
        self._bytes += packet.size

    def hexdigest(self) -> str:
        """Return the hash; empty if the packets hold no bytes."""
        return self._digest.hexdigest() if self._bytes else ""


def new_hash(*prefix: str) -> "hashlib.blake2b":
    """Return a hash that has begun with some texts, each followed by a zero byte."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update("\0".join((*prefix, "")).encode())
    return digest


KEPT_BYTES = 4096  # from the end: one line is needed, and the output can be megabytes


class CapturedOutput:
    """Captured output, which remains readable after the descriptor is restored."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink: IO[bytes] | None = sink
        self._tail = ""

    @property
    def last_line(self) -> str:
        """Last non-blank line, without control characters; "" if there is none."""
        lines = [line for line in self._read_tail().splitlines() if line.strip()]
        return "".join(c for c in lines[-1] if c.isprintable()).strip() if lines else ""

    def freeze(self) -> None:
        """Keep the end of the output and release the file."""
        self._tail = self._read_tail()
        self._sink = None

    def _read_tail(self) -> str:
        if self._sink is None:
            return self._tail
        # Reading moves the position shared with the writers; they append, so it does not matter.
        size = self._sink.seek(0, os.SEEK_END)
        self._sink.seek(max(0, size - KEPT_BYTES))
        return self._sink.read().decode("utf-8", "replace")


@contextlib.contextmanager
def captured_stderr() -> Iterator[CapturedOutput]:
    """Redirect file descriptor 2 to a temporary file in a ``with`` block; see `CapturedOutput`.

    Output of Python and C libraries goes to the file, not to a pipe, which could fill up. The
    descriptor belongs to the whole process: use this where a single thread decodes, as in a
    worker.
    """
    _flush()
    with tempfile.TemporaryFile("a+b", buffering=0) as sink:
        chatter = CapturedOutput(sink)
        saved = os.dup(2)
        os.dup2(sink.fileno(), 2)
        try:
            yield chatter
        finally:
            _flush()
            os.dup2(saved, 2)
            os.close(saved)
            chatter.freeze()


def _flush() -> None:
    """Flush Python's own output before the descriptor is switched."""
    if sys.stderr is not None and not sys.stderr.closed:
        sys.stderr.flush()


DECODER = f"soundfile {soundfile.__version__} (libsndfile {soundfile.__libsndfile_version__})"

_CODECS = {  # libsndfile's subtype → our name; others are refused
    "PCM_S8": "pcm_s8",
    "PCM_U8": "pcm_u8",
    "PCM_16": "pcm_s16",
    "PCM_24": "pcm_s24",
    "PCM_32": "pcm_s32",
    "FLOAT": "pcm_f32",
    "DOUBLE": "pcm_f64",
    "ULAW": "pcm_mulaw",
    "ALAW": "pcm_alaw",
    "MPEG_LAYER_I": "mp1",
    "MPEG_LAYER_II": "mp2",
    "MPEG_LAYER_III": "mp3",
}
# If more bytes than both are left unread, the header claimed too few samples, or the MP3 decoder
# stopped silently at a damaged frame, as it does at one in five.
_UNREAD_SHARE = 0.02  # of the file
_UNREAD_BYTES = 1 << 14
_SCANNED = 1 << 20  # unread bytes of a FLAC that are searched for frames


class SoundfileReader:
    """libsndfile reader of one file, from beginning to end; the caller closes the file."""

    decoder = DECODER
    packet_errors = 0  # libsndfile stops at the first error
    is_damaged = False
    ends_in_error = False
    content_hash = ""  # libsndfile shows no packets

    def __init__(self, file: BinaryIO, sniffed: Sniffed) -> None:
        self.codec = ""
        self.claimed_s = sniffed.header.claimed_s
        self._file = file
        self._sniffed = sniffed

    def blocks(self) -> Iterator[RawBlock]:
        """Yield the samples, up to 65,536 frames or 10 s at a time; raise `DecoderError`."""
        n_frames = 0
        # libsndfile reads the descriptor directly, wherever an earlier reading left it.
        os.lseek(self._file.fileno(), 0, os.SEEK_SET)
        try:
            with _SequentialFile(self._file.fileno(), closefd=False) as source:
                self._check_codec(source)
                size = min(BLOCK_FRAMES, MAX_BLOCK_S * source.samplerate)
                buffer = np.empty((size, source.channels), np.float32)
                # libFLAC would take what lies behind the last frame for a damaged one.
                total = source.frames if self.codec == "flac" else sys.maxsize
                while len(samples := source.read(out=buffer[: total - n_frames])):
                    n_frames += len(samples)
                    yield RawBlock(samples, source.samplerate)
        except soundfile.SoundFileError as error:
            said = getattr(error, "error_string", str(error))
            reason = f"libsndfile: {said.removeprefix('Error :').strip(' .')}"
            raise DecoderError(reason, DECODER, damaged=n_frames > 0) from None
        self._check_end(n_frames, is_whole=n_frames == total)

    def _check_codec(self, source: soundfile.SoundFile) -> None:
        if source.subtype not in _CODECS:
            reason = f"codec {source.subtype} (libsndfile's name) is not supported"
            raise DecoderError(reason, DECODER, failure=Failure.UNSUPPORTED)
        is_flac = source.format == "FLAC"
        self.codec = "flac" if is_flac else _CODECS[source.subtype]

    def _check_end(self, n_frames: int, *, is_whole: bool) -> None:
        if n_frames == 0:
            raise DecoderError("no samples", DECODER, failure=Failure.NO_AUDIO)
        if self._sniffed.container not in (Container.FLAC, Container.MP3):
            return  # bytes after the samples of a WAV or AIFF are not audio
        position = os.lseek(self._file.fileno(), 0, os.SEEK_CUR)
        unread = self._sniffed.audio_end - position
        if unread > max(_UNREAD_BYTES, _UNREAD_SHARE * self._sniffed.size):
            if is_whole and not has_flac_frame(os.read(self._file.fileno(), _SCANNED)):
                return  # what the header claims, and then something other than FLAC
            raise DecoderError(f"libsndfile: stopped with {unread} bytes unread", DECODER)


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile is not typed
    """Sound file that reports itself as not seekable, so that the binding does not seek."""

    def seekable(self) -> bool:
        return False
