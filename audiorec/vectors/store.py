"""``vecs.parquet`` as a table of songs: ids, vectors, other columns, similar songs.

    VectorStore.open(path)  →  .ids  .vectors (n, V)  .row(id)  .resolve(text)  .similar(id, k)

Opening reads the footer and the ids; vectors and other columns are read when asked for.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from audiorec.errors import InputError, ShapeError, StoreError, UnknownSongError
from audiorec.types import FloatArray, Neighbour
from audiorec.vectors.arrow import flags, floats, integers, strings
from audiorec.vectors.arrow import rows as arrow_rows
from audiorec.vectors.names import near_names, unique_match
from audiorec.vectors.parquet import MAX_BYTES, Checked, check_ids, open_checked, write_table
from audiorec.vectors.schema import Kind, StoreMetadata
from audiorec.vectors.similar import By, Similarity, similar, weight_vector

__all__ = ["VectorStore", "open_store", "write_table"]


class VectorStore:
    """The songs of one ``vecs.parquet``, in the order of the file.

    Use `VectorStore.open`. Files that audiorec wrote are sorted by id.
    """

    def __init__(self, file: Checked) -> None:
        self._file = file
        self._ids = file.read(["song_id"]).column("song_id").combine_chunks()
        self._sorted = check_ids(self._ids, file.path)
        self._similarities: dict[tuple[float, ...], Similarity] = {}

    @classmethod
    def open(cls, path: str | Path, *, max_bytes: int = MAX_BYTES) -> "VectorStore":
        """Open a store and check it.

        Parameters
        ----------
        path : path
            A ``vecs.parquet``.
        max_bytes : int
            Most bytes that the vectors may need in memory.

        Raises
        ------
        StoreError
            If the file is missing, truncated, not Parquet, of another schema or of a newer
            format, too large, or if an id is empty or stands twice.

        Examples
        --------
        >>> store = VectorStore.open("fixtures/formats/vecs-v1.parquet")
        >>> len(store), store.vectors.shape
        (5, (5, 84))
        >>> store.resolve("etude")
        'piano/etude.flac'
        """
        return cls(open_checked(Path(path), Kind.VECTORS, max_bytes=max_bytes))

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, song_id: object) -> bool:
        return isinstance(song_id, str) and self._number(song_id) >= 0

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def metadata(self) -> StoreMetadata:
        """What made the vectors, and what their numbers mean."""
        return self._file.metadata

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Song ids, one a row."""
        return tuple(self._ids.to_pylist())

    @cached_property
    def vectors(self) -> FloatArray:
        """All vectors: shape (n, V), float32, read-only.

        Raises
        ------
        StoreError
            If the file is damaged or a number is NaN or infinite.
        """
        vectors = self.read_vectors()
        vectors.flags.writeable = False
        return vectors

    def read_vectors(self) -> FloatArray:
        """Read all vectors into a new array of shape (n, V), float32, which is the caller's.

        Raises
        ------
        StoreError
            As for `vectors`.
        """
        starts = self._file.group_starts()
        vectors = np.empty((len(self), self.metadata.dimension), np.float32)
        for group, start in enumerate(starts[:-1]):
            block = self._read_block(group)
            if len(block) != starts[group + 1] - start:
                raise StoreError(f"{self.path}: row group {group} has not the rows it claims")
            if not np.isfinite(block).all():
                row = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
                song_id = self._ids[row].as_py()
                raise StoreError(f"{self.path}: the vector of {song_id!r} is not finite")
            vectors[start : start + len(block)] = block
        return vectors

    def column(self, name: str) -> Any:
        """Return one column as a `pyarrow.ChunkedArray`.

        Raises
        ------
        InputError
            If there is no such column.
        """
        names = self._file.file.schema_arrow.names
        if name not in names:
            raise InputError(f"{self.path}: no column {name!r}, there are: {', '.join(names)}")
        return self._file.read([name]).column(name)

    def row(self, song_id: str) -> dict[str, Any]:
        """Return a song's columns without the vector.

        Raises
        ------
        UnknownSongError
            If no song has exactly this id.
        """
        return self.rows([self.row_number(song_id)])[0]

    def rows(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Return the columns of several rows without the vectors, in the order asked for.

        Only the row groups that hold them are read.
        """
        names = [n for n in self._file.file.schema_arrow.names if n != "vector"]
        starts = self._file.group_starts()
        groups = np.searchsorted(starts, numbers, side="right") - 1
        found: dict[int, dict[str, Any]] = {}
        for group in np.unique(groups):
            wanted = [n for n, g in zip(numbers, groups, strict=True) if g == group]
            table = self._file.read_group(int(group), names)
            taken = table.take(integers([n - starts[group] for n in wanted]))
            found.update(zip(wanted, arrow_rows(taken), strict=True))
        return [dict(found[n]) for n in numbers]

    def row_number(self, song_id: str) -> int:
        """Return the number of the row with exactly this id.

        Raises
        ------
        UnknownSongError
        """
        number = self._number(song_id)
        if number < 0:
            raise UnknownSongError(song_id, near_names(self._ids, song_id))
        return number

    def vector(self, song_id: str) -> FloatArray:
        """Return one song's vector: shape (V,), float32.

        Raises
        ------
        UnknownSongError
            If no song has exactly this id.
        """
        number = self.row_number(song_id)
        starts = self._file.group_starts()
        group = int(np.searchsorted(starts, number, side="right")) - 1
        vector: FloatArray = self._read_block(group)[number - starts[group]]
        return vector

    def resolve(self, query: str) -> str:
        """Return the id that `query` means.

        An exact id wins; then the one id that ends in ``/query``; then the one id that
        contains `query`, whatever the case.

        Raises
        ------
        UnknownSongError
            If none or several ids match; carries up to five that are near.
        """
        if query in self:
            return query
        return unique_match(self._ids, query)

    def find_uri(self, uri: str) -> str | None:
        """Return the id of the song whose file has this path, None if there is none."""
        number = pc.index(self.column("uri"), strings([uri])[0]).as_py()
        return None if number < 0 else self.ids[number]

    def similar(
        self,
        query: str | FloatArray,
        k: int = 10,
        *,
        exclude_ids: Collection[str] = (),
        by: By = "vector",
    ) -> list[Neighbour]:
        """Return the `k` songs nearest to one song.

        Parameters
        ----------
        query : str or ndarray, shape (V,)
            An id or a unique part of one (see `resolve`), or the vector of any song. A
            song that is named by its id is not among its own neighbours.
        k : int
            Number of songs; fewer come back from a smaller store.
        exclude_ids : collection of str
            Songs to leave out; ids that the store does not have are passed over.
        by : {"vector", "mean"}
            The weighted vector, or the mean scores alone (the plain baseline).

        Returns
        -------
        neighbours : list of Neighbour
            The most similar first; equals in the order of their ids.

        Raises
        ------
        UnknownSongError
            If `query` is a text that names no song, or several.
        InputError
            If `k` is below 1 or a number is not finite.
        ShapeError
            If the vector has another length than the store's.

        Examples
        --------
        >>> store = VectorStore.open("fixtures/formats/vecs-v1.parquet")
        >>> found = store.similar("etude", 2, by="mean")
        >>> [(n.song_id, round(n.similarity, 2)) for n in found]
        [('piano/prelude.flac', 0.91), ('speech/news.ogg', -0.3)]
        """
        if isinstance(query, str):
            song_id = self.resolve(query)
            exclude_ids = {*exclude_ids, song_id}
            query = self.vector(song_id)
        if query.ndim != 1:
            raise ShapeError(f"one query must have shape (V,), got {query.shape}")
        return similar(self, query[None], k, exclude_ids=exclude_ids, by=by)[0]

    def similarity(self, weights: Sequence[float]) -> Similarity:
        """Return the `Similarity` of this store's vectors; it is made once per weighting.

        Parameters
        ----------
        weights : sequence of float, length S
            One weight per statistic, in the order of ``metadata.statistics``.
        """
        key = tuple(float(w) for w in weights)
        if key not in self._similarities:
            per_column = weight_vector(key, self.metadata)
            self._similarities[key] = Similarity(self.read_vectors(), weights=per_column)
        return self._similarities[key]

    def mask(self, song_ids: Iterable[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which rows have one of these ids: shape (n,), bool."""
        wanted = strings(list(song_ids))
        return flags(pc.is_in(self._ids, value_set=wanted))

    @cached_property
    def ranks(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Place of each row in the order of ids: shape (n,), int64."""
        ranks = np.arange(len(self))
        if not self._sorted:
            ranks[pc.sort_indices(self._ids).to_numpy()] = np.arange(len(self))
        return ranks

    def _number(self, song_id: str) -> int:
        return int(pc.index(self._ids, strings([song_id])[0]).as_py())

    def _read_block(self, group: int) -> FloatArray:
        """Read one row group's vectors: shape (rows, V), read-only."""
        column = self._file.read_group(group, ["vector"]).column("vector")
        chunks = [floats(c.flatten()).reshape(-1, self.metadata.dimension) for c in column.chunks]
        if not chunks:
            return np.empty((0, self.metadata.dimension), np.float32)
        return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def open_store(path: str | Path) -> VectorStore:
    """Open a ``vecs.parquet``; see `VectorStore.open`."""
    return VectorStore.open(path)
