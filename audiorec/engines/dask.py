"""Tasks on a Dask cluster (extra ``dask``).

Dask gives a task up when four workers died while they had it, and so blames also one that
only waited on the same worker. What was given up is therefore sent once more, one task at a
time; one that is lost again is reported, and the others go on.

The tasks are handed to Dask itself and not to joblib's Dask backend, which waits without end
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

POLL_S = 1.0  # seconds between two looks at whether the run is to stop
PATIENCE_S = 600.0  # how long a cluster may be without a single worker


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
        When it is set, tasks that wait are taken back, and those that run are not waited for.
    address : str, optional
        A scheduler, for example ``tcp://head:8786``. By default the client that this
        process has, or else a cluster of `workers` processes on this machine.
    workers : int
        Processes of a cluster of our own.
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
    """Send tasks all at once and yield the future of each; None where nobody is there to do it."""
    waiting = {client.submit(attempt, task, pure=False): task for task in tasks}
    served = time.monotonic()
    try:
        while waiting and not stop.is_set() and time.monotonic() - served < PATIENCE_S:
            with suppress(TimeoutError):  # nothing is done yet
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
    """Give the client that is there, or one for as long as the ``with`` statement lasts."""
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise MissingExtraError("the runner dask", "dask", str(error)) from error
    client = None
    with suppress(ValueError):  # what it says when there is none
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
        clean_start(),  # to the end: a worker that dies is started anew
        distributed.LocalCluster(**settings) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield distributed, client
