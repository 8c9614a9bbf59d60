"""``features.parquet`` as segments: what a metric model reads.

    FeatureFile.open(path)  →  .ids  .inputs  .read(rows)  .blocks()

Opening reads the footer and the ids. Features of all songs of a catalogue may not fit in
memory, so songs are read by row group, and a long song can be thinned to evenly spread
segments.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import InputError, StoreError
from audiorec.files.arrow import floats
from audiorec.store.parquet import Checked, check_ids, open_checked
from audiorec.store.schema import Kind
from audiorec.store.segments import SongSegments
from audiorec.types import FloatArray, Int64Array


class FeatureFile:
    """The songs of one ``features.parquet``.

    Parameters
    ----------
    file : Checked
    inputs : tuple of str
        Columns that are read, side by side in this order.
    """

    def __init__(self, file: Checked, inputs: tuple[str, ...]) -> None:
        self._file = file
        self.inputs = inputs
        column = file.read(["song_id"]).column("song_id").combine_chunks()
        check_ids(column, file.path)
        self.ids: tuple[str, ...] = tuple(column.to_pylist())

    @classmethod
    def open(cls, path: str | Path, inputs: Sequence[str] | None = None) -> "FeatureFile":
        """Open a file and check it.

        Parameters
        ----------
        path : path
        inputs : sequence of str, optional
            Columns; by default all that the file has, sorted.

        Raises
        ------
        StoreError
            If it is not a whole ``features.parquet``.
        InputError
            If it has no column of a name in `inputs`.
        """
        file = open_checked(Path(path), Kind.FEATURES)
        known = sorted(file.metadata.features)
        unknown = [name for name in inputs or () if name not in known]
        if unknown or not known:
            raise InputError(
                f"{path}: no features {', '.join(unknown) or 'at all'}; it has {', '.join(known)}"
            )
        return cls(file, tuple(inputs or known))

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
    def spec(self) -> Mapping[str, Any]:
        """Everything between a file and a segment."""
        return self._file.metadata.spec

    @property
    def width(self) -> int:
        """Numbers in a segment's row."""
        return sum(self._file.metadata.features[name] for name in self.inputs)

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
        starts = self._file.group_starts()
        parts: list[SongSegments] = []
        for group in range(len(starts) - 1):
            wanted = rows[(rows >= starts[group]) & (rows < starts[group + 1])] - starts[group]
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

    def blocks(self) -> Iterator[tuple[SongSegments, list[str]]]:
        """Yield the songs of one row group after another, with their content hashes."""
        starts = self._file.group_starts()
        for group in range(len(starts) - 1):
            everything = np.arange(starts[group + 1] - starts[group])
            hashes = self._file.read_group(group, ["content_hash"]).column("content_hash")
            if len(everything):
                yield self._group(group, everything), hashes.to_pylist()

    def _group(self, group: int, rows: Int64Array) -> SongSegments:
        """Read songs of one row group, by their numbers in it."""
        table = self._file.read_group(group, ["song_id", *self.inputs])
        if int(rows.max()) >= table.num_rows:
            raise StoreError(f"{self.path}: row group {group} has not the rows it claims")
        table = table.take(pa.array(rows)).combine_chunks()
        names = tuple(table.column("song_id").to_pylist())
        columns, counts = [], None
        for name in self.inputs:
            values, lengths = _unfolded(table.column(name))
            if counts is not None and not np.array_equal(counts, lengths):
                raise StoreError(f"{self.path}: the outputs of a song differ in their segments")
            columns.append(values)
            counts = lengths
        if counts is None or (counts < 1).any():
            raise StoreError(f"{self.path}: a song has no segments")
        joined = np.concatenate(columns, axis=1)
        if not np.isfinite(joined).all():
            raise StoreError(f"{self.path}: a feature is not finite")
        return SongSegments(names, joined, np.concatenate([[0], np.cumsum(counts)]))


def _unfolded(column: pa.ChunkedArray) -> tuple[FloatArray, Int64Array]:
    """Return a column of series as one array (m, D), and the segments of each song (n,)."""
    blocks, counts = [], []
    for chunk in column.chunks:
        flat = chunk.flatten()
        width = flat.type.list_size
        blocks.append(floats(flat.flatten()).reshape(-1, width))
        counts.append(np.asarray(pc.list_value_length(chunk).to_pylist(), np.int64))
    return np.concatenate(blocks), np.concatenate(counts)


def _thinned(songs: SongSegments, limit: int) -> SongSegments:
    if not limit or (np.diff(songs.offsets) <= limit).all():
        return songs
    rows, owner = songs.rows(np.arange(len(songs)), limit=limit)
    counts = np.bincount(owner, minlength=len(songs))
    return SongSegments(
        songs.song_ids, songs.values[rows], np.concatenate([[0], np.cumsum(counts)])
    )
