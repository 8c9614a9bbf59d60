"""Find the files of a log: a single file, or a folder of files by day.

    plays.parquet                      ──log_files──▶  one file
    plays/dt=2026-11-25/a.parquet, …   ──log_files──▶  the files, day by day
    s3://bucket/plays/, days           ──select_days──▶  a small file that lists local copies

Folders have the layout of Hive and Spark: ``key=value`` at any level, one of them the day
(``dt``, ``day``, ``date``, ``ds``, or ``year``, ``month`` and ``day``). Names that begin with ``_``
or ``.`` are ignored. A key with the name of a log column supplies that column if the file lacks it.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
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
from audiorec.files.json_files import parse_json
from audiorec.files.own_files import read_own, replaced
from audiorec.files.storage import is_folder, is_uri
from audiorec.listening.days import Days, day_folder, day_of, parse_day

CHOSEN_END = ".log.json"  # suffix of files that `select_days` writes
CHOSEN = "logs"  # their folder in the cache
SCHEMA_NAME = "audiorec/log-files/1"
MAX_BYTES = 64 << 20
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
    """The files of a log, in reading order.

    Attributes
    ----------
    name : str
        Path or URI of the log, for messages.
    files : tuple of LogFile
    days : Days
        The selected days; falsy if all are read.
    is_folder : bool
    """

    name: str
    files: tuple[LogFile, ...]
    days: Days = field(default_factory=Days)
    is_folder: bool = False


def log_files(path: Path) -> LogFiles:
    """Return the files of a log, given a file, a folder, or a file written by `select_days`.

    Raises
    ------
    MissingFileError
        If the folder has no Parquet file of a log.
    InputError
        If only some of the files are in day folders, or a file is not Parquet.
    """
    if path.name.endswith(CHOSEN_END) and path.parent == _chosen_folder():
        return _read_chosen(path)
    if not path.is_dir():
        return LogFiles(name=str(path), files=(LogFile(path, path.name),))
    names = []
    for above, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        names += [(Path(above) / name).relative_to(path).as_posix() for name in files]
        if len(names) > MOST_FILES:
            raise InputError(f"{path}: has more than {MOST_FILES} files")
    found = [_log_file(path / name, name, str(path)) for name in names if not _is_no_data(name)]
    return _ordered(str(path), found, Days())


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
        found = [_log_file(Path(), n, text) for n in entries if not _is_no_data(n)]
        log = _chosen(_ordered(text, found, days))
        paths = local_files([entries[one.name] for one in log.files])
        log = replace(log, files=tuple(map(_at, log.files, paths)))
    else:
        local = with_local(text)
        if not days:
            return local
        if not local.exists():
            raise MissingFileError(f"{text}: no such file")
        log = _chosen(replace(log_files(local), name=text, days=days))
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
    with replaced(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
    for old in folder.glob(f"*{CHOSEN_END}"):
        with suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > KEPT_S:
                old.unlink()
    show_as(path, text)
    return path


def is_rereadable(path: Path) -> bool:
    """Return whether a path is a file or folder, so that a log can be read from it twice."""
    return path.is_file() or path.is_dir()


def log_name(path: Path) -> str:
    """Return the name of a log without its parent folders."""
    log = log_files(path)
    return log.name.rstrip("/").rpartition("/")[2] or log.name


def file_fingerprints(path: Path) -> tuple[str, ...]:
    """Return the fingerprint (16 hex digits) of each file of a log, in reading order."""
    return tuple(_print(one.path) for one in log_files(path).files)


def files_fingerprint(path: Path) -> str:
    """Return the fingerprint (16 hex digits) of a log: its files, their names and the last day.

    For a single file read whole, it is the fingerprint of the file.
    """
    if not path.is_dir() and not path.name.endswith(CHOSEN_END):
        return _print(path)
    log = log_files(path)
    told: list[Any] = [[one.name, _print(one.path)] for one in log.files]
    if not log.is_folder and log.days.until is None:
        return str(told[0][1])
    until = log.days.until and log.days.until.isoformat()
    told.append([until, log.days.utc_offset if until else ""])
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _print(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _at(file: LogFile, path: Path) -> LogFile:
    return replace(file, path=path)


def _chosen_folder() -> Path:
    return cache_folder() / CHOSEN


def _read_chosen(path: Path) -> LogFiles:
    try:
        about = parse_json(read_own(path, MAX_BYTES), max_bytes=MAX_BYTES)
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
    log = log_files(path)
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
        raise InputError(f"{name}: {odd.name} is not in a day folder, unlike other files")
    found.sort(key=lambda one: (one.day or date.min, one.name))
    return LogFiles(name=name, files=tuple(found), days=days, is_folder=True)


def _log_file(path: Path, name: str, folder: str) -> LogFile:
    check_name(name, folder)
    if not name.lower().endswith(PARQUET_ENDS):
        raise InputError(f"{folder}: contains {name}; a log folder may have only Parquet files")
    keys: dict[str, str | None] = {}
    for part in name.split("/")[:-1]:
        key, is_key, value = part.partition("=")
        if is_key:
            keys[key] = None if value == NO_VALUE else unquote(value)
    try:
        day = day_of({key: value for key, value in keys.items() if value is not None})
    except InputError as error:
        raise InputError(f"{folder}: {name}: {error}") from error
    return LogFile(path, name, day, keys)


def _is_hidden(name: str) -> bool:
    return bool(_HIDDEN.match(name)) and not ("=" in name and name.startswith("_"))


def _is_no_data(name: str) -> bool:
    return name.endswith(_COPYING) or any(map(_is_hidden, name.split("/")))
