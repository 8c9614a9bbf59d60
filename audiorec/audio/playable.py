"""Playback: container and codec of a file, and conversion to a WAV that every player plays.

    path ──probe──▶ `Playable`: container, codec     by content, never by name
         ──write_wav──▶ 16-bit WAV with the original channels and a rate of up to 48 kHz

`decode` returns the networks' input, mono at 16 kHz; this module is for listening.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from audiorec.audio.decode import MAX_DURATION_S, SOUNDFILE_CONTAINERS
from audiorec.audio.readers import DecoderError, RawBlock
from audiorec.audio.sniff import (
    Container,
    PathLike,
    Sniffed,
    display_path,
    open_regular,
    sniff,
)
from audiorec.errors import Failure, SongError
from audiorec.types import FloatArray

MAX_RATE = 48_000  # hertz; higher rates are resampled: DSD has megahertz
SAMPLE_BYTES = 2
MAX_BYTES = (4 << 30) - 4096  # a WAV states its size in 32 bits
# Containers that imply the codec.
_OF_ITS_OWN = {
    Container.FLAC: "flac",
    Container.MP3: "mp3",
    Container.ADTS: "aac",
    Container.WAVPACK: "wavpack",
    Container.APE: "ape",
    Container.TTA: "tta",
    Container.MUSEPACK: "musepack",
    Container.DSF: "dsd",
    Container.DFF: "dsd",
}


@dataclass(frozen=True, slots=True)
class Playable:
    """Container and codec of a file, for a player."""

    container: Container
    codec: str


def probe(path: PathLike) -> Playable:
    """Detect container and codec of a file without decoding it.

    Raises
    ------
    SongError
        If audiorec does not support the file: see `audiorec.audio.sniff.sniff`.

    Examples
    --------
    >>> probe("fixtures/audio/tabla-loop.m4a").codec
    'alac'
    """
    from audiorec.audio.pyav_reader import audio_stream, codec_name, open_container

    sniffed = sniff(path)
    if sniffed.container in _OF_ITS_OWN:
        return Playable(sniffed.container, _OF_ITS_OWN[sniffed.container])
    begin, end, blank_at = sniffed.audio_begin, sniffed.audio_end, sniffed.header.blank_at
    try:
        with (
            open_regular(path) as file,
            open_container(file, begin=begin, end=end, blank_at=blank_at) as container,
        ):
            return Playable(sniffed.container, codec_name(audio_stream(container)))
    except DecoderError as error:
        raise SongError(
            display_path(path), error.failure, error.reason, decoder=error.decoder
        ) from None


def write_wav(
    path: PathLike,
    out: Path,
    *,
    max_duration_s: float = MAX_DURATION_S,
    max_bytes: int = MAX_BYTES,
) -> float:
    """Decode a file to a 16-bit WAV and return its length in seconds.

    Parameters
    ----------
    path : path-like
        An audio file of any supported format.
    out : Path
        Written while decoding; complete once the function returns.
    max_duration_s : float
        Seconds; a longer file is refused.
    max_bytes : int
        Of samples; a file that needs more is refused.

    Raises
    ------
    SongError
        If no decoder can read the file, or it is too long.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     round(write_wav("fixtures/audio/drum-loop.aiff", Path(folder) / "loop.wav"), 1)
    5.0
    """
    sniffed = sniff(path)
    refusals: list[DecoderError] = []
    for make_reader in _readers(sniffed):
        try:
            with open_regular(path) as file:
                writer = _Writer(path, out, max_duration_s, max_bytes)
                return writer.write(make_reader(file, sniffed).blocks())
        except DecoderError as refusal:
            refusals.append(refusal)
    last = refusals[-1]
    raise SongError(display_path(path), last.failure, last.reason, decoder=last.decoder)


def _readers(sniffed: Sniffed) -> list[Callable[..., Any]]:
    """Return the decoders to try, in order, as `audiorec.audio.decode` does."""
    from audiorec.audio.pyav_reader import PyavReader
    from audiorec.audio.soundfile_reader import SoundfileReader

    first = sniffed.container in SOUNDFILE_CONTAINERS and sniffed.header.suits_soundfile
    return [SoundfileReader, PyavReader] if first else [PyavReader]


class _Writer:
    """Writer of blocks to one WAV, with the rate and the channels of the first block."""

    def __init__(self, path: PathLike, out: Path, max_duration_s: float, max_bytes: int) -> None:
        self._name = display_path(path)
        self._out = out
        self._most_s, self._most_bytes = max_duration_s, max_bytes

    def write(self, blocks: Iterator[RawBlock]) -> float:
        first = next(blocks, None)
        if first is None:
            raise SongError(self._name, Failure.NO_AUDIO, "the file contains no samples")
        rate, channels = first.sample_rate, first.samples.shape[1]
        target = min(rate, MAX_RATE)
        resampler = None
        if target != rate:
            resampler = soxr.ResampleStream(rate, target, channels, dtype="float32")
        seconds = 0.0
        with soundfile.SoundFile(
            self._out, "w", target, channels, subtype="PCM_16", format="WAV"
        ) as wav:
            for block in _and(first, blocks):
                if (block.sample_rate, block.samples.shape[1]) != (rate, channels):
                    break  # chained stream of another kind: keep only the first
                seconds += len(block.samples) / rate
                if seconds > self._most_s:
                    reason = f"longer than the limit of {self._most_s / 3600:.2f} h"
                    raise SongError(self._name, Failure.TOO_LONG, reason)
                if seconds * target * channels * SAMPLE_BYTES > self._most_bytes:
                    reason = f"more than {self._most_bytes >> 20:,} MiB as a WAV"
                    raise SongError(self._name, Failure.TOO_LONG, reason)
                wav.write(_clean(block.samples, resampler))
            if resampler is not None:
                wav.write(resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True))
        return seconds


def _and(first: RawBlock, rest: Iterator[RawBlock]) -> Iterator[RawBlock]:
    yield first
    yield from rest


def _clean(samples: FloatArray, resampler: Any) -> FloatArray:
    """Return samples at the WAV's rate, finite and clipped to full scale."""
    finite: FloatArray = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    if resampler is not None:
        finite = resampler.resample_chunk(np.ascontiguousarray(finite))
    return np.clip(finite, -1.0, 1.0)
