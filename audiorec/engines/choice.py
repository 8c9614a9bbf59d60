"""Which engine does the work: by the words of the command line.

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
    """Return what runs tasks.

    Parameters
    ----------
    runner : {"local", "ray", "dask"}
        This machine, or a cluster (the extras ``ray`` and ``dask``).
    address : str, optional
        Of a cluster; by default the one that this process is connected to, or else one on this
        machine.
    jobs : int
        Processes, or threads, of this machine, and of a Dask cluster of our own; 0: one for each
        core.
    stop : Event, optional
        Once set, no further task begins.
    threads : bool
        On this machine, threads in place of processes: for tasks that have processes of their own.

    Raises
    ------
    InputError
        If there is no such runner, or an address is given for this machine.
    """
    if runner not in get_args(Runner):
        raise InputError(f"a runner is one of {', '.join(get_args(Runner))}, got {runner!r}")
    if address and runner == "local":
        raise InputError("--address goes with --runner ray or --runner dask")
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
