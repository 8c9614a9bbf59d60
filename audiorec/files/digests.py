"""A digest of each column, in the footer of every table that audiorec writes.

    rows  ──tables.digest_writer──▶  a Parquet file, its digests under ``audiorec.digests``
    rows of a file  ──Digests──▶  .differences(stored)  →  columns whose content has changed

A digest covers the values, not the bytes of the file: row groups and encodings do not affect it,
and a file rewritten by another tool can still be checked if the tool kept the key.
It is the sha256 of a column's values in row order, little-endian and concatenated. For nullable or
variable-length columns it is the sha256 of several such digests, outermost first: the validity of
each value, one byte each (only if there is a null); the lengths as int64 (lists and strings); the
values, or for lists their elements by the same rule. A null has no length and no values.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import StoreError

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
