"""Engines for tests: tasks that travel by pickle in this process, and tasks that die."""

import os
import pickle
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiorec.runs.tasks import Engine


def travelling(tasks: Iterable[Any]) -> Iterator[Any]:
    """Do tasks here, but as copies that were pickled; the last one first."""
    for task in reversed(list(tasks)):
        yield pickle.loads(pickle.dumps(task)).attempt()  # noqa: S301 - our own


@dataclass(frozen=True)
class Deadly:
    """A task whose process is killed at its first try, or at each."""

    task: Any
    mark: Path
    always: bool

    @property
    def index(self) -> int:
        """As the task's."""
        return int(self.task.index)

    @property
    def jobs(self) -> int:
        """As the task's."""
        return int(self.task.jobs)

    def attempt(self, *, stop: Any = None) -> Any:
        """Die, or do as the task does."""
        is_first = not self.mark.exists()
        with self.mark.open("a") as file:
            file.write("x")
        if self.always or is_first:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.task.attempt(stop=stop)

    def lost(self, message: str) -> Any:
        """As the task."""
        return self.task.lost(message)


def deadly(engine: Engine, mark: Path, *, index: int = 1, always: bool = False) -> Engine:
    """Return an engine whose process dies of one task; `mark` has a letter for each try."""

    def run(tasks: Iterable[Any]) -> Iterator[Any]:
        return engine(Deadly(t, mark, always) if t.index == index else t for t in tasks)

    return run


class Broken:
    """A task with a bug."""

    jobs = 1

    def __init__(self, index: int) -> None:
        self.index = index

    def attempt(self, *, stop: Any = None) -> Any:  # noqa: ARG002 - as of every task
        """Fail as no task should."""
        return 1 / 0

    def lost(self, message: str) -> tuple[int, str]:
        """Return both."""
        return self.index, message
