"""Launch training on a Ray cluster, with workers managed by Ray Train (extra ``ray``).

    by_ray ──`TorchTrainer`──▶ N workers: `run_part`     messages: via an actor, `_Desk`

Ray Train connects the workers over gloo and restarts all of them if one dies. Checkpoints are those
of `audiorec.learning.fit`, in a folder shared by all machines; none goes through Ray.
"""

import importlib
import tempfile
import threading
from pathlib import Path
from threading import Event
from typing import Any

from audiorec.errors import InputError, MissingExtraError
from audiorec.learning.launch import (
    POLL_S,
    RESTARTS,
    LaunchedCall,
    Message,
    Messages,
    Remark,
    run_part,
)
from audiorec.runs.ray_cluster import ray_cluster
from audiorec.types import LineProgress


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

    Parameters
    ----------
    task : LaunchedCall
    processes : int
        Number of workers, of one CPU each.
    address : str, optional
        A cluster, for example ``auto`` or ``ray://head:10001``. By default the one that this
        process is connected to, otherwise a new one on this machine for this run.
    storage : Path, optional
        Folder shared by all machines for the temporary files of Ray Train.
    stop, tell, remark, restarts
        As for `audiorec.learning.by_torchrun.by_torchrun`.

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
    heard = Messages(tell, remark, restarts)
    with (
        ray_cluster(address, processes=processes) as ray,
        tempfile.TemporaryDirectory(dir=storage) as kept,
    ):
        train_torch = _train_torch()
        there = int(ray.cluster_resources().get("CPU", 0))
        if there < processes:
            raise InputError(f"the Ray cluster has {there} CPUs for {processes} processes")
        desk = ray.remote(num_cpus=0)(_Desk).remote()
        training = ray.train
        trainer = train_torch.TorchTrainer(
            _loop,
            train_loop_config={"task": task.to_json(), "desk": desk},
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
            _hear(ray, desk, heard, stop)
        _hear(ray, desk, heard, stop)
        if heard.answer is None and failures and heard.starts == 0:
            raise failures[0]  # an error of Ray itself: no worker has started
    return heard.result()


def _train_torch() -> Any:
    try:
        return importlib.import_module("ray.train.torch")
    except ImportError as error:
        raise MissingExtraError("the engine ray", "ray", str(error)) from error


class _Desk:
    """Ray actor that passes messages from workers to the launcher, and stop requests back."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._stopped = self._answered = False

    def send(self, message: Message) -> None:
        self._messages.append(message)
        self._answered |= "answer" in message

    def take(self, stop: bool) -> list[Message]:
        """Return the messages since the last call; `stop` asks the workers to stop."""
        self._stopped |= stop
        taken, self._messages = self._messages, []
        return taken

    def state(self) -> tuple[bool, bool]:
        """Return whether workers should stop, and whether one has answered."""
        return self._stopped, self._answered


class _DeskWire:
    """A worker's `Wire` to the desk."""

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
    run_part(LaunchedCall(**config["task"]), _DeskWire(config["desk"]), rank=rank)


def _fit(trainer: Any, failures: list[Exception]) -> None:
    try:
        trainer.fit()
    except Exception as error:  # noqa: BLE001 - reported by the desk, otherwise raised
        failures.append(error)


def _hear(ray: Any, desk: Any, heard: Messages, stop: Event | None) -> None:
    wanted = stop is not None and stop.is_set()
    for message in ray.get(desk.take.remote(wanted)):
        heard.take(message)
