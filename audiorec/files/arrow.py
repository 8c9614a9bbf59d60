"""Arrow and Parquet: conversions without pandas, and files whose damage is detected.

    path       ──open_parquet──▶  a Parquet file whose damage is noticed
    columns    ──integers, floats, rows, ...──▶  Arrow and numpy, without importing pandas
               ──pandas_frame, arrow_to_polars──▶  frames for users; audiorec uses none itself
    path, names  ──read_npz──▶  arrays of an npz archive given by a user

If pandas is installed, Arrow imports it at the first `pyarrow.array`, `pyarrow.scalar`, `to_numpy`
or conversion of a timestamp to a Python object. This takes most of a second, in commands that do
not need pandas.
"""

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import DamagedFileError, MissingFileError, StoreError, import_extra
from audiorec.types import BoolArray, FloatArray, Int64Array
from audiorec.types import string_array as string_array

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def integers(values: Sequence[int] | npt.NDArray[np.integer]) -> Any:
    """Convert whole numbers to a `pyarrow.Int64Array`."""
    return arrow_array(np.ascontiguousarray(values, np.int64), pa.int64())


def arrow_array(values: npt.NDArray[Any], kind: Any) -> Any:
    """Wrap a contiguous array, shape (n,), as an Arrow array of the matching type `kind`."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def float_array(values: npt.NDArray[Any]) -> Any:
    """Wrap numbers, shape (n,), as an Arrow array of float32: `pyarrow.array` imports pandas."""
    return arrow_array(np.ascontiguousarray(values, np.float32), pa.float32())


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
    result = np.frombuffer(numbers.buffers()[1], np.uint8, len(numbers), numbers.offset)
    return result.astype(np.bool_)


def rows(table: Any) -> list[dict[str, Any]]:
    """Return a table's rows as dicts; timestamps in microseconds UTC become `datetime`."""
    stamp = pa.timestamp("us", tz="UTC")
    stamps = [field.name for field in table.schema if field.type == stamp]
    for name in stamps:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(name).cast(pa.int64()))
    result: list[dict[str, Any]] = table.to_pylist()
    for row in result:
        for name in stamps:
            if row[name] is not None:
                row[name] = _EPOCH + timedelta(microseconds=row[name])
    return result


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


# Options of every Parquet writer in audiorec.
WRITING = {"compression": "zstd", "write_page_checksum": True}


def open_parquet(source: Any, **options: Any) -> Any:
    """Open a Parquet file whose page checksums are verified on reading.

    Takes the arguments of `pyarrow.parquet.ParquetFile`. Raises `StoreError` for a pipe, device or
    socket, and Arrow's own errors if the file is missing or not Parquet.
    """
    import pyarrow.parquet as pq

    if isinstance(source, (str, os.PathLike)) and _is_special(Path(source)):
        raise StoreError(f"{os.fspath(source)}: is not a regular file")
    return pq.ParquetFile(source, page_checksum_verification=True, **options)


def read_schema(path: Path) -> Any:
    """Return the `pyarrow.Schema` of a Parquet file; raises the errors of `open_parquet`."""
    with open_parquet(path) as file:
        return file.schema_arrow


def float_leaves(schema: Any) -> list[str]:
    """Return the Parquet paths of all float columns, which use byte-stream-split encoding."""
    import pyarrow as pa

    leaves = []
    for column in schema:
        path, kind = column.name, column.type
        while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            path, kind = f"{path}.list.element", kind.value_type
        if pa.types.is_floating(kind):
            leaves.append(path)
    return leaves


def _is_special(path: Path) -> bool:
    """Return whether a path is a pipe, device or socket, which may block or be endless."""
    return path.exists() and not path.is_file() and not path.is_dir()


def read_npz(path: Path, names: Sequence[str]) -> list[Any]:
    """Read arrays of an npz archive by their names; pickled objects are refused.

    Raises
    ------
    MissingFileError
        If the file does not exist.
    DamagedFileError
        If it is not an npz archive, or an array is missing.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return [archive[name] for name in names]
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file") from error
    except KeyError as error:
        raise DamagedFileError(f"{path}: {error.args[0]}") from error
    except (
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        EOFError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = (str(error) or "not a complete archive").splitlines()[0]
        raise DamagedFileError(f"{path}: cannot be read as npz: {reason}") from error
