"""An append-only file of rows that survives a killed writer and partial damage.

    header | record | record | ...          each: 16-byte frame, then the payload

A frame holds the payload's length and checksum, and a checksum of itself. A payload is the row as
JSON, followed by the raw numbers of its vectors and series. Only `json` and numpy parse a payload,
and only after its checksum matched: Arrow's stream reader can crash on damaged input, so Arrow is
given only values that were checked one by one (`row_batch`).

The measurement behind this format: docs/decisions/0024-journal.md.
"""

import json
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from numbers import Integral, Real
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audiorec.columns import StoreColumns
from audiorec.errors import AudiorecError, InputError, ShapeError, StoreError
from audiorec.files.arrow import arrow_array, string_array, view
from audiorec.files.own_files import RECORDS_MAGIC, open_own
from audiorec.store.schema import feature_column
from audiorec.types import FloatArray, ScoreSeries

RECORD_FILES = r"([a-z]+)-(\d{4,9})\.rows"  # file names: kind, number of the start
MAX_BATCHES_HELD = 1_024  # then one-row batches are combined, to bound their overhead
MAX_SEQUENCE = 1 << 53
SCAN_BYTES = 1 << 20
_FRAME = struct.Struct("<4sIII")  # magic, length and CRC-32 of the payload, CRC-32 of these 12
_TEXT_LENGTH = struct.Struct("<I")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Types that Arrow and numpy name differently.
_DTYPES = {"float": "float32", "double": "float64", "halffloat": "float16"}


class RecordWriter:
    """Writer that appends rows to a new file; its JSON header says what the rows are.

    Each row is handed to the operating system before `append` returns, so a killed writer loses at
    most the row it was writing. (A power failure may cost more, since rows are not synced one by
    one.)
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(path, flags, 0o666)
        self.size = 0  # bytes of whole records
        self._write(_framed(_payload(header, {})))

    def append(self, batch: Any) -> None:
        """Append a record batch of one row; if that fails, the file is unchanged."""
        self._write(_framed(_pack(batch)))

    def cut(self, size: int) -> None:
        """Truncate the file to `size` bytes."""
        os.ftruncate(self._descriptor, size)
        os.lseek(self._descriptor, size, os.SEEK_SET)
        self.size = size

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, record: bytes) -> None:
        rest = memoryview(record)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            self.size += len(record)
        except BaseException:  # a full disk, or Ctrl-C between two writes
            self.cut(self.size)
            raise


class RecordPart:
    """The complete rows of a file, located by one scan and read one by one.

    Damage costs only the rows that it touches, but without a `header` no row can be used. `damaged`
    counts the stretches without a complete record; a truncated end, as a killed writer leaves it,
    is not damage.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: dict[str, Any] | None = None
        self.damaged = 0
        self._schema: Any = None
        self._file = open_own(path)
        self._size = os.fstat(self._file.fileno()).st_size
        self._records = list(self._walk())  # the bytes of each payload
        if self._records and self._records[0].start == _FRAME.size:
            with suppress(StoreError):
                self.header = _read_payload(self._payload(self._records.pop(0)))[0]

    def use(self, schema: Any) -> None:
        """Read the rows by `schema`; rows that do not fit it count as damaged."""
        self._schema = schema
        good = [record for record in self._records if self._is_row(record)]
        self.damaged += len(self._records) - len(good)
        self._records = good

    def __len__(self) -> int:
        return len(self._records)

    def batch(self, row: int) -> Any:
        """Return one row as a record batch."""
        return _batch(self._payload(self._records[row]), self._schema)

    def slices(self, start: int, stop: int) -> Iterator[Any]:
        """Yield the rows from `start` to before `stop`, one batch each."""
        return map(self.batch, range(start, stop))

    def table(self, columns: list[str]) -> Any:
        """Return some columns of all rows as a `pyarrow.Table` in memory."""
        schema = pa.schema([self._schema.field(name) for name in columns])
        tables, pending = [], []
        for row in range(len(self)):
            pending.append(_batch(self._payload(self._records[row]), schema))
            if len(pending) == MAX_BATCHES_HELD or row == len(self) - 1:
                tables.append(pa.Table.from_batches(pending, schema).combine_chunks())
                pending = []
        return pa.concat_tables(tables) if tables else pa.Table.from_batches([], schema)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _walk(self) -> Iterator[range]:
        """Yield every record whose checksums match, and count the damaged stretches between."""
        at = 0
        while at < self._size:
            record, ends = self._record_at(at)
            if record is not None:
                yield record
                at = ends
                continue
            after = self._next_magic(at + 1)
            # The rest may be the beginning of a truncated record.
            start = self._read(at, len(RECORDS_MAGIC))
            is_cut = ends > self._size and RECORDS_MAGIC.startswith(start)
            self.damaged += after < self._size or not is_cut
            at = after

    def _record_at(self, at: int) -> tuple[range | None, int]:
        """Return the payload of the complete record at an offset, or None, and where it ends."""
        frame = self._read(at, _FRAME.size)
        if len(frame) < _FRAME.size:
            return None, self._size + 1
        magic, length, checksum, own = _FRAME.unpack(frame)
        if magic != RECORDS_MAGIC or crc32(frame[:-4]) != own:
            return None, at
        ends = at + _FRAME.size + length
        if ends > self._size or crc32(self._read(at + _FRAME.size, length)) != checksum:
            return None, ends
        return range(at + _FRAME.size, ends), ends

    def _next_magic(self, at: int) -> int:
        """Return the offset of the next possible record, or the file's size if there is none."""
        overlap = len(RECORDS_MAGIC) - 1
        while at < self._size:
            result = self._read(at, SCAN_BYTES + overlap).find(RECORDS_MAGIC)
            if result >= 0:
                return at + result
            at += SCAN_BYTES
        return self._size

    def _is_row(self, record: range) -> bool:
        try:
            batch = _batch(self._payload(record), self._schema)
        except AudiorecError:
            return False
        sequence = batch.column(len(batch.columns) - 1)[0].as_py()
        return bool(0 <= sequence <= MAX_SEQUENCE)

    def _payload(self, record: range) -> bytes:
        return self._read(record.start, len(record))

    def _read(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        return self._file.read(min(length, self._size - at))


def append_all(pairs: list[tuple[RecordWriter, Any]]) -> None:
    """Append a batch to each of several files: to all of them, or to none."""
    sizes = [writer.size for writer, _ in pairs]
    try:
        for writer, batch in pairs:
            writer.append(batch)
    except BaseException:
        for (writer, _), size in zip(pairs, sizes, strict=True):
            writer.cut(size)
        raise


def _framed(payload: bytes) -> bytes:
    about = struct.pack("<4sII", RECORDS_MAGIC, len(payload), crc32(payload))
    return about + struct.pack("<I", crc32(about)) + payload


def _payload(values: Mapping[str, Any], lists: Mapping[str, FloatArray]) -> bytes:
    content = {"values": values, "lists": {name: len(a) for name, a in lists.items()}}
    text = json.dumps(content).encode()
    return b"".join([_TEXT_LENGTH.pack(len(text)), text, *(a.tobytes() for a in lists.values())])


def _read_payload(payload: bytes) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Return the values of a payload, and its lists as flat views."""
    try:
        (length,) = _TEXT_LENGTH.unpack_from(payload)
        content = json.loads(payload[_TEXT_LENGTH.size :][:length])
        at, lists = _TEXT_LENGTH.size + length, {}
        for name, count in content["lists"].items():
            lists[name] = np.frombuffer(payload, "<f4", max(0, count), at)
            at += lists[name].nbytes
        values = dict(content["values"])
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"not a record: {error}") from error
    if at != len(payload):
        raise StoreError("not a record: its length is wrong")
    return values, lists


def _pack(batch: Any) -> bytes:
    """Return the payload of a record batch of one row."""
    values: dict[str, Any] = {}
    lists: dict[str, FloatArray] = {}
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if _is_list(field.type):
            if column.null_count == 0:
                lists[field.name] = _numbers_of(_flat(column))
        elif pa.types.is_timestamp(field.type):
            values[field.name] = column.cast(pa.int64())[0].as_py()
        else:
            values[field.name] = column[0].as_py()
    return _payload(values, lists)


def _batch(payload: bytes, schema: Any) -> Any:
    """Return a payload as a record batch of `schema`; raise `AudiorecError` if it is not a row."""
    values, lists = _read_payload(payload)
    row: dict[str, Any] = {}
    for field in schema:
        if _is_list(field.type):
            row[field.name] = _shaped(lists.get(field.name), field.type)
        else:
            row[field.name] = values.get(field.name)
            if pa.types.is_timestamp(field.type):
                row[field.name] = _time(row[field.name])
    return row_batch(row, schema)


def _shaped(numbers: FloatArray | None, kind: Any) -> FloatArray | None:
    """Reshape a flat list to the shape of its column."""
    of = kind.value_type
    if numbers is None or not pa.types.is_fixed_size_list(of):
        return numbers
    if len(numbers) % of.list_size:
        raise StoreError(f"not a record: {len(numbers)} numbers in rows of {of.list_size}")
    return numbers.reshape(-1, of.list_size)


def _time(microseconds: Any) -> datetime | None:
    try:
        return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
    except (OverflowError, TypeError) as error:
        raise StoreError(f"not a record: invalid time: {error}") from error


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))


def _numbers_of(flat: Any) -> FloatArray:
    """Return numbers of either width as float32, which holds each float16 exactly."""
    return view(flat, _dtype(flat.type)).astype(np.float32, copy=False)


def _flat(column: Any) -> Any:
    while _is_list(column.type):
        column = column.flatten()
    return column


def row_batch(values: Mapping[str, Any], schema: Any) -> Any:
    """Make a record batch of one row from values by column name.

    Nullable columns may be omitted. Raise `ShapeError` if a vector or series does not have the
    width that the schema declares, and `InputError` if a column is missing, unknown, of the wrong
    type, or a key that is empty.
    """
    unknown = set(values) - set(schema.names)
    if unknown:
        raise InputError(f"no such column: {', '.join(sorted(unknown))}")
    for key in (StoreColumns.ID, "content_hash"):
        if key in schema.names and not values.get(key):
            raise InputError(f"a row needs a {key}")
    return pa.record_batch([_column(values.get(f.name), f) for f in schema], schema=schema)


def score_values(song_id: str, content_hash: str, series: ScoreSeries) -> dict[str, Any]:
    """Return a song's row of ``scores.parquet`` as column name to value."""
    return {
        StoreColumns.ID: song_id,
        "content_hash": content_hash,
        "start_s": series.start_s,
        "scores": series.scores,
    }


def feature_values(
    song_id: str, content_hash: str, start_s: FloatArray, features: Mapping[str, FloatArray]
) -> dict[str, Any]:
    """Return a song's row of ``features.parquet``: each output's series (T, D) and its mean."""
    values: dict[str, Any] = {
        StoreColumns.ID: song_id,
        "content_hash": content_hash,
        "segments": len(start_s),
        "start_s": start_s,
    }
    for output, series in features.items():
        if series.ndim != 2 or len(series) != len(start_s):
            raise ShapeError(f"{output} must have shape ({len(start_s)}, D), got {series.shape}")
        name = feature_column(output)
        values[name] = series
        values[f"{name}_mean"] = series.mean(axis=0, dtype=np.float64).astype(np.float32)
    return values


def _column(value: Any, field: Any) -> Any:
    """Return an Arrow array of length 1."""
    kind = field.type
    if value is None and not field.nullable:
        raise InputError(f"column {field.name!r} must have a value")
    if value is None:
        return pa.nulls(1, kind)
    if pa.types.is_fixed_size_list(kind):
        return _vectors(_numbers(value, field.name, (kind.list_size,)), kind)
    if pa.types.is_list(kind):
        of = kind.value_type
        if pa.types.is_fixed_size_list(of):
            flat = _numbers(value, field.name, (None, of.list_size))
            inner = _vectors(flat, of)
        else:
            flat = _numbers(value, field.name, (None,), _dtype(of))
            inner = arrow_array(flat, of)
        offsets = arrow_array(np.array([0, len(flat)], np.int32), pa.int32())
        return pa.ListArray.from_arrays(offsets, inner, type=kind)
    try:
        return _cell(value, kind)
    except (ValueError, OverflowError, TypeError) as error:  # UnicodeEncodeError among them
        raise InputError(f"column {field.name!r} cannot hold {value!r}: {error}") from error


def _cell(value: Any, kind: Any) -> Any:
    """Return an Arrow array of one value, without `pyarrow.array`, which would import pandas."""
    if pa.types.is_string(kind):
        return string_array([_of_type(value, str)])
    if pa.types.is_timestamp(kind):
        since = _of_type(value, datetime) - _EPOCH
        return arrow_array(np.array([since // timedelta(microseconds=1)], np.int64), kind)
    real = _of_type(value, Real if pa.types.is_floating(kind) else Integral)
    dtype = _dtype(kind)
    # Older numpy only warns and wraps around on overflow.
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= real <= np.iinfo(dtype).max:
        raise OverflowError(f"out of range for {dtype}")
    return arrow_array(np.array([real], dtype), kind)


def _dtype(kind: Any) -> np.dtype[Any]:
    """Return the dtype of a type of numbers; pyarrow's own conversion needs pandas."""
    return np.dtype(_DTYPES.get(str(kind), str(kind)))


def _of_type(value: Any, expected: Any) -> Any:
    if not isinstance(value, expected) or isinstance(value, bool):
        raise TypeError(f"expected {expected.__name__}, got {type(value).__name__}")
    return value


def _vectors(values: FloatArray, kind: Any) -> Any:
    return pa.FixedSizeListArray.from_arrays(
        arrow_array(values.ravel(), kind.value_type), type=kind
    )


def _numbers(
    value: Any, name: str, shape: tuple[int | None, ...], dtype: npt.DTypeLike = np.float32
) -> npt.NDArray[Any]:
    with np.errstate(over="ignore"):  # a number too large for it becomes infinite, and is refused
        array = np.ascontiguousarray(np.ascontiguousarray(value, np.float32), dtype)
    fits = array.ndim == len(shape) and all(
        expected in (None, got) for expected, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("T" if n is None else str(n) for n in shape)
        raise ShapeError(f"column {name!r} must have shape ({wanted}), got {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"column {name!r} must be finite")
    return array
