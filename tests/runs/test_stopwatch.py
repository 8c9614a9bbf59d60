"""`audiorec.runs.timing`: every moment is counted once, for the stage entered last."""

import pytest

from audiorec.runs import timing
from audiorec.runs.timing import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = [100.0]
    monkeypatch.setattr(timing.time, "process_time", lambda: now[0])

    def move(seconds):
        now[0] += seconds

    return move


def test_time_inside_a_stage_counts_for_it_and_time_outside_for_none(clock):
    watch = Stopwatch()
    clock(1)
    with watch.stage("a"):
        clock(2)
    clock(4)
    with watch.stage("a"):
        clock(8)
    assert watch.seconds == {"a": 10.0}


def test_an_inner_stage_is_not_counted_for_the_outer(clock):
    watch = Stopwatch()
    with watch.stage("a"):
        clock(1)
        with watch.stage("b"):
            clock(2)
        clock(4)
    assert watch.seconds == {"a": 5.0, "b": 2.0}


def test_a_generator_is_timed_apart_from_its_user(clock):
    def make():
        for item in "xy":
            clock(10)
            yield item
        clock(100)

    watch = Stopwatch()
    seen = []
    with watch.stage("use"):
        for item in watch.each("make", make()):
            clock(1)
            seen.append(item)
    assert seen == ["x", "y"]
    assert watch.seconds == {"use": 2.0, "make": 120.0}


def test_generators_in_generators(clock):
    def inner():
        for _ in range(3):
            clock(5)
            yield 1

    def outer(items):
        for item in items:
            clock(70)
            yield item

    watch = Stopwatch()
    assert list(watch.each("outer", outer(watch.each("inner", inner())))) == [1, 1, 1]
    assert watch.seconds == {"inner": 15.0, "outer": 210.0}


def test_an_exception_ends_the_stage(clock):
    def fail(watch):
        with watch.stage("b"):
            clock(3)
            raise KeyError("b")

    watch = Stopwatch()
    with watch.stage("a"):
        with pytest.raises(KeyError, match="b"):
            fail(watch)
        clock(1)
    assert watch.seconds == {"a": 1.0, "b": 3.0}
