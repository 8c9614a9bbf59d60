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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args
from uuid import uuid4

import click

from audiorec.errors import AudiorecError, MissingFileError
from audiorec.options import Field, writes
from audiorec_cli.shared.console import Exit, exit_code, say, system_errors
from audiorec_cli.shared.declared import Job
from audiorec_cli.shared.declared import recorded as recorded
from audiorec_cli.shared.options import COMMON
from audiorec_cli.shared.places import OpenOutputs

if TYPE_CHECKING:
    from audiorec.runs.record import JobRun

MetricsOption = Annotated[
    Path | None,
    writes(
        "--metrics-textfile",
        panel=COMMON,
        common=True,
        remote="refused",
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
    kind: Job, function: Callable[..., None], values: Mapping[str, Any], outputs: OpenOutputs
) -> None:
    """Run a command as a job and record its end; without an output, only run it.

    `function` takes the `JobSummary`; `values` are those of all options of the command.
    """
    made = values[kind.output]
    if made is None:
        function(JobSummary(""))
        return
    place, metrics = outputs.records.get(str(made)), values[METRICS.name]
    with job(kind.name, outputs.name(made), metrics, place=place) as done:
        outputs.delivered_after(lambda: function(done))


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
    from audiorec.files.own_files import remove_leftovers
    from audiorec.runs.record import record_of

    check_metrics(metrics)
    done = JobSummary(os.fspath(output))
    remove_leftovers(Path(output).parent, Path(output).name)
    started, before, code, error = datetime.now(UTC), cpu_seconds(), int(Exit.OK), ""
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
            run = made_run(
                name,
                done.output,
                started,
                code,
                versions=done.versions,
                counts=done.counts,
                cpu_s=cpu_seconds() - before,
                extractor_id=done.extractor_id,
                error=error,
            )
            _tell(run, place or record_of(done.output), metrics)


def _tell(run: "JobRun", place: str, metrics: Path | None) -> None:
    run = noted(run, place, {})
    if metrics is not None:
        from audiorec.runs.prometheus import write_job_metrics

        with warn_if_unwritable(metrics):
            write_job_metrics(metrics, run, now=time.time())


def made_run(
    job: str,
    output: str,
    started: datetime,
    code: int,
    *,
    versions: dict[str, str] | None = None,
    counts: dict[str, float] | None = None,
    cpu_s: float = 0.0,
    extractor_id: str = "",
    error: str = "",
) -> "JobRun":
    """Return the record of a run that ends now."""
    from audiorec.runs.record import JobRun, command_line, safe_arguments, timestamp, versions_here

    return JobRun(
        run_id=uuid4().hex[:12],
        job=job,
        output=output,
        started_at=timestamp(started),
        ended_at=timestamp(),
        exit_code=int(code),
        arguments=safe_arguments(command_line()),
        versions={**(versions or {}), **versions_here()},
        wall_s=(datetime.now(UTC) - started).total_seconds(),
        cpu_s=cpu_s,
        counts=counts or {},
        extractor_id=extractor_id,
        error=error[:LONGEST_ERROR],
    )


def note_failure(
    job: str, output: str, place: str, error: AudiorecError, started: datetime
) -> None:
    """Add a run that ended with an error to an existing record."""
    from audiorec.runs.record import write_run

    code = exit_code(error)
    write_run(place, made_run(job, output, started, code, error=str(error)))


def noted(run: "JobRun", place: str, made_by: Mapping[str, object]) -> "JobRun":
    """Warn of deviations from earlier runs, and add the run to its record; return it."""
    from dataclasses import replace

    from audiorec.runs.record import run_warnings, runs_before, write_run

    run = replace(run, warnings=tuple(run_warnings(run, runs_before(place))))
    for warning in run.warnings:
        say(f"warning: {warning}")
    with warn_if_unwritable(place):
        write_run(place, run, made_by)
    return run


def _speaks() -> bool:
    """Whether this is the only process, or the first one under ``torchrun``."""
    return os.environ.get("RANK", "0") == "0" or os.environ.get("WORLD_SIZE", "1") == "1"


def check_metrics(metrics: Path | None) -> None:
    """Refuse a textfile that cannot be written or was not written by audiorec."""
    if metrics is not None:
        from audiorec.runs.prometheus import read_metrics

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
