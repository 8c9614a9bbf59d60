"""Tempo of a song, measured while it is decoded: how fast its pulse is, and at which level.

    power spectra (f, 257) ──TempoMeter──▶ fit of each tempo ──▶ pulse ──its levels──▶ `Tempo`

How fast the pulse is, is told apart from the level at which people tap, which may be half or twice
as fast. What tells the level is learnt from music at its composer's tempo by
``scripts/tempo/fit_level.py``.
"""

from dataclasses import dataclass

import numpy as np

from audiorec.audio.mel import mel_power
from audiorec.spec import MelSpec
from audiorec.types import Float64Array, FloatArray

TEMPO_METHOD = "tempo 2"  # increment the number when results change
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
# logarithm of its fit; fitted by `benchmarks/sound/eval_attributes.py --fit` on dev clips.
_OFFSET, _SLOPE = 1.4, 2.23

_LEVELS = np.array([0.25, 0.5, 1.0, 2.0, 4.0])  # of the tempo that fits best
# Weights of what tells the level: `scripts/tempo/fit_level.py`.
LEVEL_WEIGHTS = np.array([0.0461, -2.8, 0.866, 1.72, 2.16, -1.54, -0.262, -0.133, 0.0242, -0.712])
CLEAR_LEVEL = 0.75  # chance of a level from which no other is named
NO_BEAT = 0.3  # confidence below which a song has no beat


@dataclass(frozen=True, slots=True)
class Tempo:
    """Tempo in beats per minute, None without a pulse; confidence from 0 to 1.

    `other` is the tempo of another level that people may tap instead, None where one is clear.
    """

    bpm: float | None
    confidence: float
    other: float | None = None


class TempoMeter:
    """Streaming estimator of a song's tempo.

        power spectra (f, 257) ──log-mel flux──▶ onset strength, 62.5 per second
            ──windows of 12 s: autocorrelation × spectrum──▶ fit of each tempo ──▶ pulse
            ──what tells the level──▶ chances of ¼, ½, 1, 2, 4 of it ──▶ bpm, confidence, other

    Onset strength is the growth of the log energy of mel bands. A regular pulse shows in it twice:
    in the autocorrelation, which peaks at the period and its whole multiples, and in the spectrum,
    which peaks at the rate and its multiples. Multiples of the period are slower tempos and
    multiples of the rate faster ones, so the product of both is high for the pulse alone (G.
    Peeters, "Template-based estimation of time-varying tempo", EURASIP Journal on Advances in
    Signal Processing, 2007). Which multiple of the pulse people tap is chosen by a softmax over the
    levels; where none is clear, the second stands beside the first.

    Each window is normalised by its mean energy: a quieter copy has the same tempo.
    """

    def __init__(self) -> None:
        self._held = np.zeros((0, _MEL.n_mels), np.float32)  # mel power: less than a window
        self._energy = np.zeros(_WINDOW + 1)  # of the windows' spectra
        self._spectrum = np.zeros(_PADDED // 2 + 1)
        self._peaks = self._windows = 0

    def add(self, spectra: FloatArray) -> None:
        """Add the next spectra (f, 257), as `audiorec.audio.mel.power_spectra` yields them."""
        self._held = np.concatenate([self._held, mel_power(spectra, _MEL)])
        while len(self._held) >= _WINDOW:
            self._window(self._held[:_WINDOW])
            self._held = self._held[_HOP:]

    def tempo(self) -> Tempo:
        """Return the tempo of the song; call it after the last block."""
        pulse, certain = self.pulse()
        if pulse is None:
            return Tempo(None, 0.0)
        bpm, features = self.levels(pulse)
        chances = np.exp(features @ LEVEL_WEIGHTS)
        chances /= chances.sum()
        first, *others = np.argsort(-chances)
        confidence = float(certain * chances[first])
        is_clear = chances[first] >= CLEAR_LEVEL or confidence < NO_BEAT
        return Tempo(float(bpm[first]), confidence, None if is_clear else float(bpm[others[0]]))

    def pulse(self) -> tuple[float | None, float]:
        """Return the tempo that fits best, and how surely it is right but for its level."""
        begun = max(0, len(self._held) - _HOP)  # frames that no window has covered
        if self._windows == 0 or begun > _HOP // 2:
            self._window(np.pad(self._held, ((0, _WINDOW - len(self._held)), (0, 0))))
            self._held = self._held[:_HOP]
        score = self._fit(_GRID) * np.exp(-0.5 * (np.log2(_GRID / _PREFERRED) / _SPREAD) ** 2)
        if not score.any():
            return None, 0.0
        best = int(score.argmax())
        certain = 1.0 / (1.0 + np.exp(-(_OFFSET + _SLOPE * np.log(score[best]))))
        return _peak(score, best), float(certain)

    def levels(self, pulse: float) -> tuple[Float64Array, Float64Array]:
        """Return the levels (n,) of a pulse in beats per minute, and what tells them (n, 10).

        The columns of the second are in the order of `LEVEL_WEIGHTS`.
        """
        bpm = pulse * _LEVELS
        bpm = bpm[(bpm >= SLOWEST) & (bpm <= FASTEST)]
        return bpm, self._features(bpm)

    def _fit(self, bpm: Float64Array) -> Float64Array:
        """Return how well tempos (n,) fit the onsets, whatever their level."""
        weights, multiples = 1.0 / _MULTIPLES, _MULTIPLES[:, None]
        likeness = np.maximum(weights @ self._likeness(bpm / multiples), 0.0)
        return likeness * (weights @ self._lines(bpm * multiples))

    def _features(self, bpm: Float64Array) -> Float64Array:
        """Return what tells the level of tempos (n,): shape (n, 10)."""
        octaves = np.log2(bpm / _PREFERRED)
        seconds = max(1, self._windows) * _WINDOW / _RATE
        columns = [
            octaves,
            octaves**2,
            np.log(self._fit(bpm) + 1e-3),
            *(self._likeness(bpm * by) for by in (2.0, 1.0, 0.5)),
            *(self._lines(bpm * by) for by in (0.5, 1.0, 2.0)),
            np.log2(1.0 + self._peaks / seconds * 60.0 / bpm),
        ]
        return np.stack(columns, axis=1)

    def _likeness(self, bpm: Float64Array) -> Float64Array:
        """Return the autocorrelation of the onsets, a beat of some tempos apart."""
        overlap = np.maximum(0.2, 1.0 - np.arange(_WINDOW) / _WINDOW)
        whole = np.fft.irfft(self._energy / max(1, self._windows))[:_WINDOW] / overlap
        return np.interp(60.0 * _RATE / bpm, np.arange(_WINDOW), whole)

    def _lines(self, bpm: Float64Array) -> Float64Array:
        """Return the spectrum of the onsets, at the rate of some tempos."""
        bins = bpm / 60.0 / _RATE * _PADDED
        return np.interp(bins, np.arange(_PADDED // 2 + 1), self._spectrum / max(1, self._windows))

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
        self._peaks += _peaks(onsets)
        onsets /= length
        self._energy += np.abs(np.fft.rfft(onsets, 2 * _WINDOW)) ** 2
        self._spectrum += np.abs(np.fft.rfft(onsets * np.hanning(len(onsets)), _PADDED))
        self._windows += 1


def _peaks(onsets: Float64Array) -> int:
    """Count the onsets that stand out: peaks more than a standard deviation above the mean, 0."""
    at = onsets[1:-1]
    is_peak = (at > onsets[:-2]) & (at >= onsets[2:]) & (at > onsets.std())
    return int(is_peak.sum())


def _peak(score: Float64Array, best: int) -> float:
    """Refine a maximum by a parabola through it and its neighbours; return its tempo."""
    if not 0 < best < len(score) - 1:
        return float(_GRID[best])
    before, at, after = score[best - 1 : best + 2]
    shift = 0.5 * (before - after) / (before - 2 * at + after)
    return float(_GRID[best] * (_GRID[1] / _GRID[0]) ** shift)
