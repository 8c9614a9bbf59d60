"""Engines: tasks in threads, in worker processes, or on Ray, and their outcomes.

    tasks ──an `Engine`──▶ outcomes, one per task, in any order
    runner, address, jobs ──engine_of──▶ an `Engine`

A task is small and picklable, and returns expected errors as outcomes instead of raising them. For
a task that it lost, an engine returns the outcome given by `Task.lost` and continues with the
others.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import Event
from typing import Any, Literal, Protocol, get_args

from audiorec.errors import InputError
from audiorec.runs.workers import MAX_TIMER_S, Limits, Workers, ray_cluster

MAX_TRIES = 3  # attempts of a task whose process dies


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one task: its number, what it returned, and why it failed, empty if it did not."""

    index: int
    value: Any = None
    message: str = ""


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


NO_LIMITS = Limits(timeout_s=MAX_TIMER_S, memory_bytes=0)  # a block may take hours


def run_threads(tasks: Iterable[Any], stop: Event, *, jobs: int = 1) -> Iterator[Any]:
    """Run `jobs` tasks at a time in threads of this process.

    For tasks that wait for their own processes, as shards do.
    Once `stop` is set, running tasks are notified, and no further task is started.
    """
    from joblib import Parallel, delayed

    def unless_stopped(task: Task) -> Any:
        return None if stop.is_set() else task.attempt(stop=stop)

    parallel = Parallel(
        n_jobs=jobs,
        backend="threading",
        return_as="generator_unordered",
        pre_dispatch=jobs,
        batch_size=1,
    )
    for outcome in parallel(delayed(unless_stopped)(task) for task in tasks):
        if outcome is not None:
            yield outcome


def run_processes(
    tasks: Iterable[Any], stop: Event, *, jobs: int = 1, max_tries: int = MAX_TRIES
) -> Iterator[Any]:
    """Run `jobs` tasks at a time, each in a single-threaded process that may die.

    A process that dies loses only its own task. The task is tried up to `max_tries` times in total,
    the last time while nothing else runs, so that a task which ran out of memory has all of it.
    Once `stop` is set, running tasks are finished, and no further task is started.

    Parameters
    ----------
    tasks : iterable of Task
        Consumed slightly ahead of the work.
    stop : Event
    jobs : int
        Number of processes.
    max_tries : int
        Maximum number of attempts of a task whose process dies.
    """
    waiting: Iterable[Any] = tasks
    for turn in range(1, max_tries + 1):
        is_last = turn == max_tries
        lost = []
        with _processes(1 if is_last and turn > 1 else jobs) as workers:
            for answer in workers.map_unordered(_until(stop, waiting)):
                if answer.error is None and answer.failure is None:
                    yield answer.value
                elif is_last or answer.error is not None:
                    yield answer.item.lost(answer.message or str(answer.error))
                else:
                    lost.append(answer.item)
        waiting = lost
        if not lost or stop.is_set():
            return


def _processes(jobs: int) -> Workers:
    return Workers("audiorec.runs.tasks:handler", jobs=jobs, limits=NO_LIMITS)


def _until(stop: Event, tasks: Iterable[Any]) -> Iterator[Any]:
    for task in tasks:
        if stop.is_set():
            return
        yield task


def handler() -> Callable[[Task], Any]:
    """Return the function that worker processes apply to tasks; see `audiorec.runs.workers`."""
    return attempt


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

    Plain Ray tasks rather than Ray Data, because their retries are bounded. A task whose worker
    process dies resumes if its output is on a shared disk.

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
                yield _ray_outcome(ray, reference, waiting.pop(reference))
        for reference in waiting:
            ray.cancel(reference, force=True)


def _ray_outcome(ray: Any, reference: Any, task: Task) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0]
        return task.lost(f"{type(error).__name__}: {reason}")


Runner = Literal["local", "ray"]


def parse_runner(text: str) -> tuple[Runner, str | None]:
    """Parse ``local``, ``ray``, or ``ray`` with the address of a cluster.

    Raises
    ------
    InputError
        If the runner is unknown, or an address is given for the local runner.

    Examples
    --------
    >>> parse_runner("local"), parse_runner("ray:auto")
    (('local', None), ('ray', 'auto'))
    """
    name, _, address = text.partition(":")
    for runner in get_args(Runner):
        if name == runner and not (address and runner == "local"):
            return runner, address or None
    raise InputError(f"a runner must be local or ray[:ADDRESS], got {text!r}")


def engine_of(
    runner: Runner = "local",
    *,
    address: str | None = None,
    jobs: int = 1,
    stop: Event | None = None,
    threads: bool = False,
) -> Engine:
    """Return an engine for tasks.

    Parameters
    ----------
    runner : {"local", "ray"}
        This machine, or a cluster (extra ``ray``).
    address : str, optional
        Address of a cluster; by default the one that this process is connected to, otherwise a
        new one on this machine.
    jobs : int
        Number of local processes or threads; 0: one per core.
    stop : Event, optional
        Once set, no further task is started.
    threads : bool
        Local runner only: threads instead of processes, for tasks that start processes themselves.

    Raises
    ------
    InputError
        If the runner is unknown, or an address is given for the local runner.
    """
    if runner not in get_args(Runner):
        raise InputError(f"runner must be one of {', '.join(get_args(Runner))}, got {runner!r}")
    if address and runner == "local":
        raise InputError("an address needs the runner ray")
    until, many = stop or Event(), jobs or os.cpu_count() or 1

    def run(tasks: Iterable[Any]) -> Iterator[Any]:
        if runner == "ray":
            return run_ray(tasks, until, address=address)
        return (run_threads if threads else run_processes)(tasks, until, jobs=many)

    return run
