"""Options of extract and shards: what to extract, limits, log and metrics; and --watch.

``extract --watch``: run extraction again whenever songs are added, until stopped.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import click

from audiorec.errors import AudiorecError, BusyStoreError, InputError
from audiorec.options import ADVANCED, chooses, writes
from audiorec_cli.shared.console import Exit, say
from audiorec_cli.shared.jobs import MetricsOption, Observers, check_metrics, open_log
from audiorec_cli.shared.options import (
    AllowFailuresOption,
    BackboneOption,
    HeadOption,
    JobsOption,
    JsonOption,
    QuietOption,
    chosen_heads,
)
from audiorec_cli.shared.progress import graceful_stop

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Naming, Source
    from audiorec.extraction.pipeline import ExtractorConfig
    from audiorec.extraction.run import RunOptions
    from audiorec.runs.workers import Limits

    BatchRun = Callable[[Sequence[Source], Naming, RunOptions, threading.Event], Exit]

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What few change; limits protect against hostile files."""

    timeout: Annotated[
        float, chooses(metavar="S", min=1, help="Seconds per song.", panel=ADVANCED)
    ] = 900.0
    memory: Annotated[
        int, chooses(metavar="MIB", min=1024, help="Memory of a process.", panel=ADVANCED)
    ] = 4096
    max_duration: Annotated[
        float, chooses(metavar="S", min=1, help="Longer songs are refused.", panel=ADVANCED)
    ] = 14_400.0
    hop: Annotated[
        float | None,
        chooses(
            metavar="S",
            help="Seconds between segments; 6 is a quarter faster than the network's own (3).",
            panel=ADVANCED,
        ),
    ] = None

    @property
    def limits(self) -> "Limits":
        """The limits on time and memory per song."""
        return limits_of(self.timeout, self.memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """Options of an extraction: outputs, spec, limits, log and metrics."""

    jobs: JobsOption = 0
    overwrite: Annotated[
        bool, chooses("--overwrite", help="Start afresh: discard the existing output.")
    ] = False
    vector_only: Annotated[
        bool,
        chooses(
            "--vector-only",
            help="The vector alone: no sound to compare by, no tempo, key and moods.",
        ),
    ] = False
    quiet: QuietOption = False
    json: JsonOption = False
    backbone: BackboneOption = None
    head: HeadOption = None
    tuning: Tuning = Tuning()
    max_failures: Annotated[
        str | None,
        chooses(metavar="N|N%", help="Stop after this many failures: 20, or 5%.", panel=ADVANCED),
    ] = None
    allow_failures: AllowFailuresOption = False
    log_json: Annotated[
        str | None,
        writes(
            metavar="FILE",
            help="Log each song as a line of JSON to a file or - (stdout).",
            panel=ADVANCED,
        ),
    ] = None
    metrics_textfile: MetricsOption = None

    def config(self) -> "ExtractorConfig":
        """Return the configuration that determines the numbers."""
        from audiorec.extraction.pipeline import extractor_config

        tuning = self.tuning
        return extractor_config(
            chosen_heads(self.head),
            self.backbone,
            hop_s=tuning.hop,
            max_duration_s=tuning.max_duration,
            attributes=not self.vector_only,
            sound=not self.vector_only,
        )

    def run_options(self, **own: Any) -> "RunOptions":
        """Return the options of the run; `own` are those of one command."""
        from audiorec.extraction.run import Policy, RunOptions

        policy = Policy.OVERWRITE if self.overwrite else Policy.EXTEND
        return RunOptions(
            jobs=self.jobs,
            policy=policy,
            limits=self.tuning.limits,
            max_failures=_max_failures(self.max_failures),
            **own,
        )

    @contextmanager
    def observers(
        self, output: str, *, record: str | None, job: str = "extract"
    ) -> Iterator[Observers]:
        """Open the log and check the textfile before a run that writes `output` begins.

        An `AudiorecError` that ends the run is the last line of the log. A textfile that was not
        written by audiorec is refused.
        """
        if self.log_json == "-" and self.json:
            raise InputError(
                "--json and --log-json - would both write to stdout; write the log to a file"
            )
        check_metrics(self.metrics_textfile)
        with ExitStack() as files:
            log = open_log(self.log_json, files)
            watching = Observers(job, output, log, self.metrics_textfile, record)
            try:
                yield watching
            except AudiorecError as error:
                watching.failed(error)
                raise

    def forgive(self, code: Exit) -> Exit:
        """Return 0 instead of 3 if --allow-failures is given."""
        return Exit.OK if self.allow_failures and code == Exit.SOME_FAILED else code


def limits_of(timeout: float = 900, memory_limit: int = 4096) -> "Limits":
    """Return the limits per song: `timeout` in seconds, `memory_limit` in MiB."""
    from audiorec.runs.workers import Limits

    return Limits(timeout_s=timeout, memory_bytes=memory_limit * MIB)


def _max_failures(text: str | None) -> int | float | None:
    """Parse ``20`` as a count and ``5%`` as a share."""
    if text is None:
        return None
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise InputError(f"--max-failures needs a number like 20 or a share like 5%, got {text!r}")
    return value


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
    chooses(
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


def keep_watching(
    look: "Callable[[], tuple[list[Source], Naming]]",
    run: "BatchRun",
    options: "RunOptions",
    *,
    paths: Sequence[Path],
    settle_s: float,
    every_s: float,
    quiet: bool,
    listeners: "Sequence[Callable[[], None]]" = (),
) -> NoReturn:
    """Run a batch whenever files are new or changed, until a signal; never returns.

    Each of the `listeners` is called after a batch that brought songs; it must return at once.
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
            if code in (Exit.OK, Exit.SOME_FAILED) and not stop.is_set():
                for listener in listeners:
                    listener()
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
