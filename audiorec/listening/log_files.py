"""Find the files of a log, a single file or a folder of files by day; and folders of days.

    plays.parquet                      ──opened_log─▶  one file
    plays/dt=2026-11-25/a.parquet, …   ──opened_log─▶  the files, day by day
    s3://bucket/plays/, days           ──select_days──▶  a small file that lists local copies
    folder_before("export/dt=DAY")      ──▶  the folder of the newest earlier day of an output

A day goes from midnight to midnight, in UTC or at a given offset.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from audiorec.errors import DamagedFileError, InputError, MissingFileError
from audiorec.files.copies import (
    MOST_FILES,
    cache_folder,
    cache_name,
    check_name,
    listed,
    local_files,
    show_as,
    with_local,
)
from audiorec.files.own_files import read_object, write_own
from audiorec.files.storage import files_in, is_folder, is_uri, join

DAY_KEYS = ("dt", "day", "date", "ds")
DAY_SECONDS = 86_400.0
_DAY = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)")
_WITH_OFFSET = re.compile(r"(.*?)([+-]\d\d:\d\d)?")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_MOST_OFFSET = timedelta(hours=18)  # as in Java and Arrow


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Range of the days of a log to read.

    Attributes
    ----------
    since, until : date, optional
        First and last day, both inclusive. Folders of other days are not opened, and rows with a
        time after the end of `until` are left out in any folder.
    utc_offset : str
        UTC offset of midnight, such as ``+08:00``; empty for UTC.
    """

    since: date | None = None
    until: date | None = None
    utc_offset: str = ""

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since > self.until:
            raise InputError(f"since ({self.since}) is later than until ({self.until})")
        offset_s(self.utc_offset)

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None or bool(self.utc_offset)

    @property
    def starts_s(self) -> float | None:
        """Start of the first day, in seconds since 1970; None if there is no first day."""
        return None if self.since is None else day_starts_s(self.since, self.utc_offset)

    @property
    def ends_s(self) -> float | None:
        """End of the last day, in seconds since 1970; None if there is no last day."""
        return (
            None if self.until is None else day_starts_s(self.until, self.utc_offset) + DAY_SECONDS
        )


def parse_day(text: str, what: str = "a day") -> date:
    """Parse ``2026-11-25`` or ``20261125``; `what` names the value in error messages.

    Examples
    --------
    >>> parse_day("2026-11-25"), parse_day("20261125")
    (datetime.date(2026, 11, 25), datetime.date(2026, 11, 25))
    """
    result = _DAY.fullmatch(text.strip())
    try:
        if result:
            return date(*map(int, result.groups()))
    except ValueError:
        pass
    raise InputError(f"{what} must be written as 2026-11-25, got {text[:40]!r}")


def parse_days(text: str, what: str = "days") -> Days:
    """Parse ``2026-11-01..2026-11-25``; either end may be left out, and an offset may follow.

    Examples
    --------
    >>> found = parse_days("2026-11-01..2026-11-25+08:00")
    >>> str(found.since), str(found.until), found.utc_offset
    ('2026-11-01', '2026-11-25', '+08:00')
    >>> parse_days("..2026-11-25").since is None
    True
    """
    first, dots, rest = text.strip().partition("..")
    last, offset = with_offset(rest)
    if not dots or not (first or last):
        raise InputError(
            f"{what} must be written as 2026-11-01..2026-11-25; one end may be left out, got "
            f"{text[:40]!r}"
        )
    since, until = (parse_day(end, what) if end else None for end in (first, last))
    return Days(since=since, until=until, utc_offset=offset)


def with_offset(text: str) -> tuple[str, str]:
    """Return a day as text, and the UTC offset behind it.

    Examples
    --------
    >>> with_offset("2026-11-25-08:00"), with_offset("2026-11-25")
    (('2026-11-25', '-08:00'), ('2026-11-25', ''))
    """
    offset = _WITH_OFFSET.fullmatch(text.strip())
    return (offset[1], offset[2] or "") if offset else (text, "")


def offset_s(text: str) -> float:
    """Parse a UTC offset as seconds: ``+08:00`` gives 28,800, an empty text 0."""
    result = _OFFSET.fullmatch(text)
    if not text:
        return 0.0
    if result is not None:
        sign, hours, minutes = result.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        if int(minutes) < 60 and offset <= _MOST_OFFSET:
            return offset.total_seconds() * (-1 if sign == "-" else 1)
    raise InputError(f"a UTC offset must be written as +08:00, got {text[:40]!r}")


def day_starts_s(day: date, utc_offset: str = "") -> float:
    """Return when a day begins, in seconds since 1970.

    Examples
    --------
    >>> day_starts_s(date(1970, 1, 2)), day_starts_s(date(1970, 1, 2), "+08:00")
    (86400.0, 57600.0)
    """
    zone = timezone(timedelta(seconds=offset_s(utc_offset)))
    return (
        datetime(day.year, day.month, day.day, tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)
    ).total_seconds()


def day_of(keys: dict[str, str]) -> date | None:
    """Return the day named by the ``key=value`` parts of a path; None if there is none.

    Examples
    --------
    >>> day_of({"country": "cn", "dt": "2026-11-25"})
    datetime.date(2026, 11, 25)
    >>> day_of({"year": "2026", "month": "11", "day": "25"})
    datetime.date(2026, 11, 25)
    """
    parts = [keys.get(name, "") for name in ("year", "month", "day")]
    if all(part.isdecimal() and len(part) <= 4 for part in parts):
        year, month, day = (
            f"{int(part):0{width}}" for part, width in zip(parts, (4, 2, 2), strict=True)
        )
        return parse_day(f"{year}-{month}-{day}")
    for name in DAY_KEYS:
        if name in keys and _DAY.fullmatch(keys[name]):
            return parse_day(keys[name])
    return None


def day_folder(day: date) -> str:
    """Return the folder name of a day.

    Examples
    --------
    >>> day_folder(date(2026, 11, 25))
    'dt=2026-11-25'
    """
    return f"dt={day.isoformat()}"


FAILURE = "cannot be read"
CHOSEN_END = ".log.json"  # suffix of files that `select_days` writes
CHOSEN = "logs"  # their folder in the cache
SCHEMA_NAME = "audiorec/log-files/1"
KEPT_S = 30 * 86_400.0  # retention of these files after the last use
PARQUET_ENDS = (".parquet", ".pq")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_HIDDEN = re.compile(r"[_.]")  # hidden, as in Spark; except _name=value
_COPYING = "._COPYING_"  # suffix of incomplete files in HDFS


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of a log."""

    path: Path
    name: str  # in the folder, with forward slashes
    day: date | None = None
    keys: Mapping[str, str | None] = field(default_factory=dict)  # key=value parts of its folders

    @property
    def folder(self) -> str:
        """Name of its folder; the rows of a folder were delivered together."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFiles:
    """The files of a log, in reading order."""

    name: str  # path or URI of the log, for messages
    files: tuple[LogFile, ...]
    days: Days = field(default_factory=Days)  # the selected days; falsy if all are read
    is_folder: bool = False


def opened_log(path: Path) -> LogFiles:
    """Return the files of a log, given a file, a folder, or a file written by `select_days`.

    Folders have the layout of Hive and Spark: ``key=value`` at any level, one of them the day
    (``dt``, ``day``, ``date``, ``ds``, or ``year``, ``month`` and ``day``). Names that begin with
    ``_`` or ``.`` are ignored. A key with the name of a log column supplies that column if the file
    lacks it.

    Raises `MissingFileError` if there is none, or no Parquet file in the folder;
    `DamagedFileError` if only some of the files are in day folders, or a file is not Parquet.
    """
    if path.name.endswith(CHOSEN_END) and path.parent == _chosen_folder():
        return _read_chosen(path)
    if not path.is_dir():
        if not path.exists():
            raise MissingFileError(f"{path}: no such file")
        if not path.is_file():
            raise DamagedFileError(
                f"{path}: is a pipe or a device, but must be read twice; give a file"
            )
        return LogFiles(name=str(path), files=(LogFile(path, path.name),))
    names = []
    for above, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        names += [(Path(above) / name).relative_to(path).as_posix() for name in files]
        if len(names) > MOST_FILES:
            raise DamagedFileError(f"{path}: has more than {MOST_FILES} files")
    result = [_log_file(path / name, name, str(path)) for name in names if not _is_no_data(name)]
    return _ordered(str(path), result, Days())


def select_days(place: str | os.PathLike[str], days: Days) -> Path:
    """Return a local path for the selected days of a log, which every reader of logs accepts.

    Files of other days are neither opened nor downloaded. For selected days or a remote folder,
    the path is that of a small file in the user's cache, which lists the files; it can be passed
    to another process.

    Raises
    ------
    MissingFileError
        If the log does not exist, or has no data of these days.
    InputError
        If `days` has a first day and the log is a single file, or a folder without days.
    """
    text = os.fspath(place)
    if is_uri(text) and is_folder(text):
        entries = {entry.name: entry for entry in listed(text)}
        result = [_log_file(Path(), n, text) for n in entries if not _is_no_data(n)]
        log = _chosen(_ordered(text, result, days))
        paths = local_files([entries[one.name] for one in log.files])
        log = replace(log, files=tuple(map(_at, log.files, paths)))
    else:
        local = with_local(text)
        if not days:
            return local
        if not local.exists():
            raise MissingFileError(f"{text}: no such file")
        log = _chosen(replace(opened_log(local), name=text, days=days))
    about = {
        "schema": SCHEMA_NAME,
        "name": log.name,
        "since": days.since and days.since.isoformat(),
        "until": days.until and days.until.isoformat(),
        "utc_offset": days.utc_offset,
        "is_folder": log.is_folder,
        "files": [[str(one.path.absolute()), one.name] for one in log.files],
    }
    content = json.dumps(about, indent=1)
    folder = _chosen_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{cache_name(content)}{CHOSEN_END}"
    write_own(path, content)
    for old in folder.glob(f"*{CHOSEN_END}"):
        with suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > KEPT_S:
                old.unlink()
    show_as(path, text)
    return path


def is_rereadable(path: Path) -> bool:
    """Return whether a path is a file or folder, so that a log can be read from it twice."""
    return path.is_file() or path.is_dir()


def file_fingerprints(log: LogFiles) -> tuple[str, ...]:
    """Return the fingerprint (16 hex digits) of each file of a log, in reading order."""
    return tuple(_print(one.path) for one in log.files)


def log_fingerprint(log: Path | LogFiles) -> str:
    """Return the fingerprint (16 hex digits) of a log, to identify files derived from it.

    Of its files, their names and the last day; for a single file read whole, that of the file.
    """
    log = opened_log(log) if isinstance(log, Path) else log
    printed: list[Any] = [[one.name, _print(one.path)] for one in log.files]
    if not log.is_folder and log.days.until is None:
        return str(printed[0][1])
    until = log.days.until and log.days.until.isoformat()
    printed.append([until, log.days.utc_offset if until else ""])
    return hashlib.sha256(json.dumps(printed).encode()).hexdigest()[:16]


def _print(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _at(file: LogFile, path: Path) -> LogFile:
    return replace(file, path=path)


def _chosen_folder() -> Path:
    return cache_folder() / CHOSEN


def _read_chosen(path: Path) -> LogFiles:
    try:
        about = read_object(path)
        if about["schema"] != SCHEMA_NAME:
            raise ValueError("unknown schema")
        ends = {name: parse_day(about[name]) for name in ("since", "until") if about[name]}
        days = Days(utc_offset=about["utc_offset"], **ends)
        files = [LogFile(Path(where), name) for where, name in about["files"]]
        if about["is_folder"]:
            files = [_log_file(one.path, one.name, about["name"]) for one in files]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"{path}: damaged: {error}") from error
    show_as(path, about["name"])
    return LogFiles(
        name=about["name"], files=tuple(files), days=days, is_folder=bool(about["is_folder"])
    )


def _chosen(log: LogFiles) -> LogFiles:
    """Keep only the files of the selected days."""
    since, until = log.days.since, log.days.until
    if (since is None and until is None) or (not log.is_folder and since is None):
        return log
    if not log.is_folder:
        raise InputError(f"{log.name}: is a single file; days can only be selected in a folder")
    known = [one.day for one in log.files if one.day is not None]
    if not known:
        raise InputError(f"{log.name}: has no day folders to select from, such as dt=2026-11-25/")
    kept = [
        one
        for one in log.files
        if one.day is not None
        and (since is None or one.day >= since)
        and (until is None or one.day <= until)
    ]
    if not kept:
        raise MissingFileError(
            f"{log.name}: has days from {known[0]} to {known[-1]}, none of them selected"
        )
    return replace(log, files=tuple(kept))


def check_day(path: Path, day: date) -> None:
    """Check that a log in day folders has data of a day, which may not have arrived yet.

    Raises
    ------
    MissingFileError
        If the log has day folders, but none of this day.
    """
    log = opened_log(path)
    known = {one.day for one in log.files if one.day is not None}
    if log.is_folder and known and day not in known:
        raise MissingFileError(
            f"{log.name}: has no data of {day}; the newest day is {max(known)}; if it has not "
            f"arrived yet, wait for {day_folder(day)}/_SUCCESS"
        )


def _ordered(name: str, found: list[LogFile], days: Days) -> LogFiles:
    if not found:
        raise MissingFileError(f"{name}: is a folder without Parquet files of a log")
    dated = sum(one.day is not None for one in found)
    if 0 < dated < len(found):
        odd = next(one for one in found if one.day is None)
        raise DamagedFileError(f"{name}: {odd.name} is not in a day folder, unlike other files")
    found.sort(key=lambda one: (one.day or date.min, one.name))
    return LogFiles(name=name, files=tuple(found), days=days, is_folder=True)


def _log_file(path: Path, name: str, folder: str) -> LogFile:
    check_name(name, folder)
    if not name.lower().endswith(PARQUET_ENDS):
        raise DamagedFileError(
            f"{folder}: contains {name}; a log folder may have only Parquet files"
        )
    keys: dict[str, str | None] = {}
    for part in name.split("/")[:-1]:
        key, is_key, value = part.partition("=")
        if is_key:
            keys[key] = None if value == NO_VALUE else unquote(value)
    try:
        day = day_of({key: value for key, value in keys.items() if value is not None})
    except InputError as error:
        raise DamagedFileError(f"{folder}: {name}: {error}") from error
    return LogFile(path, name, day, keys)


def _is_hidden(name: str) -> bool:
    return bool(_HIDDEN.match(name)) and not ("=" in name and name.startswith("_"))


def _is_no_data(name: str) -> bool:
    return name.endswith(_COPYING) or any(map(_is_hidden, name.split("/")))


_KEY = "dt="


def days_in(place: str) -> list[date]:
    """Return the days for which a folder has outputs, in ascending order."""
    if is_uri(place):
        names = {entry.name.partition("/")[0] for entry in files_in(place)}
    else:
        there = Path(place)
        names = set(os.listdir(there)) if there.is_dir() else set()  # noqa: PTH208
    days = (name.removeprefix(_KEY) for name in names if name.startswith(_KEY))
    return sorted(parse_day(text) for text in days)


def folder_before(folder: Path) -> Path | None:
    """Return the newest day beside the folder of a day and before it; None if there is none."""
    before = [one for one in days_in(str(folder.parent)) if day_folder(one) < folder.name]
    is_day = folder.name.startswith("dt=")
    return folder.with_name(day_folder(before[-1])) if before and is_day else None


def folder_of_day(place: str, day: date) -> str:
    """Return the folder of a day, or `place` itself if it has no folder for this day."""
    of_day = join(place, day_folder(day))
    return of_day if is_folder(of_day) else place
