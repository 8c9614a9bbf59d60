"""Choice of an engine by command-line options.

runner, address, jobs ──engine_of──▶ an `Engine`
"""

import os
from collections.abc import Iterable, Iterator
from threading import Event
from typing import Any, Literal, get_args

from audiorec.engines.tasks import Engine
from audiorec.errors import InputError

Runner = Literal["local", "ray", "dask"]


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
    runner : {"local", "ray", "dask"}
        This machine, or a cluster (extras ``ray`` and ``dask``).
    address : str, optional
        Address of a cluster; by default the one that this process is connected to, otherwise a
        new one on this machine.
    jobs : int
        Number of local processes or threads, and of workers in a new Dask cluster; 0: one per
        core.
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
        raise InputError("--address needs --runner ray or --runner dask")
    until, many = stop or Event(), jobs or os.cpu_count() or 1

    def run(tasks: Iterable[Any]) -> Iterator[Any]:
        if runner == "ray":
            from audiorec.engines.ray import run_ray

            return run_ray(tasks, until, address=address)
        if runner == "dask":
            from audiorec.engines.dask import run_dask

            return run_dask(tasks, until, address=address, workers=many)
        from audiorec.engines.local import run_processes, run_threads

        return (run_threads if threads else run_processes)(tasks, until, jobs=many)

    return run
