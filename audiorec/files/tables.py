"""Read and write audiorec's own Parquet tables: atomic writes, validated reads.

    with table_writer(path, schema) as writer: ...      writes row group by row group
    with TableFile.open(path) as file: ...               .read() .read_group() .batches()

Floats are byte-stream-split, strings dictionary-encoded, and everything is compressed with zstd.
Damage is detected: pages have checksums, the footer a seal (`audiorec.files.parquet_files`), each
column a digest (`audiorec.files.digests`). A read that would take far more memory than the size of
the file is refused before it begins.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.errors import AudiorecError, MissingStoreError, StoreError
from audiorec.files.arrow import integers
from audiorec.files.atomic import replaced
from audiorec.files.digests import DIGESTS_KEY, Digests, read_digests
from audiorec.files.parquet_files import WRITING, float_leaves, open_parquet, refuse_bomb, seal
from audiorec.types import Int64Array

GROUP_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class TableFile:
    """An open Parquet file; problems with it raise a `StoreError` that names it.

    Replacing the file on disk has no effect: `whole`, which is inspected before a read, is opened
    at the same time.
    """

    path: Path
    file: Any
    whole: Any

    @classmethod
    def open(cls, path: Path, *, mapped: bool = True) -> Self:
        """Open any Parquet file, memory-mapped unless it will be read from end to end."""
        try:
            # Memory-mapped, since lookups touch a few pages of a large file. In a full scan, all
            # of its pages would count as memory of the process.
            file = open_parquet(path, memory_map=mapped)
            return cls(path, file, pa.memory_map(os.fspath(path)))
        except FileNotFoundError as error:
            raise MissingStoreError(f"{path}: no such file") from error
        except IsADirectoryError as error:
            raise StoreError(f"{path}: is a folder, not a Parquet file") from error
        except UnicodeDecodeError as error:
            raise StoreError(f"{path}: the name of a column is not UTF-8") from error
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{path}: not a valid Parquet file: {_first_line(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self.file.metadata.num_rows)

    @property
    def schema(self) -> Any:
        """The `pyarrow.Schema`."""
        return self.file.schema_arrow

    @property
    def footer(self) -> Mapping[bytes, bytes]:
        """Key-value metadata of the file, including digests."""
        return self.file.metadata.metadata or {}

    @property
    def digests(self) -> dict[str, Any] | None:
        """Digests in the footer, by `audiorec.files.digests.read_digests`; None if absent."""
        with store_errors(self.path):
            return read_digests(self.footer)

    def read(self, columns: Sequence[str] | None = None) -> Any:
        """Read whole columns as a `pyarrow.Table`."""
        if self.file.num_row_groups == 0:  # older Arrow releases refuse to read such a file
            empty = pa.Table.from_batches([], self.schema)
            return empty if columns is None else empty.select(list(columns))
        with store_errors(self.path):
            refuse_bomb(self.file, self.whole, name=str(self.path), columns=columns)
            return _with_rows(self.file.read(columns=columns), len(self))

    def read_group(self, group: int, columns: Sequence[str] | None = None) -> Any:
        """Read columns of one row group as a `pyarrow.Table`."""
        with store_errors(self.path):
            refuse_bomb(self.file, self.whole, name=str(self.path), columns=columns, groups=[group])
            table = self.file.read_row_group(group, columns=columns)
            return _with_rows(table, self.file.metadata.row_group(group).num_rows)

    def take(self, numbers: Sequence[int] | Int64Array, columns: Sequence[str]) -> Any:
        """Read rows by number, in the given order, from the row groups that hold them."""
        wanted = np.asarray(numbers, np.int64)
        if not len(wanted):
            return pa.Table.from_batches([], self.schema).select(list(columns))
        starts = np.asarray(self.group_starts())
        groups = np.searchsorted(starts, wanted, side="right") - 1
        found, places = [], []
        for group in np.unique(groups):
            here = np.flatnonzero(groups == group)
            table = self.read_group(int(group), columns).select(list(columns))
            found.append(table.take(integers(wanted[here] - starts[group])))
            places.append(here)
        return pa.concat_tables(found).take(integers(np.argsort(np.concatenate(places))))

    def read_as(self, schema: Any) -> Any:
        """Read a small table as `schema`; refuse missing columns, wrong types and nulls."""
        with store_errors(self.path):
            check_columns(self.schema, schema, of_types=False)
            table = self.read(schema.names)
            table.validate(full=True)
            for field in schema:
                if not field.nullable and table.column(field.name).null_count:
                    raise StoreError(f"a row has no {field.name}")
            return table.select(schema.names).cast(schema)

    def batches(self, rows: int, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield tables of at most `rows` rows; none if the file is empty."""
        if self.file.num_row_groups == 0:
            return
        with store_errors(self.path):
            for batch in self.file.iter_batches(batch_size=rows, columns=columns):
                yield pa.Table.from_batches([batch])

    def group_starts(self) -> list[int]:
        """Return the first row number of each row group, followed by the total number of rows."""
        starts = [0]
        for group in range(self.file.num_row_groups):
            starts.append(starts[-1] + self.file.metadata.row_group(group).num_rows)
        return starts

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self.file.close()
        self.whole.close()


def with_nulls(table: Any, fields: Sequence[Any]) -> Any:
    """Return the table with these columns null in every row, replaced if it has them."""
    for field in fields:
        if field.name in table.column_names:
            table = table.drop_columns([field.name])
        table = table.append_column(field, pa.nulls(len(table), field.type))
    return table


def check_columns(found: Any, expected: Any, *, of_types: bool = True) -> None:
    """Refuse a schema with missing columns, wrong types or wrong nullability."""
    for column in expected:
        index = found.get_field_index(column.name)  # -1 also if the name is duplicated
        if index < 0:
            raise StoreError(f"column {column.name!r} is missing or duplicated")
        got = found.field(index)
        if of_types and got.type != column.type:
            raise StoreError(f"column {column.name!r} is {got.type}, expected {column.type}")
        if of_types and got.nullable != column.nullable:
            may = "may" if got.nullable else "may not"
            raise StoreError(f"column {column.name!r} {may} contain nulls")


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Convert Arrow's errors about bad content to `StoreError`; a full disk stays an `OSError`."""
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
        raise StoreError(f"{path}: contains a name or text that is not UTF-8") from error


class DigestWriter:
    """Parquet writer that also computes digests; made by `digest_writer` and `table_writer`."""

    def __init__(self, writer: Any, schema: Any) -> None:
        self._writer = writer
        self.digests = Digests(schema)

    def write_table(self, table: Any, row_group_size: int | None = None) -> None:
        """Add the rows of a `pyarrow.Table`, in row groups of at most `row_group_size`."""
        self._writer.write_table(table, row_group_size)
        self.digests.update(table)


@contextmanager
def digest_writer(path: Path, schema: Any, *, texts: list[str]) -> Iterator[DigestWriter]:
    """Write a Parquet file with checksums, digests and a seal.

    The columns in `texts` are dictionary-encoded.
    """
    floats = float_leaves(schema)
    with pq.ParquetWriter(
        path, schema, use_dictionary=texts, use_byte_stream_split=floats, **WRITING
    ) as writer:
        digesting = DigestWriter(writer, schema)
        yield digesting
        about = json.dumps(digesting.digests.to_dict(), sort_keys=True)
        writer.add_key_value_metadata({DIGESTS_KEY.decode(): about})
    seal(path)


@contextmanager
def table_writer(path: Path, schema: Any) -> Iterator[DigestWriter]:
    """Yield a writer whose file replaces `path` at the end, unless the body raises."""
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    with replaced(path) as temporary, digest_writer(temporary, schema, texts=texts) as writer:
        yield writer


def write_plain(path: Path, table: Any) -> None:
    """Write a table and its metadata as one Parquet file, atomically."""
    with table_writer(path, table.schema) as writer:
        writer.write_table(table, row_group_size=GROUP_ROWS)


def _with_rows(table: Any, rows: int) -> Any:
    """Return a table if it has as many rows as the footer claims, which Arrow does not check."""
    lengths = {table.num_rows, *map(len, table.columns)}
    if lengths != {rows}:
        raise StoreError(f"damaged: its footer claims {rows} rows, its pages hold another number")
    return table


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
