"""Tables with one embedding per song or per user: our own, and those of other programs.

======================  ==========================================
column                  content
======================  ==========================================
song_id | user_id       string, unique, sorted
embedding               fixed_size_list<float32 not null>[D]
others                  as given
======================  ==========================================

A file records which model made it (`EmbeddingMetadata`), so that similarities are computed only
between embeddings of one space.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import LogColumns, StoreColumns
from audiorec.distribution import created_by
from audiorec.errors import (
    DamagedFileError,
    InputError,
    MissingFileError,
    ShapeError,
    SpecMismatchError,
    StoreError,
    UnknownSongError,
)
from audiorec.files.arrow import floats, integers, matrix, read_npz, string_array
from audiorec.files.tables import TableFile, check_columns, store_errors, write_plain
from audiorec.files.user_files import column_names, read_table
from audiorec.store.schema import (
    METADATA_KEY,
    check_ids,
    metadata_object,
    vector_array,
    vector_type,
)
from audiorec.store.store import near_names
from audiorec.types import FloatArray, IdMap, Int64Array

FORMAT_VERSION = 1
Of = Literal["songs", "users"]
KINDS: dict[Of, str] = {"songs": "song_embeddings", "users": "user_embeddings"}
ID_COLUMNS = {"song_embeddings": StoreColumns.ID, "user_embeddings": LogColumns.USER}
COLUMN = "embedding"
ONE_SPACE = (
    "embed both with models of one space: audiorec recall train user-audio -i LOG -u USERS "
    "puts songs where those users are"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingMetadata:
    """Metadata of a file of embeddings: kind, dimension, and what made it."""

    kind: str  # a key of `ID_COLUMNS`
    model_id: str
    extractor_id: str  # extractor of the features that the model read; empty if it read none
    dimension: int
    # The other model whose embeddings these may be compared with, if any: user-audio embeds songs
    # in the space of the users that it was trained on.
    space: str = ""
    created_by: str = ""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise StoreError(
                f"format version {self.format_version}, this audiorec reads {FORMAT_VERSION}; "
                "a newer audiorec may read it"
            )
        if self.kind not in ID_COLUMNS:
            raise StoreError(f"holds {self.kind}, not embeddings of songs or users")
        if not self.model_id:
            raise StoreError("the metadata names no model_id")

    @property
    def id_column(self) -> str:
        """``song_id`` or ``user_id``."""
        return ID_COLUMNS[self.kind]

    def check_same_space(self, other: "EmbeddingMetadata", what: str) -> None:
        """Raise `SpecMismatchError` unless dimension and space agree; `what` names both files."""
        if self.dimension != other.dimension:
            raise SpecMismatchError(
                f"{what}: {self.dimension} numbers against {other.dimension}; {ONE_SPACE}"
            )
        if not {self.model_id, self.space} & {other.model_id, other.space} - {""}:
            raise SpecMismatchError(
                f"{what}: lie in different spaces, {self.space or self.model_id} and "
                f"{other.space or other.model_id}; {ONE_SPACE}"
            )

    @classmethod
    def from_json(cls, text: bytes) -> "EmbeddingMetadata":
        """Parse the metadata of a file; unknown keys are ignored."""
        content = metadata_object(text)
        known = {f.name: content[f.name] for f in fields(cls) if f.name in content}
        missing: dict[str, Any] = {
            "kind": "something else",
            "model_id": "",
            "extractor_id": "",
            "dimension": 0,
        }
        return cls(**(missing | known))


class EmbeddingTable:
    """The embeddings of one file, in file order.

    Use `EmbeddingTable.open`. Opening reads the footer and the ids.
    """

    def __init__(self, file: TableFile, metadata: EmbeddingMetadata) -> None:
        self.metadata = metadata
        self.path = file.path
        self._file = file
        name = metadata.id_column
        column = self.columns([name]).column(name)
        self.id_array = pa.concat_arrays([string_array([]), *column.chunks])
        check_ids(self.id_array, self.path, name)

    @classmethod
    def open(cls, path: str | Path, *, kind: Of | None = None) -> "EmbeddingTable":
        """Open a file of embeddings and check it.

        Parameters
        ----------
        path : path
        kind : {"songs", "users"}, optional
            What it must hold; by default either.

        Raises
        ------
        StoreError
            If the file is missing, incomplete, of another kind or a newer format, or
            if an id is empty or repeated. The message names the file.
        """
        path = Path(path)
        file = TableFile.open(path)
        try:
            with store_errors(path):
                metadata = _read_metadata(file, kind)
                check_columns(file.schema, pa.schema(_fields(metadata)))
            return cls(file, metadata)
        except StoreError:
            file.close()
            raise

    def __len__(self) -> int:
        return len(self.id_array)

    @property
    def model_id(self) -> str:
        """Id of the model that made the embeddings."""
        return self.metadata.model_id

    @property
    def dimension(self) -> int:
        """Numbers in an embedding."""
        return self.metadata.dimension

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Ids, one per row."""
        return tuple(self.id_array.to_pylist())

    @cached_property
    def embeddings(self) -> FloatArray:
        """All embeddings: shape (n, D), float32, read-only."""
        embeddings = np.empty((len(self), self.dimension), np.float32)
        for start, block in self.blocks():
            embeddings[start : start + len(block)] = block
        embeddings.flags.writeable = False
        return embeddings

    def blocks(self) -> Iterator[tuple[int, FloatArray]]:
        """Yield the first row and the embeddings of each row group; one is in memory at a time.

        Raise `StoreError` if a number is NaN or infinite.
        """
        start = 0
        for group in range(len(self._file.group_starts()) - 1):
            column = self._file.read_group(group, [COLUMN]).column(COLUMN)
            block = matrix(column, self.dimension)
            bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
            if len(bad):
                name = self.id_array[start + int(bad[0])].as_py()
                raise StoreError(f"{self.path}: the embedding of {name!r} is not finite")
            yield start, block
            start += len(block)

    def columns(self, names: Sequence[str]) -> Any:
        """Return columns as a `pyarrow.Table`; an unknown name raises `InputError`."""
        known = self.column_names
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InputError(f"{self.path}: no column {unknown[0]!r}; it has {', '.join(known)}")
        return self._file.read(names)

    @property
    def column_names(self) -> list[str]:
        """Names of all columns."""
        return list(self._file.schema.names)

    def row_number(self, name: str) -> int:
        """Return the number of the row with exactly this id.

        An unknown song raises `UnknownSongError` with near matches, an unknown user `InputError`.
        """
        number = int(pc.index(self.id_array, string_array([name])[0]).as_py())
        if number >= 0:
            return number
        if self.metadata.id_column == StoreColumns.ID:
            raise UnknownSongError(name, near_names(self.id_array, name))
        raise InputError(f"{self.path}: no user with id {name!r}")

    def row_numbers(self, names: Any) -> Int64Array:
        """Return the row of each id (Arrow array or sequence): shape (n,), -1 where unknown."""
        return IdMap(self.id_array).rows(names)


def write_embeddings(
    path: Path,
    ids: Sequence[str],
    embeddings: FloatArray,
    *,
    kind: Of,
    model_id: str,
    extractor_id: str = "",
    space: str = "",
    columns: Mapping[str, Any] | None = None,
) -> None:
    """Write a file of embeddings, sorted by id, atomically.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    ids : sequence of str, length n
        Unique, none empty.
    embeddings : ndarray, shape (n, D)
        Finite; stored as float32.
    kind : {"songs", "users"}
    model_id, extractor_id, space : str
        See `EmbeddingMetadata`.
    columns : mapping of str to pyarrow.Array, optional
        Further columns, of length n.

    Raises
    ------
    ShapeError
        If the lengths differ or `embeddings` is not two-dimensional.
    InputError
        If an id is empty or repeated, a number is not finite, or a column's name is taken.
    """
    columns = dict(columns or {})
    lengths = {len(ids), *(len(column) for column in columns.values())}
    if embeddings.ndim != 2 or lengths != {len(embeddings)}:
        raise ShapeError(
            f"{path}: {len(ids)} ids, embeddings {embeddings.shape} and columns differ in length"
        )
    if not np.isfinite(embeddings).all():
        raise InputError(f"{path}: an embedding is NaN or infinite; nothing was written")
    metadata = EmbeddingMetadata(
        kind=KINDS[kind],
        model_id=model_id,
        extractor_id=extractor_id,
        dimension=int(embeddings.shape[1]),
        space=space,
        created_by=created_by(),
    )
    taken = {metadata.id_column, COLUMN} & set(columns)
    if taken:
        raise InputError(f"{path}: a column cannot be named {min(taken)!r}")
    write_plain(path, _table(ids, embeddings, metadata, columns, path))


def _table(
    ids: Sequence[str],
    embeddings: FloatArray,
    metadata: EmbeddingMetadata,
    columns: Mapping[str, Any],
    path: Path,
) -> Any:
    names = string_array(ids)
    try:
        check_ids(names, path, metadata.id_column)
    except StoreError as error:
        raise InputError(str(error)) from error
    fields = _fields(metadata) + [pa.field(name, c.type) for name, c in columns.items()]
    schema = pa.schema(fields, metadata={METADATA_KEY: json.dumps(asdict(metadata)).encode()})
    arrays = [names, vector_array(embeddings), *columns.values()]
    table = pa.Table.from_arrays(arrays, schema=schema)
    order = np.asarray(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
    return table if (np.diff(order) > 0).all() else table.take(integers(order))


def _fields(metadata: EmbeddingMetadata) -> list[Any]:
    return [
        pa.field(metadata.id_column, pa.string(), nullable=False),
        pa.field(COLUMN, vector_type(metadata.dimension), nullable=False),
    ]


def _read_metadata(file: TableFile, kind: Of | None) -> EmbeddingMetadata:
    result = (file.schema.metadata or {}).get(METADATA_KEY)
    if result is None:
        raise StoreError(
            "a Parquet file without audiorec's metadata; to import a table of your own: "
            "audiorec recall users --import"
        )
    metadata = EmbeddingMetadata.from_json(result)
    if kind is not None and metadata.kind != KINDS[kind]:
        raise StoreError(f"holds {metadata.kind}, not {KINDS[kind]}")
    return metadata


NPZ_IDS, NPZ_EMBEDDINGS = "ids", "embeddings"
PARQUET_FAILURE, CSV_FAILURE = "cannot be read as parquet", "cannot be read as csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignTable:
    """How to read a table of embeddings from another program.

    Attributes
    ----------
    id_column : str
        Column of the ids, in Parquet and CSV.
    embedding_column : str
        Column of the embeddings, a list column in Parquet.
    normalise : bool
        Scale every embedding to length 1.
    model_id : str
        Id of the model that made them; empty: a hash of their content.
    """

    id_column: str = LogColumns.USER
    embedding_column: str = "embedding"
    normalise: bool = False
    model_id: str = ""


def read_foreign(
    path: str | Path, *, id_column: str, embedding_column: str = "embedding"
) -> tuple[tuple[str, ...], FloatArray]:
    """Read ids and embeddings of another program.

    ==========  =========================================================================
    Parquet     a column of ids, and a list column of numbers (any list type, any float)
    CSV         a column of ids, and one column for each number, in the order of the file
    npz         ``ids`` (texts) and ``embeddings`` (n, D); pickles are refused
    ==========  =========================================================================

    Parameters
    ----------
    path : path
        Ends in ``.parquet``, ``.csv`` or ``.npz``.
    id_column : str
        Column of the ids, in Parquet and CSV.
    embedding_column : str
        Column of the embeddings, in Parquet.

    Returns
    -------
    ids : tuple of str, length n
    embeddings : ndarray, shape (n, D), float32

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, two rows have different widths, an id
        is empty or repeated, or a number is NaN or infinite. Names file and row.
    """
    path = Path(path)
    readers = {".parquet": _read_parquet, ".csv": _read_csv, ".npz": _read_npz}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: expected .parquet, .csv or .npz")
    try:
        ids, embeddings = reader(path, id_column, embedding_column)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file") from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DamagedFileError(f"{path}: cannot be read as {path.suffix[1:]}: {reason}") from error
    _check(path, ids, embeddings)
    return tuple(ids), embeddings


def to_unit(path: str | Path, ids: Sequence[str], embeddings: FloatArray) -> FloatArray:
    """Scale every embedding to length 1; raise `InputError` if one has length 0."""
    length = np.sqrt(np.square(embeddings.astype(np.float64)).sum(axis=1, keepdims=True))
    zero = np.flatnonzero(length[:, 0] == 0)
    if len(zero):
        row = int(zero[0])
        raise DamagedFileError(
            f"{path}: row {row + 1} ({ids[row]!r}) has length 0 and cannot be normalised"
        )
    return (embeddings / length).astype(np.float32)


def content_id(ids: Sequence[str], embeddings: FloatArray) -> str:
    """Return a model id for imported embeddings: ``import-`` and a hash of the content."""
    content = hashlib.sha256(np.ascontiguousarray(embeddings, np.float32).tobytes())
    content.update("\0".join(ids).encode())
    return f"import-{content.hexdigest()[:16]}"


def _read_parquet(path: Path, id_column: str, column: str) -> tuple[list[str], FloatArray]:
    names = column_names(path, PARQUET_FAILURE)
    for name in (id_column, column):
        if names.count(name) != 1:
            raise DamagedFileError(f"{path}: needs one column {name!r}, has {', '.join(names)}")
    table = read_table(path, PARQUET_FAILURE, needed=(id_column, column))
    ids = table.column(id_column).cast(pa.string()).to_pylist()
    return ids, _lists_to_array(path, column, table.column(column))


def _lists_to_array(path: Path, name: str, column: Any) -> FloatArray:
    kind = column.type
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_kind(kind) for is_kind in lists):
        raise DamagedFileError(f"{path}: column {name!r} is {kind}, expected a list of numbers")
    if column.null_count:
        raise DamagedFileError(f"{path}: a row has no {name}")
    flat = pc.list_flatten(column).cast(pa.float32())
    if flat.null_count:
        raise DamagedFileError(f"{path}: an {name} has a number missing")
    lengths = np.asarray(pc.list_value_length(column).to_pylist(), np.int64)
    odd = np.flatnonzero(lengths != lengths[:1])
    if len(odd):
        row = int(odd[0])
        raise DamagedFileError(
            f"{path}: row {row + 1} has {lengths[row]} numbers, the rows before it {lengths[0]}"
        )
    width = int(lengths[0]) if len(lengths) else 1
    return _joined(flat).reshape(len(lengths), width)


def _joined(column: Any) -> FloatArray:
    return np.concatenate([np.empty(0, np.float32), *map(floats, column.chunks)])


def _read_csv(path: Path, id_column: str, _column: str) -> tuple[list[str], FloatArray]:
    names = column_names(path, CSV_FAILURE)
    if names.count(id_column) != 1:
        raise DamagedFileError(f"{path}: needs one column {id_column!r}, has {', '.join(names)}")
    numbers = [name for name in names if name != id_column]
    if not numbers or len(set(numbers)) != len(numbers):
        raise DamagedFileError(f"{path}: needs a separate column for each number")
    types = {name: pa.float32() for name in numbers} | {id_column: pa.string()}
    table = read_table(path, CSV_FAILURE, wanted=None, types=types, null_values=[""])
    columns = [table.column(name) for name in numbers]
    for name, column in zip(numbers, columns, strict=True):
        if column.null_count:
            row = column.is_null().to_pylist().index(True) + 1
            raise DamagedFileError(f"{path}: row {row} has no {name!r}")
    return table.column(id_column).to_pylist(), np.stack([*map(_joined, columns)], axis=1)


def _read_npz(path: Path, _id_column: str, _column: str) -> tuple[list[str], FloatArray]:
    ids, embeddings = read_npz(path, (NPZ_IDS, NPZ_EMBEDDINGS))
    if ids.ndim != 1 or ids.dtype.kind not in "UiuS" or embeddings.dtype.kind not in "fiu":
        raise DamagedFileError(f"{path}: ids must be texts (n,), embeddings numbers (n, D)")
    names = [i.decode() if isinstance(i, bytes) else str(i) for i in ids.tolist()]
    return names, embeddings.astype(np.float32)


def _check(path: Path, ids: Sequence[str], embeddings: FloatArray) -> None:
    if embeddings.ndim != 2 or len(embeddings) != len(ids) or embeddings.shape[1] < 1:
        raise DamagedFileError(f"{path}: {len(ids)} ids for embeddings of shape {embeddings.shape}")
    seen: dict[str, int] = {}
    for row, name in enumerate(ids, start=1):
        if not name:
            raise DamagedFileError(f"{path}: row {row} has no id")
        if name in seen:
            raise DamagedFileError(f"{path}: rows {seen[name]} and {row} have the id {name!r}")
        seen[name] = row
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(bad):
        row = int(bad[0])
        raise DamagedFileError(
            f"{path}: row {row + 1} ({ids[row]!r}) has a number that is not finite"
        )
