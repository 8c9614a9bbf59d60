"""Ctrl-C once: finish what is in work, keep it, and say how to go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from audiorec_cli.shared.console import Exit, say


@contextmanager
def graceful_stop(what: str, *, quiet: bool) -> Iterator[threading.Event]:
    """Give the event that the first Ctrl-C or termination sets; the second ends at once.

    Parameters
    ----------
    what : str
        What is finished before the end, for example ``this block is``.
    quiet : bool

    Raises
    ------
    typer.Exit
        With code 130, after a second Ctrl-C.
    """
    stop = threading.Event()

    def handle(_signal: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        if not quiet:
            say(f"stopping: {what} finished first; once more to stop at once")

    previous = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    except KeyboardInterrupt:
        say("stopped; what was finished is kept, the same command goes on from there")
        raise typer.Exit(Exit.INTERRUPTED) from None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
