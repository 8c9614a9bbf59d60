"""Prometheus metrics of a job: a textfile for the node exporter's textfile collector.

Counters (``..._total``) continue from the existing file, so that rates over days are right;
gauges describe the last run. Every sample has the label ``output``, because the collector
refuses two files that have a sample in common.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audiorec.errors import InputError, StoreError
from audiorec.files.own_files import read_own, write_own
from audiorec.runs.record import JobRun
from audiorec.runs.report import RunReport

MAX_BYTES = 1 << 20
FINISHED = (0, 3)  # exit codes of a completed run
Labels = tuple[tuple[str, str], ...]
Samples = dict[Labels, float]
_SAMPLE = re.compile(r"(audiorec_\w+)\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


MEANINGS = {
    "audiorec_songs_total": "Songs processed, by outcome and status.",
    "audiorec_audio_seconds_total": "Audio extracted.",
    "audiorec_cpu_seconds_total": "CPU time over all processes, by stage or job.",
    "audiorec_runs_total": "Runs, by exit code.",
    "audiorec_run_songs": "Songs found by the last run, and those not extracted, by state.",
    "audiorec_rows": "Rows of the output files after the last run.",
    "audiorec_run_count": "Counts of the last completed run, by name.",
    "audiorec_run_duration_seconds": "Duration of the last run.",
    "audiorec_run_warnings": "Number of warnings of the last run.",
    "audiorec_last_run_timestamp_seconds": "When the last run ended.",
    "audiorec_last_finish_timestamp_seconds": "When the last run with exit code 0 or 3 ended.",
    "audiorec_last_success_timestamp_seconds": "When the last run with exit code 0 ended.",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name, and its samples by their labels."""

    name: str
    samples: Mapping[Labels, float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``counter`` or ``gauge``, according to the suffix of the name."""
        return "counter" if self.name.endswith("_total") else "gauge"


def write_metrics(
    path: Path,
    report: RunReport,
    *,
    output: str,
    exit_code: int,
    now: float,
    warnings: int = 0,
) -> None:
    """Write the textfile of an extraction, atomically; counters continue from the existing file.

    Parameters
    ----------
    path : Path
        Ends in ``.prom`` by convention.
    report : RunReport
    output : str
        Value of the label ``output`` of all samples.
    exit_code : int
    now : float
        Seconds since 1970.
    warnings : int

    Raises
    ------
    InputError
        If the existing file was not written by audiorec.
    """
    ended = _ended(report.wall_s, warnings, exit_code, now)
    _write(path, output, (*_counters(report, exit_code), *_gauges(report), *ended))


def write_job_metrics(path: Path, run: JobRun, *, now: float) -> None:
    """Write the textfile of any other job; see `write_metrics`."""
    counted = {} if run.error else run.counts
    counts: Samples = {(("count", name),): n for name, n in counted.items()}
    spent: Samples = {(("stage", run.job),): run.cpu_s}
    metrics = (
        Metric("audiorec_cpu_seconds_total", spent),
        _runs(run.exit_code),
        Metric("audiorec_run_count", counts),
        *_ended(run.wall_s, len(run.warnings), run.exit_code, now),
    )
    _write(path, run.output, metrics)


def _write(path: Path, output: str, metrics: Iterable[Metric]) -> None:
    """Write the metrics of one output; counters continue, and samples of other outputs stay."""
    before = read_metrics(path)
    mine = (("output", output.encode("utf-8", "backslashreplace").decode()),)
    written = {metric.name: _continued(metric, before, mine) for metric in metrics}
    others = {name: Metric(name, before[name]) for name in before if name not in written}
    write_own(path, "".join(map(_text, {**written, **others}.values())))


def read_metrics(path: Path) -> dict[str, dict[Labels, float]]:
    """Read the samples of each metric from a textfile; empty if the file does not exist.

    Raises
    ------
    InputError
        If it is too large, or holds a line that audiorec did not write.
    """
    try:
        text = read_own(path, MAX_BYTES).decode()
    except FileNotFoundError:
        return {}
    except (OSError, StoreError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a metrics textfile: {error}") from error
    metrics: dict[str, dict[Labels, float]] = {}
    # Not splitlines: a path in a label may contain other line separators.
    for line in text.removesuffix("\n").split("\n") if text else ():
        if line.startswith(("# HELP audiorec_", "# TYPE audiorec_")):
            continue
        match = _SAMPLE.fullmatch(line)
        if match is None:
            raise InputError(
                f"{path}: not a metrics textfile of audiorec: {line[:60]!r}; name another"
            )
        labels = tuple((name, _unescaped(value)) for name, value in _LABEL.findall(match[2]))
        metrics.setdefault(match[1], {})[labels] = float(match[3])
    return metrics


def _counters(report: RunReport, exit_code: int) -> Iterator[Metric]:
    songs = {("extracted", status): n for status, n in report.statuses.items()}
    songs |= {("failed", status): n for status, n in report.failures.items()}
    songs |= {("reused", ""): report.reused + report.relabelled, ("copied", ""): report.copies}
    outcomes: Samples = {(("outcome", a), ("status", b)): n for (a, b), n in sorted(songs.items())}
    yield Metric("audiorec_songs_total", outcomes)
    yield Metric("audiorec_audio_seconds_total", {(): report.audio_s})
    spent: Samples = {
        (("stage", stage),): seconds for stage, seconds in sorted(report.cpu_s.items())
    }
    yield Metric("audiorec_cpu_seconds_total", spent)
    yield _runs(exit_code)


def _runs(exit_code: int) -> Metric:
    return Metric("audiorec_runs_total", {(("exit_code", str(int(exit_code))),): 1})


def _gauges(report: RunReport) -> Iterator[Metric]:
    states = ("found", "unchanged", "failed_before", "pruned")
    counts: Samples = {(("state", state),): getattr(report, state) for state in states}
    yield Metric("audiorec_run_songs", counts)
    rows: Samples = {(("kind", str(kind)),): rows for kind, rows in sorted(report.rows.items())}
    yield Metric("audiorec_rows", rows)


def _ended(wall_s: float, warnings: int, exit_code: int, now: float) -> Iterator[Metric]:
    yield Metric("audiorec_run_duration_seconds", {(): wall_s})
    yield Metric("audiorec_run_warnings", {(): warnings})
    reached = {"run": True, "finish": exit_code in FINISHED, "success": exit_code == 0}
    for name, is_reached in reached.items():
        moment: Samples = {(): now} if is_reached else {}
        yield Metric(f"audiorec_last_{name}_timestamp_seconds", moment)


def _continued(
    metric: Metric, before: Mapping[str, Mapping[Labels, float]], mine: Labels
) -> Metric:
    """Merge a metric with the earlier samples: counters add up, gauges without new samples stay."""
    samples: dict[Labels, float] = {(*mine, *labels): v for labels, v in metric.samples.items()}
    for labels, value in before.get(metric.name, {}).items():
        if metric.kind == "counter":
            samples[labels] = samples.get(labels, 0.0) + value
        elif not metric.samples or labels[:1] != mine:
            samples.setdefault(labels, value)
    return Metric(metric.name, samples)


def _text(metric: Metric) -> str:
    if not metric.samples:
        return ""
    meaning = MEANINGS.get(metric.name, "From another version of audiorec.")
    samples = (("", labels, value) for labels, value in metric.samples.items())
    return metric_text(metric.name, metric.kind, meaning, samples)


def metric_text(
    name: str, kind: str, meaning: str, samples: Iterable[tuple[str, Labels, float]]
) -> str:
    """Return a metric in Prometheus' text format.

    Parameters
    ----------
    name, kind, meaning : str
    samples : iterable of (str, labels, float)
        What follows the name, such as ``_bucket`` of a histogram; labels; value.
    """
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
    for suffix, labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
        lines.append(f"{name}{suffix}{f'{{{inside}}}' if labels else ''} {value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text)
