"""Engine for this machine: threads, or worker processes that may die.

========================  ==============================================================
`run_threads`             for tasks that wait for their own processes, as shards do
`run_processes`           for tasks that compute: one task at a time per process
========================  ==============================================================

A process that dies loses only its own task. The task is tried up to `MAX_TRIES` times in total, the
last time while nothing else runs, so that a task which ran out of memory has all of it.
"""

from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import Any

from audiorec.engines.tasks import MAX_TRIES, Task, attempt
from audiorec.runs.workers import MAX_TIMER_S, Limits, Workers

NO_LIMITS = Limits(timeout_s=MAX_TIMER_S, memory_bytes=0)  # a block may take hours


def run_threads(tasks: Iterable[Any], stop: Event, *, jobs: int = 1) -> Iterator[Any]:
    """Run `jobs` tasks at a time in threads of this process.

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
    return Workers("audiorec.engines.local:handler", jobs=jobs, limits=NO_LIMITS)


def _until(stop: Event, tasks: Iterable[Any]) -> Iterator[Any]:
    for task in tasks:
        if stop.is_set():
            return
        yield task


def handler() -> Callable[[Task], Any]:
    """Return the function that worker processes apply to tasks; see `audiorec.runs.workers`."""
    return attempt
