"""Deadlines for work in threads, which cannot be killed: long loops check, and end when it passes.

    with ending_in(seconds):  ──▶  `check_deadline`, `punctual` raise `OverdueError` after that

Without a deadline, as on the command line, the checks do nothing.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import TypeVar

EVERY = 256  # items between two checks
T = TypeVar("T")
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
