"""Launch training in several processes: by Ray Train, on this machine or on a cluster.

    LaunchedCall ──by_ray──▶ N processes: `run_part` ──▶ target(**arguments)
    metrics, stop requests, the answer: over a `Wire`, files in a folder

Every process calls the same function, which joins them (`audiorec.learning.processes`). The answer
is the return value of the first one. An `AudiorecError` or a bug is an answer as well, since a
retry would fail again: it ends all processes. If a process dies, the others end with a
`LostProcessError`, and Ray restarts all of them; they resume from the last checkpoint.

Without Ray, start ``torchrun`` on each machine (``docs/processes.md``): `join_processes` joins what
it starts as well.
"""

import importlib
import json
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any

from audiorec import errors
from audiorec.errors import (
    AudiorecError,
    InputError,
    LostProcessError,
    import_extra,
)
from audiorec.runs.workers import ray_cluster
from audiorec.types import LineProgress

RESTARTS = 3  # maximum number of restarts of all processes
POLL_S = 0.2  # seconds between two polls of messages
STOP, ANSWERED = "stop", "answered"  # files that mark a request to stop, and an answer
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


class Wire:
    """Connection of a process to its launcher: files in a folder that both can reach."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._folder, self.rank = folder, rank

    def send(self, message: Message) -> None:
        """Append a message to the file of this process."""
        with (self._folder / f"rank-{self.rank}.jsonl").open("a", encoding="utf-8") as file:
            # Start on a new line, since a killed process may have left a partial one.
            file.write(f"\n{json.dumps(message, default=str)}\n")
        if "answer" in message:
            (self._folder / ANSWERED).touch()

    def has(self, name: str) -> bool:
        """Return whether the processes should stop (`STOP`), or one has answered (`ANSWERED`)."""
        return (self._folder / name).exists()


def run_part(task: LaunchedCall, wire: Wire) -> None:
    """Run a task as one of several processes.

    Raises
    ------
    LostProcessError
        If another process has died.
    """
    if wire.has(ANSWERED):  # a process failed for good before this restart
        return
    stop = Event()
    if wire.rank == 0:
        wire.send({"begins": True})
    with _listening(wire, stop):
        answer = _answer(task, lambda line: wire.send({"line": line}), stop)
    if wire.rank == 0 or "result" not in answer:
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
            if wire.has(STOP):
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
    """Messages that the launcher has received from the processes, by files in a folder."""

    folder: Path
    # called once with the metrics of each epoch, even if it is trained again
    tell: LineProgress | None = None
    remark: Remark | None = None  # called with a sentence when all processes restart
    restarts: int = RESTARTS  # maximum number of restarts
    starts: int = 0
    answer: Message | None = None
    _told: set[tuple[Any, Any]] = field(default_factory=set)
    _read: dict[Path, int] = field(default_factory=dict)  # bytes by file

    def poll(self, stop: Event | None) -> None:
        """Ask the processes to stop if `stop` is set; take their messages since the last call."""
        if stop is not None and stop.is_set():
            (self.folder / STOP).touch()
        for path in sorted(self.folder.glob("rank-*.jsonl")):
            content = path.read_bytes()[self._read.get(path, 0) :]
            whole = content[: content.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            for line in filter(None, whole.splitlines()):
                with suppress(ValueError):
                    self.take(json.loads(line))

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
            died = f"{self.starts} times" if self.starts > 1 else "once"
            raise LostProcessError(
                f"the training processes died {died} without a result; check the free memory and "
                "run the same command to resume from the last checkpoint"
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


def by_ray(
    task: LaunchedCall,
    processes: int,
    *,
    address: str | None = None,
    storage: Path | None = None,
    stop: Event | None = None,
    tell: LineProgress | None = None,
    remark: Remark | None = None,
    restarts: int = RESTARTS,
) -> Any:
    """Run a task in several Ray workers; return the result of the first one.

        `TorchTrainer` ──▶ N workers: `run_part`

    Ray Train (extra ``ray``) connects the workers over gloo and restarts all of them if one dies.
    Checkpoints are those of `audiorec.learning.fit`, in a folder shared by all machines, as are the
    messages; none goes through Ray.

    Parameters
    ----------
    task : LaunchedCall
    processes : int
        Number of workers, of one CPU each.
    address : str, optional
        A cluster, for example ``auto`` or ``ray://head:10001``. By default the one that this
        process is connected to, otherwise a new one on this machine for this run.
    storage : Path, optional
        Folder shared by all machines for the temporary files of Ray Train, and for messages.
    stop : Event, optional
        Once set, the task is told to stop.
    tell, remark : callable, optional
        As for `Messages`.
    restarts : int
        Maximum number of restarts of all processes after one has died.

    Raises
    ------
    AudiorecError
        The error that the task raised.
    InputError
        If the cluster has fewer than `processes` CPUs.
    LostProcessError
        If workers died more than `restarts` times.
    MissingExtraError
        If Ray Train cannot be imported.
    """
    with (
        ray_cluster(address, processes=processes) as ray,
        tempfile.TemporaryDirectory(dir=storage) as kept,
    ):
        train_torch = import_extra("ray.train.torch", "the engine ray", "ray")
        there = int(ray.cluster_resources().get("CPU", 0))
        if there < processes:
            raise InputError(f"the Ray cluster has {there} CPUs for {processes} processes")
        heard = Messages(Path(kept), tell, remark, restarts)
        training = ray.train
        trainer = train_torch.TorchTrainer(
            _loop,
            train_loop_config={"task": task.to_json(), "folder": kept},
            torch_config=train_torch.TorchConfig(backend="gloo"),
            scaling_config=training.ScalingConfig(
                num_workers=processes, use_gpu=False, resources_per_worker={"CPU": 1}
            ),
            run_config=training.RunConfig(
                name="audiorec",
                storage_path=kept,
                failure_config=training.FailureConfig(max_failures=restarts),
            ),
        )
        failures: list[Exception] = []
        thread = threading.Thread(target=_fit, args=(trainer, failures), daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(POLL_S)
            heard.poll(stop)
        heard.poll(stop)
        if heard.answer is None and failures and heard.starts == 0:
            raise failures[0]  # an error of Ray itself: no worker has started
    return heard.result()


def _loop(config: dict[str, Any]) -> None:
    """Run in each worker."""
    rank = importlib.import_module("ray.train").get_context().get_world_rank()
    run_part(LaunchedCall(**config["task"]), Wire(Path(config["folder"]), rank))


def _fit(trainer: Any, failures: list[Exception]) -> None:
    try:
        trainer.fit()
    except Exception as error:  # noqa: BLE001 - reported by the messages, otherwise raised
        failures.append(error)
