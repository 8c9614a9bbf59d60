"""`audiorec.files.times`: every date is an int64, and what is no date is -1."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.files.times import size_bytes, time_ns, within_int64


@given(st.integers(-(1 << 80), 1 << 80))
def test_every_time_fits_and_the_next_one_differs(nanoseconds):
    found = within_int64(nanoseconds)
    assert -(1 << 63) <= found < 1 << 63
    assert found != within_int64(nanoseconds + 1)
    if -(1 << 63) <= nanoseconds < 1 << 63:
        assert found == nanoseconds


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (None, -1),
        (math.nan, -1),
        (math.inf, -1),
        ("yesterday", -1),
        (0, 0),
        (1_700_000_000, 1_700_000_000 * 10**9),
        (1_700_000_000.5, 1_700_000_000_500_000_000),
        (datetime(2024, 2, 29, 12, 30, 15, 123456), 1_709_209_815_123_456_000),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), -(10**9)),
        (datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 0),
    ],
)
def test_times_of_object_stores(changed, expected):
    assert time_ns(changed) == expected


@pytest.mark.parametrize("changed", [1e300, -1e300, 10**30, datetime.max, datetime.min])
def test_absurd_times_of_object_stores_fit(changed):
    assert -(1 << 63) <= time_ns(changed) < 1 << 63


@pytest.mark.parametrize(
    ("size", "expected"), [(None, -1), (7, 7), (7.0, 7), (-3, -1), (math.nan, -1), (1 << 63, -1)]
)
def test_sizes_of_object_stores(size, expected):
    assert size_bytes(size) == expected
