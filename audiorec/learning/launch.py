"""What several processes that train one model run, and how they are heard of.

    Task ──by_torchrun, by_ray──▶ N processes: `run_part` ──▶ target(**arguments, tell=, stop=)
    lines, a wish to stop, the answer: over a `Wire` between them and whoever started them

Every process calls the same function, which joins them (`audiorec.learning.processes`). What the
first one returns is the answer. An error that audiorec raises on purpose, or a bug, is an answer as
well, since it would come again: it ends all of them. Where a process dies, the others end with a
`LostProcessError`, and the engine starts all of them again; they go on from the last checkpoint.
"""

import json
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from threading import Event
from typing import Any, Protocol

from audiorec import errors
from audiorec.errors import AudiorecError, LostProcessError
from audiorec.types import LineProgress

RESTARTS = 3  # of all processes, after one has died
POLL_S = 0.2  # seconds between two looks at what the others say
Message = dict[str, Any]
Remark = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Task:
    """What each process does.

    Attributes
    ----------
    target : str
        ``package.module:function``, found wherever a process runs. It is called with the
        arguments, a `tell` for lines of progress and a `stop` event, and returns what JSON can
        hold; None if it was stopped.
    arguments : mapping
        What JSON can hold; paths are absolute, and all processes see what they name.
    """

    target: str
    arguments: Mapping[str, Any]

    def run(self, tell: LineProgress, stop: Event) -> Any:
        """Call the target."""
        module, _, name = self.target.partition(":")
        return getattr(import_module(module), name)(**self.arguments, tell=tell, stop=stop)

    def to_json(self) -> dict[str, Any]:
        """Return what ``Task(**...)`` takes."""
        return {"target": self.target, "arguments": dict(self.arguments)}


class Wire(Protocol):
    """The end of a process at a line to whoever started it."""

    def send(self, message: Message) -> None:
        """Send a message."""

    def is_stopped(self) -> bool:
        """Whether the processes are to stop."""

    def is_answered(self) -> bool:
        """Whether a process has sent an answer."""


def run_part(task: Task, wire: Wire, *, rank: int) -> None:
    """Run a task as one of several processes.

    Raises
    ------
    LostProcessError
        If another process has died.
    """
    if wire.is_answered():  # by one that failed while the others lost it
        return
    stop = Event()
    if rank == 0:
        wire.send({"begins": True})
    with _listening(wire, stop):
        answer = _answer(task, lambda line: wire.send({"line": line}), stop)
    if rank == 0 or "result" not in answer:
        wire.send({"answer": answer})


def _answer(task: Task, tell: LineProgress, stop: Event) -> Message:
    try:
        return {"result": task.run(tell, stop)}
    except LostProcessError:
        raise
    except AudiorecError as error:
        return {"error": plain_error(error)}
    except Exception:  # noqa: BLE001 - a bug is told once, and not four times
        return {"bug": traceback.format_exc()}


@contextmanager
def _listening(wire: Wire, stop: Event) -> Iterator[None]:
    """Set `stop` when the other end says so."""
    done = Event()

    def listen() -> None:
        while not done.wait(POLL_S):
            if wire.is_stopped():
                stop.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        done.set()
        listener.join()


@dataclass(slots=True)
class Messages:
    """What those who started the processes have heard of them.

    Attributes
    ----------
    tell : callable, optional
        Called with each line of an epoch once, also where it is trained again.
    remark : callable, optional
        Called with a sentence when all processes start again.
    restarts : int
        How often they may.
    """

    tell: LineProgress | None = None
    remark: Remark | None = None
    restarts: int = RESTARTS
    starts: int = 0
    answer: Message | None = None
    _told: set[tuple[Any, Any]] = field(default_factory=set)

    def take(self, message: Message) -> None:
        """Take a message of a process."""
        if "answer" in message:
            self.answer = self.answer or message["answer"]
        elif "begins" in message:
            self.starts += 1
            if self.starts > 1 and self.remark is not None:
                again = f"start {self.starts - 1} of {self.restarts}"
                self.remark(f"a process has ended; all go on from the last checkpoint ({again})")
        elif "line" in message and self.tell is not None:
            line = message["line"]
            place = (line.get("phase"), line.get("epoch"))
            if place not in self._told:
                self._told.add(place)
                self.tell(line)

    def result(self) -> Any:
        """Return the answer of the first process, or raise what ended them.

        Raises
        ------
        AudiorecError
            What a process raised.
        LostProcessError
            If processes died more often than they may.
        """
        if self.answer is None:
            raise LostProcessError(
                f"the processes of the training ended {max(1, self.starts)} times without a result;"
                " the same command goes on from the last checkpoint. Was there memory enough?"
            )
        if "error" in self.answer:
            raise error_of(*self.answer["error"])
        if "bug" in self.answer:
            raise RuntimeError(f"a process of the training failed\n{self.answer['bug']}")
        return self.answer["result"]


def plain_error(error: AudiorecError) -> list[Any]:
    """Return an error as JSON can hold it: one of another module by what it is in `errors`.

    Examples
    --------
    >>> plain_error(LostProcessError("gone"))
    ['LostProcessError', ['gone']]
    """
    kinds = type(error).__mro__
    kind = next(k for k in kinds if getattr(errors, k.__name__, None) is k)
    values = list(error.args) if kind is kinds[0] else [str(error)]
    return [kind.__name__, json.loads(json.dumps(values, default=str))]


def error_of(name: str, values: list[Any]) -> AudiorecError:
    """Undo `plain_error`."""
    kind = getattr(errors, name, None)
    is_ours = isinstance(kind, type) and issubclass(kind, AudiorecError)
    return kind(*values) if is_ours else AudiorecError(*values)  # type: ignore[misc]
