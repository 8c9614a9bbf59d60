"""Singing made of free speech: lines as spoken, and the same lines with a melody.

Free recordings of a voice alone are rare, free speech is not. WORLD (Morise et al. 2016) takes a
spoken line apart into pitch, spectrum and breath; here it puts the line together again with notes
in place of the pitch, longer vowels, glides, vibrato, and for some the formant of trained singers
(as Saitou et al. 2007 do). A line put together again with its own pitch stays speech, so that WORLD
itself is never what tells singing.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from head_data import OTHER, SAMPLE_RATE, VOCAL, Clip, read
from head_packages import SPEECH
from scipy.ndimage import gaussian_filter1d

from audiorec.types import Float64Array, FloatArray

LINES = 12  # of a corpus of speech that are sung
AGAIN = 4  # every third of these is put together with its own pitch as well
FRAME_S = 0.005  # WORLD's
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9))
NOTE_S = (0.15, 0.9)
HIGHER = (-1.0, 9.0)  # semitones between speaking and singing
FORMANT_HZ, FORMANT_WIDTH = 3000.0, 600.0
LOWEST_HZ = 65.0


def sung_clips(clips: list[Clip], folder: Path) -> list[Clip]:
    """Return sung lines and lines put together again, made once in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Clip] = []
    for corpus in sorted(SPEECH):
        own = [clip for clip in clips if clip.corpus == corpus]
        for i, clip in enumerate(own[:: -(-len(own) // LINES) or 1]):
            made.append(_made(clip, folder, VOCAL))
            if i % AGAIN == 0:
                made.append(_made(clip, folder, OTHER))
    return made


def _made(clip: Clip, folder: Path, label: int) -> Clip:
    """Return one line as a clip of its own, which goes wherever its speech goes."""
    kind = "sung" if label == VOCAL else "again"
    path = folder / f"{kind}-{clip.track.replace('/', '-')}.flac"
    if not path.exists():
        speech = np.asarray(read(replace(clip, max_s=8.0)))
        rng = np.random.default_rng(list(clip.track.encode()))
        soundfile.write(path, resynthesised(speech, rng, sung=label == VOCAL), SAMPLE_RATE)
    corpus, track = f"{clip.corpus}+{kind}", f"{kind}/{clip.track}"
    return replace(clip, corpus=corpus, track=track, label=label, path=path, skip_s=0.0)


def resynthesised(speech: FloatArray, rng: np.random.Generator, *, sung: bool) -> FloatArray:
    """Return a spoken line from WORLD's three parts, with a melody or with its own pitch."""
    import pyworld  # only this recipe needs it

    samples = speech.astype(np.float64)
    pitch, times = pyworld.dio(samples, SAMPLE_RATE, f0_floor=LOWEST_HZ)
    pitch = pyworld.stonemask(samples, pitch, times, SAMPLE_RATE)
    spectrum = pyworld.cheaptrick(samples, pitch, times, SAMPLE_RATE)
    breath = pyworld.d4c(samples, pitch, times, SAMPLE_RATE)
    if sung:
        frames = longer(pitch > 0, rng)
        pitch, spectrum, breath = melody(pitch[frames], rng), spectrum[frames], breath[frames]
        spectrum = spectrum * singers_formant(spectrum.shape[1], rng)
    made = pyworld.synthesize(pitch, spectrum, breath, SAMPLE_RATE, FRAME_S * 1000)
    return (made / max(np.abs(made).max(), 1e-9) * 0.7).astype(np.float32)


def longer(voiced: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return which frame of the speech each frame of the singing is: vowels are held."""
    held = rng.uniform(1.5, 4.0) * np.exp(gaussian_filter1d(rng.standard_normal(len(voiced)), 40))
    ends = np.cumsum(np.where(voiced, np.clip(held, 1.0, 6.0), 1.0))
    return np.searchsorted(ends, np.arange(int(ends[-1]))).clip(max=len(voiced) - 1)


def melody(pitch: Float64Array, rng: np.random.Generator) -> Float64Array:
    """Return the pitch of notes of a scale near a speaker's own, 0 where nothing is voiced."""
    voiced = pitch > 0
    if not voiced.any():
        return pitch
    notes = np.concatenate(list(_notes(len(pitch), rng)))[: len(pitch)]
    glide = gaussian_filter1d(notes, rng.uniform(3, 12), mode="nearest")
    rate, depth = rng.uniform(4.8, 6.8), rng.choice([0.0, 0.15, 0.4, 0.8])
    swell = np.clip(gaussian_filter1d(rng.standard_normal(len(pitch)), 40) * 8 + 0.6, 0, 1)
    vibrato = depth * swell * np.sin(2 * np.pi * rate * FRAME_S * np.arange(len(pitch)))
    drift = gaussian_filter1d(rng.standard_normal(len(pitch)), 10) * 0.4
    middle = np.log2(np.median(pitch[voiced])) + rng.uniform(*HIGHER) / 12
    found: Float64Array = np.where(voiced, 2 ** (middle + (glide + vibrato + drift) / 12), 0.0)
    return found


def _notes(frames: int, rng: np.random.Generator) -> Iterator[Float64Array]:
    """Yield notes until there are enough frames: a walk along a scale, in semitones."""
    scale, degree, begun = SCALES[rng.integers(len(SCALES))], 0, 0
    leap = rng.uniform(0.3, 2.5)
    while begun < frames:
        degree = int(np.clip(degree + round(rng.normal(0, leap)), -5, 7))
        octave, step = divmod(degree, len(scale))
        length = int(rng.uniform(*NOTE_S) / FRAME_S)
        yield np.full(length, 12.0 * octave + scale[step])
        begun += length


def singers_formant(bins: int, rng: np.random.Generator) -> Float64Array:
    """Return the power of each bin under the formant of a trained singer, or of none."""
    hertz = np.linspace(0, SAMPLE_RATE / 2, bins)
    strength = rng.choice([0.0, 6.0, 12.0])  # dB
    found: Float64Array = 10 ** (
        strength / 10 * np.exp(-0.5 * ((hertz - FORMANT_HZ) / FORMANT_WIDTH) ** 2)
    )
    return found
