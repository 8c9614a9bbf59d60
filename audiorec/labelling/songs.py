"""Train or evaluate a head on labelled songs, from a folder of class folders or a table.

    LABELS ──read_labels──▶ songs with labels ──labelled_features──▶ one row per segment
           ──train_from_labels──▶ head, figures   ──evaluate_head──▶ figures

Features are extracted once, by an ordinary run into a cache folder, and read from there afterwards:
the run resumes and skips unchanged songs like any other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.columns import StoreColumns
from audiorec.errors import InputError
from audiorec.evaluation.classification import Report, by_song, report
from audiorec.extraction.catalogue import Source, find_songs, make_source
from audiorec.extraction.pipeline import Extractor, extractor_config
from audiorec.extraction.run import RunOptions, make_outputs, run
from audiorec.files.user_files import table_rows
from audiorec.labelling.train import HeadRecipe, TrainedHead, train_head
from audiorec.runs.report import RunProgress, Stopped
from audiorec.store.features import FeatureFile, last_layers
from audiorec.store.schema import feature_column
from audiorec.tagger.features import ADDED_OUTPUTS, OUTPUT_WIDTHS, assemble, split_input
from audiorec.tagger.heads import Head
from audiorec.tagger.weights import WEIGHTS
from audiorec.types import AddedFeatures, AnyFeatures, Features, FloatArray, Int64Array

POOLS = ("max_pool", "mean_pool")  # 3,012 numbers per segment: stored only for heads that read them
ALL_OUTPUTS = tuple(f"msd.{output}" for output in OUTPUT_WIDTHS)
MIN_GROUPS = 2  # per class: one to train on, one to evaluate on


@dataclass(frozen=True, slots=True)
class LabelledSong:
    """A song, its class, and the group that a fold must not split, such as its artist."""

    source: Source
    label: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledFeatures:
    """Training or evaluation data of a head: one row per segment.

    Attributes
    ----------
    features : mapping of str to Features
        Features of n segments, by backbone name; pools are empty unless they were requested.
    labels : ndarray, shape (n,), int64
        Index into `classes`.
    song_ids, groups : ndarray, shape (n,), str
    classes : tuple of str
    grouped : bool
        True if any two songs share a group. If not, songs of one artist may fall on both sides
        of a fold, and figures are better than they would be on new artists.
    missing : tuple of str
        Ids of labelled songs that could not be used; the reasons are in the cache's
        ``vecs.errors.parquet``.
    inputs : tuple of str
        Features that a head reads by default.
    backbones : mapping of str to str
        Checksums of the networks that computed the features.
    front_end : str
        `FeatureSpec.front_end` of the segments.
    """

    features: dict[str, AnyFeatures]
    labels: Int64Array
    song_ids: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    grouped: bool
    missing: tuple[str, ...]
    inputs: tuple[str, ...]
    backbones: Mapping[str, str]
    front_end: str


def read_labels(labels: Path) -> list[LabelledSong]:
    """Read the labels of songs.

    Parameters
    ----------
    labels : Path
        A folder with one sub-folder per class, or a CSV or Parquet file with the columns
        ``path`` and ``label`` and, if songs belong together, ``group``. Paths are relative to the
        table's folder. Without groups each song is a group of its own.

    Returns
    -------
    songs : list of LabelledSong
        Sorted by id.

    Raises
    ------
    InputError
        If there are fewer than two classes, or a class has fewer than two groups.
    """
    songs = _from_folder(labels) if labels.is_dir() else _from_table(labels)
    _check_classes(songs, labels)
    return songs


def labelled_features(
    songs: Sequence[LabelledSong],
    cache: Path,
    *,
    inputs: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    backbone: str | None = None,
    jobs: int = 0,
    progress: Callable[[RunProgress], None] | None = None,
) -> LabelledFeatures:
    """Extract the features of labelled songs, or read them from the cache.

    Parameters
    ----------
    songs : sequence of LabelledSong
    cache : Path
        A folder for these labels only; created if missing. Pools have a sub-folder, and so has
        each added network.
    inputs : sequence of str, optional
        Features that a head will read; by default the last layers of the networks.
    classes : sequence of str, optional
        Order of the classes; by default sorted.
    backbone : str, optional
        An added network to use instead of the shipped ones; see `extractor_config`.
    jobs : int
    progress : callable, optional

    Raises
    ------
    InputError
        If a label is not in `classes`, or none of the songs can be used.
    """
    names = tuple(classes or sorted({song.label for song in songs}))
    unknown = {song.label for song in songs} - set(names)
    if unknown:
        raise InputError(f"unknown class {', '.join(sorted(unknown))}; the classes are {names}")
    config = extractor_config((), backbone)
    extractor = Extractor(config)
    inputs = tuple(inputs or _last_layers(extractor.networks.feature_outputs))
    for name in inputs:
        extractor.networks.width(name)  # raises `InputError` for an unknown output
    wide = any(split_input(name)[1] in POOLS for name in inputs)
    name = extractor.networks.feature_outputs[0].partition(".")[0]
    where = cache / ("pools" if wide else "" if config.backbone is None else name)
    outputs = make_outputs(where / "vecs.parquet", features=where / "features.parquet")
    options = RunOptions(jobs=jobs, feature_outputs=ALL_OUTPUTS if wide else None)
    sources = [song.source for song in songs]
    done = run(sources, outputs, config=config, options=options, progress=progress)
    if done.stopped is Stopped.MAX_FAILURES or not done.usable:
        raise InputError(f"none of the labelled songs could be used; see {outputs.errors}")
    return _read_features(songs, where / "features.parquet", names, inputs, extractor)


def train_from_labels(
    data: LabelledFeatures,
    *,
    task: str,
    inputs: Sequence[str] | None = None,
    recipe: HeadRecipe | None = None,
) -> tuple[TrainedHead, Report, Report]:
    """Train a head and evaluate its out-of-fold scores.

    Parameters
    ----------
    data : LabelledFeatures
    task : str
        The head's name; its score columns are named ``task/class``.
    inputs : sequence of str, optional
        Backbone outputs that it reads; by default those of `data`.
    recipe : HeadRecipe, optional

    Returns
    -------
    trained : TrainedHead
    by_segment, by_song : Report
        Of out-of-fold scores: each from a head that was not trained on the segment's group.
    """
    inputs = inputs or data.inputs
    backbones = {split_input(name)[0] for name in inputs}
    trained = train_head(
        assemble(data.features, inputs),
        data.labels,
        data.groups,
        task=task,
        classes=data.classes,
        inputs=inputs,
        backbones={name: data.backbones[name] for name in backbones},
        recipe=recipe or HeadRecipe(),
        front_end=data.front_end,
    )
    return trained, *judge_scores(trained.out_of_fold, data)


def evaluate_head(head: Head, data: LabelledFeatures) -> tuple[Report, Report]:
    """Evaluate a head on labelled songs: by segment, and by song (mean score)."""
    return judge_scores(head.scores(data.features), data)


def judge_scores(scores: npt.NDArray[np.floating], data: LabelledFeatures) -> tuple[Report, Report]:
    """Evaluate scores (n, C) against the labels: by segment, and by song."""
    rng = np.random.default_rng(0)
    segments = report(scores, data.labels, data.song_ids, classes=data.classes, rng=rng)
    means, labels, song_ids = by_song(scores, data.labels, data.song_ids)
    songs = report(means, labels, song_ids, classes=data.classes, rng=rng)
    return segments, songs


def _from_folder(folder: Path) -> list[LabelledSong]:
    """Read each sub-folder as a class; deeper folders, such as albums, are groups."""
    songs = []
    for source in find_songs([folder]):
        label, *deeper = source.song_id.split("/")
        if deeper:
            group = "/".join(source.song_id.split("/")[:-1]) if len(deeper) > 1 else source.song_id
            songs.append(LabelledSong(source, label, group))
    return songs


def _from_table(path: Path) -> list[LabelledSong]:
    songs, needed, wanted = {}, ("path", "label"), (StoreColumns.ID, "group")
    rows = table_rows(path, "cannot read the labels", needed=needed, wanted=wanted)
    for number, row in enumerate(rows, start=1):
        file, label = row.get("path"), row.get("label")
        if not file or not label:
            raise InputError(f"{path}: row {number} lacks a path or a label")
        name = str(row.get(StoreColumns.ID) or file)
        if name in songs:
            raise InputError(f"{path}: row {number} repeats song {name!r}")
        source = make_source(str(path.parent / str(file)), name)
        songs[name] = LabelledSong(source, str(label), str(row.get("group") or name))
    return [songs[name] for name in sorted(songs)]


def _check_classes(songs: Sequence[LabelledSong], labels: Path) -> None:
    groups: dict[str, set[str]] = {}
    for song in songs:
        groups.setdefault(song.label, set()).add(song.group)
    if len(groups) < 2:
        raise InputError(
            f"{labels}: expected two or more classes, found {sorted(groups) or 'none'}"
        )
    few = sorted(name for name, result in groups.items() if len(result) < MIN_GROUPS)
    if few:
        raise InputError(f"{labels}: classes with fewer than {MIN_GROUPS} groups: {', '.join(few)}")


def _read_features(
    songs: Sequence[LabelledSong],
    path: Path,
    classes: tuple[str, ...],
    inputs: tuple[str, ...],
    extractor: Extractor,
) -> LabelledFeatures:
    file = FeatureFile.open(path)
    at = {name: i for i, name in enumerate(file.ids)}
    used = sorted((s for s in songs if s.source.song_id in at), key=lambda s: at[s.source.song_id])
    if not used:
        raise InputError(f"none of the labelled songs could be used; see the errors beside {path}")
    rows = file.read(np.array([at[song.source.song_id] for song in used], np.int64))
    counts = np.diff(rows.offsets)
    parts: list[Any] = np.split(rows.values, np.cumsum(file.widths)[:-1], axis=1)
    columns = dict(zip(file.inputs, parts, strict=True))
    networks = {split_input(name)[0] for name in extractor.networks.feature_outputs}
    return LabelledFeatures(
        features={name: _features(columns, name) for name in sorted(networks)},
        labels=np.repeat([classes.index(song.label) for song in used], counts),
        song_ids=np.repeat([song.source.song_id for song in used], counts),
        groups=np.repeat([song.group for song in used], counts),
        classes=classes,
        grouped=len({song.group for song in used}) < len(used),
        missing=tuple(song.source.song_id for song in songs if song.source.song_id not in at),
        inputs=inputs,
        backbones={name: extractor.networks.origin(name)["sha256"] for name in sorted(networks)},
        front_end=extractor.config.spec.front_end,
    )


def _last_layers(outputs: Sequence[str]) -> tuple[str, ...]:
    """Return the outputs that a head reads by default, from those that ``--features`` stores."""
    columns = {feature_column(name): name for name in outputs}
    return tuple(columns[name] for name in last_layers(columns))


def _features(columns: Mapping[str, FloatArray], backbone: str) -> AnyFeatures:
    """Return one backbone's features; outputs that are not stored have no columns."""
    if backbone not in WEIGHTS:
        names = {output: feature_column(f"{backbone}.{output}") for output in ADDED_OUTPUTS}
        return AddedFeatures(**{output: columns.get(name) for output, name in names.items()})
    names = {output: feature_column(f"{backbone}.{output}") for output in OUTPUT_WIDTHS}
    none = np.empty((len(columns[names["tags"]]), 0), np.float32)
    return Features(**{output: columns.get(name, none) for output, name in names.items()})
