"""Who works on blocks of users: the options of every command that maps over them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from audiorec.errors import InputError
from audiorec_cli.shared.options import more
from audiorec_cli.shared.progress import graceful_stop, progress_lines

if TYPE_CHECKING:
    from threading import Event

    from audiorec.engines.tasks import Engine


@dataclass(frozen=True, slots=True)
class Work:
    """An engine with what it tells and is told; without an engine, this process does it all."""

    engine: "Engine | None" = None
    stop: "Event | None" = None
    told: Callable[[str, int, int], None] | None = None

    def progress(self, what: str) -> Callable[[int, int], None] | None:
        """Return what is told of one kind of blocks."""
        told = self.told
        return None if told is None else lambda done, total: told(what, done, total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """One process by default; blocks of users in many, here or on a cluster."""

    jobs: Annotated[
        int,
        more("--jobs", "-j", min=0, help="Processes for blocks of users or songs; 0: all cores."),
    ] = 1
    runner: Annotated[Literal["local", "ray", "dask"], more(help="Who works on the blocks.")] = (
        "local"
    )
    address: Annotated[
        str | None, more(help="Of a Ray or Dask cluster [default: one on this machine].")
    ] = None

    @contextmanager
    def work(self, *, quiet: bool = False, keeps: bool = True) -> Iterator[Work]:
        """Give the engine; where what was made is kept, Ctrl-C ends it after the blocks in work."""
        if self.address and self.runner == "local":
            raise InputError("--address goes with --runner ray or --runner dask")
        jobs = self.jobs or os.cpu_count() or 1
        if self.runner == "local" and jobs == 1:
            yield Work()
            return
        from audiorec.engines.choice import engine_of

        if not keeps:
            yield Work(engine_of(self.runner, address=self.address, jobs=jobs))
            return
        with graceful_stop("the blocks in work are", quiet=quiet) as stop:
            engine = engine_of(self.runner, address=self.address, jobs=jobs, stop=stop)
            yield Work(engine, stop, progress_lines(quiet=quiet))
