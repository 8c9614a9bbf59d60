"""Paths, URIs and days of commands: one rule, applied where a command is called.

    --vectors s3://bucket/vecs.parquet   ──places──▶  the command gets the path of a local copy
    --out s3://bucket/lists.parquet      ──places──▶  it gets a local path, uploaded at the end
    -i plays/ --days ..2026-11-25        ──places──▶  it gets a log of these days
    --out lists/ --day 2026-11-25        ──places──▶  it writes lists/dt=2026-11-25/

The command itself sees local paths only. Whether a path is read or written, and what becomes of a
URI, is declared with the option.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import click

from audiorec import files, listening, runs
from audiorec.errors import InputError
from audiorec.options import Field, Reach, chooses, writes
from audiorec_cli.shared.console import Exit
from audiorec_cli.shared.declared import Job, path_or_uri
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.options import ADVANCED

DAY = Field(
    "day",
    str | None,
    None,
    writes(metavar="DAY", help="Read up to this day and write OUT/dt=DAY/."),
)
LOG_DAYS = Field(
    "days",
    str | None,
    None,
    chooses(
        metavar="A..B",
        panel=ADVANCED,
        help="Days of the log to read: ..2026-11-25, 2026-11-01..2026-11-25.",
    ),
)
DAY_FILE = "part-00000.parquet"
SUCCESS = "_SUCCESS"


@dataclass(slots=True)
class OpenOutputs:
    """Outputs of a command that are remote or by day, until they are delivered.

    Attributes
    ----------
    waiting : list
        Deliveries and revisions that are not done yet.
    named : dict
        The URI of an output by its local path.
    records : dict
        The place of the record by the path of its output, if not beside it.
    marks : list
        Empty files that mark a day as complete: path or URI, with the output that must exist.
    of_day : str
        The place of the record of an output by day; empty if the command does not write by day.
    day_before : str, optional
        The output of the day before, of a command that writes by day.
    is_one_file : bool
        Whether a day is one file, not a folder that marks its own completion.
    """

    waiting: "list[files.Delivery | files.Revision]" = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    marks: list[tuple[str, Path]] = field(default_factory=list)
    of_day: str = ""
    day_before: str | None = None
    is_one_file: bool = False

    def name(self, path: object) -> str:
        """Return the name of an output for messages: its URI if it has one."""
        return self.named.get(str(path), str(path))

    def deliver(self) -> None:
        """Upload all outputs, then write the marks."""
        made = [mark for mark, path in self.marks if path.exists()]
        while self.waiting:
            self.waiting[0].deliver()
            self.waiting.pop(0)
        for mark in made:
            files.write(mark, b"")
        self.marks.clear()

    @contextmanager
    def delivered(self) -> Iterator[None]:
        """Deliver the outputs of a command at the end, unless it ends with nothing usable."""
        try:
            yield
        except click.exceptions.Exit as end:
            if end.exit_code in (Exit.OK, Exit.SOME_FAILED):
                self.deliver()
            raise
        self.deliver()

    def forget(self) -> None:
        """Discard the outputs that were not delivered."""
        for one in self.waiting:
            one.release()
        self.waiting.clear()


def outputs() -> OpenOutputs:
    """Return the open outputs of the command that runs."""
    return click.get_current_context().meta.setdefault(__name__, OpenOutputs())


def day_fields(declared: Sequence[Field], *, by_day: bool) -> list[Field]:
    """Return the options on days that a command gets: it writes by day, or reads a log."""
    own = {one.name for one in declared}
    of_log = any(one.option.log for one in declared) and "days" not in own
    return [*([DAY] if by_day else ()), *([LOG_DAYS] if of_log else ())]


@contextmanager
def places(
    declared: Sequence[Field], given: Mapping[str, Any], *, job: Job | None, here: str
) -> Iterator[tuple[dict[str, Any], OpenOutputs]]:
    """Yield the values of a command with local paths, and its outputs; deliver these at the end."""
    values, held = dict(given), outputs()
    if job is not None and job.usual is not None and values[job.output] is None:
        values[job.output] = job.usual(values)
    added = {one.name for one in (DAY, LOG_DAYS) if one in declared}
    days, day = _days({name: values.pop(name) for name in added}) if added else (None, None)
    visit = _Visit(days, held, job.output if job else "", here)
    try:
        if day is not None and job is not None:
            values = _by_day(values, job, day, held)
        for one in declared:
            if one.is_path:
                values[one.name] = visit.resolved(values[one.name], one)
        with held.delivered():
            yield values, held
    finally:
        held.forget()


def check_kinds(declared: Sequence[Field], values: Mapping[str, Any]) -> None:
    """Refuse files of another kind than their options declare, before a command reads any."""
    for one in declared:
        if kind := one.option.holds:
            value = values[one.name]
            for path in value if isinstance(value, list) else [value]:
                if path is not None:
                    check(path, InputKind(kind))


def parts_here(parts: list[str], output: Path | None) -> tuple[str | None, list[str], Path | None]:
    """Return the folder of parts if one is given, else the files and the store to write.

    A remote file is copied. A single local file is rewritten in place if there is no `output`.
    """
    if len(parts) == 1 and files.is_folder(parts[0]):
        return parts[0], [], output
    if output is None and len(parts) == 1:
        if files.is_uri(parts[0]):
            raise InputError(f"{parts[0]}: name the store to write with --out")
        output = Path(parts[0])
    return (
        None,
        [str(files.with_local(part)) if files.is_uri(part) else part for part in parts],
        output,
    )


def yesterdays_output(*, only: str) -> Path | None:
    """Return the output of the day before, for a command that writes by day.

    Of a remote one, the files that match `only` are copied.
    """
    before = outputs().day_before
    if before is None or not files.is_uri(before):
        return None if before is None else Path(before)
    return Path(files.local_folder(before, only=lambda name: bool(re.fullmatch(only, name))))


@dataclass(frozen=True, slots=True)
class _Visit:
    """Resolves the places of one call of a command."""

    days: "listening.Days | None"
    outputs: OpenOutputs
    output: str
    here: str

    def resolved(self, value: Any, declared: Field) -> Any:
        """Return a local path for a path or URI, or a list of them."""
        if isinstance(value, (list, tuple)):
            return [self.resolved(one, declared) for one in value]
        if value is None:
            return None
        held, place = self.outputs, str(value)
        if isinstance(value, str):
            value = self._fetched(value, declared)
        elif declared.option.log and self.days:
            value = _chosen(value, self.days)
        if declared.option.log and self.days and self.days.until and held.of_day:
            listening.check_day(value, self.days.until)
        if declared.name == self.output and held.of_day:
            held.records[str(value)] = held.of_day
            if held.is_one_file:
                value.parent.mkdir(parents=True, exist_ok=True)
                held.marks.append((place.removesuffix(DAY_FILE) + SUCCESS, value))
        return value

    def _fetched(self, uri: str, declared: Field) -> Any:
        """Return a local path for a URI, or refuse the URI."""
        option, held = declared.option, self.outputs
        if self.here:
            raise InputError(f"{uri}: {click.get_current_context().command_path} {self.here}")
        if option.remote == "refused":
            raise InputError(f"{uri}: --{declared.key} must be a local path")
        if option.remote == "itself":
            return uri
        if option.remote == "in place":
            revision = files.Revision(uri)
            held.waiting.append(revision)
            return revision.path
        if option.reach is Reach.WRITES:
            delivery = files.Delivery(uri)
            held.waiting.append(delivery)
            held.named[str(delivery.path)] = uri
            if option.remote == "goes on":
                delivery.bring()
            return delivery.path
        if option.only and files.is_folder(uri):
            return files.local_folder(uri, only=lambda name: bool(re.fullmatch(option.only, name)))
        return _chosen(uri, self.days) if option.log else files.with_local(uri)


def _days(given: Mapping[str, Any]) -> "tuple[listening.Days, date | None]":
    days = listening.parse_days(given["days"], "--days") if given.get("days") else listening.Days()
    if not given.get("day"):
        return days, None
    text, offset = listening.with_offset(given["day"])
    day = listening.parse_day(text, "--day")
    if days.until is not None:
        raise InputError("--day already sets the last day to read: write --days A..")
    return replace(days, until=day, utc_offset=offset or days.utc_offset), day


def _by_day(values: dict[str, Any], job: Job, day: date, held: OpenOutputs) -> dict[str, Any]:
    """Direct a command's output to the folder of a day, and its input to earlier days."""
    is_one_file, out_name = job.by_day == "file", job.output
    out = str(values[out_name])
    of_day = files.join(out, listening.day_folder(day))
    if is_one_file:
        of_day = files.join(of_day, DAY_FILE)
    held.day_before = listening.day_before(out, day)
    if values.get("recall") is not None:
        values["recall"] = path_or_uri(listening.folder_of_day(str(values["recall"]), day))
    held.of_day, held.is_one_file = runs.record_of(out), is_one_file
    return {**values, out_name: path_or_uri(of_day)}


def _chosen(place: Any, days: "listening.Days | None") -> Path:
    return listening.select_days(place, days or listening.Days())
