"""Who is told of a run besides the terminal: a log, a metrics textfile, the run's record."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiorec.errors import AudiorecError, InputError, MissingFileError, StoreError
from audiorec_cli.shared.console import say
from audiorec_cli.shared.progress import Callback

if TYPE_CHECKING:
    from audiorec.runs.log import RunLog
    from audiorec.runs.report import RunProgress, RunReport
    from audiorec.store.schema import StoreMetadata


class Observers:
    """Tells those who asked, and never stops a run: what they cannot take is said once.

    `output` is what the run makes, the label of its metrics; `record` is where the run's record
    goes, by path or URI.
    """

    def __init__(
        self, output: str, log: "RunLog | None", metrics: Path | None, record: str | None
    ) -> None:
        self._output = output
        self._log = log
        self._metrics = metrics
        self._record = record
        self._started = datetime.now(UTC)

    def start(self, **values: Any) -> None:
        """Tell of the beginning."""
        from audiorec.extraction.run_record import command_line

        self._write_log("run_start", arguments=command_line(), output=self._output, **values)

    def songs(self, shown: Callback | None) -> Callback | None:
        """Return the callback for each song: the log's, and then the display's."""
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
        """Tell the log of something else."""
        self._write_log(event, **values)

    def end(
        self,
        report: "RunReport",
        metadata: "StoreMetadata",
        *,
        exit_code: int,
        content: dict[str, Any] | None = None,
    ) -> None:
        """Tell of the end: log, textfile and record; `content` in place of the report's own."""
        from audiorec.extraction.run_record import command_line, run_record, write_record
        from audiorec.runs.prometheus import write_metrics

        content = content or report.to_dict()
        self._write_log("run_end", exit_code=exit_code, report=content)
        if self._metrics is not None:
            with _said(self._metrics):
                write_metrics(
                    self._metrics, report, output=self._output, exit_code=exit_code, now=time.time()
                )
        if self._record is not None:
            record = run_record(
                metadata,
                content,
                arguments=command_line(),
                started_at=self._started,
                exit_code=exit_code,
            )
            with _said(self._record):
                write_record(self._record, record)

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
            say(f"warning: the log ends here: {error.strerror or error}")


@contextmanager
def observers(
    output: str, *, log_json: str | None, metrics: Path | None, record: str | None, json: bool
) -> Iterator[Observers]:
    """Open the log and look at the textfile before the run begins; refuse what is another's.

    What ends the run on purpose is the log's last line.
    """
    if log_json == "-" and json:
        raise InputError("--json and --log-json - would mix on stdout; give the log a file")
    if metrics is not None:
        from audiorec.runs.prometheus import read_metrics

        if not metrics.parent.is_dir():
            raise MissingFileError(f"{metrics.parent}: no such folder")
        read_metrics(metrics)
    with ExitStack() as files:
        told = Observers(output, _open_log(log_json, files), metrics, record)
        try:
            yield told
        except AudiorecError as error:
            told.event("run_error", error=str(error))
            raise


def _open_log(log_json: str | None, files: ExitStack) -> "RunLog | None":
    if log_json is None:
        return None
    from audiorec.runs.log import RunLog

    if log_json == "-":
        return RunLog(lambda line: print(line, end="", flush=True))
    from audiorec.files.own_files import refuse_link

    path = Path(log_json)
    if path.is_file() or not path.exists():  # /dev/stderr is a link as well
        refuse_link(path)
    try:
        # Unbuffered: what a full disk has refused must not be tried again when it is closed.
        file = files.enter_context(path.open("ab", buffering=0))
    except OSError as error:
        raise InputError(f"{log_json}: cannot be written: {error.strerror}") from error
    return RunLog(lambda line: file.write(line.encode()))


@contextmanager
def _said(place: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        say(f"warning: {place}: not written: {error.strerror or error}")
    except StoreError as error:
        say(f"warning: {error}")


def stage_line(cpu_s: dict[str, float]) -> str:
    """Return the share of each stage in the CPU time, the largest first; empty for none.

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
