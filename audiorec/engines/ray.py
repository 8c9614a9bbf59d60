"""Engine for a Ray cluster (extra ``ray``), on plain Ray tasks.

Plain tasks rather than Ray Data, because their retries are bounded. A task whose worker process
dies is retried at most three times, and resumes if its output is on a shared disk; a task that is
still lost is reported, and the others continue.
"""

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from audiorec.engines.tasks import Task, attempt
from audiorec.runs.ray_cluster import ray_cluster

MAX_RETRIES = 3
POLL_S = 1.0  # seconds between checks for a stop


def run_ray(
    tasks: Iterable[Any],
    stop: threading.Event,
    *,
    address: str | None = None,
    max_retries: int = MAX_RETRIES,
) -> Iterator[Any]:
    """Run tasks on Ray; each reserves as many CPUs as it has jobs.

    Parameters
    ----------
    tasks : iterable of Task
    stop : Event
        Once set, waiting and running tasks are cancelled.
    address : str, optional
        A cluster, for example ``auto`` or ``ray://head:10001``. By default the one that
        this process is connected to, otherwise a new one on this machine for this run.
    max_retries : int
        Maximum number of retries of a task whose process dies.
    """
    with ray_cluster(address) as ray:
        remote = ray.remote(attempt)
        waiting: dict[Any, Task] = {}
        for task in tasks:
            options = {"num_cpus": max(1, task.jobs), "max_retries": max_retries}
            waiting[remote.options(**options).remote(task)] = task
        while waiting and not stop.is_set():
            done, _ = ray.wait(list(waiting), timeout=POLL_S)
            for reference in done:
                yield _outcome(ray, reference, waiting.pop(reference))
        for reference in waiting:
            ray.cancel(reference, force=True)


def _outcome(ray: Any, reference: Any, task: Task) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0]
        return task.lost(f"{type(error).__name__}: {reason}")
