"""Windows and mel filterbanks: the constant tables of a spectrogram.

    MelSpec ──window──▶ (n_fft,)       ──mel_filterbank──▶ (n_mels, 1 + n_fft // 2)

Three scales are in use. Weights that were trained under one give wrong numbers under another,
without any error.

==========  ===========================================================================
``slaney``  linear to 1 kHz, logarithmic above; triangles over hertz, each of area 1
``htk``     ``2595 log10(1 + f / 700)``; triangles over hertz, each of height 1
``kaldi``   the same scale; triangles over mel, each of height 1
==========  ===========================================================================

A network with any other filterbank supplies its own matrix (scale ``given``).
"""

import functools

import numpy as np

from audiorec.errors import InputError
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

    Raises
    ------
    InputError
        If `spec` says that the network supplies its own filterbank.
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
        mel: Float64Array = _HTK_MEL * np.log1p(hz / _HTK_HZ)
        return mel
    above = _KNEE_MEL + np.log(np.maximum(hz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.where(hz < _KNEE_HZ, hz / _LINEAR_HZ, above)


def _mel_to_hz(mel: Float64Array, scale: str) -> Float64Array:
    if scale != "slaney":
        hz: Float64Array = _HTK_HZ * np.expm1(mel / _HTK_MEL)
        return hz
    above = _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _LINEAR_HZ, above)
