"""Augmented rows of the version task: voices, music and noises met at random.

Each row is one segment made by `make_segment` from one or two clips. Its corpus and its
group name all clips that went into it, joined by ``+``, so that leaving a corpus or a
singer out leaves out every mix that contains it.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from head_augment import (
    LENGTH,
    channel,
    coloured_noise,
    excerpt,
    fit,
    mix,
    random_rate,
    room,
    voiced_excerpt,
)
from head_data import ACCOMPANIED, INSTRUMENTAL, OTHER, SAMPLE_RATE, VOCAL, Clip, read
from head_packages import SPEECH
from head_singing import disguised, sung

from audiorec.types import FloatArray

LONGER = 3 * LENGTH // 2  # before it is played faster
CACHED_CLIPS = 600  # decoded clips kept in memory
SEMITONES = {VOCAL: 4.0, INSTRUMENTAL: 3.0, ACCOMPANIED: 2.0, OTHER: 3.0}
MIX_DB = (-6.0, 12.0)  # voice over music; below -6 dB people argue whether it is heard
MIN_VOICED = 0.4  # share of the segment
SONGS = 0.3  # share of finished songs among the rows of voice with accompaniment
SUNG_SPEECH = 0.45  # share of spoken lines with a melody among the voices
MOST_VOICES, COMPANY = 4, 0.25  # voices without a band; chance of one more
DISGUISED = 0.35  # share of the recorded voices, and of speech, that go through the vocoder


class Sources:
    """Clips by class; draws a corpus first, so that a large one does not drown the others."""

    def __init__(self, clips: list[Clip]) -> None:
        self.by_class: dict[int, dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
        for clip in clips:
            self.by_class[clip.label][clip.corpus].append(clip)
        self.read = lru_cache(CACHED_CLIPS)(read)

    def draw(
        self, label: int, rng: np.random.Generator, *, speech: bool = False
    ) -> tuple[Clip, FloatArray]:
        """Return a random clip of a class, or of speech alone, with its samples."""
        corpora = self.by_class[label]
        if speech:
            corpora = {name: clips for name, clips in corpora.items() if name in SPEECH}
        weights = np.sqrt([min(len(clips), 100) for clips in corpora.values()])
        corpus = rng.choice(list(corpora), p=weights / weights.sum())
        clip = corpora[str(corpus)][rng.integers(len(corpora[str(corpus)]))]
        return clip, self.read(clip)


def augmented(
    sources: Sources, labels: list[int], seed: int
) -> Iterator[tuple[FloatArray, dict[str, Any]]]:
    """Yield one waveform and its row for each label; row i depends on the seed and i alone."""
    for i, label in enumerate(labels):
        yield make_segment(sources, label, np.random.default_rng([seed, i]))


def make_segment(
    sources: Sources, label: int, rng: np.random.Generator
) -> tuple[FloatArray, dict[str, Any]]:
    """Return 3.2 s of a class and the row that describes it."""
    if label == ACCOMPANIED:
        waveform, clips = _accompanied(sources, rng)
    elif label == OTHER:
        waveform, clips = _other(sources, rng)
    elif label == VOCAL:
        waveform, clips = _singing(sources, rng)
    else:
        waveform, clip = _single(sources, label, rng)
        clips = [clip]
    row = {
        "label": label,
        "corpus": "+".join(clip.corpus for clip in clips) or "synthetic",
        "group": "+".join(clip.group for clip in clips) or "synthetic",
        "track": "augmented",
        "voiced": float("nan"),
    }
    return channel(waveform, rng), row


def _single(sources: Sources, label: int, rng: np.random.Generator) -> tuple[FloatArray, Clip]:
    if label == VOCAL:
        return _voice(sources, rng)
    clip, waveform = sources.draw(label, rng)
    if label == OTHER and clip.corpus in SPEECH and rng.random() < DISGUISED:
        waveform = disguised(excerpt(waveform, rng), rng)
    cut = excerpt(waveform, rng, LONGER)
    return excerpt(random_rate(cut, rng, semitones=SEMITONES[label]), rng), clip


def _voice(sources: Sources, rng: np.random.Generator) -> tuple[FloatArray, Clip]:
    """Return singing: recorded, recorded and disguised, or a spoken line with a melody."""
    if rng.random() < SUNG_SPEECH:
        clip, waveform = sources.draw(OTHER, rng, speech=True)
        spoken = waveform[: 2 * LENGTH]
        return voiced_excerpt(sung(spoken, rng), rng, least=MIN_VOICED), clip
    clip, waveform = sources.draw(VOCAL, rng)
    cut = voiced_excerpt(waveform, rng, LONGER, least=MIN_VOICED)
    cut = random_rate(cut, rng, semitones=SEMITONES[VOCAL])
    waveform = voiced_excerpt(cut, rng, least=MIN_VOICED)
    if rng.random() < DISGUISED:
        waveform = fit(disguised(waveform, rng), LENGTH)
    return waveform, clip


def _singing(sources: Sources, rng: np.random.Generator) -> tuple[FloatArray, list[Clip]]:
    """Return one voice in a room, sometimes with others beside it: no instrument is no band."""
    voice, singer = _voice(sources, rng)
    clips = [singer]
    while len(clips) < MOST_VOICES and rng.random() < COMPANY:
        if rng.random() < 0.5:  # the same voice in another register: a second part, a double
            other, clip = fit(disguised(voice, rng), LENGTH), singer
        else:
            other, clip = _voice(sources, rng)
        voice = mix(other, voice, rng.uniform(-12, 0))
        clips.append(clip)
    return room(voice, rng), clips


def _accompanied(sources: Sources, rng: np.random.Generator) -> tuple[FloatArray, list[Clip]]:
    """Lay a voice, sometimes two, over music of any corpus; or take a song as it is."""
    if ACCOMPANIED in sources.by_class and rng.random() < SONGS:
        waveform, song = _single(sources, ACCOMPANIED, rng)
        return waveform, [song]
    voice, singer = _single(sources, VOCAL, rng)
    music, piece = _single(sources, INSTRUMENTAL, rng)
    clips = [singer, piece]
    if rng.random() < 0.15:
        second, other_singer = _single(sources, VOCAL, rng)
        voice = mix(second, voice, rng.uniform(-6, 0))
        clips.append(other_singer)
    return mix(room(voice, rng), music, rng.uniform(*MIX_DB)), clips


def _other(sources: Sources, rng: np.random.Generator) -> tuple[FloatArray, list[Clip]]:
    """Return a recording, two laid over each other, or a signal that nobody recorded."""
    if rng.random() < 0.12:
        return synthetic(rng), []
    waveform, clip = _single(sources, OTHER, rng)
    clips = [clip]
    if rng.random() < 0.25:
        second, other_clip = _single(sources, OTHER, rng)
        waveform = mix(waveform, second, rng.uniform(-10, 10))
        clips.append(other_clip)
    return room(waveform, rng), clips


def synthetic(rng: np.random.Generator) -> FloatArray:
    """Return silence, noise, hum, a sweep or clicks."""
    seconds = np.arange(LENGTH) / SAMPLE_RATE
    kind = rng.integers(5)
    if kind == 0:
        return np.zeros(LENGTH, np.float32)
    if kind == 1:
        return coloured_noise(rng, rng.uniform(-1.5, 0.5))
    if kind == 2:
        hum = sum(np.sin(2 * np.pi * 50 * k * seconds) / k for k in range(1, 8))
        return (hum + 0.1 * rng.standard_normal(LENGTH)).astype(np.float32)
    if kind == 3:
        hertz = np.geomspace(rng.uniform(50, 4000), rng.uniform(50, 4000), LENGTH)
        return np.sin(2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE).astype(np.float32)
    clicks = (rng.random(LENGTH) < rng.uniform(1, 30) / SAMPLE_RATE).astype(np.float32)
    return clicks * rng.choice([-1.0, 1.0], LENGTH).astype(np.float32)
