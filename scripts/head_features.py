"""Backbone features of clips and of augmented segments, computed once and kept as npz.

A cached file is a `Table`: one row a segment, with what is known of it. The names of the
cache files carry the backbones' checksums and the seed, so that a stale one is never read.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from head_augment import ACTIVE_FRAME, activity
from head_data import ACCOMPANIED, SAMPLE_RATE, VOCAL, Clip, read, read_channel

from audiorec.audio.mel import log_mel
from audiorec.audio.segment import segments
from audiorec.tagger.backbone import load_backbone
from audiorec.tagger.batching import Backbone
from audiorec.tagger.head_inputs import assemble
from audiorec.types import Features, FloatArray

BACKBONES = ("msd", "mtt")
BATCH = 8  # segments
StrArray = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Features of n segments, row by row.

    Attributes
    ----------
    msd, mtt : Features
        Of n rows.
    label : ndarray, shape (n,), int64
        Index of the class, or -1.
    corpus, group, track : ndarray, shape (n,), str
    voiced : ndarray, shape (n,), float32
        Share of the segment in which the voice is heard, where the stem is known; else NaN.
    """

    msd: Features
    mtt: Features
    label: npt.NDArray[np.int64]
    corpus: StrArray
    group: StrArray
    track: StrArray
    voiced: FloatArray

    def __len__(self) -> int:
        return len(self.label)

    def columns(self, inputs: Iterable[str]) -> npt.NDArray[np.float64]:
        """Return the columns that a head of these inputs reads."""
        return assemble({"msd": self.msd, "mtt": self.mtt}, tuple(inputs))

    def rows(self, keep: npt.NDArray[Any]) -> "Table":
        """Return the rows of a mask or of indices."""
        picked = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, values in picked.items():
            if isinstance(values, Features):
                picked[name] = Features(*(getattr(values, f.name)[keep] for f in fields(values)))
            else:
                picked[name] = values[keep]
        return Table(**picked)


def concatenate(tables: list[Table]) -> Table:
    """Stack tables."""
    joined: dict[str, Any] = {}
    for field in fields(Table):
        parts = [getattr(table, field.name) for table in tables]
        if isinstance(parts[0], Features):
            joined[field.name] = Features(
                *(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Features))
            )
        else:
            joined[field.name] = np.concatenate(parts)
    return Table(**joined)


class Extractor:
    """Both backbones and the folder where their answers are kept."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.backbones: dict[str, Backbone] = {name: load_backbone(name) for name in BACKBONES}
        cache.mkdir(parents=True, exist_ok=True)

    @property
    def sha256(self) -> dict[str, str]:
        """Checksums of the backbones, by name."""
        return {name: backbone.weights_sha256 for name, backbone in self.backbones.items()}

    def run(self, mels: list[FloatArray]) -> dict[str, Features]:
        """Return the features of segments, by backbone."""
        batch = np.stack(mels) if mels else np.zeros((0, 187, 96), np.float32)
        return {name: backbone.features(batch) for name, backbone in self.backbones.items()}

    def clips(
        self, name: str, clips: list[Clip], change: Callable[[FloatArray], FloatArray] | None = None
    ) -> Table:
        """Return the segments of clips as `audiorec extract` would cut them.

        Parameters
        ----------
        name : str
            Of the cache file.
        clips : list of Clip
        change : callable, optional
            What happens to each waveform first; it must be named by `name`.
        """
        key = "|".join(f"{c.track}:{c.label}:{c.skip_s}:{c.max_s}" for c in clips)
        change = change or (lambda waveform: waveform)
        return self._cached(name, key, lambda: concatenate([self._clip(c, change) for c in clips]))

    def waveforms(
        self, name: str, key: str, make: Callable[[], Iterable[tuple[FloatArray, dict[str, Any]]]]
    ) -> Table:
        """Return one row a waveform: the middle 187 frames of each."""
        return self._cached(name, key, lambda: self._waveforms(make()))

    def _cached(self, name: str, key: str, make: Callable[[], Table]) -> Table:
        digest = hashlib.sha256(f"{key}{sorted(self.sha256.items())}".encode()).hexdigest()[:12]
        path = self.cache / f"{name}-{digest}.npz"
        if not path.exists():
            save(path, make())
        return load(path)

    def _clip(self, clip: Clip, change: Callable[[FloatArray], FloatArray]) -> Table:
        waveform = change(read(clip))
        if len(waveform) < SAMPLE_RATE:
            return _table(self.run([]), [])
        cut = list(segments([waveform]))
        voiced = _voiced(clip, [segment.start_s for segment in cut])
        rows = [_row(clip.label, clip.corpus, clip.group, clip.track, v) for v in voiced]
        return _table(self.run([segment.log_mel for segment in cut]), rows)

    def _waveforms(self, items: Iterable[tuple[FloatArray, dict[str, Any]]]) -> Table:
        tables, mels, rows = [], [], []
        for waveform, row in items:
            frames = log_mel(waveform)
            start = (len(frames) - 187) // 2
            mels.append(frames[start : start + 187])
            rows.append(row)
            if len(mels) == BATCH:
                tables.append(_table(self.run(mels), rows))
                mels, rows = [], []
        if mels:
            tables.append(_table(self.run(mels), rows))
        return concatenate(tables)


def _row(label: int, corpus: str, group: str, track: str, voiced: float) -> dict[str, Any]:
    return {"label": label, "corpus": corpus, "group": group, "track": track, "voiced": voiced}


def _table(features: dict[str, Features], rows: list[dict[str, Any]]) -> Table:
    return Table(
        msd=features["msd"],
        mtt=features["mtt"],
        label=np.array([row["label"] for row in rows], np.int64),
        corpus=np.array([row["corpus"] for row in rows], np.str_),
        group=np.array([row["group"] for row in rows], np.str_),
        track=np.array([row["track"] for row in rows], np.str_),
        voiced=np.array([row["voiced"] for row in rows], np.float32),
    )


def _voiced(clip: Clip, starts_s: list[float]) -> list[float]:
    """Return the share of each segment with voice, where the voice can be had alone."""
    if clip.label == VOCAL:
        voice = read(clip)
    elif clip.corpus == "mir1k" and clip.label == ACCOMPANIED:
        voice = read_channel(clip.path, "right", skip_s=clip.skip_s, max_s=clip.max_s)
    else:
        return [float("nan")] * len(starts_s)
    active = activity(voice)
    rate = SAMPLE_RATE // ACTIVE_FRAME  # a second
    return [float(active[int(s * rate) : int((s + 3) * rate)].mean()) for s in starts_s]


def save(path: Path, table: Table) -> None:
    """Write a table as npz, whole or not at all."""
    arrays: dict[str, Any] = {}
    for field in fields(table):
        values = getattr(table, field.name)
        if isinstance(values, Features):
            arrays |= {f"{field.name}.{f.name}": getattr(values, f.name) for f in fields(values)}
        else:
            arrays[field.name] = values
    part = path.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.rename(path)


def load(path: Path) -> Table:
    """Read a table that `save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        backbones = {
            name: Features(*(file[f"{name}.{f.name}"] for f in fields(Features)))
            for name in BACKBONES
        }
        rest = {f.name: file[f.name] for f in fields(Table) if f.name not in BACKBONES}
    return Table(**backbones, **rest)
