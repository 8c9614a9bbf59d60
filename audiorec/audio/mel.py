"""Waveform to mel frames: what the backbone sees.

    blocks (n,) at 16 kHz  ──power_spectra──▶  (f, 257)  ──mel_power──▶  (f, 96), 62.5 a second
                           ──compressed──▶     log-mel frames, at a gain

One STFT runs over all that is given: frame k is centred on sample ``k * hop_length``, and half a
window of zeros stands before the first sample and after the last (or of the samples themselves,
reflected, or nothing: `MelSpec` says so). The frames are made in chunks of 128 that are counted
from the start, so that the result does not depend on how the waveform was cut into blocks, not even
in its last bit.

The weights that come with it were trained on Slaney's filterbank (`audiorec.audio.filterbank`) and
power spectra compressed by ``log10(10000 * power + 1)``; another scale or compression gives wrong
tags and no error. The compression is not homogeneous: 10 dB more is not a constant more. So a
track's gain has to be known before it, and frames wait for that as power.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from audiorec.audio.filterbank import mel_filterbank, window
from audiorec.errors import ShapeError
from audiorec.spec import MelSpec
from audiorec.types import FloatArray

_DEFAULT_SPEC = MelSpec()
CHUNK_FRAMES = 128  # a chunk's spectra fit into the cache: 128 x 257 complex64 = 263 kB
PIECE_SAMPLES = 1 << 17  # of a block that are copied at once


def power_spectra(
    blocks: Iterable[FloatArray], spec: MelSpec = _DEFAULT_SPEC
) -> Iterator[FloatArray]:
    """Yield the power spectra of a track while its samples come in.

    The blocks, (n,) float32 at ``spec.sample_rate``, may be cut anywhere; empty ones are allowed.
    Spectra come as (f, 1 + n_fft // 2) float32, 1 to 128 frames at a time,
    ``spec.n_frames(n_samples)`` in all. No more than the samples of one chunk and one block are
    held at a time.
    """
    counted = _Counted(blocks)
    transform = Transform(spec)
    for block in _with_edges(_emphasised(counted, spec), spec):
        yield from transform.add(block)
    yield from transform.rest(spec.n_frames(counted.n_samples))


class Transform:
    """One STFT, fed with samples as they come; what stands at its edges is its caller's matter."""

    def __init__(self, spec: MelSpec) -> None:
        self._spec = spec
        self._pending = np.zeros(0, np.float32)
        self._n_done = 0
        # Samples that 128 frames touch.
        self._chunk_samples = (CHUNK_FRAMES - 1) * spec.hop_length + spec.n_fft

    def add(self, samples: FloatArray) -> Iterator[FloatArray]:
        """Take the next samples (n,); yield the spectra of each 128 frames that are whole."""
        for start in range(0, len(samples), PIECE_SAMPLES):  # a block may be two hours
            piece = samples[start : start + PIECE_SAMPLES]
            self._pending = np.concatenate([self._pending, piece], dtype=np.float32)
            while len(self._pending) >= self._chunk_samples:
                yield self._next(CHUNK_FRAMES)

    def rest(self, n_frames: int) -> Iterator[FloatArray]:
        """Yield the spectra that are left of `n_frames` in all."""
        while (n_left := n_frames - self._n_done) > 0:
            yield self._next(min(n_left, CHUNK_FRAMES))

    def _next(self, n_frames: int) -> FloatArray:
        spectra = _chunk(self._pending, n_frames, self._spec)
        self._n_done += n_frames
        self._pending = self._pending[n_frames * self._spec.hop_length :]
        return spectra


def mel_power(
    spectra: FloatArray, spec: MelSpec = _DEFAULT_SPEC, filterbank: FloatArray | None = None
) -> FloatArray:
    """Return the power in each mel band: (f, 1 + n_fft // 2) to (f, n_mels) float32.

    Magnitudes where ``spec.power`` is 1. `filterbank` is the matrix (n_mels, 1 + n_fft // 2) where
    the spec's scale is given, and of no use else.
    """
    if spec.power == 1.0:
        spectra = np.sqrt(spectra)
    triangles = mel_filterbank(spec) if filterbank is None else filterbank
    power: FloatArray = spectra @ triangles.T
    return power


def compressed(
    power: FloatArray, spec: MelSpec = _DEFAULT_SPEC, *, gain: float = 1.0
) -> FloatArray:
    """Return log-mel frames: mel power (f, n_mels) of a track made `gain` times as loud.

    `gain` is of the samples, 10 for 20 dB. A new array, float32.
    """
    louder = gain**spec.power
    if spec.curve == "log10(c x + 1)":
        frames = power * np.float32(spec.compression * louder)
        frames += np.float32(1.0)
        np.log10(frames, out=frames)
    elif spec.curve == "log(x + c)":
        frames = power * np.float32(louder)
        frames += np.float32(spec.compression)
        np.log(frames, out=frames)
    else:
        frames = np.maximum(power * np.float32(louder), np.float32(spec.compression))
        np.log10(frames, out=frames)
        frames *= np.float32(10.0)
    if (spec.shift, spec.divide_by) != (0.0, 1.0):
        frames += np.float32(spec.shift)
        frames /= np.float32(spec.divide_by)
    log_frames: FloatArray = frames
    return log_frames


def log_mel(
    waveform: FloatArray,
    spec: MelSpec = _DEFAULT_SPEC,
    *,
    gain: float = 1.0,
    filterbank: FloatArray | None = None,
) -> FloatArray:
    """Return all log-mel frames of a waveform, as loud as it is, or at a gain.

    Parameters
    ----------
    waveform : ndarray, shape (N,), float32
        Samples at ``spec.sample_rate``.
    spec : MelSpec
    gain : float
        Of the samples; ``level.gain`` says what a track's is.
    filterbank : ndarray, shape (n_mels, 1 + n_fft // 2), optional
        Where the spec's scale is given.

    Returns
    -------
    frames : ndarray, shape (1 + N // hop_length, n_mels), float32
        By default ``log10(compression * gain**2 * mel_power + 1)``; no row for N = 0.

    Raises
    ------
    ShapeError
        If `waveform` has more than one axis.

    Examples
    --------
    >>> log_mel(np.zeros(16_000, np.float32)).shape
    (63, 96)
    """
    chunks = [mel_power(spectra, spec, filterbank) for spectra in power_spectra([waveform], spec)]
    power = np.concatenate([np.zeros((0, spec.n_mels), np.float32), *chunks])
    return compressed(power, spec, gain=gain)


def _chunk(samples: FloatArray, n_frames: int, spec: MelSpec) -> FloatArray:
    """Power spectra of the first `n_frames` windows of `samples`, which holds all they touch."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, spec.n_fft)
    windows = windows[: n_frames * spec.hop_length : spec.hop_length]
    if spec.curve == "10 log10(max(x, c))":  # which tells 1e-10 from the noise of float32 beside 1
        wide = np.fft.rfft(windows * window(spec), axis=-1)
        return (wide.real**2 + wide.imag**2).astype(np.float32)
    windowed = windows * window(spec).astype(np.float32)
    # Numpy's own transform: scipy's is faster by a hundredth of a song's time, and importing it
    # takes 0.3 CPU-seconds and 25 MB. (Before numpy 2 it computes in float64.)
    spectra = np.fft.rfft(windowed, axis=-1).astype(np.complex64, copy=False)
    parts = spectra.view(np.float32)  # real and imaginary alternate
    parts *= parts
    power: FloatArray = parts[:, 0::2] + parts[:, 1::2]
    return power


class _Counted:
    """Blocks, checked and counted as they pass."""

    def __init__(self, blocks: Iterable[FloatArray]) -> None:
        self.n_samples = 0
        self._blocks = blocks

    def __iter__(self) -> Iterator[FloatArray]:
        for block in self._blocks:
            if block.ndim != 1:
                raise ShapeError(f"a block must have shape (n,), got {block.shape}")
            self.n_samples += len(block)
            yield block


def _emphasised(blocks: Iterable[FloatArray], spec: MelSpec) -> Iterator[FloatArray]:
    """Yield ``x[n] - c x[n - 1]`` from the second sample on; without pre-emphasis, the blocks."""
    if not spec.pre_emphasis:
        yield from blocks
        return
    last = np.zeros(0, np.float32)
    for block in blocks:
        joined = np.concatenate([last, block], dtype=np.float32)
        if len(joined) > 1:
            yield joined[1:] - np.float32(spec.pre_emphasis) * joined[:-1]
        last = joined[-1:]


def _with_edges(blocks: Iterable[FloatArray], spec: MelSpec) -> Iterator[FloatArray]:
    """Yield the blocks with what stands before the first sample and after the last."""
    half = spec.n_fft // 2
    if spec.padding == "none":
        yield from blocks
    elif spec.padding == "zeros":
        yield np.zeros(half, np.float32)
        yield from blocks
        yield np.zeros(half, np.float32)
    else:
        yield from _reflected(blocks, half)


def _reflected(blocks: Iterable[FloatArray], half: int) -> Iterator[FloatArray]:
    """Yield the blocks with their first and last samples mirrored: ``c b | a b c ... | y x``."""
    begun, last = False, np.zeros(0, np.float32)
    for block in blocks:
        last = np.concatenate([last, block])
        if begun:
            yield block
        elif len(last) > half:
            begun = True
            yield last[half:0:-1]
            yield last
        if begun:
            last = last[-half - 1 :]
    if begun:
        yield last[-2::-1][:half]
    elif len(last):  # shorter than the edge: mirrored to and fro
        yield np.pad(last, half, mode="reflect")
