"""Backbone features of clips and of augmented segments, computed once and kept as npz.

A cached file is a `Table`: one row a segment, with what is known of it. Its name carries the
backbone's checksum, the spec and the clips, so that a stale one is never read. Clips are decoded
once: their samples lie in ``waves``, from where mixes draw too.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from head_augment import ACTIVE_FRAME, activity
from head_data import ACCOMPANIED, SAMPLE_RATE, UNLABELLED, VOCAL, Clip, read, read_channel

from audiorec.audio.segment import segments
from audiorec.spec import FeatureSpec
from audiorec.tagger.backbone import load_backbone
from audiorec.tagger.features import assemble
from audiorec.types import Features, FloatArray

BACKBONE = "msd"  # the one that the shipped heads read
BATCH = 8  # segments
SPEC = FeatureSpec()
EVERY_S = SPEC.segment.hop_s
StrArray = npt.NDArray[np.str_]
Change = Callable[[FloatArray], FloatArray]
Made = tuple[FloatArray, dict[str, Any]]  # a waveform and what is known of it
Cut = tuple[FloatArray, dict[str, Any]]  # a log-mel and what is known of it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Features of n segments, row by row.

    Attributes
    ----------
    msd : Features
        Of n rows.
    label : ndarray, shape (n,), int64
        Index of the class, or -1.
    corpus, group, track : ndarray, shape (n,), str
        Names of several sources are joined by ``+``.
    voiced : ndarray, shape (n,), float32
        Share of the segment in which the voice is heard, where the stem is known; else NaN.
    """

    msd: Features
    label: npt.NDArray[np.int64]
    corpus: StrArray
    group: StrArray
    track: StrArray
    voiced: FloatArray

    def __len__(self) -> int:
        return len(self.label)

    def columns(self, inputs: Iterable[str]) -> npt.NDArray[np.float64]:
        """Return the columns that a head of these inputs reads."""
        return assemble({BACKBONE: self.msd}, tuple(inputs))

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


class Waves:
    """Decoded clips, kept as files."""

    def __init__(self, cache: Path) -> None:
        self.folder = cache / "waves"
        self.folder.mkdir(parents=True, exist_ok=True)

    def read(self, clip: Clip) -> FloatArray:
        """Return a clip's samples, (N,) float32 at 16 kHz, mapped into memory."""
        name = hashlib.sha256(f"{clip.key}{clip.path}".encode()).hexdigest()[:20]
        path = self.folder / f"{name}.npy"
        if not path.exists():
            part = path.with_suffix(f".{os.getpid()}.npy")  # mixes may be made meanwhile
            np.save(part, read(clip))
            part.rename(path)
        found: FloatArray = np.load(path, mmap_mode="r")
        return found


class Extractor:
    """The backbone, the spec, and the folder where the answers are kept."""

    def __init__(self, cache: Path, spec: FeatureSpec = SPEC) -> None:
        self.cache, self.spec = cache, spec
        self.backbone = load_backbone(BACKBONE)
        self.waves = Waves(cache)

    @property
    def sha256(self) -> dict[str, str]:
        """Checksum of the backbone, by name."""
        return {BACKBONE: self.backbone.weights_sha256}

    def clips(self, name: str, clips: list[Clip], change: Change | None = None) -> Table:
        """Return the segments of clips as `audiorec extract` would cut them.

        Parameters
        ----------
        name : str
            Of the cache file.
        clips : list of Clip
        change : callable, optional
            What happens to each waveform first; it must be named by `name`.
        """
        key = "|".join(clip.key for clip in clips)
        how = change or (lambda waveform: waveform)
        return self._cached(name, key, lambda: self._rows(self._cut(c, how) for c in clips))

    def made(self, name: str, key: str, make: Callable[[], Iterable[Made]]) -> Table:
        """Return the first segment of each waveform, each brought to the level as a track is.

        The waveforms, all of one length, are kept: another spec needs no second mixing.
        """
        path = self.waves.folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npz"
        if not path.exists():
            waveforms, rows = zip(*make(), strict=True)
            part = path.with_suffix(".part.npz")
            np.savez(part, waveforms=np.stack(waveforms), rows=np.array(json.dumps(rows)))
            part.rename(path)

        def cut() -> Iterator[list[Cut]]:
            with np.load(path, allow_pickle=False) as file:
                for waveform, row in zip(
                    file["waveforms"], json.loads(str(file["rows"])), strict=True
                ):
                    yield [(next(iter(segments([waveform], self.spec))).log_mel, row)]

        return self._cached(name, key, lambda: self._rows(cut()))

    def _cached(self, name: str, key: str, make: Callable[[], Table]) -> Table:
        what = f"{key}{sorted(self.sha256.items())}{self.spec.fingerprint}"
        path = self.cache / f"{name}-{hashlib.sha256(what.encode()).hexdigest()[:12]}.npz"
        if not path.exists():
            save(path, make())
        return load(path)

    def _cut(self, clip: Clip, change: Change) -> list[Cut]:
        """Return the mels of a clip's segments and what is known of each."""
        waveform = change(self.waves.read(clip))
        if len(waveform) < SAMPLE_RATE:
            return []
        cut = list(segments([np.asarray(waveform)], self.spec))
        if clip.spans:  # the window over the tail has no label of its own
            cut = [s for s in cut if s.start_s % EVERY_S == 0][: len(clip.spans)]
        voiced = self._voiced(clip, [segment.start_s for segment in cut])
        return [
            (
                segment.log_mel,
                {
                    "label": clip.spans[round(segment.start_s / EVERY_S)]
                    if clip.spans
                    else clip.label,
                    "corpus": clip.corpus,
                    "group": clip.group,
                    "track": clip.track,
                    "voiced": share,
                },
            )
            for segment, share in zip(cut, voiced, strict=True)
        ]

    def _voiced(self, clip: Clip, starts_s: list[float]) -> list[float]:
        """Return the share of each segment with voice, where the voice can be had alone."""
        if clip.label == VOCAL:
            voice = self.waves.read(clip)
        elif clip.corpus == "mir1k" and clip.label == ACCOMPANIED:
            voice = read_channel(clip.path, "right", skip_s=clip.skip_s, max_s=clip.max_s)
        else:
            return [float("nan")] * len(starts_s)
        active = activity(np.asarray(voice))
        rate = SAMPLE_RATE // ACTIVE_FRAME  # a second
        return [float(active[int(s * rate) : int((s + 3) * rate)].mean()) for s in starts_s]

    def _rows(self, items: Iterable[list[Cut]]) -> Table:
        tables: list[Table] = []
        mels: list[FloatArray] = []
        rows: list[dict[str, Any]] = []
        for item in items:
            for mel, row in item:
                mels.append(mel)
                rows.append(row)
            while len(mels) >= BATCH:
                tables.append(_table(self.backbone.features(np.stack(mels[:BATCH])), rows[:BATCH]))
                mels, rows = mels[BATCH:], rows[BATCH:]
        last = np.stack(mels) if mels else np.zeros((0, 187, 96), np.float32)
        return concatenate([*tables, _table(self.backbone.features(last), rows)])


def _table(features: Features, rows: list[dict[str, Any]]) -> Table:
    return Table(
        msd=features,
        label=np.array([row["label"] for row in rows], np.int64),
        corpus=np.array([row["corpus"] for row in rows], np.str_),
        group=np.array([row["group"] for row in rows], np.str_),
        track=np.array([row["track"] for row in rows], np.str_),
        voiced=np.array([row["voiced"] for row in rows], np.float32),
    )


def labelled(table: Table) -> Table:
    """Return the rows that have a label."""
    return table.rows(table.label != UNLABELLED)


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
        msd = Features(*(file[f"msd.{f.name}"] for f in fields(Features)))
        rest = {f.name: file[f.name] for f in fields(Table) if f.name != "msd"}
    return Table(msd=msd, **rest)
