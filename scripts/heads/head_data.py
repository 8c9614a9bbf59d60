"""The audio that the shipped heads learn from: which clip, which class, which group.

A clip is one file (or one channel of it) with a label that holds for all of it. Its group is
what must never stand on both sides of a split: a singer, a recording that was cut into
pieces, an album. Its corpus is what is left out as a whole to measure the claim.

Everything is brought to 16 kHz mono, whatever the source: see the note on bandwidth in
`head_augment`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import soundfile
import soxr

from audiorec.types import FloatArray

SAMPLE_RATE = 16_000  # Hz
VERSION_CLASSES = ("vocal", "instrumental", "vocal_accompaniment", "other")
VOCAL, INSTRUMENTAL, ACCOMPANIED, OTHER = range(4)
UNLABELLED = -1

Channel = Literal["mix", "left", "right"]

# By the end of the file's name; the first that fits.
TUNE_LABELS = {
    "vocadito_10": VOCAL,
    "vocadito_14": VOCAL,
    "chorus_voice": VOCAL,
    "chorus_instr": INSTRUMENTAL,
    "_prompt": VOCAL,
    # The one target without a pause: never more than 12 dB below its loudest, where the
    # other voices fall by 28 dB and more between phrases. It has a band.
    "yue_target": ACCOMPANIED,
    "_target": VOCAL,
    "music": ACCOMPANIED,
    ".Instrumental": INSTRUMENTAL,
    ".Vocals": VOCAL,
    "pop.00001": ACCOMPANIED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One labelled piece of audio.

    Attributes
    ----------
    corpus, group, track : str
        From coarse to fine.
    label : int
        Index into `VERSION_CLASSES`, or -1.
    path : Path
    channel : {"mix", "left", "right"}
    skip_s, max_s : float
        The part of the file that is used, in seconds.
    spans : tuple of int
        Class of the segment that begins at 3 i seconds, -1 where it is not to be judged; empty
        where `label` holds for all.
    """

    corpus: str
    group: str
    track: str
    label: int
    path: Path
    channel: Channel = "mix"
    skip_s: float = 0.0
    max_s: float = 3600.0
    spans: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """Everything that decides which samples it has and what they are called."""
        size = self.path.stat().st_size
        part = f"{self.channel}:{self.skip_s}:{self.max_s}:{size}"
        return f"{self.track}:{self.group}:{self.label}:{part}:{self.spans}"


def read(clip: Clip) -> FloatArray:
    """Return the clip's samples, (N,) float32 at 16 kHz."""
    return read_channel(clip.path, clip.channel, skip_s=clip.skip_s, max_s=clip.max_s)


def read_channel(path: Path, channel: Channel, *, skip_s: float, max_s: float) -> FloatArray:
    """Return one channel or the mean of all, (N,) float32 at 16 kHz."""
    with soundfile.SoundFile(path) as file:
        rate = file.samplerate
        if file.frames > (skip_s + max_s) * rate:
            file.seek(int(skip_s * rate))
        samples = file.read(int(max_s * rate), dtype="float32", always_2d=True)
    mono = {"mix": samples.mean(1), "left": samples[:, 0], "right": samples[:, -1]}[channel]
    return mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")


def version_clips(data: Path) -> list[Clip]:
    """Return every labelled clip below ``<data>/version``."""
    root = data / "version"
    clips = [*_mir1k(root), *_superpowers(root), *_tune(root)]
    for corpus, group in OTHER_CORPORA.items():
        for path in sorted((root / corpus).rglob("*.ogg")):
            name = group(path.stem)
            clips.append(_clip(corpus, f"{corpus}/{name}", path, OTHER))
    return clips


def _clip(corpus: str, group: str, path: Path, label: int, channel: Channel = "mix") -> Clip:
    track = f"{corpus}/{path.parent.name}/{path.stem}"
    return Clip(corpus=corpus, group=group, track=track, label=label, path=path, channel=channel)


def _mir1k(root: Path) -> Iterator[Clip]:
    """Left is the accompaniment, right the voice; a track is one song of one singer."""
    labels: list[tuple[Channel, int]] = [
        ("right", VOCAL), ("left", INSTRUMENTAL), ("mix", ACCOMPANIED)
    ]  # fmt: skip
    for path in sorted((root / "mir1k").glob("*.ogg")):
        singer, song = path.stem.split("_")[:2]
        for channel, label in labels:
            yield Clip(
                corpus="mir1k",
                group=f"mir1k/{singer}",
                track=f"mir1k/{singer}_{song}/{channel}",
                label=label,
                path=path,
                channel=channel,
            )


def _superpowers(root: Path) -> Iterator[Clip]:
    for path in sorted((root / "superpowers_cc0").glob("*.ogg")):
        game = re.split(r"_musics?", path.stem)[0]
        yield _clip("superpowers", f"superpowers/{game}", path, INSTRUMENTAL)


def _tune(root: Path) -> Iterator[Clip]:
    for path in sorted((root / "tune").rglob("*.ogg")):
        label = next(label for end, label in TUNE_LABELS.items() if path.stem.endswith(end))
        yield _clip("tune", f"tune/{path.parent.name}", path, label)


# What a recording is called in each corpus of noises and speech.
OTHER_CORPORA: dict[str, Callable[[str], str]] = {
    "urbansound8k": lambda stem: stem.split("-")[0],  # Freesound id
    "kitchen20": lambda stem: stem.removeprefix("audio_").split("-")[1],
    "noises": lambda stem: stem,
    "cmu_arctic": lambda stem: stem.split("_")[0],  # speaker
}

GTZAN_INSTRUMENTAL = {"classical", "jazz"}  # the rest is mostly sung


def gtzan_clips(data: Path) -> list[Clip]:
    """Return the GTZAN audio that is not in the test list and not excluded as faulty.

    The version labels are weak: what is usual in the genre, not what each segment holds.
    """
    return _gtzan(data, data / "gtzan" / "audio", "gtzan")


def short_gtzan_clips(data: Path) -> list[Clip]:
    """Return the 2 to 3 seconds that are there of more of GTZAN's tracks, by the same rule."""
    return _gtzan(data, data / "genre2" / "gtzan_actcv", "gtzan_actcv")


def _gtzan(data: Path, folder: Path, corpus: str) -> list[Clip]:
    allowed = {
        line.strip().removesuffix(".wav")
        for part in ("train", "valid")
        for line in (data / "gtzan" / f"{part}_filtered.txt").read_text().splitlines()
    }
    clips = []
    for path in sorted(folder.rglob("*.ogg")):
        track = f"{path.parent.name}/{path.stem}"
        if track not in allowed:
            continue
        label = INSTRUMENTAL if path.parent.name in GTZAN_INSTRUMENTAL else ACCOMPANIED
        clips.append(Clip(corpus=corpus, group=track, track=track, label=label, path=path))
    return clips
