"""The waveform and the mel spectrogram of a song, in a picture's width.

::

    path ──sound_reader──▶ a worker: `Envelope`, `Spectrogram`      or a `SongError`

    path ──decode──▶ blocks ──power_spectra, mel_power──▶ frames of 16 ms
         ──means of 4 frames, then of as many as a picture has columns──▶ `Spectrogram`
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os import PathLike

import numpy as np

from audiorec.audio.decode import decode, envelope
from audiorec.audio.mel import mel_power, power_spectra
from audiorec.audio.readers import captured_stderr
from audiorec.extraction.reader import Reader
from audiorec.spec import MelSpec
from audiorec.types import Envelope, FloatArray

COLUMNS = 1_200  # about one per pixel of a typical picture's width
FRAMES = 4  # averaged at once, 64 ms: two hours take 43 MB
QUIETEST = 1e-10  # power of the lowest value, as in librosa.power_to_db


@dataclass(frozen=True, slots=True)
class Spectrogram:
    """Mel spectrogram for drawing: level of each band in columns of equal length."""

    level_db: FloatArray  # (bands, n): decibels
    sample_rate: int  # hertz; the bands reach up to half of it, on Slaney's scale
    duration_s: float  # total duration


def sound_reader() -> Reader[tuple[Envelope, Spectrogram]]:
    """Return a reader of waveform and spectrogram, which decodes in a worker process."""
    return Reader("audiorec_plots.sound:sound_handler")


def sound_handler() -> Callable[[str], tuple[Envelope, Spectrogram]]:
    """Return the function that the worker of `sound_reader` runs."""

    def quiet(path: str) -> tuple[Envelope, Spectrogram]:
        with captured_stderr():
            return envelope(path), spectrogram(path)

    return quiet


def spectrogram(path: str | PathLike[str], *, columns: int = COLUMNS) -> Spectrogram:
    """Decode a file and return its mel spectrogram, with at most `columns` columns.

    Raises
    ------
    SongError
        As `audiorec.audio.decode.decode`.
    """
    result, _info = decode(path, lambda blocks: _averaged(blocks, columns))
    return result


def _averaged(blocks: Iterable[FloatArray], columns: int) -> Spectrogram:
    spec = MelSpec()
    means, n_frames = [np.zeros((0, spec.n_mels), np.float32)], 0
    for spectra in power_spectra(blocks, spec):
        power = mel_power(spectra, spec)
        n_frames += len(power)
        starts = range(0, len(power), FRAMES)
        means.append(np.stack([power[at : at + FRAMES].mean(axis=0) for at in starts]))
    power = np.concatenate(means)
    times = max(1, -(-len(power) // columns))
    power = np.stack([power[at : at + times].mean(axis=0) for at in range(0, len(power), times)])
    level_db = 10 * np.log10(np.maximum(power, QUIETEST)).T
    duration_s = n_frames * spec.hop_length / spec.sample_rate
    return Spectrogram(level_db.astype(np.float32), spec.sample_rate, duration_s)
