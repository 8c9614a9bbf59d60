"""Engine for a Dask cluster (extra ``dask``).

Dask gives up a task after four workers have died while holding it, including tasks that were only
queued on those workers. Such tasks are therefore sent once more, one at a time; a task that is lost
again is reported, and the others continue.

Tasks are submitted to Dask directly rather than through joblib's Dask backend, which waits for ever
for a task that was given up (docs/decisions/0015).
"""

import importlib
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from audiorec.engines.tasks import Task, attempt
from audiorec.errors import MissingExtraError
from audiorec.runs.imports import clean_start

POLL_S = 1.0  # seconds between checks for a stop
PATIENCE_S = 600.0  # seconds that a cluster may be without any worker


def run_dask(
    tasks: Iterable[Any],
    stop: threading.Event,
    *,
    address: str | None = None,
    workers: int = 1,
) -> Iterator[Any]:
    """Run tasks on a Dask cluster.

    Parameters
    ----------
    tasks : iterable of Task
    stop : Event
        Once set, waiting tasks are cancelled, and running ones are not waited for.
    address : str, optional
        A scheduler, for example ``tcp://head:8786``. By default the client of this process,
        otherwise a new cluster of `workers` processes on this machine.
    workers : int
        Number of processes of a new cluster.
    """
    with _client(address, workers) as (distributed, client):
        again: list[Task] = []
        for task, future in _sent(distributed, client, tasks, stop):
            if future is not None and future.status != "finished":
                again.append(task)
            else:
                yield _outcome(future, task)
        for suspect in again:
            for task, future in _sent(distributed, client, [suspect], stop):
                yield _outcome(future, task)


def _sent(
    distributed: Any, client: Any, tasks: Iterable[Any], stop: threading.Event
) -> Iterator[tuple[Task, Any]]:
    """Submit all tasks and yield each with its future; None if the cluster has no workers."""
    waiting = {client.submit(attempt, task, pure=False): task for task in tasks}
    served = time.monotonic()
    try:
        while waiting and not stop.is_set() and time.monotonic() - served < PATIENCE_S:
            with suppress(TimeoutError):  # no task has finished yet
                distributed.wait(list(waiting), timeout=POLL_S, return_when="FIRST_COMPLETED")
            for future in [f for f in waiting if f.done()]:
                task = waiting.pop(future)
                yield task, future
            if client.nthreads():
                served = time.monotonic()
    finally:
        client.cancel(list(waiting))
    for task in () if stop.is_set() else waiting.values():
        yield task, None


def _outcome(future: Any, task: Task) -> Any:
    if future is None:
        return task.lost(f"the cluster has had no worker for {PATIENCE_S:g} s")
    if future.status == "finished":
        return future.result()
    error = future.exception() if future.status == "error" else future.status
    reason = str(error).strip().splitlines()[0]
    return task.lost(f"{type(error).__name__}: {reason}")


@contextmanager
def _client(address: str | None, workers: int) -> Iterator[tuple[Any, Any]]:
    """Yield the existing client, or a new one that is closed on exit."""
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise MissingExtraError("the runner dask", "dask", str(error)) from error
    client = None
    with suppress(ValueError):  # raised if there is no client
        client = distributed.get_client()
    if client is not None:
        yield distributed, client
        return
    if address is not None:
        with distributed.Client(address) as client:
            yield distributed, client
        return
    settings = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    with (
        clean_start(),  # covers the whole run, since dead workers are restarted
        distributed.LocalCluster(**settings) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield distributed, client
