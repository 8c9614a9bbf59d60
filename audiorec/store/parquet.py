"""Open Parquet files of the four kinds without trusting them, and write them atomically.

Floats are byte-stream-split and compressed with zstd, without dictionaries: a million
vectors of 84 numbers take 286 MB and are read in a third of a second. Row groups are small
enough to read the rows of a few neighbours without the rest of the file. Pages have checksums,
and the footer a seal (`audiorec.files.parquet_files`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import StoreColumns
from audiorec.errors import SpecMismatchError, StoreError
from audiorec.files.arrow import booleans, one_chunk, view
from audiorec.files.own_files import replaced
from audiorec.files.tables import GROUP_ROWS, TableFile, check_columns, sealed_writer, store_errors
from audiorec.store.schema import LISTS, METADATA_KEY, Kind, StoreMetadata, schema_of
from audiorec.types import Int64Array

GROUP_BYTES = 32 << 20
TEXT_BYTES = 64  # assumed size of a text when row groups are sized
# A file of 400 kB may decompress to gigabytes; the row count in its footer can be trusted.
MAX_BYTES = 16 << 30
# Text columns with few distinct values; for the others dictionaries only cost time.
DICTIONARY_COLUMNS = ["status", "codec", "decoder", "artist", "album", "stage", "extractor_id"]


@dataclass(frozen=True, slots=True)
class Checked(TableFile):
    """A file of one of the four kinds that passed every check that does not read its rows."""

    metadata: StoreMetadata


def open_checked(
    path: Path, kind: Kind, *, extra_columns: bool = True, max_bytes: int = MAX_BYTES
) -> Checked:
    """Open a Parquet file and check it before any row is read.

    It must be of this kind and a supported format version, with the columns of that kind;
    `extra_columns` permits others, for example a user's own. `max_bytes` limits the memory that
    the vectors may need. The `StoreError` is one line and names the file.
    """
    opened = TableFile.open(path)
    try:
        with store_errors(path):
            found = (opened.schema.metadata or {}).get(METADATA_KEY)
            if found is None:
                raise StoreError(
                    "a Parquet file without audiorec's metadata: not written by audiorec"
                )
            metadata = StoreMetadata.from_json(found)
            _check_schema(opened.schema, metadata, kind, extra_columns)
            rows = len(opened)
            needed = rows * metadata.dimension * 4 if kind == Kind.VECTORS else rows
            if needed > max_bytes:
                raise StoreError(
                    f"{rows} vectors need {needed} bytes of memory, the limit is {max_bytes}"
                )
    except StoreError:
        opened.close()
        raise
    return Checked(path, opened.file, opened.whole, metadata)


def check_ids(ids: Any, path: Path, column: str = StoreColumns.ID) -> bool:
    """Check that no id is empty or repeated; return whether they are in ascending order."""
    ids = one_chunk(ids)
    if len(ids) == 0:
        return True
    if ids.null_count or pc.min(pc.binary_length(ids)).as_py() == 0:
        raise StoreError(f"{path}: a row has no {column}")
    if pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False:
        return True
    if pc.count_distinct(ids).as_py() != len(ids):
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"]
        raise StoreError(f"{path}: two rows have the {column} {twice.as_py()!r}")
    return False


def checked_lists(
    column: Any, width: int, name: str, path: Path, *, dtype: str = ""
) -> tuple[Int64Array, npt.NDArray[Any]]:
    """Return which rows of a nullable column of lists have one, (m,), and the lists, (m, width)."""
    column = one_chunk(column)
    there = np.flatnonzero(booleans(pc.is_valid(column)))
    lengths = view(pc.list_value_length(column.drop_null()), np.int32)
    if (lengths != width).any():
        raise StoreError(
            f"{path}: a {name} has {lengths[lengths != width][0]} numbers, not {width}"
        )
    flat = column.flatten()  # leaves out null lists
    values = view(flat, dtype or LISTS[name])
    if not np.isfinite(values).all():
        raise StoreError(f"{path}: a {name} is not finite")
    return there, values.reshape(-1, width)


def write_table(path: Path, table: Any, metadata: StoreMetadata) -> None:
    """Write a table as one file, sorted by ``song_id``, atomically.

    Raise `SpecMismatchError` for rows from another extractor, and `StoreError` for wrong columns or
    types, nulls, vectors that are not finite, and empty or repeated ids.
    """
    schema = schema_of(metadata)
    with store_errors(path):
        if sorted(table.column_names) != sorted(schema.names):
            odd = set(table.column_names) ^ set(schema.names)
            raise StoreError(f"{path}: columns missing or unexpected: {', '.join(sorted(odd))}")
        _check_values(table, schema)
        table = table.select(schema.names).cast(schema)
    if not check_ids(table.column(StoreColumns.ID), path):
        table = table.sort_by(StoreColumns.ID)
    if "extractor_id" in schema.names:
        _check_extractor(table.column("extractor_id"), metadata.extractor_id, path)
    with replaced(path) as temporary:
        write_batches(temporary, table.to_batches(), metadata)


def write_batches(path: Path, batches: Iterable[Any], metadata: StoreMetadata) -> int:
    """Write sorted, checked batches to `path`, one row group at a time; return the row count."""
    schema = schema_of(metadata)
    written = 0
    texts = [name for name in DICTIONARY_COLUMNS if name in schema.names]
    with store_errors(path), sealed_writer(path, schema, texts=texts) as writer:
        for table in _groups(batches, schema):
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            written += table.num_rows
    return written


def _check_schema(found: Any, metadata: StoreMetadata, kind: Kind, extra_columns: bool) -> None:
    if metadata.kind != kind:
        raise StoreError(f"holds {metadata.kind}, not {kind}")
    expected = schema_of(metadata)
    check_columns(found, expected)
    if not extra_columns and len(found) != len(expected):
        odd = [name for name in found.names if name not in expected.names]
        raise StoreError(f"has extra columns, which would be lost: {', '.join(odd)}")


def _check_values(table: Any, schema: Any) -> None:
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise StoreError(f"column {field.name!r} has rows without a value")
    if "vector" in schema.names:
        for chunk in table.column("vector").chunks:
            numbers = chunk.flatten()
            if numbers.null_count or pc.all(pc.is_finite(numbers)).as_py() is False:
                raise StoreError("a vector is not finite")
    for name in LISTS.keys() & set(schema.names):
        for chunk in table.column(name).chunks:
            if pc.all(pc.is_finite(chunk.flatten().cast(pa.float32()))).as_py() is False:
                raise StoreError(f"a {name} is not finite")


def _check_extractor(column: Any, extractor_id: str, path: Path) -> None:
    others = [name for name in pc.unique(column).to_pylist() if name != extractor_id]
    if others:
        raise SpecMismatchError(
            f"{path}: has rows from extractor {others[0]}, expected only {extractor_id}"
        )


def _groups(batches: Iterable[Any], schema: Any) -> Iterator[Any]:
    """Join small batches and split large ones into tables of one row group each.

    Group boundaries depend only on the rows, not on how they are batched: the same rows always
    make the same file.
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
    """Estimate the bytes that each row takes: shape (rows,); a text counts as 64."""
    total = np.zeros(len(batch), np.int64)
    for column in batch.columns:
        if pa.types.is_list(column.type):
            counts = view(pc.list_value_length(column), np.int32)
            if column.null_count:  # not `fill_null`, which imports pandas
                counts = np.where(booleans(pc.is_valid(column)), counts, 0)
            total += counts * np.int64(_cell_bytes(column.type.value_type))
        else:
            total += _cell_bytes(column.type)
    return total


def _cell_bytes(kind: Any) -> int:
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * _cell_bytes(kind.value_type)
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:  # a type without a fixed width
        return TEXT_BYTES
