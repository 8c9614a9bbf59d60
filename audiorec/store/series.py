"""Score series and feature series of some songs of a store, read from the files beside it.

    scores.parquet | features.parquet  ──open_series──▶ `SeriesFile`  ──read(ids)──▶ {id: (T, D)}

Only the row groups that hold the songs asked for are read, and one of them is in memory at
a time beside what is given back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import SpecMismatchError, StoreError
from audiorec.files.arrow import floats, integers
from audiorec.store.parquet import Checked, check_ids, open_checked
from audiorec.store.schema import Kind, feature_column
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray

# The last hidden layers; see docs/decisions/0008-playlists-and-duplicates.md.
FEATURE_SERIES = ("msd.penultimate", "mtt.penultimate")


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """A file of series that belongs to a store.

    Attributes
    ----------
    kind : Kind
        Scores or features.
    rows : mapping of str to int
        Row of each song whose audio is the one that the store knows.
    segment_bytes : int
        Of one segment of a series in memory.
    """

    kind: Kind
    rows: Mapping[str, int]
    segment_bytes: int
    _file: Checked
    _columns: tuple[str, ...]

    def __contains__(self, song_id: object) -> bool:
        return song_id in self.rows

    def read(self, song_ids: Collection[str]) -> dict[str, FloatArray]:
        """Read series.

        Parameters
        ----------
        song_ids : collection of str
            All of them in `rows`.

        Returns
        -------
        series : dict of str to ndarray, shape (T, D), float32
            Scores, or the features of both backbones side by side.

        Raises
        ------
        StoreError
            If the file is damaged.
        """
        wanted = sorted((self.rows[song_id], song_id) for song_id in song_ids)
        starts = np.asarray(self._file.group_starts())
        groups = np.searchsorted(starts, [row for row, _ in wanted], side="right") - 1
        found: dict[str, FloatArray] = {}
        for group in np.unique(groups):
            here = [pair for pair, g in zip(wanted, groups, strict=True) if g == group]
            table = self._file.read_group(int(group), list(self._columns))
            table = table.take(integers([row - int(starts[group]) for row, _ in here]))
            parts = [_matrices(table.column(name).combine_chunks()) for name in self._columns]
            for (_, song_id), matrices in zip(here, zip(*parts, strict=True), strict=True):
                found[song_id] = _side_by_side(matrices, self._file.path, song_id)
        return found


def open_series(store: VectorStore, path: Path, kind: Kind) -> SeriesFile:
    """Open the score series or the features that belong to a store.

    Parameters
    ----------
    store : VectorStore
    path : Path
    kind : Kind
        `Kind.SCORES` or `Kind.FEATURES`.

    Raises
    ------
    StoreError
        If the file is missing, damaged, or of another kind.
    SpecMismatchError
        If another extractor made it.
    """
    file = open_checked(path, kind)
    theirs, ours = file.metadata.extractor_id, store.metadata.extractor_id
    if theirs != ours:
        raise SpecMismatchError(
            f"{path} was made by extractor {theirs}, {store.path} by {ours}: extract both again"
        )
    columns: tuple[str, ...]
    if kind == Kind.SCORES:
        columns, width = ("scores",), len(file.metadata.classes)
    else:
        names = [name for name in FEATURE_SERIES if feature_column(name) in _names(file)]
        if not names:
            raise StoreError(f"{path}: has none of the features {', '.join(FEATURE_SERIES)}")
        columns = tuple(feature_column(name) for name in names)
        width = sum(_width(file, name) for name in columns)
    ids = file.read(["song_id", "content_hash"])
    check_ids(ids.column("song_id"), path)
    hashes = ids.column("content_hash").to_pylist()
    known = dict(zip(store.ids, store.column("content_hash").to_pylist(), strict=True))
    rows = {
        song_id: row
        for row, (song_id, content) in enumerate(
            zip(ids.column("song_id").to_pylist(), hashes, strict=True)
        )
        if known.get(song_id) == content
    }
    return SeriesFile(kind, rows, 4 * width, file, columns)


def _names(file: Checked) -> list[str]:
    names: list[str] = file.file.schema_arrow.names
    return names


def _width(file: Checked, column: str) -> int:
    return int(file.file.schema_arrow.field(column).type.value_type.list_size)


def _matrices(array: Any) -> list[FloatArray]:
    """Return each row of a list column of vectors as a matrix (T, D)."""
    width = array.type.value_type.list_size
    values = floats(array.flatten().flatten()).reshape(-1, width)
    ends = np.cumsum([0, *(len(row) for row in array)])
    return [values[a:b].copy() for a, b in pairwise(ends)]


def _side_by_side(matrices: tuple[FloatArray, ...], path: Path, song_id: str) -> FloatArray:
    if len({len(matrix) for matrix in matrices}) != 1:
        raise StoreError(f"{path}: the features of {song_id!r} have different lengths")
    joined = matrices[0] if len(matrices) == 1 else np.concatenate(matrices, axis=1)
    if not np.isfinite(joined).all():
        raise StoreError(f"{path}: the series of {song_id!r} is not finite")
    return joined
