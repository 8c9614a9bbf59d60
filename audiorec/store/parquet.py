"""Parquet files of the four kinds: opened with distrust, written whole or not at all.

Floats are byte-stream-split and compressed with zstd, without dictionaries: a million
vectors of 84 numbers take 286 MB and read in a third of a second. Row groups are small
enough that the rows of a few neighbours come without the rest of the file. Pages carry
checksums, the footer a seal, and each column a digest (`audiorec.files.digests`).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import AudiorecError, MissingStoreError, SpecMismatchError, StoreError
from audiorec.files.atomic import replaced
from audiorec.files.digests import digest_writer, read_digests
from audiorec.files.parquet_files import open_parquet
from audiorec.files.tables import GROUP_ROWS
from audiorec.files.unfolding import refuse_bomb
from audiorec.store.schema import METADATA_KEY, Kind, StoreMetadata, schema_of
from audiorec.types import Int64Array

GROUP_BYTES = 32 << 20
TEXT_BYTES = 64  # what a text counts as when row groups are measured
# A file of 400 kB may unfold to gigabytes; the number of rows in its footer is honest.
MAX_BYTES = 16 << 30
# Text columns with few different values; in the others dictionaries only cost time.
DICTIONARY_COLUMNS = ["status", "codec", "decoder", "artist", "album", "stage", "extractor_id"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A Parquet file that passed all checks which do not read its rows.

    Attributes
    ----------
    path : Path
    file : pyarrow.parquet.ParquetFile
    metadata : StoreMetadata
    """

    path: Path
    file: Any
    metadata: StoreMetadata

    def __len__(self) -> int:
        return int(self.file.metadata.num_rows)

    @property
    def digests(self) -> dict[str, Any] | None:
        """What `audiorec.files.digests.read_digests` finds in the footer."""
        with store_errors(self.path):
            return read_digests(self.file.metadata.metadata)

    def read(self, columns: list[str] | None = None) -> Any:
        """Read whole columns as a `pyarrow.Table`; damage and bombs become a `StoreError`."""
        if self.file.num_row_groups == 0:  # which older Arrow releases refuse to read
            empty = self.file.schema_arrow.empty_table()
            return empty if columns is None else empty.select(columns)
        with store_errors(self.path):
            refuse_bomb(self.file, self.path, name=str(self.path), columns=columns)
            return with_rows(self.file.read(columns=columns), len(self))

    def read_group(self, group: int, columns: list[str] | None = None) -> Any:
        """Read columns of one row group as a `pyarrow.Table`."""
        with store_errors(self.path):
            refuse_bomb(self.file, self.path, name=str(self.path), columns=columns, groups=[group])
            table = self.file.read_row_group(group, columns=columns)
            return with_rows(table, self.file.metadata.row_group(group).num_rows)

    def group_starts(self) -> list[int]:
        """Return the number of the first row of each row group, and the number of rows."""
        starts = [0]
        for group in range(self.file.num_row_groups):
            starts.append(starts[-1] + self.file.metadata.row_group(group).num_rows)
        return starts


def open_checked(
    path: Path, kind: Kind, *, extra_columns: bool = True, max_bytes: int = MAX_BYTES
) -> Checked:
    """Open a Parquet file and check it before any row is read.

    Parameters
    ----------
    path : Path
    kind : Kind
        What the file must be.
    extra_columns : bool
        Let columns pass that do not belong to the format, for example a user's own.
    max_bytes : int
        Most bytes that the vectors may need in memory.

    Raises
    ------
    StoreError
        If there is no such file, it is not Parquet, has other columns, is of another kind
        or format version, or is too large. The message is one line and names the file.
    """
    file = open_whole(path)
    try:
        with store_errors(path):
            metadata = _read_metadata(file)
            _check_schema(file.schema_arrow, metadata, kind, extra_columns)
            _check_size(file.metadata.num_rows, metadata, max_bytes)
    except StoreError:
        file.close()
        raise
    return Checked(path, file, metadata)


def open_whole(path: Path) -> Any:
    """Open any Parquet file, mapped; return a `pyarrow.parquet.ParquetFile`.

    Raises
    ------
    StoreError
        If there is no such file, it is not Parquet, or its footer is damaged.
    """
    try:
        # Mapped, not read: neighbours come from a few pages of a large file.
        return open_parquet(path, memory_map=True)
    except FileNotFoundError as error:
        raise MissingStoreError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise StoreError(f"{path}: is a folder, not a Parquet file") from error
    except UnicodeDecodeError as error:
        raise StoreError(f"{path}: the name of a column is not UTF-8") from error
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path}: not a whole Parquet file: {_first_line(error)}") from error


def with_rows(table: Any, rows: int) -> Any:
    """Return a table that was read, if it has the rows that the footer claims.

    Raises
    ------
    StoreError
        If a damaged page gave fewer or more; Arrow itself does not look.
    """
    lengths = {table.num_rows, *map(len, table.columns)}
    if lengths != {rows}:
        raise StoreError(f"damaged: its footer claims {rows} rows, its pages hold others")
    return table


def check_ids(ids: Any, path: Path) -> bool:
    """Check that no song id is empty or stands twice; return whether they are in order.

    Raises
    ------
    StoreError
        Naming one of the offending ids.
    """
    ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    if len(ids) == 0:
        return True
    if ids.null_count or pc.min(pc.binary_length(ids)).as_py() == 0:
        raise StoreError(f"{path}: a row has no song_id")
    if pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False:
        return True
    if pc.count_distinct(ids).as_py() != len(ids):
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"]
        raise StoreError(f"{path}: two rows have the song_id {twice.as_py()!r}")
    return False


def write_table(path: Path, table: Any, metadata: StoreMetadata) -> None:
    """Write a table as one file, sorted by ``song_id``, whole or not at all.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    table : pyarrow.Table
        Columns as `schema_of(metadata)` names them; others are refused.
    metadata : StoreMetadata
        Its kind decides the columns.

    Raises
    ------
    StoreError
        If a column is missing, too much, of another type or has nulls where none may be,
        if a vector is not finite, or if an id is empty or stands twice.
    SpecMismatchError
        If a row's ``extractor_id`` is another than the metadata's.
    """
    schema = schema_of(metadata)
    with store_errors(path):
        if sorted(table.column_names) != sorted(schema.names):
            odd = set(table.column_names) ^ set(schema.names)
            raise StoreError(f"{path}: columns missing or too much: {', '.join(sorted(odd))}")
        _check_values(table, schema)
        table = table.select(schema.names).cast(schema)
    if not check_ids(table.column("song_id"), path):
        table = table.sort_by("song_id")
    if "extractor_id" in schema.names:
        _check_extractor(table.column("extractor_id"), metadata.extractor_id, path)
    with replaced(path) as temporary:
        write_batches(temporary, table.to_batches(), metadata)


def write_batches(path: Path, batches: Iterable[Any], metadata: StoreMetadata) -> int:
    """Write record batches to `path` in row groups of a sensible size.

    The caller gives a temporary path and batches that are sorted and checked; at most one
    row group is held in memory.

    Returns
    -------
    rows : int
    """
    schema = schema_of(metadata)
    written = 0
    texts = [name for name in DICTIONARY_COLUMNS if name in schema.names]
    with store_errors(path), digest_writer(path, schema, texts=texts) as writer:
        for table in _groups(batches, schema):
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            written += table.num_rows
    return written


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn what Arrow raises about bad content into a `StoreError` that names the file.

    A failure of the machine (a full disk, say) stays the `OSError` that it is.
    """
    try:
        yield
    except StoreError as error:
        message = str(error)
        if message.startswith(f"{path}: "):
            raise
        raise StoreError(f"{path}: {message}") from error
    except OSError as error:
        if error.errno is not None or isinstance(error, AudiorecError):
            raise
        raise StoreError(f"{path}: damaged: {_first_line(error)}") from error
    except pa.ArrowException as error:
        raise StoreError(f"{path}: {_first_line(error)}") from error
    except UnicodeDecodeError as error:
        raise StoreError(f"{path}: a name or a text in it is not UTF-8") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _read_metadata(file: Any) -> StoreMetadata:
    found = (file.schema_arrow.metadata or {}).get(METADATA_KEY)
    if found is None:
        raise StoreError("a Parquet file without audiorec's metadata: not written by audiorec")
    return StoreMetadata.from_json(found)


def _check_schema(found: Any, metadata: StoreMetadata, kind: Kind, extra_columns: bool) -> None:
    if metadata.kind != kind:
        raise StoreError(f"holds {metadata.kind}, not {kind}")
    expected = schema_of(metadata)
    for column in expected:
        index = found.get_field_index(column.name)  # -1 also when the name stands twice
        if index < 0:
            raise StoreError(f"column {column.name!r} is missing or stands twice")
        if not found.field(index).equals(column):
            got = found.field(index)
            raise StoreError(f"column {column.name!r} is {got.type}, declared is {column.type}")
    if not extra_columns and len(found) != len(expected):
        odd = [name for name in found.names if name not in expected.names]
        raise StoreError(f"has columns of its own that would be lost: {', '.join(odd)}")


def _check_size(rows: int, metadata: StoreMetadata, max_bytes: int) -> None:
    needed = rows * metadata.dimension * 4 if metadata.kind == Kind.VECTORS else rows
    if needed > max_bytes:
        raise StoreError(f"{rows} vectors need {needed} bytes of memory, the limit is {max_bytes}")


def _check_values(table: Any, schema: Any) -> None:
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise StoreError(f"column {field.name!r} has rows without a value")
    if "vector" in schema.names:
        for chunk in table.column("vector").chunks:
            numbers = chunk.flatten()
            if numbers.null_count or pc.all(pc.is_finite(numbers)).as_py() is False:
                raise StoreError("a vector is not finite")


def _check_extractor(column: Any, extractor_id: str, path: Path) -> None:
    others = [name for name in pc.unique(column).to_pylist() if name != extractor_id]
    if others:
        raise SpecMismatchError(
            f"{path}: rows of extractor {others[0]} among those of {extractor_id}"
        )


def _groups(batches: Iterable[Any], schema: Any) -> Iterator[Any]:
    """Join small batches and cut large ones into tables of one row group each.

    Where a group ends depends on the rows alone and not on the batches they come in: the
    same rows make the same file, whoever brings them.
    """
    pending: list[Any] = []
    rows = size = 0
    for batch in batches:
        ends = np.cumsum(_row_bytes(batch))
        start = before = 0
        while start < len(batch):
            fit = int(np.searchsorted(ends, before + GROUP_BYTES - size, side="right")) - start
            fit = min(fit, GROUP_ROWS - rows)
            if fit <= 0 and rows:
                yield pa.Table.from_batches(pending, schema).combine_chunks()
                pending, rows, size = [], 0, 0
                continue
            piece = batch.slice(start, max(1, fit))
            pending.append(piece)
            start, rows = start + len(piece), rows + len(piece)
            size, before = size + int(ends[start - 1]) - before, int(ends[start - 1])
    if pending:
        yield pa.Table.from_batches(pending, schema).combine_chunks()


def _row_bytes(batch: Any) -> Int64Array:
    """Return about how many bytes each row takes: shape (rows,); a text counts as 64."""
    total = np.zeros(len(batch), np.int64)
    for column in batch.columns:
        if pa.types.is_list(column.type):
            lengths = pc.list_value_length(column)  # series are never null
            counts = np.frombuffer(lengths.buffers()[1], np.int32, len(batch), 4 * lengths.offset)
            total += counts * np.int64(_cell_bytes(column.type.value_type))
        else:
            total += _cell_bytes(column.type)
    return total


def _cell_bytes(kind: Any) -> int:
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * _cell_bytes(kind.value_type)
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:  # a type without a width of its own
        return TEXT_BYTES
