"""`audiorec.listening.events`: times in any form, numbers in any form, and what is neither."""

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from audiorec.listening.events import (
    DATE,
    OUT_OF_RANGE,
    UNIT_NAMES,
    UNREADABLE,
    to_floats,
    to_times,
)

NOON = 1_709_294_400.0  # 2024-03-01 12:00 UTC


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-03-01T12:00:00Z", NOON),
        ("2024-03-01T12:00:00", NOON),
        ("2024-03-01 12:00", NOON),
        ("2024-03-01T14:30:00+02:30", NOON),
        ("2024-03-01T07:00:00-0500", NOON),
        ("2024-03-01T12:00:00.25Z", NOON + 0.25),
        ("2024-03-01", NOON - 43_200),
    ],
)
def test_dates_in_text(text, seconds):
    numbers, units = to_times(pa.array([text]))
    assert UNIT_NAMES[units[0]] == "dates"
    assert numbers[0] == pytest.approx(seconds, abs=1e-6)


def test_each_row_is_judged_by_itself():
    column = pa.array(
        ["2024-03-01T12:00:00Z", "soon", None, "2024-02-30", "2024-03-01 12:00:00", "1709294400"]
    )
    numbers, units = to_times(column)
    assert units.tolist() == [DATE, UNREADABLE, UNREADABLE, UNREADABLE, DATE, 0]
    assert numbers[[0, 4, 5]].tolist() == [NOON, NOON, NOON]


def test_dates_are_read_at_once_and_not_tried_as_numbers_row_by_row(monkeypatch):
    tried, cast = [], pc.cast
    monkeypatch.setattr(pc, "cast", lambda *given, **how: tried.append(1) or cast(*given, **how))
    numbers, _ = to_times(pa.array(["2024-03-01T12:00:00Z"] * 100))
    assert (numbers == NOON).all()
    assert len(tried) < 10


@pytest.mark.parametrize("place", range(4))
def test_the_unit_follows_from_the_size(place):
    values = [NOON * 1000**place, 1e8 * 1000**place, 4.1e9 * 1000**place]
    _, units = to_times(pa.array([int(v) for v in values]))
    assert units.tolist() == [place] * 3
    _, units = to_times(pa.array([str(int(v)) for v in values]))
    assert units.tolist() == [place] * 3


def test_times_that_are_in_no_unit():
    numbers = [0, -NOON, 99_999_999, 4.2e9, 1e20, float("inf")]
    _, units = to_times(pa.array([float(n) for n in numbers]))
    assert units.tolist() == [OUT_OF_RANGE] * 6
    _, units = to_times(pa.array(["1970-01-01", "2150-01-01"]))
    assert units.tolist() == [OUT_OF_RANGE] * 2


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_time_stamps(unit, zone):
    instant = datetime(2024, 3, 1, 12, tzinfo=UTC if zone else None)
    column = pa.array([instant, None], pa.timestamp(unit, tz=zone))
    numbers, units = to_times(column)
    assert numbers[0] == NOON
    assert units.tolist() == [DATE, UNREADABLE]


def test_dates_begin_at_midnight():
    numbers, _ = to_times(pa.array([date(2024, 3, 1)]))
    assert numbers[0] == NOON - 43_200
    numbers, _ = to_times(pa.array([date(2024, 3, 1)], pa.date64()))
    assert numbers[0] == NOON - 43_200


def test_floats_and_what_is_none():
    numbers, bad = to_floats(pa.array(["0.5", "half", None, "1e-3", "", "nan"]))
    assert bad.tolist() == [False, True, False, False, True, False]
    np.testing.assert_array_equal(numbers, [0.5, np.nan, np.nan, 0.001, np.nan, np.nan])
    numbers, bad = to_floats(pa.array([1, None, 3], pa.int16()))
    np.testing.assert_array_equal(numbers, [1, np.nan, 3])
    assert not bad.any()
    assert to_floats(pa.array([True]))[1].tolist() == [True]
    assert to_floats(pa.array([[1.0]]))[1].tolist() == [True]
    assert to_floats(pa.array([], pa.string()))[0].shape == (0,)


def test_dictionaries_are_read_as_their_values():
    column = pa.array(["0.25", "x", "0.25"]).dictionary_encode()
    numbers, bad = to_floats(column)
    assert (numbers[0], numbers[2], bad.tolist()) == (0.25, 0.25, [False, True, False])
