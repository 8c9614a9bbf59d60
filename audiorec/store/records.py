"""Rows of the store's files from values by column name, each checked one by one."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, ShapeError
from audiorec.files.arrow import arrow_array, string_array
from audiorec.store.schema import feature_column
from audiorec.types import FloatArray, ScoreSeries

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Types that Arrow and numpy name differently.
_DTYPES = {"float": "float32", "double": "float64", "halffloat": "float16"}


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
        return string_array([_check_type(value, str)])
    if pa.types.is_timestamp(kind):
        since = _check_type(value, datetime) - _EPOCH
        return arrow_array(np.array([since // timedelta(microseconds=1)], np.int64), kind)
    real = _check_type(value, Real if pa.types.is_floating(kind) else Integral)
    dtype = _dtype(kind)
    # Older numpy only warns and wraps around on overflow.
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= real <= np.iinfo(dtype).max:
        raise OverflowError(f"out of range for {dtype}")
    return arrow_array(np.array([real], dtype), kind)


def _dtype(kind: Any) -> np.dtype[Any]:
    """Return the dtype of a type of numbers; pyarrow's own conversion needs pandas."""
    return np.dtype(_DTYPES.get(str(kind), str(kind)))


def _check_type(value: Any, expected: Any) -> Any:
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
