"""Loudness of a song, and the gain that brings it to the spec's loudness.

    power spectra (f, 257)  ──LoudnessMeter──▶  loudness_lufs  ──gain──▶  factor of the samples

The meter follows ITU-R BS.1770: K-weighting, which removes inaudibly low frequencies and boosts
those that the head's acoustics make louder; blocks of 400 ms, one every 100 ms; the mean of the
blocks above -70 LUFS, then of those no more than 10 LU below that mean, so that pauses do not
count. It reads the power spectra that are computed for the mel frames anyway, applies the
weighting as a factor per bin, and adds 1 % to their cost.

It measures the backbone's input: the mono mix at 16 kHz. The standard sums channels, so a stereo
file with equal channels measures 3 LU more by it; and what lies above 8 kHz is not measured here.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from audiorec.audio.mel import Transform, power_spectra, window
from audiorec.spec import FeatureSpec, LevelSpec, MelSpec
from audiorec.types import Float64Array, FloatArray

Heard = Callable[[FloatArray], None]  # called with power spectra (f, 1 + n_fft // 2)

_DEFAULT_SPEC = FeatureSpec()
BLOCK_S, STEP_S = 0.4, 0.1
METER_HOP_S = 0.016  # hop of the meter's own spectra, if those of the front end do not fit
ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -70.0, -10.0
_OFFSET_LU = -0.691  # makes the loudness of a 997 Hz sine equal its RMS level
# The two filters of the standard, as (b, a) at 48 kHz: the head's shelf, then the high-pass.
_FILTER_RATE = 48_000  # Hz
_FILTERS = (
    (
        (1.53512485958697, -2.69169618940638, 1.19839281085285),
        (1.0, -1.69065929318241, 0.73248077421585),
    ),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)


def loudness_lufs(waveform: FloatArray, spec: MelSpec = _DEFAULT_SPEC.mel) -> float | None:
    """Return the integrated loudness of a waveform.

    Parameters
    ----------
    waveform : ndarray, shape (N,), float32
        Mono samples at ``spec.sample_rate``.
    spec : MelSpec

    Returns
    -------
    loudness : float or None
        In LUFS. None if no block of 400 ms is louder than -70 LUFS: silence, a noise floor, a
        waveform shorter than 400 ms.

    Raises
    ------
    ShapeError
        If `waveform` has more than one axis.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 997 / 16_000 * np.arange(48_000)).astype(np.float32)
    >>> round(loudness_lufs(tone), 2), loudness_lufs(0 * tone)
    (-3.01, None)
    """
    meter = LoudnessMeter(spec)
    for spectra in power_spectra([waveform], spec):
        meter.add(spectra)
    return meter.loudness_lufs(len(waveform))


def gain(loudness: float | None, spec: LevelSpec | None) -> float:
    """Return the factor that brings a song's samples to the spec's loudness.

    1 if the loudness is undefined or the spec has no level; at most the spec's maximum gain.

    Examples
    --------
    >>> round(gain(-33.0, LevelSpec(target_lufs=-23.0)), 3)
    3.162
    """
    if loudness is None or spec is None:
        return 1.0
    return float(10.0 ** (min(spec.target_lufs - loudness, spec.max_gain_db) / 20.0))


def reads_frames_of(spec: MelSpec) -> bool:
    """Return whether the meter can reuse a front end's own spectra.

    It can if they have the meter's FFT size and hop, and the default window and padding.
    """
    return spec == MelSpec(
        sample_rate=spec.sample_rate,
        n_fft=meter_spec(spec).n_fft,
        hop_length=meter_spec(spec).hop_length,
        n_mels=spec.n_mels,
        f_min=spec.f_min,
        f_max=spec.f_max,
        compression=spec.compression,
    )


def meter_spec(spec: MelSpec) -> MelSpec:
    """Return the meter's spectrum spec at a front end's sample rate: 32 ms, one every 16 ms."""
    hop = round(METER_HOP_S * spec.sample_rate)
    half = spec.sample_rate / 2
    return MelSpec(sample_rate=spec.sample_rate, n_fft=2 * hop, hop_length=hop, f_max=half)


class LoudnessMeter:
    """Loudness meter of one song, fed with power spectra.

    `n_samples` counts the samples that passed through `pass_through`. `heard`, if given, is called
    with the same spectra, for another meter.
    """

    def __init__(self, spec: MelSpec = _DEFAULT_SPEC.mel, heard: Heard | None = None) -> None:
        self.n_samples = 0
        self._spec, self._heard = spec, heard
        self._frames: list[FloatArray] = []  # mean square of each: 250 bytes a second

    def add(self, spectra: FloatArray) -> None:
        """Add the next spectra, shape (f, 1 + n_fft // 2), as `power_spectra` yields them."""
        self._frames.append(spectra @ _weights(self._spec))
        if self._heard:
            self._heard(spectra)

    def pass_through(self, blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Pass through the blocks (n,) of a song and measure them."""
        transform, edge = Transform(self._spec), np.zeros(self._spec.n_fft // 2, np.float32)
        self._add_all(transform.add(edge))
        for block in blocks:
            self.n_samples += len(block)
            self._add_all(transform.add(block))
            yield block
        self._add_all(transform.add(edge))
        self._add_all(transform.rest(self._spec.n_frames(self.n_samples)))

    def _add_all(self, spectra: Iterable[FloatArray]) -> None:
        for some in spectra:
            self.add(some)

    def loudness_lufs(self, n_samples: int) -> float | None:
        """Return the loudness of the first `n_samples`, like the function `loudness_lufs`.

        Later frames, which contain only padding, do not count.
        """
        # Half of frame 0 lies before the song begins; the first block starts at frame 1.
        whole = n_samples // self._spec.hop_length
        frames = np.concatenate([np.zeros(0, np.float32), *self._frames])[1 : 1 + whole]
        sums = np.concatenate([[0.0], np.cumsum(frames, dtype=np.float64)])
        rate = self._spec.sample_rate / self._spec.hop_length
        length = round(BLOCK_S * rate)  # 25 frames are 400 ms
        steps = np.arange(1 + max(0, int((len(frames) - length) / (STEP_S * rate))))
        starts = np.floor(steps * (STEP_S * rate) + 1e-6).astype(np.int64)
        starts = starts[starts + length <= len(frames)]
        return _gated((sums[starts + length] - sums[starts]) / length)


def _gated(blocks: Float64Array) -> float | None:
    """Return the gated loudness of blocks given as mean squares; None if no block passes."""
    heard = blocks[blocks > _mean_square(ABSOLUTE_GATE_LUFS)]
    if not len(heard):
        return None
    heard = heard[heard > heard.mean() * 10.0 ** (RELATIVE_GATE_LU / 10.0)]
    return float(_OFFSET_LU + 10.0 * np.log10(heard.mean()))


def _mean_square(lufs: float) -> float:
    return float(10.0 ** ((lufs - _OFFSET_LU) / 10.0))


@functools.cache
def _weights(spec: MelSpec) -> FloatArray:
    """Return the weights (1 + n_fft // 2) from a power spectrum to a K-weighted mean square."""
    z = np.exp(-2j * np.pi * np.arange(1 + spec.n_fft // 2) * spec.sample_rate / spec.n_fft
               / _FILTER_RATE)  # fmt: skip
    response: Any = 1.0
    for b, a in _FILTERS:
        response = response * np.polyval(b[::-1], z) / np.polyval(a[::-1], z)
    twice = np.full(len(z), 2.0)  # the other half of a real signal's spectrum
    twice[-1] = 1.0
    twice[:2] = 0.0  # a DC offset, which is inaudible, would leak into bin 1
    energy = spec.n_fft * np.square(window(spec).astype(np.float32), dtype=np.float64).sum()
    weights: FloatArray = (np.abs(response) ** 2 * twice / energy).astype(np.float32)
    return weights
