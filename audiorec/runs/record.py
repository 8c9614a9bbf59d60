"""Record of a job: one small JSON file beside its output, with an entry for every earlier run.

    cands.parquet    ──▶  cands.parquet.run.json    beside the output, a file or a folder
    folder of parts  ──▶  run.json in it            may be in an object store

::

    {"schema": "audiorec/run/1", "run_id": ..., "job": "recall candidates", "output": ...,
     "started_at": ..., "ended_at": ..., "exit_code": 0, "arguments": [...], "versions": {...},
     "wall_s": 12.5, "cpu_s": 11.9, "counts": {"users": 1200, "rows": 120000}, "warnings": [],
     "history": [{"run_id": ..., ...}, ...]}

The record describes the last run that completed or was stopped; what made the output (spec,
weights, a full report) is stored once. `history` has the last hundred runs, including this one
and those that ended in an error. The file is replaced atomically. A record that is read is not
trusted: its size, its form and every value are checked.
"""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audiorec.distribution import own_version
from audiorec.errors import MissingStoreError, StoreError
from audiorec.files import storage
from audiorec.files.json_files import parse_json
from audiorec.files.own_files import read_own
from audiorec.runs.drift import ScoreDistribution

RECORD_FORM = "audiorec/run/"
RECORD_SCHEMA = f"{RECORD_FORM}1"
MAX_RECORD_BYTES = 16 << 20
MAX_HISTORY = 100  # runs
MAX_WORDS, MAX_TEXT = 200, 2000  # words of a command line, letters of one text
MAX_COUNTS = 1000
PERSONAL = {"--user", "--portrait"}  # options whose value names a person: left out of records
ENDING = ".run.json"
SHARDS_RECORD = "run.json"
LEFT_OUT = "(left out)"
LEFT_ALONE = " and was left alone; move it away"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """One run of one job.

    Attributes
    ----------
    run_id : str
        Twelve hex digits, as in the log.
    job : str
        The command, for example ``recall candidates``.
    output : str
    started_at, ended_at : str
        ISO 8601, UTC.
    exit_code : int
    arguments : tuple of str
        The command line, without values that name a person.
    versions : mapping of str to str
        Versions of audiorec, Python, the platform and the packages that affect the numbers.
    wall_s, cpu_s : float
        Elapsed seconds, and CPU seconds over all processes on this machine.
    counts : mapping of str to float
        Results of the job; parts of a whole have a slash (``channels/vs-knn``).
    scores : ScoreDistribution
        Scores of the extracted songs.
    extractor_id : str
        Empty if no extractor was involved.
    warnings : tuple of str
        Differences from earlier runs; see `audiorec.runs.warn`.
    error : str
        The error that ended the run; empty if none did.
    """

    run_id: str
    job: str
    output: str
    started_at: str
    ended_at: str
    exit_code: int
    arguments: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    counts: Mapping[str, float] = field(default_factory=dict)
    scores: ScoreDistribution = field(default_factory=ScoreDistribution)
    extractor_id: str = ""
    warnings: tuple[str, ...] = ()
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return values that JSON can hold; empty ones are omitted."""
        content: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                *("run_id", "job", "output", "started_at", "ended_at", "exit_code"),
                *("extractor_id", "error"),
            )
        }
        content |= {"arguments": list(self.arguments), "versions": dict(self.versions)}
        content |= {"wall_s": round(self.wall_s, 3), "cpu_s": round(self.cpu_s, 3)}
        content |= {"counts": dict(self.counts), "warnings": list(self.warnings)}
        if self.scores.songs:
            content["scores"] = self.scores.to_dict()
        always = ("arguments", "counts", "exit_code", "versions", "wall_s", "cpu_s", "warnings")
        return {name: value for name, value in content.items() if value or name in always}

    @classmethod
    def from_dict(cls, content: object) -> "JobRun":
        """Parse a run from `to_dict`, or a record of audiorec 0.1; raise `ValueError` otherwise."""
        if not isinstance(content, Mapping):
            raise ValueError("a run is not an object")
        report = content.get("report")
        told = dict(report) if isinstance(report, Mapping) else {}
        cpu_s = told.get("cpu_s")
        spent = sum(map(_number, cpu_s.values())) if isinstance(cpu_s, Mapping) else 0.0
        scores = content.get("scores")
        return cls(
            run_id=_text(content, "run_id"),
            job=_text(content, "job", "extract"),
            output=_text(content, "output"),
            started_at=_moment(content, "started_at"),
            ended_at=_moment(content, "ended_at"),
            exit_code=_code(content.get("exit_code")),
            arguments=tuple(_texts(content, "arguments")[:MAX_WORDS]),
            versions=_versions(content.get("versions", {})),
            wall_s=_number(content.get("wall_s", told.get("wall_s", 0.0))),
            cpu_s=_number(content.get("cpu_s", spent)),
            counts=_counts(content.get("counts", told if told else {}), strict="counts" in content),
            scores=ScoreDistribution() if scores is None else ScoreDistribution.from_dict(scores),
            extractor_id=_text(content, "extractor_id"),
            warnings=tuple(_texts(content, "warnings")[:MAX_WORDS]),
            error=_text(content, "error"),
        )


def record_of(output: str | os.PathLike[str]) -> str:
    """Return the path or URI of an output's record.

    Examples
    --------
    >>> record_of("serving/"), record_of("cands.parquet")
    ('serving.run.json', 'cands.parquet.run.json')
    """
    return os.fspath(output).rstrip("/" + os.sep) + ENDING


def read_runs(place: str | os.PathLike[str]) -> list[JobRun]:
    """Read the runs of a record, oldest first.

    Raises
    ------
    MissingStoreError
        If there is no such file.
    StoreError
        If it is a link, too large, or not a record of a run.
    """
    name = os.fspath(place)
    content = _read(name)
    if content is None:
        raise MissingStoreError(f"{name}: no such file")
    try:
        runs = _runs(content)
    except ValueError as error:
        raise StoreError(f"{name}: not a record of a run: {error}") from error
    output = os.path.basename(name).removesuffix(ENDING)  # noqa: PTH119 - it may be a URI
    return [one if one.output else replace(one, output=output) for one in runs]


def runs_before(place: str) -> list[JobRun]:
    """Return the runs of a record, oldest first; empty if it cannot be read."""
    try:
        return read_runs(place)
    except (StoreError, OSError):
        return []


def write_run(place: str, run: JobRun, made_by: Mapping[str, Any] | None = None) -> None:
    """Append a run to a record, atomically.

    Parameters
    ----------
    place : str
        A path or a URI.
    run : JobRun
        If it ended in an error, it is only added to the history of an existing record; without
        a record nothing is written.
    made_by : mapping, optional
        Further fields of the record that describe what made the output.

    Raises
    ------
    StoreError
        If a file other than a record exists there.
    """
    content = _read(place, otherwise=LEFT_ALONE)
    try:
        before = [] if content is None else _runs(content)
    except ValueError as error:
        raise StoreError(f"{place}: not a record of a run{LEFT_ALONE}: {error}") from error
    if run.error and content is None:
        return
    history = [one.to_dict() for one in (*before, run)][-MAX_HISTORY:]
    of_output = {"schema": RECORD_SCHEMA, **run.to_dict(), **(made_by or {})}
    if run.error and content is not None:
        of_output = {name: value for name, value in content.items() if name != "history"}
    text = ""
    while history:
        record = {**of_output, "history": history}
        text = json.dumps(record, indent=1, sort_keys=True, default=str, allow_nan=False) + "\n"
        if len(text) <= MAX_RECORD_BYTES:
            break
        history = history[1:]
    storage.write(place, text.encode())


def command_line() -> list[str]:
    """Return the command line of this process as the user typed it."""
    return ["audiorec", *sys.argv[1:]]


def safe_arguments(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command line as stored in a record: bounded, without values that name a person.

    Examples
    --------
    >>> safe_arguments(["audiorec", "listening", "import", "--user", "ana", "--user=bo"])
    ('audiorec', 'listening', 'import', '--user', '(left out)', '--user=(left out)')
    """
    kept: list[str] = []
    is_person = False
    for word in words:
        name, there, _ = word.partition("=")
        if is_person:
            kept.append(LEFT_OUT)
        elif there and name in PERSONAL:
            kept.append(f"{name}={LEFT_OUT}")
        else:
            kept.append(word[:MAX_TEXT])
        is_person = word in PERSONAL
    more = len(kept) - MAX_WORDS
    return tuple(kept) if more <= 0 else (*kept[: MAX_WORDS - 1], f"... {more + 1} more")


def versions_here() -> dict[str, str]:
    """Return the versions of audiorec and Python, and the platform."""
    return {
        "audiorec": own_version(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def timestamp(at: datetime | None = None) -> str:
    """Format a time (default: now) as in records: ISO 8601, whole seconds."""
    return (at or datetime.now(UTC)).isoformat(timespec="seconds")


def _read(place: str, *, otherwise: str = "") -> dict[str, Any] | None:
    """Return the object in a record; None if there is no file, `StoreError` if it is no record."""
    try:
        if storage.is_uri(place):
            text = storage.read(place, max_bytes=MAX_RECORD_BYTES)
        else:
            text = read_own(Path(place), MAX_RECORD_BYTES)
        if text is None:
            return None
        content = parse_json(text, max_bytes=MAX_RECORD_BYTES)
        if str(content["schema"]).startswith(RECORD_FORM):
            found: dict[str, Any] = content
            return found
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        pass
    raise StoreError(f"{place}: not a record of a run{otherwise}")


def _runs(content: Mapping[str, Any]) -> list[JobRun]:
    schema = str(content["schema"])
    if schema != RECORD_SCHEMA and not schema.endswith("/0"):
        raise ValueError(f"its form is {schema}, this audiorec reads {RECORD_SCHEMA}")
    history = content.get("history")
    if history is None:  # audiorec 0.1: a single run of extract
        if "started_at" not in content:
            return []
        run = JobRun.from_dict(content)
        return [replace(run, run_id=hashlib.sha256(run.started_at.encode()).hexdigest()[:12])]
    if not isinstance(history, list):
        raise ValueError("its history is not a list")
    return [JobRun.from_dict(one) for one in history[-MAX_HISTORY:]]


def _text(content: Mapping[str, Any], name: str, other: str = "") -> str:
    value = content.get(name, other)
    if not isinstance(value, str):
        raise ValueError(f"{name} is not a text")
    return value[:MAX_TEXT]


def _texts(content: Mapping[str, Any], name: str) -> list[str]:
    values = content.get(name, [])
    if not (isinstance(values, list) and all(isinstance(value, str) for value in values)):
        raise ValueError(f"{name} is not a list of texts")
    return [value[:MAX_TEXT] for value in values]


def _moment(content: Mapping[str, Any], name: str) -> str:
    text = _text(content, name)
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except (OverflowError, OSError) as error:
        raise ValueError(f"{name} is not a time") from error


def _code(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
        raise ValueError("exit_code is not valid")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{str(value)[:40]!r} is not a number")
    if not 0 <= value < 1e18:  # also refuses NaN
        raise ValueError("a number is out of range")
    return value


def _versions(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > MAX_COUNTS:
        raise ValueError("versions are not an object")
    return {name[:MAX_TEXT]: _text(value, name) for name in value}


def _counts(value: object, *, strict: bool) -> dict[str, float]:
    """Return checked counts; unless `strict`, ignore other values, as in reports of 0.1."""
    if not isinstance(value, Mapping) or len(value) > MAX_COUNTS:
        raise ValueError("counts are not an object")
    kept = value if strict else {n: v for n, v in value.items() if _is_plain(v)}
    return {name[:MAX_TEXT]: _number(number) for name, number in kept.items()}


def _is_plain(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
