"""Outputs of a run besides the terminal: log, metrics textfile and record."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiorec.errors import AudiorecError, BusyStoreError, InputError
from audiorec_cli.shared.console import say
from audiorec_cli.shared.jobs import (
    check_metrics,
    made_run,
    note_failure,
    noted,
    warn_if_unwritable,
)
from audiorec_cli.shared.progress import Callback

if TYPE_CHECKING:
    from audiorec.runs.record import JobRun
    from audiorec.runs.report import RunLog, RunProgress, RunReport
    from audiorec.store.schema import StoreMetadata


class Observers:
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
        self._job = job
        self._output = output
        self._log = log
        self._metrics = metrics
        self._record = record
        self._started = datetime.now(UTC)

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
        content = content or report.to_dict()
        self._write_log("run_end", exit_code=exit_code, report=content)
        run = self._run_of(report, metadata, exit_code)
        if self._record is not None:
            content = {name: value for name, value in content.items() if name != "scores"}
            made_by = {"spec": metadata.spec, "weights": list(metadata.weights), "report": content}
            run = noted(run, self._record, made_by)
        if self._metrics is not None:
            from audiorec.runs.prometheus import write_metrics

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
        if self._record is not None and not isinstance(error, BusyStoreError):
            with warn_if_unwritable(self._record):
                note_failure(self._job, self._output, self._record, error, self._started)

    def _run_of(self, report: "RunReport", metadata: "StoreMetadata", exit_code: int) -> "JobRun":
        """Return the record of the run."""
        names = ("found", "extracted", "failed", "unchanged", "reused", "copies")
        counts: dict[str, float] = {"opened": report.done}
        counts |= {n: getattr(report, n) for n in (*names, "failed_before", "pruned")}
        counts["audio_s"] = round(report.audio_s, 1)
        rows = {str(kind): n for kind, n in report.rows.items()}
        if "vectors" in rows:
            rows["songs"] = rows.pop("vectors")
        run_of = made_run(
            self._job,
            self._output,
            self._started,
            exit_code,
            versions=dict(metadata.packages),
            counts={**counts, **rows},
            cpu_s=sum(report.cpu_s.values()),
            extractor_id=metadata.extractor_id,
        )
        run_id = run_of.run_id if self._log is None else self._log.run_id
        return replace(run_of, run_id=run_id, wall_s=report.wall_s, scores=report.scores)

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


@contextmanager
def observers(
    output: str,
    *,
    job: str,
    log_json: str | None,
    metrics: Path | None,
    record: str | None,
    json: bool,
) -> Iterator[Observers]:
    """Open the log and check the textfile before the run begins.

    An `AudiorecError` that ends the run is the last line of the log. A textfile that was not
    written by audiorec is refused.
    """
    if log_json == "-" and json:
        raise InputError(
            "--json and --log-json - would both write to stdout; write the log to a file"
        )
    check_metrics(metrics)
    with ExitStack() as files:
        told = Observers(job, output, _open_log(log_json, files), metrics, record)
        try:
            yield told
        except AudiorecError as error:
            told.failed(error)
            raise


def _open_log(log_json: str | None, files: ExitStack) -> "RunLog | None":
    if log_json is None:
        return None
    from audiorec.runs.report import RunLog

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
    """Return the share of each stage in the CPU time, largest first; empty if there is none.

    Examples
    --------
    >>> stage_line({"decode": 1.0, "backbone": 8.0, "mel": 0.996, "heads": 0.004})
    'CPU time 10.0 s: backbone 80 %, decode 10 %, mel 10 %'
    """
    total = sum(cpu_s.values())
    if total <= 0:
        return ""
    parts: Sequence[str] = [
        f"{stage} {100 * seconds / total:.0f} %"
        for stage, seconds in sorted(cpu_s.items(), key=lambda pair: -pair[1])
        if seconds >= 0.005 * total
    ]
    return f"CPU time {total:.1f} s: {', '.join(parts)}"
