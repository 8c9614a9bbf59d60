"""Convert between Python and Arrow without importing pandas, and to pandas where asked.

If pandas is installed, Arrow imports it at the first `pyarrow.array`, `pyarrow.scalar`,
`to_numpy` or conversion of a timestamp to a Python object. This takes most of a second, in
commands that do not need pandas.

    columns, or an Arrow table ──pandas_frame──▶ pandas.DataFrame
    an Arrow table             ──polars_frame──▶ polars.DataFrame

Frames are for users: pandas and polars are imported on first use, and audiorec itself does not use
the results.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import import_extra
from audiorec.types import BoolArray, FloatArray, Int64Array
from audiorec.types import string_array as string_array

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def integers(values: Sequence[int] | npt.NDArray[np.integer]) -> Any:
    """Convert whole numbers to a `pyarrow.Int64Array`."""
    return arrow_array(np.ascontiguousarray(values, np.int64), pa.int64())


def arrow_array(values: npt.NDArray[Any], kind: Any) -> Any:
    """Wrap a contiguous array, shape (n,), as an Arrow array of the matching type `kind`."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def mask(values: BoolArray) -> Any:
    """Convert booleans, shape (n,), to a `pyarrow.BooleanArray`.

    Examples
    --------
    >>> mask(np.array([True, False])).to_pylist()
    [True, False]
    """
    bits = pa.py_buffer(np.packbits(values, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, bits])


def scalar(value: str | float | np.generic) -> Any:
    """Convert a value to an Arrow scalar: functions of `pyarrow.compute` take it, too.

    Examples
    --------
    >>> scalar("song"), scalar(np.float32(0.5)), scalar(np.bool_(False))
    (<pyarrow.StringScalar: 'song'>, <pyarrow.FloatScalar: 0.5>, <pyarrow.BooleanScalar: False>)
    """
    if isinstance(value, str):
        return string_array([value])[0]
    number = np.asarray(value).reshape(1)
    if number.dtype == np.bool_:
        return pc.not_equal(integers(number.astype(np.int64)), integers([0]))[0]
    return arrow_array(number, pa.from_numpy_dtype(number.dtype))[0]


def floats(array: Any) -> FloatArray:
    """Return a view of a float32 Arrow array without nulls, shape (n,)."""
    return view(array, np.float32)


def view(array: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a view of an Arrow array of numbers of this type without nulls, shape (n,)."""
    of = np.dtype(dtype)
    buffer = array.buffers()[1] or b""
    return np.frombuffer(buffer, of, len(array), of.itemsize * array.offset)


def one_chunk(column: Any) -> Any:
    """Return a column, of a table or of a batch, as one Arrow array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def encoded(texts: Any) -> tuple[Int64Array, Any]:
    """Encode a column of strings as indices into its sorted distinct values; return both.

    Examples
    --------
    >>> numbers, values = encoded(pa.chunked_array([["b", "a"], ["b"]]))
    >>> numbers.tolist(), values.to_pylist()
    ([1, 0, 1], ['a', 'b'])
    """
    encoded = one_chunk(one_chunk(texts).dictionary_encode())
    order = pc.sort_indices(encoded.dictionary)
    place = np.empty(len(order), np.int64)
    place[order.to_numpy()] = np.arange(len(order))
    return place[encoded.indices.to_numpy()], encoded.dictionary.take(order)


def matrix(column: Any, width: int) -> FloatArray:
    """Return a column of float32 lists without nulls as (n, `width`); a view if it is one chunk."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    blocks = [floats(chunk.flatten()).reshape(-1, width) for chunk in chunks if len(chunk)]
    if not blocks:
        return np.empty((0, width), np.float32)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def booleans(array: Any) -> BoolArray:
    """Convert a bool Arrow array without nulls to a new array, shape (n,)."""
    numbers = array.cast(pa.uint8())
    found = np.frombuffer(numbers.buffers()[1], np.uint8, len(numbers), numbers.offset)
    return found.astype(np.bool_)


def rows(table: Any) -> list[dict[str, Any]]:
    """Return a table's rows as dicts; timestamps in microseconds UTC become `datetime`."""
    stamp = pa.timestamp("us", tz="UTC")
    stamps = [field.name for field in table.schema if field.type == stamp]
    for name in stamps:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(name).cast(pa.int64()))
    found: list[dict[str, Any]] = table.to_pylist()
    for row in found:
        for name in stamps:
            if row[name] is not None:
                row[name] = _EPOCH + timedelta(microseconds=row[name])
    return found


def pandas_frame(columns: Mapping[str, Any], *, index: tuple[str, Any] | None = None) -> Any:
    """Build a `pandas.DataFrame` from named columns.

    Parameters
    ----------
    columns : mapping of str to sequence
    index : tuple of str and sequence, optional
        Name and values of the index; by default rows are numbered from 0.

    Raises
    ------
    MissingExtraError
        If pandas is not installed.
    """
    pandas = import_extra("pandas", "a DataFrame", "pandas")
    if index is None:
        return pandas.DataFrame(dict(columns))
    return pandas.DataFrame(dict(columns), index=pandas.Index(index[1], name=index[0]))


def arrow_to_pandas(table: Any) -> Any:
    """Convert an Arrow table to a `pandas.DataFrame`; `MissingExtraError` without pandas."""
    import_extra("pandas", "a DataFrame", "pandas")
    return table.to_pandas()


def arrow_to_polars(table: Any) -> Any:
    """Convert an Arrow table to a `polars.DataFrame`; `MissingExtraError` without polars."""
    polars = import_extra("polars", "to_polars()", "polars")
    return polars.from_arrow(table)
