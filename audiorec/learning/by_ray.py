"""Train in several workers of a Ray cluster, which Ray Train starts and watches (extra ``ray``).

    by_ray ──`TorchTrainer`──▶ N workers: `run_part`     messages: an actor, the desk

Ray Train joins the workers over gloo and starts all of them again when one dies. Checkpoints are
those of `audiorec.learning.fit`, in a folder that all machines see: none goes through Ray.
"""

import importlib
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from audiorec.errors import InputError, MissingExtraError
from audiorec.learning.launch import (
    POLL_S,
    RESTARTS,
    Message,
    Messages,
    Remark,
    Task,
    run_part,
)
from audiorec.runs.imports import OWN_FOLDER, clean_start
from audiorec.types import LineProgress

PRIVATE = {"RAY_USAGE_STATS_ENABLED": "0"}  # nothing is told to whoever makes Ray
# Of a cluster on this machine for one run: workers are no less urgent than what started them, and
# nobody takes the machine away.
OWN_VARIABLES = {
    **PRIVATE,
    "RAY_worker_niceness": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


def by_ray(
    task: Task,
    processes: int,
    *,
    address: str | None = None,
    storage: Path | None = None,
    stop: Event | None = None,
    tell: LineProgress | None = None,
    remark: Remark | None = None,
    restarts: int = RESTARTS,
) -> Any:
    """Run a task in several workers of Ray; return what the first one returns.

    Parameters
    ----------
    task : Task
    processes : int
        Workers, of one processor each.
    address : str, optional
        A cluster, for example ``auto`` or ``ray://head:10001``. By default the one that this
        process is connected to, or else one on this machine for this run.
    storage : Path, optional
        A folder that all machines see, for what Ray Train keeps of a run while it lasts.
    stop, tell, remark, restarts
        As for `audiorec.learning.by_torchrun.by_torchrun`.

    Raises
    ------
    AudiorecError
        What the task raised.
    InputError
        If the cluster has fewer processors.
    LostProcessError
        If workers died more often than that.
    MissingExtraError
        If Ray Train cannot be imported.
    """
    heard = Messages(tell, remark, restarts)
    with _connected(address, processes) as ray, tempfile.TemporaryDirectory(dir=storage) as kept:
        there = int(ray.cluster_resources().get("CPU", 0))
        if there < processes:
            raise InputError(f"the Ray cluster has {there} processors for {processes} processes")
        desk = ray.remote(num_cpus=0)(_Desk).remote()
        training = ray.train
        trainer = importlib.import_module("ray.train.torch").TorchTrainer(
            _loop,
            train_loop_config={"task": task.to_json(), "desk": desk},
            torch_config=importlib.import_module("ray.train.torch").TorchConfig(backend="gloo"),
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
            _hear(ray, desk, heard, stop)
        _hear(ray, desk, heard, stop)
        if heard.answer is None and failures and heard.starts == 0:
            raise failures[0]  # of Ray itself: no worker has begun
    return heard.result()


class _Desk:
    """An actor: messages of workers for whoever started them, and their wish to stop."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._stopped = self._answered = False

    def send(self, message: Message) -> None:
        self._messages.append(message)
        self._answered |= "answer" in message

    def take(self, stop: bool) -> list[Message]:
        """Return what came since the last time; `stop` says whether workers are to stop."""
        self._stopped |= stop
        taken, self._messages = self._messages, []
        return taken

    def state(self) -> tuple[bool, bool]:
        """Return whether workers are to stop, and whether one has answered."""
        return self._stopped, self._answered


class _DeskWire:
    """A worker's end."""

    def __init__(self, desk: Any) -> None:
        self._ray, self._desk = importlib.import_module("ray"), desk

    def send(self, message: Message) -> None:
        self._ray.get(self._desk.send.remote(message))

    def is_stopped(self) -> bool:
        return bool(self._ray.get(self._desk.state.remote())[0])

    def is_answered(self) -> bool:
        return bool(self._ray.get(self._desk.state.remote())[1])


def _loop(config: dict[str, Any]) -> None:
    """Run in each worker."""
    rank = importlib.import_module("ray.train").get_context().get_world_rank()
    run_part(Task(**config["task"]), _DeskWire(config["desk"]), rank=rank)


def _fit(trainer: Any, failures: list[Exception]) -> None:
    try:
        trainer.fit()
    except Exception as error:  # noqa: BLE001 - the desk knows what it was; else it is raised
        failures.append(error)


def _hear(ray: Any, desk: Any, heard: Messages, stop: Event | None) -> None:
    wanted = stop is not None and stop.is_set()
    for message in ray.get(desk.take.remote(wanted)):
        heard.take(message)


@contextmanager
def _connected(address: str | None, processes: int) -> Iterator[Any]:
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.train.torch")
    except ImportError as error:
        raise MissingExtraError("the engine ray", "ray", str(error)) from error
    if ray.is_initialized():
        yield ray
        return
    # One of our own has a processor for each worker, however many the machine has.
    own = {"num_cpus": max(processes, os.cpu_count() or 1)} if address is None else {}
    with _variables(OWN_VARIABLES if address is None else PRIVATE):
        with clean_start(), chdir(OWN_FOLDER):  # workers look for modules where Ray was started
            ray.init(
                address=address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **own,
            )
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
