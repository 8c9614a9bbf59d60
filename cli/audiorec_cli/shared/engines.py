"""Engine options of commands that process blocks of users."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from audiorec.options import chooses, connects
from audiorec_cli.shared.options import ADVANCED
from audiorec_cli.shared.progress import graceful_stop, progress_lines

if TYPE_CHECKING:
    from threading import Event

    from audiorec.engines.tasks import Engine

LOCAL = "local"
RunnerOption = Annotated[
    str,
    connects(
        "--runner", help="Where they run: local, ray[:ADDRESS] or dask[:ADDRESS].", panel=ADVANCED
    ),
]


@dataclass(frozen=True, slots=True)
class Work:
    """An engine with its stop event and progress callback; no engine: this process does it all."""

    engine: "Engine | None" = None
    stop: "Event | None" = None
    told: Callable[[str, int, int], None] | None = None

    def progress(self, what: str) -> Callable[[int, int], None] | None:
        """Return the progress callback for one kind of block."""
        told = self.told
        return None if told is None else lambda done, total: told(what, done, total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Where blocks of users are processed: this process, local processes, or a cluster."""

    jobs: Annotated[
        int,
        chooses(
            "--jobs",
            "-j",
            min=0,
            help="Processes for blocks of users or songs; 0: all cores.",
            panel=ADVANCED,
        ),
    ] = 1
    runner: RunnerOption = LOCAL

    @contextmanager
    def work(self, *, quiet: bool = False, keeps: bool = True) -> Iterator[Work]:
        """Yield the engine; with `keeps`, Ctrl-C finishes the blocks in progress first."""
        jobs = self.jobs or os.cpu_count() or 1
        if self.runner == LOCAL and jobs == 1:
            yield Work()
            return
        from audiorec.engines.tasks import engine_of, parse_runner

        runner, address = parse_runner(self.runner)
        if not keeps:
            yield Work(engine_of(runner, address=address, jobs=jobs))
            return
        with graceful_stop("the blocks in progress are", quiet=quiet) as stop:
            engine = engine_of(runner, address=address, jobs=jobs, stop=stop)
            yield Work(engine, stop, progress_lines(quiet=quiet))
