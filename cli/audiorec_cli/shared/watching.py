"""``extract --watch``: run extraction again whenever songs are added, until stopped."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import click

from audiorec.errors import AudiorecError, BusyStoreError, InputError
from audiorec.options import ADVANCED, chooses, connects
from audiorec_cli.shared.console import Exit, say
from audiorec_cli.shared.extraction import Extraction
from audiorec_cli.shared.progress import graceful_stop

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Naming, Source
    from audiorec.extraction.run import RunOptions

    BatchRun = Callable[[Sequence[Source], Naming, RunOptions, threading.Event], Exit]

LOG = "plays.parquet"  # beside a store
NEVER_TOO_MANY = 1.0  # all songs of a batch may fail; the next batch may succeed
GOES_ON = (
    Exit.OK,
    Exit.SOME_FAILED,
    Exit.NOTHING_USABLE,
)  # exit codes of a batch after which watching continues

WatchOption = Annotated[
    bool,
    chooses("--watch", help="Keep running: add new and changed files once they are complete."),
]

SyncOption = Annotated[
    list[str] | None,
    connects(
        "--sync",
        metavar="SERVER",
        panel=ADVANCED,
        help="With --watch: after each batch, do what audiorec sync SERVER does (repeatable).",
    ),
]


def check_watch(work: Extraction, paths: Sequence[Path] | None, *, dry_run: bool) -> None:
    """Refuse options that cannot be combined with --watch."""
    why = (
        "it cannot be combined with --dry-run"
        if dry_run
        else "--overwrite would discard it each time"
        if work.overwrite
        else "it needs folders, not a list"
        if not paths
        else ""
    )
    if why:
        raise InputError(f"--watch adds songs to a store as they arrive: {why}")


def with_sync(run: "BatchRun", servers: Sequence[str], store: Path) -> "BatchRun":
    """Return a run that is followed by a sync with servers; the log is beside the store.

    A sync that fails is a warning, and the next batch tries again.
    """
    from audiorec.library.library import open_store
    from audiorec.players.job import sync
    from audiorec.players.settings import read_servers

    read_servers(servers)  # a wrong name is told before anything is extracted

    def run_and_sync(
        sources: "Sequence[Source]", naming: "Naming", options: "RunOptions", stop: threading.Event
    ) -> Exit:
        code = run(sources, naming, options, stop)
        if stop.is_set() or code not in (Exit.OK, Exit.SOME_FAILED) or not store.exists():
            return code
        try:
            for one in sync(read_servers(servers), open_store(store), store.with_name(LOG)):
                lists = sum(c.action != "unchanged" for of in one.lists.values() for c in of)
                say(
                    f"{one.server}: {lists} lists changed, {one.new['plays']} rows of plays are new"
                )
                for who, why in one.failed.items():
                    say(f"warning: {one.server}: {who}: {why}")
        except AudiorecError as error:
            say(f"warning: not in step: {error}")
        return code

    return run_and_sync


def keep_watching(
    look: "Callable[[], tuple[list[Source], Naming]]",
    run: "BatchRun",
    options: "RunOptions",
    *,
    paths: Sequence[Path],
    settle_s: float,
    every_s: float,
    quiet: bool,
) -> NoReturn:
    """Run a batch whenever files are new or changed, until a signal; never returns.

    Exits with 0 if no batch was running when stopped, with 130 if a batch was interrupted, and with
    the exit code of a batch after which continuing makes no sense.
    """
    from audiorec.extraction.watch import best_change_source, watch

    # Earlier failures are retried once, not with every batch.
    if options.max_failures is None:
        options = replace(options, max_failures=NEVER_TOO_MANY)
    ended = Exit.OK
    names: list[Naming] = []
    with (
        graceful_stop("the songs in flight are", quiet=quiet) as stop,
        best_change_source(paths, stop, say) as notices,
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
                say(f"{error}; will retry later")
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
    raise click.exceptions.Exit(ended)
