"""Interface between engines and their callers: tasks and their outcomes.

    tasks ──an `Engine`──▶ outcomes, one per task, in any order

A task is small and picklable, and returns expected errors as outcomes instead of raising them. For
a task that it lost, an engine returns the outcome given by `Task.lost` and continues with the
others.
"""

from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import Any, Protocol

MAX_TRIES = 3  # attempts of a task whose process dies


class Outcome(Protocol):
    """Outcome of one task."""

    @property
    def index(self) -> int:
        """Number of the task."""

    @property
    def message(self) -> str:
        """Why the task was lost; empty if it was not."""


class Task(Protocol):
    """One piece of work.

    Attributes
    ----------
    index : int
        Number of the task.
    jobs : int
        Number of CPUs that it uses.
    """

    @property
    def index(self) -> int:
        """Number of the task."""

    @property
    def jobs(self) -> int:
        """Number of CPUs that the task uses."""

    def attempt(self, *, stop: Event | None = None) -> Any:
        """Run the task and return its `Outcome`; once `stop` is set, it may end early."""

    def lost(self, message: str) -> Any:
        """Return the `Outcome` of a task that an engine has lost."""


# Runs tasks and yields each outcome as soon as it is known.
Engine = Callable[[Iterable[Any]], Iterator[Any]]


def attempt(task: Task) -> Any:
    """Run a task; a module-level function that clusters can unpickle."""
    return task.attempt()
