"""Jobs and their records: shared by all commands whose output other commands read.

    @command(app)
    @recorded("recall candidates", "output")
    def candidates(output: OutFileOption, *, done: JobSummary) -> None:
        ...
        done.count(users=len(users), rows=rows)

The command gets the option ``--metrics-textfile``. When it ends, with or without an error, the run
is written to the record beside the output and to the textfile, and deviations from earlier runs are
printed on stderr. Failures to do so never end the job. `job` does the same for part of a command.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, get_args
from uuid import uuid4

import click

from audiorec.errors import AudiorecError, BusyStoreError, InputError, MissingFileError
from audiorec.files.own_files import remove_leftovers
from audiorec.options import Field, writes
from audiorec.runs.report import RunLog
from audiorec_cli.shared.console import Exit, duration, exit_code, say, system_errors
from audiorec_cli.shared.declared import Job
from audiorec_cli.shared.declared import recorded as recorded
from audiorec_cli.shared.inputs import DEFAULT
from audiorec_cli.shared.options import COMMON
from audiorec_cli.shared.places import OfDay
from audiorec_cli.shared.progress import Callback

if TYPE_CHECKING:
    from audiorec.runs.record import JobRun
    from audiorec.runs.report import RunProgress, RunReport
    from audiorec.store.journal import Outputs
    from audiorec.store.schema import StoreMetadata

MetricsOption = Annotated[
    Path | None,
    writes(
        "--metrics-textfile",
        panel=COMMON,
        common=True,
        help="Write Prometheus metrics to this .prom file.",
    ),
]
METRICS = Field("metrics_textfile", Path | None, None, get_args(MetricsOption)[1])
LONGEST_ERROR = 500  # characters


@dataclass(slots=True)
class JobSummary:
    """What a job reports: output, counts, versions."""

    output: str
    counts: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    extractor_id: str = ""

    def count(self, **counts: float) -> None:
        """Add counts of the result."""
        self.counts.update(counts)


def run_job(
    kind: Job, function: Callable[..., None], values: Mapping[str, Any], of_day: OfDay | None
) -> None:
    """Run a command as a job and record its end; without an output, only run it.

    `function` takes the `JobSummary`; `values` are those of all options of the command.
    """
    made = values[kind.output]
    if made is None:
        function(done=JobSummary(""))
        return
    place = None if of_day is None else of_day.record
    with job(kind.name, made, values[METRICS.name], place=place) as done:
        function(done=done)
        if of_day is not None and of_day.mark is not None:
            of_day.mark.write_bytes(b"")


@contextmanager
def job(
    name: str,
    output: str | os.PathLike[str],
    metrics: Path | None = None,
    *,
    place: str | None = None,
) -> Iterator[JobSummary]:
    """Run a job and record its end; among several processes, only the first one records.

    Parameters
    ----------
    name : str
        The name of the command.
    output : path-like
        The output.
    metrics : Path, optional
        The metrics textfile; checked before the job begins.
    place : str, optional
        Path or URI of the record; by default beside the output.
    """
    from audiorec.runs.prometheus import write_job_metrics
    from audiorec.runs.record import record_of

    check_metrics(metrics)
    done = JobSummary(os.fspath(output))
    remove_leftovers(Path(output).parent, Path(output).name)
    recorder = Recorder(name, done.output, place or record_of(done.output))
    before, code, error = cpu_seconds(), int(Exit.OK), ""
    try:
        with system_errors(done.output):
            yield done
    except click.exceptions.Exit as end:
        code = end.exit_code
        raise
    except AudiorecError as problem:
        code, error = exit_code(problem), str(problem)
        raise
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
        raise
    except Exception as bug:
        code, error = 1, f"{type(bug).__name__}: {bug}"
        raise
    finally:
        if _speaks():
            run = recorder.ended(
                code,
                versions=done.versions,
                counts=done.counts,
                cpu_s=cpu_seconds() - before,
                extractor_id=done.extractor_id,
                error=error,
            )
            if metrics is not None:
                with warn_if_unwritable(metrics):
                    write_job_metrics(metrics, run, now=time.time())


class Recorder:
    """Adds the run of a job, which begins now, to a record: a path or URI, None for no record."""

    def __init__(self, job: str, output: str, place: str | None) -> None:
        self._job, self._output, self._place = job, output, place
        self._started = datetime.now(UTC)

    def ended(
        self, code: int, *, made_by: Any = None, versions: Any = (), error: str = "", **more: Any
    ) -> "JobRun":
        """Warn of deviations from earlier runs, and record the run; `more` are its other fields."""
        from audiorec.runs.record import (
            JobRun,
            command_line,
            run_warnings,
            runs_before,
            safe_arguments,
            timestamp,
            versions_here,
            write_run,
        )

        now = {
            "run_id": uuid4().hex[:12],
            "wall_s": (datetime.now(UTC) - self._started).total_seconds(),
        }
        run = JobRun(
            job=self._job,
            output=self._output,
            started_at=timestamp(self._started),
            ended_at=timestamp(),
            exit_code=int(code),
            arguments=safe_arguments(command_line()),
            versions={**dict(versions), **versions_here()},
            error=error[:LONGEST_ERROR],
            **{**now, **more},
        )
        if self._place is None:
            return run
        run = replace(run, warnings=tuple(run_warnings(run, runs_before(self._place))))
        for warning in run.warnings:
            say(f"warning: {warning}")
        with warn_if_unwritable(self._place):
            write_run(self._place, run, made_by)
        return run


def _speaks() -> bool:
    """Whether this is the only process, or the first one under ``torchrun``."""
    return os.environ.get("RANK", "0") == "0" or os.environ.get("WORLD_SIZE", "1") == "1"


def check_metrics(metrics: Path | None) -> None:
    """Refuse a textfile that cannot be written or was not written by audiorec."""
    from audiorec.runs.prometheus import read_metrics

    if metrics is not None:
        if not metrics.parent.is_dir():
            raise MissingFileError(f"{metrics.parent}: no such folder")
        read_metrics(metrics)


@contextmanager
def warn_if_unwritable(place: Path | str) -> Iterator[None]:
    """Print a warning instead of raising if a file cannot be written."""
    try:
        yield
    except OSError as error:
        say(f"warning: {place}: not written: {error.strerror or error}")
    except AudiorecError as error:
        say(f"warning: {error}")


def cpu_seconds() -> float:
    """Return the CPU time of this process and its terminated children, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


RAISES = {
    "timeout": "--timeout SECONDS",
    "oom": "--memory MIB",
    "too_long": "--max-duration SECONDS",
}


def print_counts(report: "RunReport") -> None:
    """Print counts by status, speed, and the CPU time of each stage."""
    parts = [f"{count} {status}" for status, count in sorted(report.statuses.items())]
    line = f"{report.extracted} extracted" + (f" ({', '.join(parts)})" if parts else "")
    more = {
        "moved or retagged": report.reused,
        "copied from identical audio": report.copies,
        "under a new id": report.relabelled,
        "unchanged": report.unchanged,
        "failed": report.failed,
        "failed before": report.failed_before,
        "pruned": report.pruned,
    }
    line += "".join(f", {count} {what}" for what, count in more.items() if count)
    speed = report.audio_s / report.wall_s if report.wall_s > 0 else 0.0
    if report.extracted:
        line += f"; {duration(report.audio_s)} of audio in {duration(report.wall_s)} ({speed:.0f}x)"
    say(line)
    if report.extracted:
        say(f"  {stage_line(report.cpu_s)}")
    for status, count in report.failures.most_common():
        remedy = f" ({RAISES[status]} raises the limit)" if status in RAISES else ""
        say(f"  failed: {count} {status}{remedy}")
        songs = [song for song in report.failed_songs if song.status == status]
        hints = {song.message.partition("; ")[2] for song in songs}
        hint = hints.pop() if len(hints) == 1 else ""  # what to do, said once
        for song in songs:
            say(f"    {song.song_id}: {song.message.removesuffix(f'; {hint}')}")
        if hint:
            say(f"    {hint}")
    if report.failed_songs and (unnamed := report.failed - len(report.failed_songs)):
        say(f"    and {unnamed} more")
    if report.damaged_records:
        say(
            f"  {report.damaged_records} damaged parts of an earlier run: "
            "their songs were extracted again"
        )


def print_summary(report: "RunReport", outputs: "Outputs") -> None:
    """Print the result of a run and the paths of its files."""
    print_counts(report)
    if report.stopped is not None:
        say(
            f"stopped ({report.stopped}); finished songs are kept in {outputs.run_dir}, run the "
            "same command to resume"
        )
        return
    for place, count in report.unpruned.items():
        say(
            f"kept {count} of the rows below {place}: it cannot be read or has no songs, as if "
            "a disk is not mounted; if the songs are gone, remove the folder"
        )
    say(f"vectors: {outputs.vectors}")
    if report.failed or report.failed_before:
        place = (
            "" if str(outputs.vectors) == DEFAULT else f" --vectors {quote(str(outputs.vectors))}"
        )
        say(f"reasons: {outputs.errors}; of one file: audiorec info FILE{place}")
        say("  --retry-failed retries them")


def exit_code_of(report: "RunReport") -> Exit:
    """Return the exit code of a run."""
    if report.stopped == "interrupted":
        return Exit.INTERRUPTED
    if report.stopped == "max_failures":
        return Exit.TOO_MANY_FAILURES
    if not report.usable:
        return Exit.NOTHING_USABLE
    return Exit.SOME_FAILED if report.failed + report.failed_before else Exit.OK


class Observers(Recorder):
    """Writes log, record and metrics of a run; failures only give a warning.

    `output` is the output of the run, the label of its metrics; `record` is the path or URI of the
    record.
    """

    def __init__(
        self,
        job: str,
        output: str,
        log: "RunLog | None",
        metrics: Path | None,
        record: str | None,
    ) -> None:
        super().__init__(job, output, record)
        self._log, self._metrics = log, metrics

    def start(self, **values: Any) -> None:
        """Log the start of the run."""
        from audiorec.runs.record import command_line

        self._write_log("run_start", arguments=command_line(), output=self._output, **values)

    def songs(self, shown: Callback | None) -> Callback | None:
        """Return a callback for each song that logs it and then updates the display."""
        if self._log is None:
            return shown

        def update(at: "RunProgress") -> None:
            if self._log is not None and at.song is not None:
                with self._log_errors():
                    self._log.song(at.song, done=at.done, total=at.total)
            if shown is not None:
                shown(at)

        return update

    def event(self, event: str, **values: Any) -> None:
        """Log another event."""
        self._write_log(event, **values)

    def end(
        self,
        report: "RunReport",
        metadata: "StoreMetadata",
        *,
        exit_code: int,
        content: dict[str, Any] | None = None,
    ) -> None:
        """Write the end to log, record and textfile; `content` replaces that of the report."""
        from audiorec.runs.prometheus import write_metrics

        content = content or report.to_dict()
        self._write_log("run_end", exit_code=exit_code, report=content)
        content = {name: value for name, value in content.items() if name != "scores"}
        run = self.ended(
            exit_code,
            made_by={"spec": metadata.spec, "weights": list(metadata.weights), "report": content},
            versions=metadata.packages,
            counts=_counts(report),
            cpu_s=sum(report.cpu_s.values()),
            wall_s=report.wall_s,
            extractor_id=metadata.extractor_id,
            scores=report.scores,
            **({} if self._log is None else {"run_id": self._log.run_id}),
        )
        if self._metrics is not None:
            with warn_if_unwritable(self._metrics):
                write_metrics(
                    self._metrics,
                    report,
                    output=self._output,
                    exit_code=exit_code,
                    now=time.time(),
                    warnings=len(run.warnings),
                )

    def failed(self, error: AudiorecError) -> None:
        """Log and record a run that ended with an error."""
        self._write_log("run_error", error=str(error))
        if not isinstance(error, BusyStoreError):
            self.ended(exit_code(error), error=str(error))

    def _write_log(self, event: str, **values: Any) -> None:
        if self._log is not None:
            with self._log_errors():
                self._log.event(event, **values)

    @contextmanager
    def _log_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._log = None
            say(f"warning: logging stopped: {error.strerror or error}")


def _counts(report: "RunReport") -> dict[str, float]:
    """Return the counts that a record of an extraction has."""
    names = ("found", "extracted", "failed", "unchanged", "reused", "copies")
    counts: dict[str, float] = {"opened": report.done}
    counts |= {n: getattr(report, n) for n in (*names, "failed_before", "pruned")}
    counts["audio_s"] = round(report.audio_s, 1)
    return counts | {"songs" if k == "vectors" else str(k): n for k, n in report.rows.items()}


def open_log(log_json: str | None, files: ExitStack) -> "RunLog | None":
    """Open the log of a run, a line of JSON for each song; it is closed with `files`."""
    if log_json is None:
        return None
    if log_json == "-":
        return RunLog(lambda line: print(line, end="", flush=True))
    from audiorec.files.own_files import refuse_link

    path = Path(log_json)
    if path.is_file() or not path.exists():  # /dev/stderr is a link as well
        refuse_link(path)
    try:
        # Unbuffered: data that a full disk refused must not be written again on close.
        file = files.enter_context(path.open("ab", buffering=0))
    except OSError as error:
        raise InputError(f"{log_json}: cannot be written: {error.strerror}") from error
    return RunLog(lambda line: file.write(line.encode()))


def stage_line(cpu_s: dict[str, float]) -> str:
    """Return the shares of the main stages in the CPU time, largest first; empty if there is none.

    Examples
    --------
    >>> stage_line({"decode": 1.0, "backbone": 8.0, "mel": 0.6, "heads": 0.4})
    'CPU time 10.0 s: backbone 80 %, decode 10 %, mel 6 %'
    """
    total = sum(cpu_s.values())
    if total <= 0:
        return ""
    parts: Sequence[str] = [
        f"{stage} {100 * seconds / total:.0f} %"
        for stage, seconds in sorted(cpu_s.items(), key=lambda pair: -pair[1])[:4]  # 80 columns
        if seconds >= 0.05 * total
    ]
    return f"CPU time {total:.1f} s: {', '.join(parts)}"
