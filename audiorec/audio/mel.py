"""Waveform to log-mel frames, the backbone's input.

    blocks (n,) at 16 kHz  ──power_spectra──▶  (f, 257)  ──mel_power──▶  (f, 96), 62.5 per second
                           ──compressed──▶     log-mel frames, at a gain

The shipped weights were trained on Slaney's filterbank and on power spectra compressed by
``log10(10000 * power + 1)``; another scale or compression gives wrong tags without any error. The
compression is not homogeneous: 10 dB of gain is not a constant offset after it. So the gain of a
song must be known first, and frames are held as power until it is.
"""

import functools
from collections.abc import Iterable, Iterator

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.spec import MelSpec
from audiorec.types import Float64Array, FloatArray

# Slaney's scale: linear up to 1 kHz, then 27 steps for each factor of 6.4.
_LINEAR_HZ = 200.0 / 3.0  # hertz per mel below the knee
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27.0  # natural logarithm of the frequency ratio per mel
_HTK_MEL, _HTK_HZ = 2595.0 / np.log(10.0), 700.0


@functools.cache
def window(spec: MelSpec) -> Float64Array:
    """Return the analysis window: shape (n_fft,), float64, zero outside its length.

    A Hann window, periodic or (as in filter design) symmetric; centred in the frame if it is
    shorter. Cached, and therefore read-only.
    """
    length = spec.window_length or spec.n_fft
    period = length - 1 if spec.window == "hann, symmetric" else length
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / period)
    before = (spec.n_fft - length) // 2
    made: Float64Array = np.pad(hann, (before, spec.n_fft - length - before))
    made.flags.writeable = False
    return made


@functools.cache
def mel_filterbank(spec: MelSpec) -> FloatArray:
    """Return the triangular filters (n_mels, 1 + n_fft // 2), float32, of a mel spectrum.

    Row m rises from the centre of band m - 1 to that of band m and falls to that of band m + 1.
    Computed in float64; cached, and therefore read-only.

    Raises `InputError` if `spec` says that the network supplies its own filterbank.

    ==========  ===========================================================================
    ``slaney``  linear to 1 kHz, logarithmic above; triangles over hertz, each of area 1
    ``htk``     ``2595 log10(1 + f / 700)``; triangles over hertz, each of height 1
    ``kaldi``   the same scale; triangles over mel, each of height 1
    ==========  ===========================================================================
    """
    bins = np.arange(1 + spec.n_fft // 2, dtype=np.float64) * (spec.sample_rate / spec.n_fft)
    if spec.scale == "given":
        raise InputError("scale 'given': the network supplies its filterbank, not the spec")
    low, high = _hz_to_mel(np.array([spec.f_min, spec.f_max]), spec.scale).tolist()
    edges = np.linspace(low, high, spec.n_mels + 2)[:, None]  # mel, (n_mels + 2, 1)
    if spec.scale == "kaldi":
        bins = _hz_to_mel(bins, spec.scale)
    else:
        edges = _mel_to_hz(edges, spec.scale)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - lower) / (centre - lower)
    falling = (upper - bins) / (upper - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    if spec.scale == "slaney":
        triangles = triangles * 2.0 / (upper - lower)
    filterbank: FloatArray = triangles.astype(np.float32)
    filterbank.flags.writeable = False
    return filterbank


def _hz_to_mel(hz: Float64Array, scale: str) -> Float64Array:
    if scale != "slaney":
        return _HTK_MEL * np.log1p(hz / _HTK_HZ)
    above = _KNEE_MEL + np.log(np.maximum(hz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.where(hz < _KNEE_HZ, hz / _LINEAR_HZ, above)


def _mel_to_hz(mel: Float64Array, scale: str) -> Float64Array:
    if scale != "slaney":
        return _HTK_HZ * np.expm1(mel / _HTK_MEL)
    above = _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _LINEAR_HZ, above)


_DEFAULT_SPEC = MelSpec()
CHUNK_FRAMES = 128  # a chunk's spectra fit into the cache: 128 x 257 complex64 = 263 kB
PIECE_SAMPLES = 1 << 17  # copied from a block at a time


def power_spectra(
    blocks: Iterable[FloatArray], spec: MelSpec = _DEFAULT_SPEC
) -> Iterator[FloatArray]:
    """Yield the power spectra of a song, streaming.

    Blocks, (n,) float32 at ``spec.sample_rate``, may have any length, including 0. Spectra are
    yielded as (f, 1 + n_fft // 2) float32, 1 to 128 frames at a time, ``spec.n_frames(n_samples)``
    in all. At most the samples of one chunk and one block are held in memory.

    One STFT runs over the whole input: frame k is centred on sample ``k * hop_length``, with half a
    window of padding before the first sample and after the last (zeros, reflected samples or none,
    as `MelSpec` says). Chunks of 128 frames are counted from the start, so that the result is
    bit-identical however the waveform is split into blocks.
    """
    counted = _Counted(blocks)
    transform = Transform(spec)
    for block in _with_edges(_emphasised(counted, spec), spec):
        yield from transform.add(block)
    yield from transform.rest(spec.n_frames(counted.n_samples))


class Transform:
    """Streaming STFT; the caller provides the padding at both ends."""

    def __init__(self, spec: MelSpec) -> None:
        self._spec = spec
        self._pending = np.zeros(0, np.float32)
        self._n_done = 0
        # Samples covered by 128 frames.
        self._chunk_samples = (CHUNK_FRAMES - 1) * spec.hop_length + spec.n_fft

    def add(self, samples: FloatArray) -> Iterator[FloatArray]:
        """Add the next samples (n,) and yield the spectra of each complete chunk of 128 frames."""
        for start in range(0, len(samples), PIECE_SAMPLES):  # a block may be two hours
            piece = samples[start : start + PIECE_SAMPLES]
            self._pending = np.concatenate([self._pending, piece], dtype=np.float32)
            while len(self._pending) >= self._chunk_samples:
                yield self._next(CHUNK_FRAMES)

    def rest(self, n_frames: int) -> Iterator[FloatArray]:
        """Yield the remaining spectra, up to `n_frames` in all."""
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

    Magnitudes if ``spec.power`` is 1. `filterbank` is the matrix (n_mels, 1 + n_fft // 2) for a
    spec with scale ``given``; omit it otherwise.
    """
    if spec.power == 1.0:
        spectra = np.sqrt(spectra)
    triangles = mel_filterbank(spec) if filterbank is None else filterbank
    return spectra @ triangles.T


def compressed(
    power: FloatArray, spec: MelSpec = _DEFAULT_SPEC, *, gain: float = 1.0
) -> FloatArray:
    """Compress mel power (f, n_mels) to log-mel frames after applying a gain.

    `gain` is a factor of the samples, 10 for 20 dB. Returns a new float32 array.
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
    return frames


def log_mel(
    waveform: FloatArray,
    spec: MelSpec = _DEFAULT_SPEC,
    *,
    gain: float = 1.0,
    filterbank: FloatArray | None = None,
) -> FloatArray:
    """Return all log-mel frames of a waveform, optionally at a gain.

    Parameters
    ----------
    waveform : ndarray, shape (N,), float32
        Samples at ``spec.sample_rate``.
    spec : MelSpec
    gain : float
        Factor of the samples; ``level.gain`` returns that of a song.
    filterbank : ndarray, shape (n_mels, 1 + n_fft // 2), optional
        For a spec with scale ``given``.

    Returns
    -------
    frames : ndarray, shape (1 + N // hop_length, n_mels), float32
        By default ``log10(compression * gain**2 * mel_power + 1)``; no rows for N = 0.

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
    """Return the power spectra of the first `n_frames` windows; `samples` must cover them."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, spec.n_fft)
    windows = windows[: n_frames * spec.hop_length : spec.hop_length]
    if spec.curve == "10 log10(max(x, c))":  # in float64: resolves 1e-10 beside 1
        wide = np.fft.rfft(windows * window(spec), axis=-1)
        return (wide.real**2 + wide.imag**2).astype(np.float32)
    windowed = windows * window(spec).astype(np.float32)
    # NumPy's FFT: SciPy's would save 1 % of a song's time, but importing it costs
    # 0.3 CPU-seconds and 25 MB. (Before NumPy 2 it computes in float64.)
    spectra = np.fft.rfft(windowed, axis=-1).astype(np.complex64, copy=False)
    parts = spectra.view(np.float32)  # real and imaginary alternate
    parts *= parts
    return parts[:, 0::2] + parts[:, 1::2]


class _Counted:
    """Iterable of blocks that checks their shape and counts their samples."""

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
    """Apply pre-emphasis, ``x[n] - c x[n - 1]`` from the second sample on, if the spec has it."""
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
    """Yield the blocks with the spec's padding at both ends."""
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
    """Yield the blocks with both ends reflected: ``c b | a b c ... x y z | y x``."""
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
    elif len(last):  # shorter than the edge: reflect repeatedly
        yield np.pad(last, half, mode="reflect")
