"""Convert columns of various types to numbers, and mark the rows that cannot be converted.

Times may be timestamps, dates, ISO 8601 texts, or numbers. The unit of numbers (seconds,
milliseconds, microseconds or nanoseconds since 1970) is inferred from their size: from 1973 to
2100 the ranges of the units do not overlap.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.files.arrow import scalar, view
from audiorec.types import BoolArray, Float64Array

Codes = npt.NDArray[np.int8]

FIRST_S, LAST_S = 1e8, 4_102_444_800.0  # March 1973 and the end of 2099, seconds since 1970
UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds")
DATE, UNREADABLE, OUT_OF_RANGE = len(UNITS), -1, -2  # codes beside the units of numbers
UNIT_NAMES = (*UNITS, "dates")
_ZONE = r"[T ].*(Z|[+-]\d\d(:?\d\d)?)$"
_NANOSECONDS = 1e9


def to_floats(column: Any) -> tuple[Float64Array, BoolArray]:
    """Convert numbers or numeric texts to float64; return values and invalid rows, (P,) each.

    Values are NaN for nulls and invalid rows.
    """
    column = without_dictionary(column)
    if pa.types.is_boolean(column.type):
        return np.full(len(column), np.nan), np.ones(len(column), np.bool_)
    cast, bad = _cast(column, pa.float64())
    return _floats(cast), bad


def to_times(column: Any) -> tuple[Float64Array, Codes]:
    """Convert times (timestamps, dates, texts or numbers); return values and units, (P,) each.

    Dates become seconds since 1970; numbers are unchanged. Units are indices into `UNIT_NAMES`,
    or `UNREADABLE` or `OUT_OF_RANGE`.
    """
    column = without_dictionary(column)
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _checked_dates(_seconds(column))
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        numbers, _ = to_floats(column)
        return numbers, _units(numbers)
    return _text_times(column)


def without_dictionary(column: Any) -> Any:
    """Return a column as one array without dictionary encoding."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _text_times(column: Any) -> tuple[Float64Array, Codes]:
    numbers, bad = to_floats(column)
    units = _units(numbers)
    texts = np.flatnonzero(bad)
    if len(texts):
        dates = column.take(pa.array(texts))
        zoned = pc.match_substring_regex(dates, _ZONE).to_numpy(zero_copy_only=False)
        for zone, mask in (("UTC", zoned), (None, ~zoned)):
            part = dates.filter(pa.array(mask))
            stamps, _ = _cast(part, pa.timestamp("ns", tz=zone))
            where = texts[mask]
            numbers[where], units[where] = _checked_dates(_seconds(stamps))
    return numbers, units


def _seconds(stamps: Any) -> Float64Array:
    """Convert timestamps or dates to seconds since 1970; times without a zone are in UTC."""
    if pa.types.is_date(stamps.type):
        stamps = stamps.cast(pa.timestamp("s"))
    per_second = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": _NANOSECONDS}[stamps.type.unit]
    return _floats(stamps.cast(pa.int64()).cast(pa.float64(), safe=False)) / per_second


def _checked_dates(seconds: Float64Array) -> tuple[Float64Array, Codes]:
    units = np.full(len(seconds), DATE, np.int8)
    units[~((seconds >= FIRST_S) & (seconds < LAST_S))] = OUT_OF_RANGE
    units[np.isnan(seconds)] = UNREADABLE
    return seconds, units


def _units(numbers: Float64Array) -> Codes:
    units = np.full(len(numbers), OUT_OF_RANGE, np.int8)
    for place in range(len(UNITS)):
        scale = 1000.0**place
        units[(numbers >= FIRST_S * scale) & (numbers < LAST_S * scale)] = place
    units[np.isnan(numbers)] = UNREADABLE
    return units


def _cast(column: Any, kind: Any) -> tuple[Any, BoolArray]:
    """Cast all values that can be cast; others become null and are marked as bad."""
    try:
        safe = not pa.types.is_floating(kind)  # 2**53 + 1 may lose its last digit
        return pc.cast(column, kind, safe=safe), np.zeros(len(column), np.bool_)
    except pa.ArrowInvalid:
        if len(column) == 1:
            return pa.nulls(1, kind), np.ones(1, np.bool_)
    except pa.ArrowNotImplementedError:  # for example a list
        return pa.nulls(len(column), kind), np.ones(len(column), np.bool_)
    # Bisect, since the cast does not report which row failed.
    middle = len(column) // 2
    halves = [_cast(part, kind) for part in (column[:middle], column[middle:])]
    return pa.concat_arrays([h[0] for h in halves]), np.concatenate([h[1] for h in halves])


def _floats(column: Any) -> Float64Array:
    """Convert a float64 Arrow array to a new array; nulls become NaN."""
    return np.array(view(column.fill_null(scalar(np.nan)), np.float64))
