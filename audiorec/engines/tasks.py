"""What engines and their callers agree on: a task that is sent, and the answer to it.

    tasks ──an `Engine`──▶ outcomes, one a task, in any order

A task is small, travels by pickle, and answers what goes wrong on purpose instead of raising it.
An engine says of a task that it lost what the task makes of that (`Task.lost`), and goes on with
the others.
"""

from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import Any, Protocol

MAX_TRIES = 3  # of a task whose process dies


class Outcome(Protocol):
    """What became of one task."""

    @property
    def index(self) -> int:
        """The number of the task."""

    @property
    def message(self) -> str:
        """Why it was lost; empty if it was not."""


class Task(Protocol):
    """One piece of work.

    Attributes
    ----------
    index : int
        Its number.
    jobs : int
        Processors that it takes.
    """

    @property
    def index(self) -> int:
        """Its number."""

    @property
    def jobs(self) -> int:
        """Processors that it takes."""

    def attempt(self, *, stop: Event | None = None) -> Any:
        """Do it, and return its `Outcome`; once `stop` is set, it may end early."""

    def lost(self, message: str) -> Any:
        """Return its `Outcome` if an engine could not do it."""


# Does tasks somewhere, and gives each outcome as soon as it is known.
Engine = Callable[[Iterable[Any]], Iterator[Any]]


def attempt(task: Task) -> Any:
    """Do a task; the function that clusters are given by name."""
    return task.attempt()
