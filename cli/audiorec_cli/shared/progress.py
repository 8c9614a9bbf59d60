"""Progress and Ctrl-C: a bar on a terminal, otherwise a line every 30 seconds."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from audiorec.files.visible import visible
from audiorec.runs.report import RunProgress
from audiorec_cli.shared.console import Exit, duration, say, stderr_console

LINE_EVERY_S = 30.0

Callback = Callable[["RunProgress"], None]


@contextmanager
def progress_display(*, quiet: bool) -> "Iterator[Callback | None]":
    """Yield a callback that shows the progress of a run on stderr."""
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
    # stdout is not redirected: it may carry data, such as a log.
    with rich.Progress(
        *columns, console=stderr_console(), transient=True, redirect_stdout=False
    ) as bar:
        task = bar.add_task("extract", total=None, rate=0.0, failed=0)

        def update(at: "RunProgress") -> None:
            rate = at.done / max(time.monotonic() - started, 1e-9)
            bar.update(task, completed=at.done, total=at.total, rate=rate, failed=at.failed)

        yield update


def _lines() -> Callback:
    started, is_due = time.monotonic(), due_lines()

    def update(at: "RunProgress") -> None:
        if is_due():
            rate = at.done / (time.monotonic() - started)
            left = duration((at.total - at.done) / rate)
            say(f"{at.done:,}/{at.total:,} failed {at.failed} {rate:.1f} songs/s eta {left}")

    return update


@contextmanager
def song_counter(
    total: int, *, quiet: bool, prints_rows: bool
) -> "Iterator[Callable[[str, bool], None]]":
    """Yield a callback to call after each song, with its name and whether it failed.

    No bar is drawn if rows are printed on the same terminal: they show the progress.
    """
    done = failed = 0
    beside = prints_rows and sys.stdout.isatty()
    with progress_display(quiet=quiet or beside or not total) as shown:

        def count(song: str, has_failed: bool) -> None:
            nonlocal done, failed
            done, failed = done + 1, failed + has_failed
            if shown is not None:
                shown(RunProgress(done=done, total=total, failed=failed, audio_s=0, song_id=song))

        yield count


@contextmanager
def working(what: str, *, quiet: bool) -> Iterator[None]:
    """Show a status line on a terminal while the block runs."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    with stderr_console().status(visible(what)):
        yield


def progress_lines(*, quiet: bool) -> Callable[[str, int, int], None]:
    """Return a callback that takes a name, the steps done and all steps, and prints a line."""
    is_due = due_lines(quiet=quiet)

    def update(what: str, done: int, total: int) -> None:
        if is_due():
            say(f"{what}: {done:,}/{total:,}")

    return update


def due_lines(*, quiet: bool = False) -> Callable[[], bool]:
    """Return a function that returns True at most once every 30 seconds."""
    last = time.monotonic()

    def is_due() -> bool:
        nonlocal last
        now = time.monotonic()
        if quiet or now - last < LINE_EVERY_S:
            return False
        last = now
        return True

    return is_due


@contextmanager
def graceful_stop(what: str, *, quiet: bool) -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets; the second one exits with 130.

    `what` names what is finished first, with its verb: ``this block is``.
    """
    stop = threading.Event()

    def handle(_signal: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        if not quiet:
            say(f"stopping: {what} finished first; press Ctrl-C again to stop now")

    previous = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    except KeyboardInterrupt:
        raise stopped() from None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def stopped() -> click.exceptions.Exit:
    """Print how to resume after a stop; return the exception to raise."""
    say("stopped; finished work is kept, run the same command to resume")
    return click.exceptions.Exit(Exit.INTERRUPTED)
