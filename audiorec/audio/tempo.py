"""Estimate a song's tempo in beats per minute, with a confidence.

    power spectra (f, 257) ──log-mel flux──▶ onset strength, 62.5 per second
        ──windows of 12 s: autocorrelation × spectrum──▶ fit of each tempo ──▶ bpm, confidence

Onset strength is the growth of the log energy of mel bands. A regular pulse shows in it twice: in
the autocorrelation, which peaks at the period and its whole multiples, and in the spectrum, which
peaks at the rate and its multiples. Multiples of the period are slower tempos and multiples of the
rate faster ones, so the product of both is high for the pulse alone [1]_. What remains ambiguous is
the metrical level that a listener would tap to; tempos near 100 are preferred.

The spectra are those of the backbone's frames, from which loudness is measured too. Windows are
summed as they arrive, so memory does not grow with the song. Each is normalised by its
mean energy: a quieter copy has the same tempo.

References
----------
.. [1] G. Peeters, "Template-based estimation of time-varying tempo", EURASIP Journal on Advances
   in Signal Processing, 2007.
"""

from dataclasses import dataclass

import numpy as np

from audiorec.audio.mel import mel_power
from audiorec.spec import MelSpec
from audiorec.types import Float64Array, FloatArray

METHOD = "tempo 1"  # increment the number when results change
SLOWEST, FASTEST = 40.0, 250.0  # beats per minute

_MEL = MelSpec(n_mels=40)  # its spectra are those of the default spec
_RATE = _MEL.sample_rate / _MEL.hop_length  # onset values per second
_WINDOW = 750  # onsets: 12 s
_HOP = _WINDOW // 2
_LAG = 2  # frames over which growth is measured: 32 ms
_CONTRAST = 1e4  # growth counts down to this factor below a window's mean energy
_SILENT = 1e-10  # windows of a lower mean mel power are ignored
_PADDED = 8192  # length of the windows' FFT
_MULTIPLES = np.arange(1, 5)  # of the period and of the rate, weighted by 1 / multiple
_PREFERRED, _SPREAD = 100.0, 0.9  # beats per minute, octaves
_GRID = np.geomspace(SLOWEST, FASTEST, 400)  # steps of 0.46 %
# Confidence: probability that a tempo is within 4 % of the truth (up to octave errors), from the
# logarithm of its fit; fitted by `benchmarks/eval_attributes.py --fit` on dev clips.
_OFFSET, _SLOPE = 1.4, 2.23


@dataclass(frozen=True, slots=True)
class Tempo:
    """Tempo in beats per minute, None without a pulse; confidence from 0 to 1."""

    bpm: float | None
    confidence: float


class TempoMeter:
    """Streaming estimator of a song's tempo."""

    def __init__(self) -> None:
        self._held = np.zeros((0, _MEL.n_mels), np.float32)  # mel power: less than a window
        self._energy = np.zeros(_WINDOW + 1)  # of the windows' spectra
        self._spectrum = np.zeros(_PADDED // 2 + 1)
        self._windows = 0

    def add(self, spectra: FloatArray) -> None:
        """Add the next spectra (f, 257), as `audiorec.audio.mel.power_spectra` yields them."""
        self._held = np.concatenate([self._held, mel_power(spectra, _MEL)])
        while len(self._held) >= _WINDOW:
            self._window(self._held[:_WINDOW])
            self._held = self._held[_HOP:]

    def tempo(self) -> Tempo:
        """Return the tempo of the song; call it after the last block."""
        score = self._score()
        if not score.any():
            return Tempo(None, 0.0)
        best = int(score.argmax())
        confidence = 1.0 / (1.0 + np.exp(-(_OFFSET + _SLOPE * np.log(score[best]))))
        return Tempo(_peak(score, best), float(confidence))

    def _score(self) -> Float64Array:
        """Return the fit of each tempo of the grid, (400,)."""
        begun = max(0, len(self._held) - _HOP)  # frames that no window has covered
        if self._windows == 0 or begun > _HOP // 2:
            self._window(np.pad(self._held, ((0, _WINDOW - len(self._held)), (0, 0))))
        n = max(1, self._windows)
        periods = 60.0 * _RATE / _GRID * _MULTIPLES[:, None]  # onsets
        rates = _GRID / 60.0 / _RATE * _PADDED * _MULTIPLES[:, None]  # bins of the spectrum
        overlap = np.maximum(0.2, 1.0 - np.arange(_WINDOW) / _WINDOW)
        likeness = np.fft.irfft(self._energy / n)[:_WINDOW] / overlap
        likeness = np.interp(periods, np.arange(_WINDOW), likeness)
        lines = np.interp(rates, np.arange(_PADDED // 2 + 1), self._spectrum / n)
        weights = 1.0 / _MULTIPLES
        prior = np.exp(-0.5 * (np.log2(_GRID / _PREFERRED) / _SPREAD) ** 2)
        score: Float64Array = np.maximum(weights @ likeness, 0.0) * (weights @ lines) * prior
        return score

    def _window(self, power: FloatArray) -> None:
        """Add a window of mel power (750, 40) to the running sums."""
        mean = float(power.mean())
        if mean < _SILENT:
            return
        loud = np.log10(1.0 + np.float32(_CONTRAST / mean) * power)
        onsets = np.maximum(loud[_LAG:] - loud[:-_LAG], 0.0).mean(axis=1, dtype=np.float64)
        onsets -= onsets.mean()
        length = np.sqrt(onsets @ onsets)
        if length < 1e-6:
            return
        onsets /= length
        self._energy += np.abs(np.fft.rfft(onsets, 2 * _WINDOW)) ** 2
        self._spectrum += np.abs(np.fft.rfft(onsets * np.hanning(len(onsets)), _PADDED))
        self._windows += 1


def _peak(score: Float64Array, best: int) -> float:
    """Refine a maximum by a parabola through it and its neighbours; return its tempo."""
    if not 0 < best < len(score) - 1:
        return float(_GRID[best])
    before, at, after = score[best - 1 : best + 2]
    shift = 0.5 * (before - after) / (before - 2 * at + after)
    return float(_GRID[best] * (_GRID[1] / _GRID[0]) ** shift)
