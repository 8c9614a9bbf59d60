"""WAV, AIFF, AU, FLAC and MP3 to blocks of samples, through libsndfile.

    open file  ──SoundfileReader.blocks──▶  `RawBlock` (n, channels), source rate

Three traps of libsndfile are avoided here. The Python binding seeks after each block of a
seekable file, and an MP3 decoder loses its bit reservoir on a seek: up to a fifth of the samples
of a VBR file came out wrong. libsndfile stops at the number of frames that the header claims. And
it supports codecs that music does not use and that have had memory faults.
"""

import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from audiorec.audio.headers import has_flac_frame
from audiorec.audio.readers import BLOCK_FRAMES, MAX_BLOCK_S, DecoderError, RawBlock
from audiorec.audio.sniff import Container, Sniffed
from audiorec.errors import Failure

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
_SCALE = np.float32(2.0**-15)  # of 16 bits
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
                # NumPy makes the same floats of 16 bits in a quarter of libsndfile's time.
                target = np.empty(buffer.shape, np.int16) if self.codec == "pcm_s16" else buffer
                # libFLAC would take what lies behind the last frame for a damaged one.
                total = source.frames if self.codec == "flac" else sys.maxsize
                while len(samples := source.read(out=target[: total - n_frames])):
                    n_frames += len(samples)
                    if target is not buffer:
                        samples = np.multiply(samples, _SCALE, out=buffer[: len(samples)])
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
