"""``vecs.parquet`` as a table of songs: ids, vectors, other columns.

    VectorStore.open(path)  →  .ids  .vectors (n, V)  .row(id)  .column(name)

Opening reads the footer and the ids; vectors and other columns are read on first use.

Fuzzy lookup of a song id. Searches a hundred thousand ids in a fraction of a second: Arrow filters
by substrings, and only the best few hundred ids are compared letter by letter.
"""

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, SeveralSongsError, StoreError, UnknownSongError
from audiorec.files.arrow import booleans, integers, matrix, open_parquet, string_array
from audiorec.files.arrow import rows as arrow_rows
from audiorec.files.tables import store_errors
from audiorec.files.visible import visible
from audiorec.store.corrections import by_row, with_tempos
from audiorec.store.schema import (
    LISTS,
    Checked,
    Kind,
    StoreMetadata,
    check_ids,
    checked_lists,
    open_checked,
    write_table,
)
from audiorec.types import BoolArray, FloatArray, Int64Array

NEAR_MATCHES = 5
NEAR_RATIO = 0.5  # difflib ratio: below, two names share less than half of their letters
FINALISTS = 200  # ids that are compared letter by letter
GRAM = 3  # letters
MAX_GRAMS = 32


def unique_match(ids: Any, query: str) -> str:
    """Return the only id that ends in ``/query``, or else the only id that contains `query`.

    Case is ignored. If there is none, raise `UnknownSongError` with near matches; if there are
    several, its subclass `SeveralSongsError`.
    """
    text = query.casefold()
    lowered = pc.utf8_lower(ids)
    endings = ids.filter(pc.ends_with(lowered, "/" + text.removeprefix("/")))
    if query and len(endings) == 1:
        return str(endings[0].as_py())
    matches = ids.filter(pc.match_substring(lowered, text)) if text.strip() else ids[:0]
    if len(matches) == 1:
        return str(matches[0].as_py())
    if len(matches) > 1:
        several = endings if len(endings) else matches
        raise SeveralSongsError(query, _ranked(several, query), len(several))
    raise UnknownSongError(query, near_names(ids, query))


def near_names(ids: Any, query: str) -> tuple[str, ...]:
    """Return up to five ids that look like `query`, best first.

    Examples
    --------
    >>> from audiorec.files.arrow import string_array
    >>> near_names(string_array(["Abba - Waterloo", "Toto - Africa"]), "abba watrelo")
    ('Abba - Waterloo',)
    """
    text = query.casefold()
    lowered = pc.utf8_lower(ids)
    shared = np.zeros(len(ids), np.int32)
    for gram in _grams(text):
        shared += booleans(pc.match_substring(lowered, gram))
    rows = np.flatnonzero(shared)
    # Most shared pieces first; ties go to the shorter id, then to the order of ids.
    lengths = pc.utf8_length(ids).to_numpy(zero_copy_only=False)[rows]
    best = rows[np.lexsort((rows, lengths, -shared[rows]))[:FINALISTS]]
    return _ranked(ids.take(integers(best)), query, at_least=NEAR_RATIO)


def _grams(text: str) -> list[str]:
    """Cut a text into overlapping trigrams, thinned evenly if there are many."""
    pieces = sorted({text[i : i + GRAM] for i in range(max(1, len(text) - GRAM + 1))} - {""})
    step = -(-len(pieces) // MAX_GRAMS) or 1
    return pieces[::step]


def _ranked(ids: Any, query: str, *, at_least: float = 0.0) -> tuple[str, ...]:
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(query.casefold())

    def ratio(text: str) -> float:
        matcher.set_seq1(text.casefold())
        return matcher.ratio()

    # People remember a file's name better than its folders.
    rated = [
        (max(ratio(name), ratio(name.rpartition("/")[2])), name)
        for name in ids[:FINALISTS].to_pylist()
    ]
    best = sorted((-rate, name) for rate, name in rated if rate >= at_least)
    return tuple(name for _, name in best[:NEAR_MATCHES])


__all__ = ["VectorStore", "write_table"]


class VectorStore:
    """The songs of one ``vecs.parquet``, in the order of the file.

    Use `VectorStore.open`. Files that audiorec wrote are sorted by id. Threads may share a store.
    """

    def __init__(self, file: Checked) -> None:
        self._file = file
        self._reading = threading.RLock()  # neither handle may be read by two threads at once
        self._ids = file.read([StoreColumns.ID]).column(StoreColumns.ID).combine_chunks()
        self._sorted = check_ids(self._ids, file.path)
        # Arrow would keep what it took to read and check them: 60 MB for a million songs.
        pa.default_memory_pool().release_unused()

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a store and check it.

        Parameters
        ----------
        path : path
            A ``vecs.parquet``.

        Raises
        ------
        StoreError
            If the file is missing, truncated, not Parquet, has another schema or a newer
            format, or if an id is empty or repeated.

        Examples
        --------
        >>> store = VectorStore.open("fixtures/formats/vecs-v1.parquet")
        >>> len(store), store.vectors.shape
        (5, (5, 84))
        """
        return cls(open_checked(Path(path), Kind.VECTORS))

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        name, path = type(self).__name__, visible(str(self.path))
        return f"{name}({path!r}: {len(self)} songs)"

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

    @property
    def id_array(self) -> Any:
        """Song ids as a `pyarrow.StringArray`, one per row."""
        return self._ids

    @property
    def group_starts(self) -> list[int]:
        """First row of each row group, followed by the number of rows."""
        return self._file.group_starts()

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change when an id or a vector does; see `fingerprint_of`."""
        return self.fingerprint_of("vector")

    def fingerprint_of(self, column: str) -> str:
        """Return sixteen hex digits that change when an id or a column does, but no other one.

        Computed from the ids and the stored bytes of the column, because neither the file's time
        nor its size shows that one song was extracted again.
        """
        digest = hashlib.sha256(str(len(self)).encode())
        for buffer in self._ids.buffers():
            digest.update(buffer or b"")
        for chunk in self._chunks(column):
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            with self._reading:
                digest.update(self._file.scan.read_at(chunk.total_compressed_size, start))
        return digest.hexdigest()[:16]

    @cached_property
    def corrections(self) -> dict[str, dict[int, str]]:
        """What the owner says of songs, by field and row; see `audiorec.store.corrections`.

        A corrected tempo stands in the columns; the other fields are read by whoever states them.
        """
        return by_row(self)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Song ids, one per row."""
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
        """Read all vectors into a new array of shape (n, V), float32."""
        vectors = np.empty((len(self), self.metadata.dimension), np.float32)
        start = 0
        for block in self.blocks():
            vectors[start : start + len(block)] = block
            start += len(block)
        return vectors

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the vectors of each row group, (rows, V); one is in memory at a time."""
        for group, (start, stop, column) in enumerate(self._scanned("vector")):
            block = matrix(column, self.metadata.dimension)
            if len(block) != stop - start:
                raise StoreError(f"{self.path}: row group {group} has fewer rows than it claims")
            if not np.isfinite(block).all():
                row = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
                raise StoreError(f"{self.path}: the vector of {self.ids[row]!r} is not finite")
            yield block

    def read_rows(self, numbers: Sequence[int] | Int64Array) -> FloatArray:
        """Read the vectors of some rows: shape (Q, V), float32, in the order requested.

        Only the row groups that hold them are read.
        """
        with self._reading:
            column = self._file.take(numbers, ["vector"]).column("vector")
        return matrix(column, self.metadata.dimension)

    def read_list(self, name: str) -> tuple[Int64Array, FloatArray]:
        """Read one of the lists beside the vector.

        Parameters
        ----------
        name : {"sound", "embedding", "heard_tags"}

        Returns
        -------
        rows : ndarray, shape (m,), int64
            Rows of the songs that have it, ascending.
        values : ndarray, shape (m, W), float32 or float16

        Raises
        ------
        InputError
            If the store has no such column.
        StoreError
            If a list has another length than the metadata says, or is not finite.
        """
        width = self._width(name)
        return checked_lists(self.column(name), width, name, self.path)

    def list_blocks(self, name: str) -> Iterator[tuple[Int64Array, npt.NDArray[Any]]]:
        """Yield the result of `read_list` for each row group; one is in memory at a time."""
        width = self._width(name)
        for start, _, column in self._scanned(name):
            there, values = checked_lists(column, width, name, self.path)
            yield start + there, values

    def _scanned(self, name: str) -> Iterator[tuple[int, int, Any]]:
        """Yield where each row group starts and stops, and its part of a column."""
        with self._reading, store_errors(self.path):
            # Unmapped: the pages of a mapping would count as memory of the process.
            scan = open_parquet(self._file.scan, metadata=self._file.file.metadata)
        for group, (start, stop) in enumerate(pairwise(self.group_starts)):
            with self._reading:
                table = replace(self._file, file=scan).read_group(group, [name])
            yield start, stop, table.column(name)

    def column_blocks(self, name: str) -> Iterator[tuple[int, int, Any]]:
        """Yield where each row group starts and stops, and its part of a column.

        One row group is in memory at a time.
        """
        return self._scanned(name)

    def take_column(self, name: str, numbers: Sequence[int] | Int64Array) -> Any:
        """Return a column of some rows as a `pyarrow.ChunkedArray`."""
        with self._reading:
            return self._file.take(numbers, [name]).column(name)

    def list_rows(
        self, name: str, numbers: Sequence[int] | Int64Array
    ) -> tuple[Int64Array, npt.NDArray[Any]]:
        """Read a list of some rows: which of `numbers` have it, by place, and their lists."""
        width = self._width(name)
        with self._reading:
            column = self._file.take(numbers, [name]).column(name)
        return checked_lists(column, width, name, self.path)

    def songs_with(self, name: str) -> int:
        """Return how many songs have a list beside the vector: 0 in a store without it."""
        width = self.metadata.lists.get(name, 0)
        counts = [chunk.statistics for chunk in self._chunks(name)] if width else []
        if not all(counts):
            return len(self.read_list(name)[0])
        return sum(int(count.num_values) for count in counts) // max(1, width)

    def column(self, name: str) -> Any:
        """Return one column as a `pyarrow.ChunkedArray`; an unknown name raises `InputError`."""
        return self.table([name]).column(name)

    def table(self, columns: Sequence[str] | None = None) -> Any:
        """Return columns (default: all) as a `pyarrow.Table`; an unknown name: `InputError`."""
        names = self._file.schema.names
        for name in columns or ():
            if name not in names:
                there = ", ".join(names)
                raise InputError(f"{self.path}: no column {name!r}, there are: {there}")
        with self._reading:
            table = self._file.read(list(names if columns is None else columns))
        if "bpm" not in " ".join(table.column_names):  # corrections are found by another column
            return table
        return with_tempos(table, self.corrections["tempo"], range(len(self)))

    def row(self, song_id: str) -> dict[str, Any]:
        """Return a song's columns except its lists of numbers; the id must match exactly."""
        return self.rows([self.row_number(song_id)])[0]

    def rows(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Return the columns of several rows except the lists of numbers, in the given order."""
        names = [n for n in self._file.schema.names if n != "vector" and n not in LISTS]
        with self._reading:
            table = self._file.take(numbers, names)
        return arrow_rows(with_tempos(table, self.corrections["tempo"], numbers))

    def row_number(self, song_id: str) -> int:
        """Return the number of the row with exactly this id, or raise `UnknownSongError`."""
        number = self._number(song_id)
        if number < 0:
            raise UnknownSongError(song_id, near_names(self._ids, song_id))
        return number

    def vector(self, song_id: str) -> FloatArray:
        """Return one song's vector: shape (V,), float32; the id must match exactly."""
        return self.read_rows([self.row_number(song_id)])[0]

    def find_uri(self, uri: str) -> str | None:
        """Return the id of the song whose file has this path, None if there is none."""
        number = pc.index(self.column("uri"), string_array([uri])[0]).as_py()
        return None if number < 0 else self.ids[number]

    def mask(self, song_ids: Iterable[str]) -> BoolArray:
        """Return which rows have one of these ids: shape (n,), bool."""
        return booleans(pc.is_in(self._ids, value_set=string_array(list(song_ids))))

    @cached_property
    def ranks(self) -> Int64Array:
        """Rank of each row when rows are sorted by id: shape (n,), int64."""
        ranks = np.arange(len(self))
        if not self._sorted:
            ranks[pc.sort_indices(self._ids).to_numpy()] = np.arange(len(self))
        return ranks

    def _width(self, name: str) -> int:
        """Return the width of a list beside the vector; refuse a store without it."""
        width = self.metadata.lists.get(name, 0)
        if not width:
            raise InputError(
                f"{self.path}: has no {name}, as it was extracted without; to add it: audiorec "
                f"extract FOLDER --overwrite --out {self.path}"
            )
        return width

    def _chunks(self, column: str) -> Iterator[Any]:
        """Yield what the footer says of a column in each row group."""
        footer = self._file.file.metadata
        for group in map(footer.row_group, range(footer.num_row_groups)):
            for chunk in map(group.column, range(group.num_columns)):
                if chunk.path_in_schema.split(".")[0] == column:
                    yield chunk

    def _number(self, song_id: str) -> int:
        return int(pc.index(self._ids, string_array([song_id])[0]).as_py())
