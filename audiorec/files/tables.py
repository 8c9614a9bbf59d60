"""Read and write audiorec's own Parquet tables: atomic writes, validated reads, jobs in blocks.

    with table_writer(path, schema) as writer: ...      writes row group by row group
    with TableFile.open(path) as file: ...               .read() .read_group() .batches()

Floats are byte-stream-split, strings dictionary-encoded, and everything is compressed with zstd.
Damage is detected: pages have checksums, the footer a seal (`audiorec.files.parquet_files`), each
column a digest (`audiorec.files.tables`). A read that would take far more memory than the size of
the file is refused before it begins.

A digest of each column, in the footer of every table that audiorec writes.

    rows  ──tables.digest_writer──▶  a Parquet file, its digests under ``audiorec.digests``
    rows of a file  ──Digests──▶  .differences(stored)  →  columns whose content has changed

A digest covers the values, not the bytes of the file: row groups and encodings do not affect it,
and a file rewritten by another tool can still be checked if the tool kept the key.
It is the sha256 of a column's values in row order, little-endian and concatenated. For nullable or
variable-length columns it is the sha256 of several such digests, outermost first: the validity of
each value, one byte each (only if there is a null); the lengths as int64 (lists and strings); the
values, or for lists their elements by the same rule. A null has no length and no values.

Write one large table in blocks, so that an interrupted job can resume. Each block is a small
Parquet file in ``<out>.run/``, written atomically. A restarted job keeps blocks with the same
fingerprint and makes the rest. When all blocks exist, they are streamed into the output, which
replaces the old file atomically, and the folder is removed.

    run_blocks(out, 40, make, schema=schema, fingerprint=fingerprint({...}))

The content of a block may depend only on its number and on what the fingerprint covers. Blocks may
be made by an engine (`audiorec.engines.blocks`): a block that fails does not stop the others, and
the output is written once all of them exist.
"""

import hashlib
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
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audiorec.errors import AudiorecError, LostBlocksError, MissingStoreError, StoreError
from audiorec.files.arrow import integers
from audiorec.files.own_files import RunFolder, read_own, refuse_link, replaced
from audiorec.files.parquet_files import (
    WRITING,
    float_leaves,
    open_parquet,
    read_schema,
    refuse_bomb,
    seal,
)
from audiorec.types import Int64Array, Progress

DIGESTS_KEY = b"audiorec.digests"
ALGORITHM = "sha256"
MAX_DIGEST_BYTES = 4 << 20


class Digests:
    """Incremental digests of a table's columns; columns of unsupported types have none."""

    def __init__(self, schema: Any) -> None:
        self.rows = 0
        self._columns = {
            field.name: (_type_name(field.type), _Level(field.type))
            for field in schema
            if _type_name(field.type)
        }

    def update(self, rows: Any) -> None:
        """Add the next rows, a `pyarrow.Table` or `pyarrow.RecordBatch` of the schema."""
        self.rows += len(rows)
        for name, (_, level) in self._columns.items():
            column = rows.column(name)
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                level.update(chunk)

    def to_dict(self) -> dict[str, Any]:
        """Return the stored form: algorithm, number of rows, type and digest of each column."""
        columns = {
            name: {"type": kind, ALGORITHM: level.digest().hex()}
            for name, (kind, level) in self._columns.items()
        }
        return {"algorithm": ALGORITHM, "rows": self.rows, "columns": columns}

    def differences(self, stored: Mapping[str, Any]) -> Iterator[str]:
        """Yield one line for each difference from stored digests (see `read_digests`)."""
        if self.rows != stored["rows"]:
            yield f"{stored['rows']} rows were written, {self.rows} were found"
        found = self.to_dict()["columns"]
        for name, about in stored["columns"].items():
            if name not in found:
                yield f"the column {name!r} is missing, or of a type without a digest"
            elif found[name]["type"] != about["type"]:
                reason = f"is {found[name]['type']}, {about['type']} was written"
                yield f"the column {name!r} {reason}"
            elif found[name] != about and self.rows == stored["rows"]:
                yield f"the column {name!r} holds different values than were written"


def read_digests(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any] | None:
    """Return a file's digests or None; raise `StoreError` if they are damaged or unknown."""
    text = (metadata or {}).get(DIGESTS_KEY)
    if text is None:
        return None
    try:
        found: dict[str, Any] = json.loads(text if len(text) <= MAX_DIGEST_BYTES else "{}")
        good = type(found["rows"]) is int and found["algorithm"] == ALGORITHM
        columns = found["columns"].values()
        good = good and all(isinstance(c["type"] + c[ALGORITHM], str) for c in columns)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"its digests are damaged: {type(error).__name__}") from error
    if not good:
        raise StoreError("its digests are damaged, or were written by a newer audiorec")
    return found


class _Level:
    """Digests of one nesting level of a column: validity, lengths and values."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._seen = 0
        self._valid: Any = None  # created at the first null
        self._lengths = None if _width(kind) is not None or _is_fixed(kind) else hashlib.sha256()
        self._inner = _Level(kind.value_type) if _is_nested(kind) else None
        self._values = hashlib.sha256()

    def update(self, array: Any) -> None:
        if self._valid is None and array.null_count:
            self._valid = hashlib.sha256(b"\1" * self._seen)
        if self._valid is not None:
            self._valid.update(_bytes(pc.is_valid(array).cast(pa.uint8()), 1))
        self._seen += len(array)
        if array.null_count:
            array = array.drop_null()
        if self._lengths is not None:
            offsets = _offsets(array)
            self._lengths.update(np.diff(offsets).astype("<i8").tobytes())
        if self._inner is not None:
            self._inner.update(array.flatten())
        elif self._lengths is not None:
            if len(array):
                self._values.update(array.buffers()[2][int(offsets[0]) : int(offsets[-1])])
        elif pa.types.is_boolean(self._kind):
            self._values.update(_bytes(array.cast(pa.uint8()), 1))
        else:
            self._values.update(_bytes(array, _width(self._kind) or 1))

    def digest(self) -> bytes:
        parts = self._parts()
        whole = hashlib.sha256(b"".join(parts)).digest()
        return parts[0] if len(parts) == 1 else whole

    def _parts(self) -> list[bytes]:
        own = [h.digest() for h in (self._valid, self._lengths) if h is not None]
        return own + (self._inner._parts() if self._inner else [self._values.digest()])


def _bytes(array: Any, width: int) -> Any:
    """Return the value buffer of a numeric array without nulls."""
    if len(array) == 0:
        return b""
    return array.buffers()[1][array.offset * width : (array.offset + len(array)) * width]


def _offsets(array: Any) -> np.ndarray[Any, Any]:
    """Return the start offset of each string or list of an array, and the end of the last."""
    if len(array) == 0:
        return np.zeros(1, np.int64)
    large = (pa.types.is_large_string, pa.types.is_large_binary, pa.types.is_large_list)
    of = np.dtype(np.int64 if any(is_large(array.type) for is_large in large) else np.int32)
    return np.frombuffer(array.buffers()[1], of, len(array) + 1, of.itemsize * array.offset)


def _is_fixed(kind: Any) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def _is_nested(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or _is_fixed(kind))


def _width(kind: Any) -> int | None:
    """Return the size of a value in bytes; None for lists, strings and other variable sizes."""
    if pa.types.is_boolean(kind):
        return 1
    has_width = pa.types.is_primitive(kind) or pa.types.is_decimal(kind)
    return kind.bit_width // 8 if has_width or pa.types.is_fixed_size_binary(kind) else None


def _type_name(kind: Any) -> str:
    """Return a type without field names, such as ``list<float>[14]``; "" if unsupported."""
    if _is_nested(kind):
        inner = _type_name(kind.value_type)
        size = f"[{kind.list_size}]" if _is_fixed(kind) else ""
        return f"list<{inner}>{size}" if inner else ""
    is_text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    known = _width(kind) is not None or any(is_one(kind) for is_one in is_text)
    return str(kind) if known or pa.types.is_large_binary(kind) else ""


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
        """Digests in the footer, by `audiorec.files.tables.read_digests`; None if absent."""
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
        for group in sorted(set(groups.tolist())):  # np.unique loads numpy.ma
            here = np.flatnonzero(groups == group)
            table = self.read_group(group, columns).select(list(columns))
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
def digest_writer(
    path: Path, schema: Any, *, texts: list[str], **options: Any
) -> Iterator[DigestWriter]:
    """Write a Parquet file with checksums, digests and a seal.

    The columns in `texts` are dictionary-encoded; `options` replace those of `WRITING`.
    """
    columns = {"use_dictionary": texts, "use_byte_stream_split": float_leaves(schema)}
    with pq.ParquetWriter(path, schema, **(WRITING | columns | options)) as writer:
        digesting = DigestWriter(writer, schema)
        yield digesting
        about = json.dumps(digesting.digests.to_dict(), sort_keys=True)
        writer.add_key_value_metadata({DIGESTS_KEY.decode(): about})
    seal(path)


@contextmanager
def table_writer(path: Path, schema: Any, **options: Any) -> Iterator[DigestWriter]:
    """Yield a writer whose file replaces `path` at the end, unless the body raises."""
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    with (
        replaced(path) as temporary,
        digest_writer(temporary, schema, texts=texts, **options) as writer,
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
        raise StoreError(f"damaged: its footer claims {rows} rows, its pages hold another number")
    return table


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


JOB_FILE = "job.json"
PREFIX = "block-"
SHARED = "shared.bin"  # input shared by the workers of an engine, while they run
RUN_FILES = (
    rf"{PREFIX}\d{{6,}}\.parquet|{re.escape(JOB_FILE)}|{re.escape(SHARED)}|{PREFIX}\d{{6,}}\.bin"
)
MAX_JOB_BYTES = 1 << 16
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

    `make` returns a `pyarrow.Table` with the columns of `schema`, whose metadata is stored in the
    file, or a list of tables, one per row group. `fingerprint` covers everything that determines
    the content of the blocks: blocks with another fingerprint or another number of blocks are
    discarded. `progress` is called with (done, total) at the start and after each block. Once
    `stop` is set, the job ends after the current block and returns False; the next call resumes.

    If `elsewhere` is given, it makes the blocks in place of `make`. Blocks that it failed to make
    raise a `LostBlocksError`, which names them by `named`. `check` gets the files of all blocks
    before they become the output, and may refuse them by raising.
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
            told = tuple((named(i), why) for i, why in sorted(lost.items()))
            raise LostBlocksError(str(out), told, n_blocks)
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
        found: bool = read_schema(path).equals(schema, check_metadata=True)
    except (pa.ArrowException, OSError, StoreError, UnicodeDecodeError):
        return False
    return found


def _claim(folder: RunFolder, job: dict[str, Any]) -> None:
    """Keep the folder's blocks if they belong to `job`; otherwise clear it and write `job`."""
    signature = folder.path / JOB_FILE
    with suppress(FileNotFoundError, ValueError, RecursionError):
        if json.loads(read_own(signature, MAX_JOB_BYTES)) == job:
            return
    # Remove the signature first: blocks without one are never reused.
    signature.unlink(missing_ok=True)
    folder.clear()
    with replaced(signature) as temporary:
        temporary.write_text(json.dumps(job))


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
