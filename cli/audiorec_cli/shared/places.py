"""Paths, URIs and days of commands: one rule, applied where a command is called.

    --vectors s3://bucket/vecs.parquet   ──local_values──▶  the path of a local copy
    -i plays/ --days ..2026-11-25        ──local_values──▶  a log of these days
    --out lists/ --day 2026-11-25        ──local_values──▶  lists/dt=2026-11-25/

The command itself sees local paths only. Outputs are local.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from audiorec.errors import InputError
from audiorec.files.storage import is_folder
from audiorec.options import WRITES, Field, chooses, writes
from audiorec_cli.shared.declared import Job
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.options import ADVANCED

if TYPE_CHECKING:
    from audiorec.listening.log_files import Days

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


class OfDay(NamedTuple):
    """The output of one day: where its record is, and the mark of a day that is one file."""

    record: str
    mark: Path | None


def day_fields(declared: Sequence[Field], *, by_day: bool) -> list[Field]:
    """Return the options on days that a command gets: it writes by day, or reads a log."""
    own = {one.name for one in declared}
    of_log = any(one.option.log for one in declared) and "days" not in own
    return [*([DAY] if by_day else ()), *([LOG_DAYS] if of_log else ())]


def local_values(
    declared: Sequence[Field], given: Mapping[str, Any], *, job: Job | None, here: str
) -> tuple[dict[str, Any], OfDay | None]:
    """Return the values of a command with local paths; with ``--day``, its output too.

    `here` says why the command refuses URIs; empty if it does not.
    """
    from audiorec.listening.log_files import check_day

    values, of_day = dict(given), None
    if job is not None and job.usual is not None and values[job.output] is None:
        values[job.output] = job.usual(values)
    added = {one.name for one in (DAY, LOG_DAYS) if one in declared}
    days, day = _days({name: values.pop(name) for name in added}) if added else (None, None)
    if day is not None and job is not None:
        of_day = _by_day(values, job, day)
    for one in declared:
        if one.is_path:
            values[one.name] = _local(values[one.name], one, days, here)
            log = values[one.name] if one.option.log else None
            if log is not None and of_day is not None and day is not None:
                check_day(log, day)
    return values, of_day


def check_kinds(declared: Sequence[Field], values: Mapping[str, Any]) -> None:
    """Refuse files of another kind than their options declare, before a command reads any."""
    for one in declared:
        if kind := one.option.holds:
            value = values[one.name]
            for path in value if isinstance(value, list) else [value]:
                if path is not None:
                    check(path, InputKind(kind))


def _local(value: Any, declared: Field, days: "Days | None", here: str) -> Any:
    """Return a local path for a path or URI, or a list of them."""
    if isinstance(value, (list, tuple)):
        return [_local(one, declared, days, here) for one in value]
    from audiorec.listening.log_files import Days, select_days

    if not isinstance(value, str):  # a URI is a text
        is_chosen = value is not None and declared.option.log and days
        return select_days(value, days) if is_chosen and days else value
    option = declared.option
    if here:
        raise InputError(f"{value}: {click.get_current_context().command_path} {here}")
    if option.takes_uri:
        return value
    if option.reach == WRITES:
        name = declared.name.upper() if option.argument else f"--{declared.key}"
        raise InputError(f"{value}: {name} must be a local path")
    from audiorec.files.copies import local_folder, with_local

    if option.only and is_folder(value):
        return local_folder(value, only=lambda name: bool(re.fullmatch(option.only, name)))
    if option.log:
        return select_days(value, days or Days())
    return with_local(value)


def _days(given: Mapping[str, Any]) -> "tuple[Days, date | None]":
    from audiorec.listening.log_files import Days, parse_day, parse_days, with_offset

    days = parse_days(given["days"], "--days") if given.get("days") else Days()
    if not given.get("day"):
        return days, None
    text, offset = with_offset(given["day"])
    day = parse_day(text, "--day")
    if days.until is not None:
        raise InputError("--day already sets the last day to read: write --days A..")
    return replace(days, until=day, utc_offset=offset or days.utc_offset), day


def _by_day(values: dict[str, Any], job: Job, day: date) -> OfDay:
    """Direct a command's output to the folder of a day, and its input to that day."""
    from audiorec.listening.log_files import day_folder, folder_of_day
    from audiorec.runs.record import record_of

    out, mark = values[job.output], None
    if isinstance(out, str):
        raise InputError(f"{out}: --out must be a local path")
    values[job.output] = out / day_folder(day)
    if job.by_day == "file":
        mark = values[job.output] / SUCCESS
        values[job.output] /= DAY_FILE
        mark.parent.mkdir(parents=True, exist_ok=True)
    if values.get("recall") is not None:
        values["recall"] = Path(folder_of_day(str(values["recall"]), day))
    return OfDay(record_of(str(out)), mark)
