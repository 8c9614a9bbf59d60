"""Spoken lines made to be sung, and voices made to be others, by the WORLD vocoder.

Recorded singing without a band is what there is least of: fourteen amateurs, one microphone.
A head learns those voices and that room. Speech is there from hundreds of people, so some of it
is given a melody: its vowels last longer, its pitch goes in notes with glides and vibrato, its
formants move. Spoken rows go through the same vocoder without a melody, so that the vocoder is
no sign of a class.
"""

import numpy as np
import numpy.typing as npt
import pyworld

from audiorec.types import FloatArray

SAMPLE_RATE = 16_000  # Hz
FRAME_S = 0.005  # of the vocoder
SCALE = (0, 2, 4, 5, 7, 9, 11)  # semitones of a major scale
Float64Array = npt.NDArray[np.float64]


def sung(speech: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a spoken line as if sung, (N,) to (M,) float32; longer than it was."""
    pitch, envelope, aperiodicity = _analyse(speech)
    frames = _stretched(pitch > 0, rng)
    pitch, envelope, aperiodicity = pitch[frames], envelope[frames], aperiodicity[frames]
    spoken = pitch[pitch > 0]
    if not len(spoken):
        return speech
    base = float(np.median(spoken)) * 2 ** (rng.uniform(-2, 10) / 12)
    melody = _melody(len(pitch), float(np.clip(base, 90.0, 700.0)), rng)
    envelope = _formants(envelope, 2 ** rng.uniform(-0.2, 0.2))
    voiced = np.where(pitch > 0, melody, 0.0)
    return _synthesise(voiced, envelope, aperiodicity * rng.uniform(0.3, 1.0))


def disguised(voice: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a voice, spoken or sung, with other formants and another register."""
    pitch, envelope, aperiodicity = _analyse(voice)
    envelope = _formants(envelope, 2 ** rng.uniform(-0.25, 0.25))
    return _synthesise(pitch * 2 ** (rng.uniform(-7, 7) / 12), envelope, aperiodicity)


def _analyse(voice: FloatArray) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return pitch in hertz (0: none), (n,); spectral envelope and aperiodicity, (n, bins)."""
    samples = np.ascontiguousarray(voice, np.float64)
    rough, seconds = pyworld.dio(samples, SAMPLE_RATE, frame_period=FRAME_S * 1000)
    pitch = pyworld.stonemask(samples, rough, seconds, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(samples, pitch, seconds, SAMPLE_RATE)
    return pitch, envelope, pyworld.d4c(samples, pitch, seconds, SAMPLE_RATE)


def _synthesise(
    pitch: Float64Array, envelope: Float64Array, aperiodicity: Float64Array
) -> FloatArray:
    parts = (np.ascontiguousarray(a) for a in (pitch, envelope, aperiodicity))
    made: FloatArray = pyworld.synthesize(*parts, SAMPLE_RATE, FRAME_S * 1000).astype(np.float32)
    return made


def _stretched(voiced: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the frames to play: what is voiced lasts 1.5 to 3.5 times as long."""
    end = np.cumsum(np.where(voiced, rng.uniform(1.5, 3.5), 1.0))  # of each frame, in new frames
    return np.searchsorted(end, np.arange(int(end[-1]))).astype(np.int64)


def _melody(n: int, base: float, rng: np.random.Generator) -> Float64Array:
    """Return the pitch of `n` frames: notes of a scale, glides between them, vibrato."""
    notes, degree, at = np.zeros(n), int(rng.integers(7)), 0
    while at < n:
        length = max(1, int(np.exp(rng.uniform(np.log(0.18), np.log(1.2))) / FRAME_S))
        semitone = SCALE[degree % 7] + 12 * (degree // 7) - 6
        notes[at : at + length] = semitone
        at += length
        degree = int(np.clip(degree + rng.choice([-3, -2, -1, -1, 0, 1, 1, 2, 3]), -3, 9))
    width = int(rng.uniform(0.03, 0.1) / FRAME_S)
    window = np.hanning(2 * width + 1)
    glide = np.convolve(np.pad(notes, width, mode="edge"), window / window.sum(), mode="valid")
    seconds = np.arange(n) * FRAME_S
    depth = rng.uniform(0, 0.8) if rng.random() < 0.7 else 0.0
    vibrato = depth * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * seconds)
    drift = np.cumsum(rng.standard_normal(n)) * 0.01
    return base * 2 ** ((glide + vibrato + drift) / 12)


def _formants(envelope: Float64Array, ratio: float) -> Float64Array:
    """Move the spectral envelope up by a ratio."""
    bins = np.arange(envelope.shape[1])
    source = np.clip(bins / ratio, 0, envelope.shape[1] - 1)
    low = source.astype(np.int64)
    high = np.minimum(low + 1, envelope.shape[1] - 1)
    share = source - low
    logs = np.log(envelope + 1e-16)
    return np.exp(logs[:, low] * (1 - share) + logs[:, high] * share)
