"""Which day is served: a small file names it, and is replaced in one step.

    OUT/current.json ──read_current──▶ `Current` ──promoted──▶ another day, newer or older
    OUT ──served_folder──▶ OUT/dt=DAY/; OUT itself, if no run of a day was ever promoted there

Only days are read from the file, so it cannot lead out of the folder; links are not followed.

The steps of a nightly job and the files that say what is done.

state.json: fingerprint and cost of each finished step   run.json: the record of a finished run
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from audiorec.columns import ShownColumns
from audiorec.errors import (
    AudiorecError,
    DamagedFileError,
    InputError,
    MissingFileError,
    StoreError,
)
from audiorec.files.own_files import (
    parse_json,
    read_own,
    refuse_link,
    refuse_other_than_folder,
    replaced,
)
from audiorec.files.storage import exists, is_uri, join, read, write
from audiorec.listening.log_files import day_folder, days_in, parse_day
from audiorec.recall.serving.nightly.plan import file_stem

RECORD = "run.json"
STATE = "state.json"  # fingerprint and cost of each finished step
FUSED, JUDGED = "fused.parquet", "judged.json"
LAST = "last.parquet"  # the lists of the last night, while a run compares them with its own
REPORT = "report.md"
JUDGE, TRAIN, ASK, FUSE = "judge", "train", "ask", "fuse"
REST, TELL, NOTE, PROMOTE = "default", "report", "note", "promote"
RANK, RANKED = "lists", "lists.parquet"  # playlists that people made
DAILY = ("interactions", "exposures")  # files that may be folders of days
MAX_STATE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a job.

    Attributes
    ----------
    name : str
        ``judge``, ``train CHANNEL``, ``ask CHANNEL``, ``fuse``, ``default``, ``report``, ``note``,
        ``lists``, ``promote``.
    out : Path
    made_from : str
        Fingerprint of everything that determines the output.
    is_done : bool
        Whether the output exists with this fingerprint.
    cpu_s : float or None
        CPU seconds of the last run; None if it never ran.
    """

    name: str
    out: Path
    made_from: str
    is_done: bool
    cpu_s: float | None


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its finished worker processes."""
    return sum(os.times()[:4])


def read_file(place: str | os.PathLike[str]) -> bytes | None:
    """Return the content of a file of the job, by path or URI; None if there is none."""
    if is_uri(place):
        return read(os.fspath(place), max_bytes=MAX_STATE_BYTES)
    with suppress(FileNotFoundError):
        return read_own(Path(place), MAX_STATE_BYTES)
    return None


def read_json(place: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the object in a file of the job; empty if there is none, or it is damaged."""
    with suppress(ValueError):
        found = parse_json(read_file(place) or b"", max_bytes=MAX_STATE_BYTES)
        return found if isinstance(found, dict) else {}
    return {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object, atomically."""
    with replaced(path) as part:
        part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def bytes_of(out: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    files = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)


CURRENT = "current.json"
SCHEMA = "audiorec/recall-current/1"
MOST_BEFORE = 100  # earlier days that are remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The day that is served.

    Attributes
    ----------
    day : date
    before : tuple of date
        Days that were served before, the newest first; all earlier than `day`.
    withdrawn : tuple of date
        Later days that were served and taken back; no run promotes them again.
    """

    day: date
    before: tuple[date, ...] = ()
    withdrawn: tuple[date, ...] = ()


def promoted(current: Current | None, day: date) -> Current:
    """Return what is served once `day` is; later days that were served count as taken back.

    Examples
    --------
    >>> from datetime import date
    >>> first, second = date(2026, 1, 1), date(2026, 1, 2)
    >>> back = promoted(promoted(promoted(None, first), second), first)
    >>> back.day == first, back.before, back.withdrawn == (second,)
    (True, (), True)
    """
    if current is None:
        return Current(day=day)
    known = sorted({current.day, *current.before, *current.withdrawn} - {day}, reverse=True)
    served = {current.day, *current.before}
    return Current(
        day=day,
        before=tuple(one for one in known if one < day and one in served)[:MOST_BEFORE],
        withdrawn=tuple(one for one in known if one > day),
    )


def read_current(root: str | os.PathLike[str]) -> Current | None:
    """Return which day of an output folder (path or URI) is served; None if there is no file.

    Raises
    ------
    DamagedFileError
        If the file does not name days.
    StoreError
        If it is a link, or cannot be read.
    """
    place = join(os.fspath(root), CURRENT)
    content = read_file(place)
    if content is None:
        return None
    try:
        found = parse_json(content, max_bytes=MAX_STATE_BYTES)
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise ValueError(f"is not of {SCHEMA}")
        before, withdrawn = (_days(found[name]) for name in ("before", "withdrawn"))
        return Current(day=_days([found["day"]])[0], before=before, withdrawn=withdrawn)
    except (InputError, KeyError, ValueError) as error:
        raise DamagedFileError(
            f"{place}: does not say which day is served: {error}; write it again: "
            f"audiorec recall promote {os.fspath(root)} --day DAY"
        ) from error


def write_current(root: str | os.PathLike[str], current: Current) -> None:
    """Write which day is served, atomically."""
    place = join(os.fspath(root), CURRENT)
    if not is_uri(place):
        refuse_link(Path(place))
    content = {
        "schema": SCHEMA,
        "day": current.day.isoformat(),
        "before": [day.isoformat() for day in current.before],
        "withdrawn": [day.isoformat() for day in current.withdrawn],
    }
    write(place, f"{json.dumps(content, indent=1)}\n".encode())


def promote(root: str | os.PathLike[str], day: date | None = None) -> Current:
    """Serve a day whose run was finished, or without `day` the one that was served before.

    Raises
    ------
    MissingFileError
        If there is no such day, or nothing was served before.
    StoreError
        If the lists of the day are not whole.
    """
    place = os.fspath(root)
    try:
        current = read_current(root)
    except DamagedFileError:
        if day is None:
            raise
        current = None  # to name a day mends the file
    if day is None:
        earlier = () if current is None else current.before
        day = next((one for one in earlier if whole_run(join(place, day_folder(one)))), None)
        if day is None:
            raise MissingFileError(f"{place}: no day was served before this one")
    folder = join(place, day_folder(day))
    if day not in days_in(place):
        known = ", ".join(map(str, days_in(place)[-5:])) or "none"
        raise MissingFileError(f"{folder}: no such day; the newest there: {known}")
    if not whole_run(folder):
        raise StoreError(f"{folder}: the run of this day was not finished; run it again")
    found = promoted(current, day)
    write_current(place, found)
    return found


def served_folder(root: Path) -> Path:
    """Return the folder whose lists are served: that of the current day, or `root` itself.

    Raises
    ------
    StoreError
        If the day's lists are not whole, or a link is in the way.
    InputError
        If the folder has only days, and none is served.
    """
    current = read_current(root)
    if current is None:
        days = [] if (root / RECORD).exists() or not root.is_dir() else days_in(str(root))
        if days:
            raise InputError(
                f"{root}: no day is served yet; choose one: "
                f"audiorec recall promote {root} --day {days[-1]}"
            )
        return root
    folder = root / day_folder(current.day)
    refuse_other_than_folder(folder)
    if not whole_run(str(folder)):
        raise StoreError(f"{folder}: the lists of the day that is served are not whole")
    return folder


def served_files(root: Path) -> list[Path]:
    """Return the files whose replacement changes what is served from an output folder."""
    found = [root / CURRENT]
    with suppress(AudiorecError):  # told by `served_folder`
        night = served_folder(root)
        found += [night / RECORD, night / FUSED, *sorted(night.glob("models/*/model.json"))]
    return found


def whole_run(folder: str) -> dict[str, Any]:
    """Return the record of a run, if a folder (path or URI) has all of its lists; else nothing."""
    record, steps = (read_json(join(folder, name)) for name in (RECORD, STATE))
    fused = steps.get("steps", {})
    fused = fused.get(FUSE, {}) if isinstance(fused, dict) else {}
    names = record.get("order")
    if not isinstance(names, list) or not isinstance(fused, dict):
        return {}
    files = [FUSED, *(f"candidates/{file_stem(str(name))}.parquet" for name in names)]
    is_one_run = fused.get("made_from") == record.get(ShownColumns.RUN, "")
    return record if is_one_run and all(exists(join(folder, name)) for name in files) else {}


def _days(texts: Any) -> tuple[date, ...]:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("days are texts such as 2026-11-25")
    return tuple(parse_day(text) for text in texts)
