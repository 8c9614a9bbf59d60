"""``features.parquet`` and ``scores.parquet``: what was measured of each segment of each song.

    FeatureFile.open(path)           →  .ids  .inputs  .read(rows)  .blocks()  .means()
    open_series(store, path, kind)   →  `SeriesFile`: .read(ids), of songs that the store knows

Opening reads the footer and the ids. Features of all songs of a catalogue may not fit in
memory, so songs are read by row group, and a long song can be thinned to evenly spread
segments.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from audiorec.errors import InputError, SpecMismatchError, StoreError
from audiorec.files.arrow import integers, matrix
from audiorec.store.parquet import Checked, check_ids, open_checked
from audiorec.store.schema import Kind
from audiorec.store.segments import SongSegments
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray, Int64Array, ScoreSeries

# The last hidden layers: of all outputs those that find the most songs of the same music again
# (docs/decisions/0006-similarity.md), and tell encodings of one song from two songs (0008).
LAST_LAYERS = ("msd_penultimate", "mtt_penultimate")
# What a network that a user added has in their place: the first of these kinds that is there.
ADDED_LAYERS = ("_embedding", "_scores")


class FeatureFile:
    """The songs of one ``features.parquet``, or of one ``scores.parquet``.

    Attributes
    ----------
    inputs, widths : tuple
        Columns that are read, side by side in this order, and their numbers a segment.
    id_array : pyarrow.StringArray
    """

    def __init__(self, file: Checked, inputs: Sequence[str]) -> None:
        self._file = file
        self.inputs = tuple(inputs)
        self.widths = tuple(
            int(file.schema.field(name).type.value_type.list_size) for name in inputs
        )
        self.id_array = file.read(["song_id"]).column("song_id").combine_chunks()
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
            Columns; by default all that the file has, sorted.
        kind : Kind
            `Kind.FEATURES`, or `Kind.SCORES`, whose one input is ``scores``.

        Raises
        ------
        StoreError
            If it is not a whole file of this kind.
        InputError
            If it has no column of a name in `inputs`.
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
        """Open a ``features.parquet`` for its `last_layers`; one without any is an `InputError`."""
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
        """What made the features."""
        return self._file.metadata.extractor_id

    @property
    def group_starts(self) -> list[int]:
        """First row of each row group, and the number of rows."""
        return self._file.group_starts()

    @property
    def spec(self) -> Mapping[str, Any]:
        """Everything between a file and a segment."""
        return self._file.metadata.spec

    @property
    def width(self) -> int:
        """Numbers in a segment's row."""
        return sum(self.widths)

    @property
    def hashes(self) -> list[str]:
        """The content hash of each song."""
        found: list[str] = self._file.read(["content_hash"]).column("content_hash").to_pylist()
        return found

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
            Numbers of songs, ascending.
        max_segments : int
            A longer song is thinned to so many segments; 0 for all of them.

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
            np.concatenate([[0], np.cumsum(counts)]),
        )

    def series(self, row: int) -> ScoreSeries:
        """Read one song of a file of scores, with its times.

        Raises
        ------
        StoreError
            As `read`, or if there are more or fewer times than segments.
        """
        scores = self.read(np.asarray([row], np.int64)).values.astype(np.float32)
        times = self._file.take([row], ["start_s"]).column("start_s").to_pylist()[0]
        if len(times) != len(scores):
            raise StoreError(f"{self.path}: {self.ids[row]!r} has not the segments it claims")
        return ScoreSeries(scores, np.asarray(times, np.float32), self._file.metadata.classes)

    def blocks(self) -> Iterator[tuple[SongSegments, list[str]]]:
        """Yield the songs of one row group after another, with their content hashes."""
        for group, (start, stop) in enumerate(pairwise(self._file.group_starts())):
            if stop > start:
                hashes = self._file.read_group(group, ["content_hash"]).column("content_hash")
                yield self._group(group, np.arange(stop - start)), hashes.to_pylist()

    def means(self) -> FloatArray:
        """Read every song's mean over its segments, as it was stored: shape (n, D), float32."""
        columns = [f"{name}_mean" for name in self.inputs]
        parts = [
            matrix(self._file.read([name]).column(name), width)
            for name, width in zip(columns, self.widths, strict=True)
        ]
        return np.concatenate(parts, axis=1)

    def _group(self, group: int, rows: Int64Array) -> SongSegments:
        """Read songs of one row group, by their numbers in it."""
        table = self._file.read_group(group, ["song_id", *self.inputs])
        table = table.take(integers(rows)).combine_chunks()
        names = tuple(table.column("song_id").to_pylist())
        columns: list[FloatArray] = []
        counts: Int64Array | None = None
        for name, width in zip(self.inputs, self.widths, strict=True):
            column = table.column(name).combine_chunks()
            lengths = np.asarray(pc.list_value_length(column).to_pylist(), np.int64)
            other = lengths if counts is None else counts
            if (odd := np.flatnonzero(other != lengths)).size:
                raise StoreError(
                    f"{self.path}: the outputs of {names[odd[0]]!r} differ in their segments"
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
        return SongSegments(names, joined, np.concatenate([[0], np.cumsum(counts)]))


def last_layers(features: Collection[str]) -> tuple[str, ...]:
    """Return the columns that songs are compared by, of those that a features file has.

    Examples
    --------
    >>> last_layers(["msd_penultimate", "msd_tags"]), last_layers(["mn04_embedding", "mn04_scores"])
    (('msd_penultimate',), ('mn04_embedding',))
    """
    found = tuple(name for name in LAST_LAYERS if name in features)
    for kind in ADDED_LAYERS:
        found = found or tuple(sorted(name for name in features if name.endswith(kind)))
    return found


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """The series in a file of scores or features that are of a store's songs.

    `rows` has the row of each song whose audio is the one that the store knows.
    """

    kind: Kind
    rows: Mapping[str, int]
    file: FeatureFile

    def __contains__(self, song_id: object) -> bool:
        return song_id in self.rows

    @property
    def segment_bytes(self) -> int:
        """Of one segment of a series in memory."""
        return 4 * self.file.width

    def read(self, song_ids: Collection[str]) -> dict[str, FloatArray]:
        """Return series (T, D) of songs in `rows`, float32: scores, or features side by side."""
        rows = np.asarray(sorted(self.rows[song_id] for song_id in song_ids), np.int64)
        songs = self.file.read(rows)
        parts: list[Any] = np.split(songs.values, songs.offsets[1:-1])
        return dict(zip(songs.song_ids, parts, strict=False))

    def series(self, song_id: str) -> ScoreSeries:
        """Return the score series of a song in `rows`, with its times, from a file of scores."""
        return self.file.series(self.rows[song_id])


def open_series(store: VectorStore, path: Path, kind: Kind) -> SeriesFile:
    """Open the score series or the last layers' features that belong to a store.

    If another extractor made them, that is a `SpecMismatchError`.
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
    found = enumerate(zip(file.ids, file.hashes, strict=True))
    rows = {song_id: row for row, (song_id, content) in found if known.get(song_id) == content}
    return SeriesFile(kind, rows, file)


def _thinned(songs: SongSegments, limit: int) -> SongSegments:
    if not limit or (np.diff(songs.offsets) <= limit).all():
        return songs
    rows, owner = songs.rows(np.arange(len(songs)), limit=limit)
    counts = np.bincount(owner, minlength=len(songs))
    return SongSegments(
        songs.song_ids, songs.values[rows], np.concatenate([[0], np.cumsum(counts)])
    )
