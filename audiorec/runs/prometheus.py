"""What a nightly job tells Prometheus: a textfile for the node exporter's collector.

Counters (``..._total``) go on from the file that is there, so that rates over days are
right; gauges are of the last run. Every sample has the label ``output``: the collector
refuses two files that have a sample in common.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audiorec.errors import InputError, StoreError
from audiorec.files.atomic import replaced
from audiorec.files.own_files import read_own
from audiorec.runs.report import RunReport

MAX_BYTES = 1 << 20
FINISHED = (0, 3)  # exit codes of a run that went to its end
Labels = tuple[tuple[str, str], ...]
_SAMPLE = re.compile(r"(audiorec_\w+)\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name, what it means, and its samples by their labels."""

    name: str
    meaning: str
    samples: Mapping[Labels, float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``counter`` or ``gauge``: the ending of the name says which."""
        return "counter" if self.name.endswith("_total") else "gauge"


def write_metrics(
    path: Path, report: RunReport, *, output: str, exit_code: int, now: float
) -> None:
    """Write the textfile of a run, whole or not at all; counters go on from what it holds.

    Parameters
    ----------
    path : Path
        By convention it ends in ``.prom``.
    report : RunReport
    output : str
        The label of all samples.
    exit_code : int
    now : float
        Seconds since 1970.

    Raises
    ------
    InputError
        If a file is there that this did not write.
    """
    before = read_metrics(path)
    mine = (("output", output.encode("utf-8", "backslashreplace").decode()),)
    metrics = [
        _continued(metric, before, mine)
        for metric in (*_counters(report, exit_code), *_gauges(report, exit_code, now))
    ]
    with replaced(path) as temporary:
        temporary.write_text("".join(map(_text, metrics)), "utf-8")


def read_metrics(path: Path) -> dict[str, dict[Labels, float]]:
    """Read a textfile that `write_metrics` wrote: the samples of each metric.

    Raises
    ------
    InputError
        If it is too large, or holds a line of another's making. One that is not there holds
        no samples.
    """
    try:
        text = read_own(path, MAX_BYTES).decode()
    except FileNotFoundError:
        return {}
    except (OSError, StoreError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a metrics textfile: {error}") from error
    found: dict[str, dict[Labels, float]] = {}
    # Not splitlines: a path in a label may hold other characters that end a line.
    for line in text.removesuffix("\n").split("\n") if text else ():
        if line.startswith(("# HELP audiorec_", "# TYPE audiorec_")):
            continue
        match = _SAMPLE.fullmatch(line)
        if match is None:
            raise InputError(
                f"{path}: is no metrics textfile of audiorec: {line[:60]!r}; name another"
            )
        labels = tuple((name, _unescaped(value)) for name, value in _LABEL.findall(match[2]))
        found.setdefault(match[1], {})[labels] = float(match[3])
    return found


def _counters(report: RunReport, exit_code: int) -> Iterator[Metric]:
    songs = {("extracted", status): n for status, n in report.statuses.items()}
    songs |= {("failed", status): n for status, n in report.failures.items()}
    songs |= {("reused", ""): report.reused + report.relabelled, ("copied", ""): report.copies}
    yield Metric(
        "audiorec_songs_total",
        "Songs that were worked on, by what became of them.",
        {(("outcome", a), ("status", b)): n for (a, b), n in sorted(songs.items())},
    )
    yield Metric("audiorec_audio_seconds_total", "Audio extracted.", {(): report.audio_s})
    yield Metric(
        "audiorec_cpu_seconds_total",
        "Processor time over all processes, by stage.",
        {(("stage", stage),): seconds for stage, seconds in sorted(report.cpu_s.items())},
    )
    yield Metric(
        "audiorec_runs_total", "Runs, by exit code.", {(("exit_code", str(int(exit_code))),): 1}
    )


def _gauges(report: RunReport, exit_code: int, now: float) -> Iterator[Metric]:
    yield Metric("audiorec_run_duration_seconds", "Time of the last run.", {(): report.wall_s})
    states = ("found", "unchanged", "failed_before", "pruned")
    yield Metric(
        "audiorec_run_songs",
        "Songs of the last run that needed no work, and all it found.",
        {(("state", state),): getattr(report, state) for state in states},
    )
    yield Metric(
        "audiorec_rows",
        "Rows of the output files after the last run.",
        {(("kind", str(kind)),): rows for kind, rows in sorted(report.rows.items())},
    )
    moments = {
        "run": ("The last run ended.", True),
        "finish": ("The last run went through all its songs.", exit_code in FINISHED),
        "success": ("The last run ended with exit code 0.", exit_code == 0),
    }
    for name, (meaning, reached) in moments.items():
        yield Metric(
            f"audiorec_last_{name}_timestamp_seconds", meaning, {(): now} if reached else {}
        )


def _continued(
    metric: Metric, before: Mapping[str, Mapping[Labels, float]], mine: Labels
) -> Metric:
    """Add the counts of earlier runs; a time or a number of rows that is not new stays."""
    samples: dict[Labels, float] = {(*mine, *labels): v for labels, v in metric.samples.items()}
    for labels, value in before.get(metric.name, {}).items():
        if metric.kind == "counter":
            samples[labels] = samples.get(labels, 0.0) + value
        elif not metric.samples or labels[:1] != mine:
            samples.setdefault(labels, value)
    return Metric(metric.name, metric.meaning, samples)


def _text(metric: Metric) -> str:
    if not metric.samples:
        return ""
    lines = [f"# HELP {metric.name} {metric.meaning}", f"# TYPE {metric.name} {metric.kind}"]
    for labels, value in metric.samples.items():
        inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
        lines.append(f"{metric.name}{{{inside}}} {value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text)
