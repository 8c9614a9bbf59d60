"""Connect to a Ray cluster, or start a temporary one on this machine (extra ``ray``).

One module for every use of Ray, because Ray reads some settings once per process: two callers
with different settings would disagree with the cluster that one of them started.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from typing import Any

from audiorec.errors import import_extra
from audiorec.runs.imports import OWN_FOLDER, clean_start

PRIVATE = {"RAY_USAGE_STATS_ENABLED": "0"}  # no telemetry
# For a temporary cluster on this machine: workers keep the priority of the parent process, the
# machine is not preemptible, and workers run this interpreter under `uv run` too, instead of
# uploading the current folder, which may be full of music.
TEMPORARY = {
    **PRIVATE,
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # read when Ray is imported
    "RAY_worker_niceness": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


@contextmanager
def ray_cluster(address: str | None = None, *, processes: int = 1) -> Iterator[Any]:
    """Connect this process to Ray; a connection made here is closed at the end.

    Parameters
    ----------
    address : str, optional
        A cluster, for example ``auto`` or ``ray://head:10001``. By default the one that this
        process is connected to, otherwise a temporary one on this machine.
    processes : int
        Minimum number of CPUs that a temporary cluster offers, even if the machine has fewer.

    Yields
    ------
    module
        ``ray``.

    Raises
    ------
    MissingExtraError
        If Ray cannot be imported.
    """
    with _variables(TEMPORARY if address is None else PRIVATE):
        ray = import_extra("ray", "Ray", "ray")
        if ray.is_initialized():
            yield ray
            return
        own = {"num_cpus": max(processes, os.cpu_count() or 1)} if address is None else {}
        with clean_start(), chdir(OWN_FOLDER):  # workers import from Ray's start folder
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
