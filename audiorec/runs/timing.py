"""Measure CPU time by stage, and end work whose time has passed.

Measure a process's CPU time by stage; time counts for the innermost active stage. ``with
watch.stage("mel")`` counts for "mel"; inside it, ``for block in watch.each("decode", blocks)``
counts producing the blocks for "decode" and the loop body for "mel".

Deadlines for work in threads, which cannot be killed: long loops check, and end when it passes.

    with ending_in(seconds):  ──▶  `check_deadline`, `punctual` raise `OverdueError` after that

Without a deadline, as on the command line, the checks do nothing.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Stopwatch:
    """CPU seconds of this process by stage, for each stage left at least once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stage: str | None = None
        self._since = time.process_time()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block for `name`, except that of stages entered inside it."""
        before = self._switch(name)
        try:
            yield
        finally:
            self._switch(before)

    def timed(self, name: str, function: Callable[[T], R]) -> Callable[[T], R]:
        """Return the function; the time of its calls counts for `name`."""

        def called(given: T) -> R:
            with self.stage(name):
                return function(given)

        return called

    def each(self, name: str, items: Iterable[T]) -> Iterable[T]:
        """Return the items; the time taken to produce them counts for `name`.

        The result can be iterated as often as `items` can.
        """
        return _Timed(self, name, items)

    def _switch(self, stage: str | None) -> str | None:
        now = time.process_time()
        before = self._stage
        if before is not None:
            self.seconds[before] = self.seconds.get(before, 0.0) + now - self._since
        self._stage, self._since = stage, now
        return before


class _Timed(Iterable[T]):
    """An iterable that times how long its items take to produce."""

    def __init__(self, watch: Stopwatch, name: str, items: Iterable[T]) -> None:
        self._watch, self._name, self._items = watch, name, items

    def __iter__(self) -> Iterator[T]:
        iterator = iter(self._items)
        while True:
            with self._watch.stage(self._name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item


EVERY = 256  # items between two checks
_ENDS: ContextVar[float] = ContextVar("ends", default=math.inf)


class OverdueError(Exception):
    """The deadline has passed; no `AudiorecError`, since neither input nor files are at fault."""


@contextmanager
def ending_in(seconds: float) -> Iterator[None]:
    """Let the checks in this block raise `OverdueError` once `seconds` have passed."""
    before = _ENDS.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ENDS.reset(before)


def check_deadline() -> None:
    """Raise `OverdueError` if the deadline of this thread's work has passed."""
    if time.monotonic() > _ENDS.get():
        raise OverdueError


def punctual(items: Sequence[T]) -> Iterator[T]:
    """Yield the items, and check the deadline once in a while.

    Examples
    --------
    >>> with ending_in(60):
    ...     list(punctual("abc"))
    ['a', 'b', 'c']
    """
    return chain.from_iterable(_slices(items))


def _slices(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), EVERY):
        check_deadline()
        yield items[start : start + EVERY]
