"""``extract --watch``: one ordinary run after the other, until somebody ends it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from audiorec.errors import BusyStoreError, InputError
from audiorec_cli.shared.console import Exit, say
from audiorec_cli.shared.extraction import Extraction
from audiorec_cli.shared.options import more
from audiorec_cli.shared.progress import graceful_stop

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source
    from audiorec.extraction.naming import Naming
    from audiorec.extraction.run import RunOptions

SETTLE_S, EVERY_S = 10.0, 60.0  # as `audiorec.extraction.watch` has them
NEVER_TOO_MANY = 1.0  # all songs of a batch may fail: the next batch may be good
GOES_ON = (Exit.OK, Exit.SOME_FAILED, Exit.NOTHING_USABLE)  # after a batch that ended so

WatchOption = Annotated[
    bool, typer.Option("--watch", help="Go on: add what is new or changed, once it is whole.")
]
SettleOption = Annotated[
    float, more(min=0.1, help="--watch: a file is whole after so many seconds without change.")
]
EveryOption = Annotated[
    float, more(min=0.5, help="--watch: look at all folders at least every so many seconds.")
]


def check_watch(work: Extraction, paths: Sequence[Path] | None, *, dry_run: bool) -> None:
    """Refuse what makes no sense in a watch."""
    why = (
        "--dry-run does nothing once, and not again and again"
        if dry_run
        else "--overwrite would begin it anew each time"
        if work.overwrite
        else "it needs folders, and no list"
        if not paths
        else ""
    )
    if why:
        raise InputError(f"--watch adds to a store as songs come: {why}")


def keep_watching(
    look: "Callable[[], tuple[list[Source], Naming]]",
    run: "Callable[[Sequence[Source], Naming, RunOptions, threading.Event], Exit]",
    options: "RunOptions",
    *,
    paths: Sequence[Path],
    settle_s: float,
    every_s: float,
    quiet: bool,
) -> NoReturn:
    """Run whenever something is new, until a signal; never returns.

    Exits with 0 if nothing was at work when it was ended, with 130 if a batch was cut off, and
    with the batch's code where that says that it makes no sense to go on.
    """
    from audiorec.extraction.watch import best_notices, watch

    # What failed before is tried again once, and not with every batch.
    if options.max_failures is None:
        options = replace(options, max_failures=NEVER_TOO_MANY)
    ended = Exit.OK
    names: list[Naming] = []
    with (
        graceful_stop("the songs in flight are", quiet=quiet) as stop,
        best_notices(paths, stop, say) as notices,
    ):

        def listed() -> "list[Source]":
            sources, naming = look()
            names[:] = [naming]
            return sources

        def batch(sources: "Sequence[Source]") -> bool | None:
            nonlocal options, ended
            try:
                code = run(sources, names[0], options, stop)
            except BusyStoreError as error:
                say(f"{error}; tried again later")
                return None
            options = replace(options, retry_failed=False)
            ended = Exit.OK if code in GOES_ON else code
            if not stop.is_set() and ended == Exit.OK:
                say(f"watching {', '.join(map(str, paths))}")
            return ended == Exit.OK

        watch(
            listed,
            batch,
            notices=notices,
            stop=stop,
            settle_s=settle_s,
            every_s=every_s,
            say=say,
        )
    raise typer.Exit(ended)
