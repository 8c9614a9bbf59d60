"""One song as a record batch of one row, checked against the columns of its file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audiorec.errors import InputError, ShapeError
from audiorec.types import FloatArray, ScoreSeries
from audiorec.vectors.schema import feature_column


def row_batch(values: Mapping[str, Any], schema: Any) -> Any:
    """Make a record batch of one row.

    Parameters
    ----------
    values : mapping of str to object
        Column name to value; nullable columns may be left out. Vectors and series are
        arrays of the width that the schema declares.
    schema : pyarrow.Schema

    Returns
    -------
    batch : pyarrow.RecordBatch

    Raises
    ------
    InputError
        If a column is missing, unknown, empty where it is a key, or of another type.
    ShapeError
        If an array has another shape than its column.
    """
    unknown = set(values) - set(schema.names)
    if unknown:
        raise InputError(f"no such column: {', '.join(sorted(unknown))}")
    for key in ("song_id", "content_hash"):
        if key in schema.names and not values.get(key):
            raise InputError(f"a row needs a {key}")
    return pa.record_batch([_column(values.get(f.name), f) for f in schema], schema=schema)


def score_values(song_id: str, content_hash: str, series: ScoreSeries) -> dict[str, Any]:
    """Return a song's row of ``scores.parquet`` as column name to value."""
    return {
        "song_id": song_id,
        "content_hash": content_hash,
        "start_s": series.start_s,
        "scores": series.scores,
    }


def feature_values(
    song_id: str, content_hash: str, start_s: FloatArray, features: Mapping[str, FloatArray]
) -> dict[str, Any]:
    """Return a song's row of ``features.parquet``: each output's series, and its mean.

    Parameters
    ----------
    song_id, content_hash : str
    start_s : ndarray, shape (T,), float32
    features : mapping of str to ndarray, shape (T, D)
        By output name, for example ``msd.penultimate``.

    Raises
    ------
    ShapeError
        If an output has not one row per segment.
    """
    values: dict[str, Any] = {
        "song_id": song_id,
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
    if pa.types.is_fixed_size_list(kind):
        return _vectors(_floats(value, field.name, (kind.list_size,)), kind)
    if pa.types.is_list(kind):
        of = kind.value_type
        if pa.types.is_fixed_size_list(of):
            flat = _floats(value, field.name, (None, of.list_size))
            inner = _vectors(flat, of)
        else:
            flat = _floats(value, field.name, (None,))
            inner = pa.array(flat)
        return pa.ListArray.from_arrays(pa.array([0, len(flat)], pa.int32()), inner, type=kind)
    try:
        return pa.array([value], kind)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError) as error:
        raise InputError(f"column {field.name!r} cannot hold {value!r}: {error}") from error


def _vectors(values: FloatArray, kind: Any) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), type=kind)


def _floats(value: Any, name: str, shape: tuple[int | None, ...]) -> FloatArray:
    array: npt.NDArray[np.float32] = np.ascontiguousarray(value, np.float32)
    fits = array.ndim == len(shape) and all(
        expected in (None, got) for expected, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("T" if n is None else str(n) for n in shape)
        raise ShapeError(f"column {name!r} must have shape ({wanted}), got {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"column {name!r} must be finite")
    return array
