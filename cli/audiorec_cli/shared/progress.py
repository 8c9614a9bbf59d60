"""How far a run is: a bar on a terminal, a line every half minute elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from audiorec_cli.shared.console import duration, say, stderr_console

if TYPE_CHECKING:
    from audiorec.runs.report import RunProgress

LINE_EVERY_S = 30.0

Callback = Callable[["RunProgress"], None]


@contextmanager
def progress_display(*, quiet: bool) -> "Iterator[Callback | None]":
    """Give the callback that draws a run's progress on stderr."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as callback:
            yield callback
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Callback]:
    from rich import progress as rich

    columns = (
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[rate]:.1f} songs/s"),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[failed]} failed", style="yellow"),
    )
    started = time.monotonic()
    with rich.Progress(*columns, console=stderr_console(), transient=True) as bar:
        task = bar.add_task("extract", total=None, rate=0.0, failed=0)

        def update(at: "RunProgress") -> None:
            rate = at.done / max(time.monotonic() - started, 1e-9)
            bar.update(task, completed=at.done, total=at.total, rate=rate, failed=at.failed)

        yield update


def _lines() -> Callback:
    started = last = time.monotonic()

    def update(at: "RunProgress") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_EVERY_S:
            return
        last = now
        rate = at.done / (now - started)
        left = duration((at.total - at.done) / rate)
        say(f"{at.done:,}/{at.total:,} failed {at.failed} {rate:.1f} songs/s eta {left}")

    return update
