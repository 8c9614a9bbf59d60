"""Tasks of data-parallel training processes, and the messages to their launcher.

    LaunchedCall ──by_torchrun, by_ray──▶ N processes: `run_part` ──▶ target(**arguments)
    metrics, stop requests, the answer: over a `Wire` between the processes and the launcher

Every process calls the same function, which joins them (`audiorec.learning.processes`). The answer
is the return value of the first one. An `AudiorecError` or a bug is an answer as well, since a
retry would fail again: it ends all processes. If a process dies, the others end with a
`LostProcessError`, and the engine restarts all of them; they resume from the last checkpoint.
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

RESTARTS = 3  # maximum number of restarts of all processes
POLL_S = 0.2  # seconds between two polls of messages
Message = dict[str, Any]
Remark = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LaunchedCall:
    """Function and arguments that each process calls.

    Attributes
    ----------
    target : str
        ``package.module:function``, importable in every process. It is called with the arguments,
        a `tell` callback for metrics and a `stop` event, and returns a JSON value; None if
        stopped.
    arguments : mapping
        JSON values; paths must be absolute and accessible to all processes.
    """

    target: str
    arguments: Mapping[str, Any]

    def run(self, tell: LineProgress, stop: Event) -> Any:
        """Call the target."""
        module, _, name = self.target.partition(":")
        return getattr(import_module(module), name)(**self.arguments, tell=tell, stop=stop)

    def to_json(self) -> dict[str, Any]:
        """Return the arguments of ``LaunchedCall(**...)``."""
        return {"target": self.target, "arguments": dict(self.arguments)}


class Wire(Protocol):
    """Connection of a process to its launcher."""

    def send(self, message: Message) -> None:
        """Send a message."""

    def is_stopped(self) -> bool:
        """Whether the processes should stop."""

    def is_answered(self) -> bool:
        """Whether a process has sent an answer."""


def run_part(task: LaunchedCall, wire: Wire, *, rank: int) -> None:
    """Run a task as one of several processes.

    Raises
    ------
    LostProcessError
        If another process has died.
    """
    if wire.is_answered():  # a process failed for good before this restart
        return
    stop = Event()
    if rank == 0:
        wire.send({"begins": True})
    with _listening(wire, stop):
        answer = _answer(task, lambda line: wire.send({"line": line}), stop)
    if rank == 0 or "result" not in answer:
        wire.send({"answer": answer})


def _answer(task: LaunchedCall, tell: LineProgress, stop: Event) -> Message:
    try:
        return {"result": task.run(tell, stop)}
    except LostProcessError:
        raise
    except AudiorecError as error:
        return {"error": error_to_json(error)}
    except Exception:  # noqa: BLE001 - report a bug once, without restarts
        return {"bug": traceback.format_exc()}


@contextmanager
def _listening(wire: Wire, stop: Event) -> Iterator[None]:
    """Set `stop` once the launcher asks to stop."""
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
    """Messages that the launcher has received from the processes."""

    # called once with the metrics of each epoch, even if it is trained again
    tell: LineProgress | None = None
    remark: Remark | None = None  # called with a sentence when all processes restart
    restarts: int = RESTARTS  # maximum number of restarts
    starts: int = 0
    answer: Message | None = None
    _told: set[tuple[Any, Any]] = field(default_factory=set)

    def take(self, message: Message) -> None:
        """Process a message."""
        if "answer" in message:
            self.answer = self.answer or message["answer"]
        elif "begins" in message:
            self.starts += 1
            if self.starts > 1 and self.remark is not None:
                again = f"restart {self.starts - 1} of {self.restarts}"
                self.remark(f"a process died; all resume from the last checkpoint ({again})")
        elif "line" in message and self.tell is not None:
            line = message["line"]
            place = (line.get("phase"), line.get("epoch"))
            if place not in self._told:
                self._told.add(place)
                self.tell(line)

    def result(self) -> Any:
        """Return the answer of the first process, or raise the error that ended them.

        Raises the `AudiorecError` that a process raised; `LostProcessError` if processes died more
        than `restarts` times.
        """
        if self.answer is None:
            raise LostProcessError(
                f"the training processes died {max(1, self.starts)} times without a result; check "
                "the free memory and run the same command to resume from the last checkpoint"
            )
        if "error" in self.answer:
            raise error_from_json(*self.answer["error"])
        if "bug" in self.answer:
            raise RuntimeError(f"a training process failed\n{self.answer['bug']}")
        return self.answer["result"]


def error_to_json(error: AudiorecError) -> list[Any]:
    """Return an error as JSON; a class of another module as its base class in `errors`.

    Examples
    --------
    >>> error_to_json(LostProcessError("gone"))
    ['LostProcessError', ['gone']]
    """
    kinds = type(error).__mro__
    kind = next(k for k in kinds if getattr(errors, k.__name__, None) is k)
    values = list(error.args) if kind is kinds[0] else [str(error)]
    return [kind.__name__, json.loads(json.dumps(values, default=str))]


def error_from_json(name: str, values: list[Any]) -> AudiorecError:
    """Undo `error_to_json`."""
    kind = getattr(errors, name, None)
    is_ours = isinstance(kind, type) and issubclass(kind, AudiorecError)
    return kind(*values) if is_ours else AudiorecError(*values)  # type: ignore[misc]
