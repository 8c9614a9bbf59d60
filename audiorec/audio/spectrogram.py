"""The mel spectrogram of a song in a picture's width: power of 96 bands over time, in decibels.

::

    path ──decode──▶ blocks ──power_spectra, mel_power──▶ frames of 16 ms
         ──means of 4 frames, then of as many as a picture has columns──▶ `Spectrogram`
"""

from collections.abc import Iterable
from os import PathLike

import numpy as np

from audiorec.audio.decode import decode
from audiorec.audio.mel import mel_power, power_spectra
from audiorec.spec import MelSpec
from audiorec.types import FloatArray, Spectrogram

COLUMNS = 1_200  # about one per pixel of a typical picture's width
FRAMES = 4  # averaged at once, 64 ms: two hours take 43 MB
QUIETEST = 1e-10  # power of the lowest value, as in librosa.power_to_db


def spectrogram(path: "str | PathLike[str]", *, columns: int = COLUMNS) -> Spectrogram:
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
