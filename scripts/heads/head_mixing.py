"""Augmented rows of the version task: voices, music and noises met at random.

Each row is one segment made by `make_segment` from one or more clips. Its corpus and its
group name all clips that went into it, joined by ``+``, so that leaving a corpus or a
singer out leaves out every mix that contains it, whichever of its voices that was.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from head_augment import (
    LENGTH,
    channel,
    coloured_noise,
    excerpt,
    mix,
    random_rate,
    room,
    voiced_excerpt,
)
from head_data import ACCOMPANIED, INSTRUMENTAL, OTHER, SAMPLE_RATE, UNLABELLED, VOCAL, Clip
from head_features import EVERY_S
from head_packages import SPEECH
from head_voices import SPEECH as SPEECH_OF_SINGERS

from audiorec.types import FloatArray

LONGER = 3 * LENGTH // 2  # before it is played faster
SEMITONES = {VOCAL: 4.0, INSTRUMENTAL: 3.0, ACCOMPANIED: 2.0, OTHER: 3.0}
MIX_DB = (-6.0, 12.0)  # voice over music; below -6 dB people argue whether it is heard
MIN_VOICED = 0.4  # share of the segment
SONGS = 0.25  # share of finished songs among the rows of voice with accompaniment
SPOKEN = 0.35  # share of speech among the other rows: singers' own, and everybody's
MIXES = 1  # raise it when what is mixed changes: the cache goes by it
MOST_VOICES, COMPANY = 3, 0.2  # voices without a band; chance of one more
FEW_CLIPS = 100  # a corpus is drawn by the root of its clips, but as if it had no more

Read = Callable[[Clip], FloatArray]


class Sources:
    """Clips by class; draws a corpus first, so that a large one does not drown the others."""

    def __init__(self, clips: list[Clip], read: Read) -> None:
        self.by_class: dict[int, dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
        self.read = read
        for clip in clips:
            for label in sorted({*clip.spans} or {clip.label}):
                self.by_class[label][clip.corpus].append(clip)
        self.by_class.pop(UNLABELLED, None)

    def draw(
        self, label: int, rng: np.random.Generator, *, speech: bool = False
    ) -> tuple[Clip, FloatArray]:
        """Return a random clip of a class, or of speech alone, with its samples.

        Of a clip whose class changes, some neighbouring segments that are of it.
        """
        corpora = self.by_class[label]
        if speech:
            spoken = {*SPEECH, *SPEECH_OF_SINGERS}
            corpora = {name: clips for name, clips in corpora.items() if name in spoken}
        weights = np.sqrt([min(len(clips), FEW_CLIPS) for clips in corpora.values()])
        corpus = rng.choice(list(corpora), p=weights / weights.sum())
        clip = corpora[str(corpus)][rng.integers(len(corpora[str(corpus)]))]
        waveform = self.read(clip)
        if not clip.spans:
            return clip, waveform
        first, last = run_of(clip.spans, label, rng)
        samples = int(EVERY_S * SAMPLE_RATE)
        return clip, waveform[first * samples : (last + 1) * samples]


def run_of(spans: tuple[int, ...], label: int, rng: np.random.Generator) -> tuple[int, int]:
    """Return the first and the last of neighbouring segments of a class, round a random one."""
    first = last = int(rng.choice(np.flatnonzero(np.array(spans) == label)))
    while first > 0 and spans[first - 1] == label:
        first -= 1
    while last + 1 < len(spans) and spans[last + 1] == label:
        last += 1
    return first, last


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
    make = {ACCOMPANIED: _accompanied, OTHER: _other, VOCAL: _singing, INSTRUMENTAL: _music}
    waveform, clips = make[label](sources, rng)
    row = {
        "label": label,
        "corpus": "+".join(clip.corpus for clip in clips) or "synthetic",
        "group": "+".join(clip.group for clip in clips) or "synthetic",
        "track": "augmented",
        "voiced": float("nan"),
    }
    return channel(waveform, rng), row


def _single(
    sources: Sources, label: int, rng: np.random.Generator, *, speech: bool = False
) -> tuple[FloatArray, Clip]:
    clip, waveform = sources.draw(label, rng, speech=speech)
    if label == VOCAL:
        cut = voiced_excerpt(waveform, rng, LONGER, least=MIN_VOICED)
        cut = random_rate(cut, rng, semitones=SEMITONES[label])
        return voiced_excerpt(cut, rng, least=MIN_VOICED), clip
    cut = random_rate(excerpt(waveform, rng, LONGER), rng, semitones=SEMITONES[label])
    return excerpt(cut, rng), clip


def _music(sources: Sources, rng: np.random.Generator) -> tuple[FloatArray, list[Clip]]:
    waveform, clip = _single(sources, INSTRUMENTAL, rng)
    return waveform, [clip]


def _singing(sources: Sources, rng: np.random.Generator) -> tuple[FloatArray, list[Clip]]:
    """Return one voice in a room, sometimes with others beside it: no instrument is no band."""
    voice, singer = _single(sources, VOCAL, rng)
    clips = [singer]
    while len(clips) < MOST_VOICES and rng.random() < COMPANY:
        other, clip = _single(sources, VOCAL, rng)
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
    """Return speech, a noise, two laid over each other, or a signal that nobody recorded."""
    if rng.random() < 0.08:
        return synthetic(rng), []
    waveform, clip = _single(sources, OTHER, rng, speech=rng.random() < SPOKEN)
    clips = [clip]
    if rng.random() < 0.2:
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
