"""Read and write audiorec's own Parquet tables: atomic writes, validated reads, jobs in blocks.

    with table_writer(path, schema) as writer: ...      writes row group by row group
    with TableFile.open(path) as file: ...               .read() .read_group() .batches()
    run_blocks(out, 40, make, schema=schema, ...)        writes a large table, and can resume

Floats are byte-stream-split, strings dictionary-encoded, and everything is compressed with zstd.
Damage is noticed by the checksums of Parquet's pages.
"""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.errors import AudiorecError, LostBlocksError, MissingStoreError, StoreError
from audiorec.files.arrow import (
    WRITING,
    float_leaves,
    integers,
    read_schema,
)
from audiorec.files.own_files import (
    MAX_READS,
    RunFolder,
    read_object,
    refuse_link,
    replaced,
    write_own,
)
from audiorec.types import Int64Array, Progress

GROUP_ROWS = 16_384
DAMAGED = "damaged: its footer claims {rows} rows, its pages hold another number"


@dataclass(frozen=True, slots=True)
class TableFile:
    """An open Parquet file; problems with it raise a `StoreError` that names it.

    Replacing the file on disk has no effect: all that is read comes from `whole`, or from `scan`,
    which is the same file, unmapped.
    """

    path: Path
    file: Any
    whole: Any
    scan: Any

    @classmethod
    def open(cls, path: Path, *, mapped: bool = True) -> Self:
        """Open any Parquet file, memory-mapped unless it will be read from end to end."""
        try:
            # Memory-mapped, since lookups touch a few pages of a large file. In a full scan, all
            # of its pages would count as memory of the process.
            if path.is_dir():
                raise StoreError("is a folder, not a Parquet file")
            if path.exists() and not path.is_file():  # it may block
                raise StoreError("is not a regular file")
            for _ in range(MAX_READS):
                before = path.stat()
                scan = pa.OSFile(os.fspath(path))
                whole = pa.memory_map(os.fspath(path)) if mapped else scan
                if os.path.samestat(before, path.stat()):
                    break  # else the file was replaced meanwhile
            file = pq.ParquetFile(whole, page_checksum_verification=True)
            return cls(path, file, whole, scan)
        except FileNotFoundError as error:
            raise MissingStoreError(f"{path}: no such file") from error
        except UnicodeDecodeError as error:
            raise StoreError(f"{path}: the name of a column is not UTF-8") from error
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from error
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
        """Key-value metadata of the file."""
        return self.file.metadata.metadata or {}

    def read(self, columns: Sequence[str] | None = None) -> Any:
        """Read whole columns as a `pyarrow.Table`."""
        if self.file.num_row_groups == 0:  # older Arrow releases refuse to read such a file
            empty = pa.Table.from_batches([], self.schema)
            return empty if columns is None else empty.select(list(columns))
        with store_errors(self.path):
            return _with_rows(self.file.read(columns=columns), len(self))

    def read_group(self, group: int, columns: Sequence[str] | None = None) -> Any:
        """Read columns of one row group as a `pyarrow.Table`."""
        with store_errors(self.path):
            table = self.file.read_row_group(group, columns=columns)
            return _with_rows(table, self.file.metadata.row_group(group).num_rows)

    def take(self, numbers: Sequence[int] | Int64Array, columns: Sequence[str]) -> Any:
        """Read rows by number, in the given order, from the row groups that hold them."""
        wanted = np.asarray(numbers, np.int64)
        if not len(wanted):
            return pa.Table.from_batches([], self.schema).select(list(columns))
        starts = np.asarray(self.group_starts())
        groups = np.searchsorted(starts, wanted, side="right") - 1
        result, places = [], []
        for group in sorted(set(groups.tolist())):  # np.unique loads numpy.ma
            here = np.flatnonzero(groups == group)
            table = self.read_group(group, columns).select(list(columns))
            result.append(table.take(integers(wanted[here] - starts[group])))
            places.append(here)
        return pa.concat_tables(result).take(integers(np.argsort(np.concatenate(places))))

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
        seen = 0
        with store_errors(self.path):
            for batch in self.file.iter_batches(batch_size=rows, columns=columns):
                yield pa.Table.from_batches([batch])
                seen += len(batch)
            if seen != len(self):  # a damaged header of a page can leave a column shorter
                raise StoreError(DAMAGED.format(rows=len(self)))

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
        self.scan.close()


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
def store_errors(path: Path | str) -> Iterator[None]:
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


def parquet_writer(path: Path, schema: Any, *, texts: list[str], **options: Any) -> Any:
    """Return the `pyarrow.parquet.ParquetWriter` of a file whose pages have checksums.

    The columns in `texts` are dictionary-encoded; `options` replace those of `WRITING`.
    """
    columns = {"use_dictionary": texts, "use_byte_stream_split": float_leaves(schema)}
    return pq.ParquetWriter(path, schema, **(WRITING | columns | options))


@contextmanager
def table_writer(path: Path, schema: Any, **options: Any) -> Iterator[Any]:
    """Yield a writer whose file replaces `path` at the end, unless the body raises."""
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    with (
        replaced(path) as temporary,
        parquet_writer(temporary, schema, texts=texts, **options) as writer,
    ):
        yield writer


def write_plain(path: Path, table: Any, **options: Any) -> None:
    """Write a table and its metadata as one Parquet file, atomically; options as `WRITING`."""
    with table_writer(path, table.schema, **options) as writer:
        writer.write_table(table, row_group_size=GROUP_ROWS)


def _with_rows(table: Any, rows: int) -> Any:
    """Return a table if it has as many rows as the footer claims, which Arrow does not check."""
    lengths = {table.num_rows, *map(len, table.columns)}
    if lengths != {rows}:
        raise StoreError(DAMAGED.format(rows=rows))
    return table


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


JOB_FILE = "job.json"
PREFIX = "block-"
SHARED = "shared.bin"  # input shared by the workers of an engine, while they run
INPUTS = rf"{re.escape(SHARED)}|{PREFIX}\d{{6,}}\.bin"
RUN_FILES = rf"{PREFIX}\d{{6,}}\.parquet|{re.escape(JOB_FILE)}|{INPUTS}"
# Makes numbered blocks in a folder; yields each number with the error, or "" on success.
Elsewhere = Callable[[Path, Sequence[int]], Iterator[tuple[int, str]]]


def run_blocks(
    out: Path,
    n_blocks: int,
    make: Callable[[int], Any],
    *,
    schema: Any,
    fingerprint: str,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    elsewhere: Elsewhere | None = None,
    named: Callable[[int], str] = "block {}".format,
    check: Callable[[Sequence[Path]], None] | None = None,
) -> bool:
    """Write `out` from the blocks ``make(0)`` to ``make(n_blocks - 1)``, in this order.

    Each block is a small Parquet file in ``<out>.run/``, written atomically. A restarted job keeps
    blocks with the same fingerprint and number of blocks and makes the rest. When all exist, they
    are streamed into the output, which replaces the old file atomically, and the folder is removed.

    `make` returns a `pyarrow.Table` with the columns of `schema`, whose metadata is stored in the
    file, or a list of tables, one per row group. `fingerprint` covers everything but its number
    that determines the content of a block. `progress` is called with (done, total) at the start and
    after each block. Once `stop` is set, the job ends after the current block and returns False.

    If `elsewhere` is given, as by an engine (`audiorec.runs.blocks`), it makes the blocks in
    place of `make`. Blocks that it failed to make do not stop the others, and raise a
    `LostBlocksError`, which names them by `named`. `check` gets the files of all blocks before they
    become the output, and may refuse them by raising.
    """
    folder = RunFolder(out, RUN_FILES)
    try:
        _claim(folder, {"fingerprint": fingerprint, "n_blocks": n_blocks})
        blocks = [block_path(folder.path, i) for i in range(n_blocks)]
        missing = [i for i, block in enumerate(blocks) if not is_made(block, schema)]
        tell = progress or (lambda _done, _total: None)
        tell(n_blocks - len(missing), n_blocks)
        if elsewhere is None:
            made = _made_here(folder.path, missing, make, schema, stop)
        else:
            made = _made_elsewhere(folder.path, missing, elsewhere, schema)
        lost: dict[int, str] = {}
        for count, (i, why) in enumerate(made, start=n_blocks - len(missing) + 1):
            lost |= {i: why} if why else {}
            tell(count - len(lost), n_blocks)
        if not all(is_made(block, schema) or i in lost for i, block in enumerate(blocks)):
            return False
        if lost:
            reasons = tuple((named(i), why) for i, why in sorted(lost.items()))
            raise LostBlocksError(str(out), reasons, n_blocks)
        if check is not None:
            check(blocks)
        _join(out, blocks, schema)
        (folder.path / JOB_FILE).unlink()
        folder.clear()
    finally:
        # Keep the folder only if it has blocks to resume from.
        if set(folder.names()) <= {JOB_FILE}:
            folder.clear()
            folder.release(remove=True)
        folder.release()
    return True


def block_path(folder: Path, number: int) -> Path:
    """Return the path of a block."""
    return folder / f"{PREFIX}{number:06d}.parquet"


def write_block(folder: Path, number: int, made: Any, schema: Any) -> None:
    """Write a block atomically: one table, or a list of tables, one per row group."""
    path = block_path(folder, number)
    if not isinstance(made, list):
        write_plain(path, _fitted(made, schema))
        return
    with table_writer(path, schema) as writer:
        for table in made:
            writer.write_table(_fitted(table, schema))


def _made_here(
    folder: Path,
    missing: Sequence[int],
    make: Callable[[int], Any],
    schema: Any,
    stop: threading.Event | None,
) -> Iterator[tuple[int, str]]:
    for i in missing:
        if stop is not None and stop.is_set():
            return
        write_block(folder, i, make(i), schema)
        yield i, ""


def _made_elsewhere(
    folder: Path, missing: Sequence[int], elsewhere: Elsewhere, schema: Any
) -> Iterator[tuple[int, str]]:
    for i, why in elsewhere(folder, missing) if missing else ():
        there = is_made(block_path(folder, i), schema)
        yield i, why or ("" if there else f"it is not in {folder}; do all workers see this disk?")


def is_made(path: Path, schema: Any) -> bool:
    """Return whether a valid Parquet file of exactly this schema and metadata exists."""
    refuse_link(path)
    try:
        result: bool = read_schema(path).equals(schema, check_metadata=True)
    except (pa.ArrowException, OSError, StoreError, UnicodeDecodeError):
        return False
    return result


def _claim(folder: RunFolder, job: dict[str, Any]) -> None:
    """Keep the folder's blocks if they belong to `job`; otherwise clear it and write `job`."""
    signature = folder.path / JOB_FILE
    with suppress(FileNotFoundError, ValueError):
        if read_object(signature) == job:
            return
    # Remove the signature first: blocks without one are never reused.
    signature.unlink(missing_ok=True)
    folder.clear()
    write_own(signature, json.dumps(job))


def _fitted(table: Any, schema: Any) -> Any:
    return table.select(schema.names).cast(schema)


def _join(out: Path, blocks: list[Path], schema: Any) -> None:
    with table_writer(out, schema) as writer:
        for path in blocks:
            with TableFile.open(path) as file:
                for group in range(file.file.num_row_groups):
                    # One row group at a time: a block may be too large for memory.
                    table = _fitted(file.read_group(group), schema)
                    writer.write_table(table.combine_chunks())
