"""Inputs and outputs of a nightly run: paths or URIs, all data or one day.

    recall.toml  ──open_night──▶  `Night`: a job on local paths

A run of one day reads the log as of the end of that day: folders of later days are not opened, and
later rows are ignored. It writes ``OUT/dt=DAY/`` and reads the lists and exports of earlier days.
So the same command reproduces any past day.
"""

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from audiorec.errors import InputError
from audiorec.files.copies import with_local
from audiorec.files.storage import is_folder, is_uri, join, parent
from audiorec.files.user_files import read_settings
from audiorec.listening.log_files import (
    Days,
    check_day,
    day_folder,
    days_in,
    select_days,
)
from audiorec.recall.serving.export.exporting import EXPORT
from audiorec.recall.serving.export.folder import MANIFEST
from audiorec.recall.serving.nightly.current import (
    DAILY,
    MOST_BEFORE,
    Current,
    EarlierDays,
    NightlyPlan,
    promote,
    promoted,
    read_current,
    read_json,
    whole_run,
    write_current,
)
from audiorec.recall.serving.nightly.night import NightlyJob
from audiorec.recall.serving.nightly.promotion import PROMOTION, reason_of
from audiorec.runs.record import record_of

OUT = "out"


@dataclass(slots=True)
class Night:
    """A nightly job with the places of its output.

    Attributes
    ----------
    job : NightlyJob
        The job, on local paths.
    out : str
        The output, as given.
    record : str
        Place of the record of runs.
    root : str
        The folder of all days.
    day : date, optional
        The day, of a run of one day.
    """

    job: NightlyJob
    out: str
    record: str
    root: str = ""
    day: date | None = None

    def promote(self) -> "Decision | None":
        """Serve the day that was made, unless something speaks against it; None without a day."""
        if self.day is None:
            return None
        plan = self.job.plan
        verdict = read_json(plan.out / PROMOTION)
        current, day, why = read_current(self.root), self.day, reason_of(verdict)
        if current is not None and day in current.withdrawn:
            return Decision(is_served=False, why="it was taken back by hand")
        if current is not None and day < current.day:
            return Decision(is_served=False, why=f"{current.day}, a later day, is served")
        if verdict.get("refused"):
            if current is not None and day == current.day:  # made again since it was promoted
                promote(self.root)
            return Decision(is_served=False, is_refused=True, why=why)
        if current is None:  # of earlier revisions, every day was served
            earlier = tuple(one for one in reversed(days_in(self.root)) if one < day)
            write_current(self.root, Current(day=day, before=earlier[:MOST_BEFORE]))
        elif current.day != day:
            write_current(self.root, promoted(current, day))
        return Decision(is_served=True, why=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a day is served, and why, in words.

    Attributes
    ----------
    is_served : bool
    is_refused : bool
        Whether it was compared with what is served, and found worse.
    why : str
    """

    is_served: bool
    is_refused: bool = False
    why: str


def open_night(config: str | os.PathLike[str], day: date | None = None) -> Night:
    """Read the settings of a nightly run and fetch remote inputs.

    Parameters
    ----------
    config : path or URI
        A settings file with a table ``[recall]``. Places in it are paths relative to the file, or
        URIs.
    day : date, optional
        Make the lists as of the end of this day; by default from all data.

    Raises
    ------
    InputError
        If the settings cannot be used, a file is missing, or the log has no rows of the day.
    StoreError
        If a remote place cannot be read or written.
    """
    name = os.fspath(config)
    path = with_local(name)
    places = _Places(parent(name), day, str(read_settings(path, "recall").get("utc_offset", "")))
    plan = NightlyPlan.read(path, places.resolved)
    before = None
    if day is not None:
        check_day(plan.interactions, day)
        before = places.before()
    above = places.out if day is None else places.root
    return Night(NightlyJob(plan, before), places.out, record_of(above), places.root, day)


class _Places:
    """Resolver from places in a plan to local paths; fetches remote files."""

    def __init__(self, base: str, day: date | None, utc_offset: str) -> None:
        self._base, self._day = base, day
        self._days = Days(until=day, utc_offset=utc_offset)
        self.root = self.out = ""

    def resolved(self, name: str, text: str) -> Path:
        """Return the local path of a setting."""
        place = text if is_uri(text) or not self._base else join(self._base, text)
        if name == OUT:
            return self._written(place)
        if name in DAILY and (is_folder(place) or name == "interactions"):
            return select_days(place, self._days)
        return with_local(place)

    def _written(self, place: str) -> Path:
        self.root = place.rstrip("/") or place
        self.out = self.root if self._day is None else join(self.root, day_folder(self._day))
        if is_uri(self.out):
            raise InputError(f"{place}: out must be a local folder; copy it elsewhere afterwards")
        return Path(self.out)

    def before(self) -> EarlierDays:
        """Return lists and export of earlier days below the output."""
        day, ends_s = self._day, self._days.ends_s
        if day is None or ends_s is None:
            raise InputError("a run of one day needs a day")
        current = read_current(self.root)
        kept = [one for one in days_in(self.root) if one < day]
        if current is not None:  # not the days that were kept aside or taken back
            kept = [one for one in kept if one in {current.day, *current.before}]
        folders = [join(self.root, day_folder(one)) for one in reversed(kept)]
        last = folders[0] if folders else None
        whole = None if current is None else next(filter(whole_run, folders), None)
        return EarlierDays(
            ends_s=ends_s,
            export=self._export(last),
            lists=None if last is None else Path(last),
            nights=tuple(map(Path, folders)),
            served=None if whole is None else Path(whole),
        )

    def _export(self, before: str | None) -> Path | None:
        place = None if before is None else Path(before, EXPORT)
        return place if place is not None and (place / MANIFEST).exists() else None
