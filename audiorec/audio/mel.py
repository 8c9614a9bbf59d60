"""Waveform to mel frames: what the backbone sees.

    blocks (n,) at 16 kHz  ──power_spectra──▶  (f, 257)  ──mel_power──▶  (f, 96), 62.5 a second
                           ──compressed──▶     log-mel frames, at a gain

One STFT runs over the whole track: frame k is centred on sample ``k * hop_length``, and
half a window of zeros stands before the first sample and after the last. The frames are
made in chunks of 128 that are counted from the start of the track, so that the result does
not depend on how the waveform was cut into blocks, not even in its last bit.

The filterbank is Slaney's: linear below 1 kHz, logarithmic above, each triangle of area 1.
The weights that come with it were trained on power spectra compressed by
``log10(10000 * power + 1)``; another scale or compression gives wrong tags and no error.
The compression is not homogeneous: 10 dB more is not a constant more. So a track's gain has to
be known before it, and frames wait for that as power.
"""

import functools
from collections.abc import Iterable, Iterator

import numpy as np

from audiorec.errors import ShapeError
from audiorec.spec import MelSpec
from audiorec.types import Float64Array, FloatArray

_DEFAULT_SPEC = MelSpec()
CHUNK_FRAMES = 128  # a chunk's spectra fit into the cache: 128 x 257 complex64 = 263 kB

PIECE_SAMPLES = 1 << 17  # of a block that are copied at once

# Slaney's scale: linear up to 1 kHz, then 27 steps for each factor of 6.4.
_LINEAR_HZ = 200.0 / 3.0  # hertz per mel below the knee
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27.0  # natural logarithm of the frequency ratio per mel


def power_spectra(
    blocks: Iterable[FloatArray], spec: MelSpec = _DEFAULT_SPEC
) -> Iterator[FloatArray]:
    """Yield the power spectra of a track while its samples come in.

    The blocks, (n,) float32 at ``spec.sample_rate``, may be cut anywhere; empty ones are allowed.
    Spectra come as (f, 1 + n_fft // 2) float32, 1 to 128 frames at a time,
    ``spec.n_frames(n_samples)`` in all. No more than the samples of one chunk and one block are
    held at a time.
    """
    hop, half = spec.hop_length, spec.n_fft // 2
    chunk_samples = (CHUNK_FRAMES - 1) * hop + spec.n_fft  # samples that 128 frames touch
    pending = np.zeros(half, np.float32)  # the padding before the first sample
    n_samples = n_done = 0
    for block in blocks:
        if block.ndim != 1:
            raise ShapeError(f"a block must have shape (n,), got {block.shape}")
        n_samples += len(block)
        for start in range(0, len(block), PIECE_SAMPLES):  # a block may be two hours
            piece = block[start : start + PIECE_SAMPLES]
            pending = np.concatenate([pending, piece], dtype=np.float32)
            while len(pending) >= chunk_samples:
                yield _chunk(pending, CHUNK_FRAMES, spec)
                n_done += CHUNK_FRAMES
                pending = pending[CHUNK_FRAMES * hop :]
    # The last chunks: n_frames frames reach at most half a window past the last sample.
    pending = np.concatenate([pending, np.zeros(half, np.float32)])
    while (n_left := spec.n_frames(n_samples) - n_done) > 0:
        n_now = min(n_left, CHUNK_FRAMES)
        yield _chunk(pending, n_now, spec)
        n_done += n_now
        pending = pending[n_now * hop :]


def mel_power(spectra: FloatArray, spec: MelSpec = _DEFAULT_SPEC) -> FloatArray:
    """Return the power in each mel band: (f, 1 + n_fft // 2) to (f, n_mels) float32."""
    power: FloatArray = spectra @ mel_filterbank(spec).T
    return power


def compressed(
    power: FloatArray, spec: MelSpec = _DEFAULT_SPEC, *, gain: float = 1.0
) -> FloatArray:
    """Return log-mel frames: mel power (f, n_mels) of a track made `gain` times as loud.

    `gain` is of the samples, 10 for 20 dB. Never negative; a new array, float32.
    """
    frames = power * np.float32(spec.compression * gain**2)
    frames += np.float32(1.0)
    log_frames: FloatArray = np.log10(frames, out=frames)
    return log_frames


def log_mel(
    waveform: FloatArray, spec: MelSpec = _DEFAULT_SPEC, *, gain: float = 1.0
) -> FloatArray:
    """Return all log-mel frames of a waveform, as loud as it is, or at a gain.

    Parameters
    ----------
    waveform : ndarray, shape (N,), float32
        Samples at ``spec.sample_rate``.
    spec : MelSpec
    gain : float
        Of the samples; ``level.gain`` says what a track's is.

    Returns
    -------
    frames : ndarray, shape (1 + N // hop_length, n_mels), float32
        ``log10(compression * gain**2 * mel_power + 1)``, never negative; no row for N = 0.

    Raises
    ------
    ShapeError
        If `waveform` has more than one axis.

    Examples
    --------
    >>> log_mel(np.zeros(16_000, np.float32)).shape
    (63, 96)
    """
    chunks = [mel_power(spectra, spec) for spectra in power_spectra([waveform], spec)]
    power = np.concatenate([np.zeros((0, spec.n_mels), np.float32), *chunks])
    return compressed(power, spec, gain=gain)


def _chunk(samples: FloatArray, n_frames: int, spec: MelSpec) -> FloatArray:
    """Power spectra of the first `n_frames` windows of `samples`, which holds all they touch."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, spec.n_fft)
    windowed = windows[: n_frames * spec.hop_length : spec.hop_length] * window(spec.n_fft)
    # Numpy's own transform: scipy's is faster by a hundredth of a song's time, and importing it
    # takes 0.3 CPU-seconds and 25 MB. (Before numpy 2 it computes in float64.)
    spectra = np.fft.rfft(windowed, axis=-1).astype(np.complex64, copy=False)
    parts = spectra.view(np.float32)  # real and imaginary alternate
    parts *= parts
    power: FloatArray = parts[:, 0::2] + parts[:, 1::2]
    return power


@functools.cache
def window(n_fft: int) -> FloatArray:
    """Hann window, periodic: the symmetric one is for filter design."""
    phase = 2.0 * np.pi * np.arange(n_fft) / n_fft
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


@functools.cache
def mel_filterbank(spec: MelSpec) -> FloatArray:
    """Return the triangles (n_mels, 1 + n_fft // 2), float32, that turn power into mel bands.

    Row m rises from the centre of band m - 1 to that of band m and falls to that of band m + 1,
    with area 1 over frequency in hertz. Computed in float64; shared, and therefore read-only.
    """
    edges_mel = np.linspace(_hz_to_mel(spec.f_min), _hz_to_mel(spec.f_max), spec.n_mels + 2)
    edges = _mel_to_hz(edges_mel)[:, None]  # (n_mels + 2, 1)
    bins = np.arange(1 + spec.n_fft // 2) * (spec.sample_rate / spec.n_fft)  # hertz
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - lower) / (centre - lower)
    falling = (upper - bins) / (upper - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filterbank: FloatArray = (triangles * 2.0 / (upper - lower)).astype(np.float32)
    filterbank.flags.writeable = False
    return filterbank


def _hz_to_mel(hz: float) -> float:
    if hz < _KNEE_HZ:
        return hz / _LINEAR_HZ
    return float(_KNEE_MEL + np.log(hz / _KNEE_HZ) / _LOG_STEP)


def _mel_to_hz(mel: Float64Array) -> Float64Array:
    above = _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _LINEAR_HZ, above)
