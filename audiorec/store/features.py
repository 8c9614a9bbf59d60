"""Read ``features.parquet`` and ``scores.parquet``: series over the segments of each song.

    FeatureFile.open(path)           →  .ids  .inputs  .read(rows)  .blocks()  .means()
    open_series(store, path, kind)   →  `SeriesFile`: .read(ids), for songs that the store knows

Opening reads the footer and the ids. The features of a whole catalogue may not fit in memory,
so songs are read by row group, and a long song can be thinned to evenly spaced segments.

Songs as rows of segments: the input of an audio tower. The segments of all songs are concatenated
in one array; `offsets` says where each song begins. A row may be the features (D,) or a log-mel
segment (F, M).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, ShapeError, SpecMismatchError, StoreError
from audiorec.files.arrow import integers, matrix
from audiorec.store.schema import Checked, Kind, check_ids, open_checked
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, FloatArray, Int64Array, ScoreSeries, entries, offsets


@dataclass(frozen=True, slots=True, eq=False)
class SongSegments:
    """The segments of S songs; `ShapeError` if a song has none or the offsets do not fit."""

    song_ids: tuple[str, ...]
    values: FloatArray | npt.NDArray[np.float16]  # (m, ...), song by song; may be memory-mapped
    offsets: Int64Array  # (S + 1,): song s has the rows ``offsets[s]:offsets[s + 1]``

    def __post_init__(self) -> None:
        counts = np.diff(self.offsets)
        fits = len(self.offsets) == len(self.song_ids) + 1 and self.offsets[0] == 0
        if not fits or self.offsets[-1] != len(self.values) or (counts < 1).any():
            raise ShapeError(
                f"offsets must cut {len(self.values)} segments into {len(self.song_ids)} songs "
                "of at least one segment"
            )

    def __len__(self) -> int:
        return len(self.song_ids)

    def means(self) -> FloatArray:
        """Return each song's mean over its segments: shape (S, D), float32."""
        sums = np.add.reduceat(self.values.astype(np.float64), self.offsets[:-1], axis=0)
        counts = np.diff(self.offsets).reshape(-1, *(1,) * (self.values.ndim - 1))
        return (sums / counts).astype(np.float32)

    def rows(
        self, songs: Int64Array, *, limit: int = 0, rng: "np.random.Generator | None" = None
    ) -> tuple[Int64Array, Int64Array]:
        """Return the rows of some songs, in the order of `songs`, ascending within each song.

        Also return each row's index into `songs`; both shape (m,), int64. A song with more than
        `limit` segments (0: no limit) is reduced to a random subset drawn from `rng`, or to evenly
        spaced segments without `rng`.
        """
        counts = np.diff(self.offsets)[songs]
        owner, within = np.repeat(np.arange(len(songs)), counts), entries(0, counts)
        if limit and (counts > limit).any():
            keep = _chosen(within, owner, counts, limit, rng)
            owner, within = owner[keep], within[keep]
        return self.offsets[songs][owner] + within, owner


def join_songs(
    parts: Sequence[tuple[str, FloatArray | npt.NDArray[np.float16]]],
) -> SongSegments:
    """Make `SongSegments` from song ids and their (T, ...) arrays."""
    counts = [len(values) for _, values in parts]
    names, values = tuple(name for name, _ in parts), np.concatenate([v for _, v in parts])
    return SongSegments(names, values, offsets(counts))


def _chosen(
    within: Int64Array,
    owner: Int64Array,
    counts: Int64Array,
    limit: int,
    rng: "np.random.Generator | None",
) -> BoolArray:
    """Return a mask of the rows to keep, so that no song has more than `limit`."""
    if rng is None:  # keep row i of T where i * limit / T passes a whole number
        total = counts[owner]
        step = within * limit // total
        return (total <= limit) | (step != (within - 1) * limit // total)
    order = np.lexsort((rng.random(len(owner)), owner))
    place = np.empty(len(owner), np.int64)
    place[order] = within  # rows of a song are contiguous, so its places are 0 to T - 1
    return place < limit


# The last hidden layers: the outputs that retrieve the most songs of the same music, and that tell
# encodings of one song from two songs.
LAST_LAYERS = ("msd_penultimate", "mtt_penultimate")
# The outputs used instead for a backbone added by the user: the first of these that exists.
ADDED_LAYERS = ("_embedding", "_scores")


class FeatureFile:
    """The songs of one ``features.parquet``, or of one ``scores.parquet``.

    Attributes
    ----------
    inputs, widths : tuple
        Columns to read, concatenated in this order, and their widths (numbers per segment).
    id_array : pyarrow.StringArray
    """

    def __init__(self, file: Checked, inputs: Sequence[str]) -> None:
        self._file = file
        self.inputs = tuple(inputs)
        self.widths = tuple(
            int(file.schema.field(name).type.value_type.list_size) for name in inputs
        )
        self.id_array = file.read([StoreColumns.ID]).column(StoreColumns.ID).combine_chunks()
        check_ids(self.id_array, file.path)
        self.ids: tuple[str, ...] = tuple(self.id_array.to_pylist())

    @classmethod
    def open(
        cls,
        path: str | Path,
        inputs: Sequence[str] | None = None,
        *,
        kind: Kind = Kind.FEATURES,
    ) -> "FeatureFile":
        """Open a file and check it.

        Parameters
        ----------
        path : path
        inputs : sequence of str, optional
            Columns to read; by default all that the file has, sorted.
        kind : Kind
            `Kind.FEATURES`, or `Kind.SCORES`, whose one input is ``scores``.

        Raises
        ------
        StoreError
            If it is not a complete file of this kind.
        InputError
            If a column in `inputs` does not exist.
        """
        file = open_checked(Path(path), kind)
        known = ["scores"] if kind == Kind.SCORES else sorted(file.metadata.features)
        unknown = [name for name in inputs or () if name not in known]
        if unknown or not known:
            raise InputError(
                f"{path}: no features {', '.join(unknown) or 'at all'}; it has {', '.join(known)}"
            )
        return cls(file, inputs or known)

    @classmethod
    def open_last_layers(cls, path: str | Path) -> "FeatureFile":
        """Open a ``features.parquet`` for its `last_layers`; `InputError` if it has none."""
        file = open_checked(Path(path), Kind.FEATURES)
        names = last_layers(file.metadata.features)
        if not names:
            raise InputError(f"{path}: has none of the features {', '.join(LAST_LAYERS)}")
        return cls(file, names)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def extractor_id(self) -> str:
        """Id of the extractor that made the features."""
        return self._file.metadata.extractor_id

    @property
    def group_starts(self) -> list[int]:
        """First row of each row group, followed by the number of rows."""
        return self._file.group_starts()

    @property
    def spec(self) -> Mapping[str, Any]:
        """Spec of the features: settings from audio file to segment."""
        return self._file.metadata.spec

    @property
    def width(self) -> int:
        """Numbers per segment."""
        return sum(self.widths)

    @property
    def hashes(self) -> list[str]:
        """The content hash of each song."""
        return self._file.read(["content_hash"]).column("content_hash").to_pylist()

    @property
    def counts(self) -> Int64Array:
        """The number of segments of each song: shape (n,), int64."""
        column = self._file.read(["segments"]).column("segments")
        return np.asarray(column.to_pylist(), np.int64)

    def read(self, rows: Int64Array, *, max_segments: int = 0) -> SongSegments:
        """Read some songs.

        Parameters
        ----------
        rows : ndarray, shape (n,), int64
            Row numbers of the songs, ascending.
        max_segments : int
            Thin longer songs to this many evenly spaced segments; 0 for no limit.

        Raises
        ------
        StoreError
            If the file is damaged, a song has no segment, or a number is not finite.
        """
        parts: list[SongSegments] = []
        for group, (start, stop) in enumerate(pairwise(self._file.group_starts())):
            wanted = rows[(rows >= start) & (rows < stop)] - start
            if len(wanted):
                parts.append(_thinned(self._group(group, wanted), max_segments))
        if not parts:
            empty = np.zeros((0, self.width), np.float32)
            return SongSegments((), empty, np.zeros(1, np.int64))
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        return SongSegments(
            tuple(name for part in parts for name in part.song_ids),
            np.concatenate([part.values for part in parts]),
            offsets(counts),
        )

    def series(self, row: int) -> ScoreSeries:
        """Read one song of a scores file, with the start times of its segments.

        Raises
        ------
        StoreError
            As for `read`, or if the numbers of times and segments differ.
        """
        scores = self.read(np.asarray([row], np.int64)).values.astype(np.float32)
        times = self._file.take([row], ["start_s"]).column("start_s").to_pylist()[0]
        if len(times) != len(scores):
            raise StoreError(f"{self.path}: {self.ids[row]!r} lacks a time or a segment")
        return ScoreSeries(scores, np.asarray(times, np.float32), self._file.metadata.classes)

    def blocks(self) -> Iterator[tuple[SongSegments, list[str]]]:
        """Yield the songs of each row group, with their content hashes."""
        for group, (start, stop) in enumerate(pairwise(self._file.group_starts())):
            if stop > start:
                hashes = self._file.read_group(group, ["content_hash"]).column("content_hash")
                yield self._group(group, np.arange(stop - start)), hashes.to_pylist()

    def means(self) -> FloatArray:
        """Read every song's stored mean over its segments: shape (n, D), float32."""
        columns = [f"{name}_mean" for name in self.inputs]
        parts = [
            matrix(self._file.read([name]).column(name), width)
            for name, width in zip(columns, self.widths, strict=True)
        ]
        return np.concatenate(parts, axis=1)

    def _group(self, group: int, rows: Int64Array) -> SongSegments:
        """Read songs of one row group, by row number within the group."""
        table = self._file.read_group(group, [StoreColumns.ID, *self.inputs])
        table = table.take(integers(rows)).combine_chunks()
        names = tuple(table.column(StoreColumns.ID).to_pylist())
        columns: list[FloatArray] = []
        counts: Int64Array | None = None
        for name, width in zip(self.inputs, self.widths, strict=True):
            column = table.column(name).combine_chunks()
            lengths = np.asarray(pc.list_value_length(column).to_pylist(), np.int64)
            other = lengths if counts is None else counts
            if (odd := np.flatnonzero(other != lengths)).size:
                raise StoreError(
                    f"{self.path}: the outputs of {names[odd[0]]!r} differ in number of segments"
                )
            columns.append(matrix(column.flatten(), width))
            counts = lengths
        if counts is None or (counts < 1).any():
            raise StoreError(f"{self.path}: a song has no segments")
        joined = columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)
        finite = np.isfinite(joined).all(axis=1)
        if not finite.all():
            bad = np.repeat(np.arange(len(names)), counts)[~finite][0]
            raise StoreError(f"{self.path}: a feature of {names[bad]!r} is not finite")
        return SongSegments(names, joined, offsets(counts))


def last_layers(features: Collection[str]) -> tuple[str, ...]:
    """Return which columns of a features file songs are compared by.

    Examples
    --------
    >>> last_layers(["msd_penultimate", "msd_tags"]), last_layers(["mn04_embedding", "mn04_scores"])
    (('msd_penultimate',), ('mn04_embedding',))
    """
    layers = tuple(name for name in LAST_LAYERS if name in features)
    for kind in ADDED_LAYERS:
        layers = layers or tuple(sorted(name for name in features if name.endswith(kind)))
    return layers


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """The series of a store's songs in a file of scores or features.

    `rows` maps each song whose ``content_hash`` matches the store's to its row.
    """

    kind: Kind
    rows: Mapping[str, int]
    file: FeatureFile

    def __contains__(self, song_id: object) -> bool:
        return song_id in self.rows

    def read(self, song_ids: Collection[str]) -> dict[str, FloatArray]:
        """Return the series of songs in `rows`, shape (T, D), float32: scores or features."""
        rows = np.asarray(sorted(self.rows[song_id] for song_id in song_ids), np.int64)
        songs = self.file.read(rows)
        parts: list[Any] = np.split(songs.values, songs.offsets[1:-1])
        return dict(zip(songs.song_ids, parts, strict=False))

    def series(self, song_id: str) -> ScoreSeries:
        """Return the score series of a song in `rows`, with its times; scores files only."""
        return self.file.series(self.rows[song_id])


def open_series(store: VectorStore, path: Path, kind: Kind) -> SeriesFile:
    """Open the score series, or the features of the last layers, that belong to a store.

    Raise `SpecMismatchError` if another extractor made them.
    """
    is_scores = kind == Kind.SCORES
    file = FeatureFile.open(path, kind=kind) if is_scores else FeatureFile.open_last_layers(path)
    theirs, ours = file.extractor_id, store.metadata.extractor_id
    if theirs != ours:
        raise SpecMismatchError(
            f"{path} was made by extractor {theirs}, {store.path} by {ours}: extract both again "
            f"(audiorec extract FOLDER --out {store.path} --{kind} {path} --overwrite)"
        )
    known = dict(zip(store.ids, store.column("content_hash").to_pylist(), strict=True))
    result = enumerate(zip(file.ids, file.hashes, strict=True))
    rows = {song_id: row for row, (song_id, content) in result if known.get(song_id) == content}
    return SeriesFile(kind, rows, file)


def _thinned(songs: SongSegments, limit: int) -> SongSegments:
    if not limit or (np.diff(songs.offsets) <= limit).all():
        return songs
    rows, owner = songs.rows(np.arange(len(songs)), limit=limit)
    counts = np.bincount(owner, minlength=len(songs))
    return SongSegments(songs.song_ids, songs.values[rows], offsets(counts))
