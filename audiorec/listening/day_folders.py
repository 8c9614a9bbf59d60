"""Outputs in day folders, such as ``lists/dt=2026-11-25/``.

day_before("export", day)  ──▶  the folder of the newest earlier day, by path or URI
"""

import os
from datetime import date
from pathlib import Path

from audiorec.files.storage import files_in, is_folder, is_uri, join
from audiorec.listening.days import day_folder, parse_day

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


def day_before(place: str, day: date) -> str | None:
    """Return the folder of the newest day before `day`; None if there is none."""
    before = [one for one in days_in(place) if one < day]
    return join(place, day_folder(before[-1])) if before else None


def folder_of_day(place: str, day: date) -> str:
    """Return the folder of a day, or `place` itself if it has no folder for this day."""
    of_day = join(place, day_folder(day))
    return of_day if is_folder(of_day) else place
