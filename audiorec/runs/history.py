"""Find the runs of a folder by their records, look one up by output or id, and compare two.

folder                       ──find_runs──▶ runs, newest first, and problems
"cands.parquet", "3fa91c"    ──find_run──▶ one run
a run, another               ──compare_runs──▶ `RunDifference`
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from audiorec.errors import InputError, MissingFileError, StoreError
from audiorec.runs.drift import Drift, drifts
from audiorec.runs.record import (
    ENDING,
    SHARDS_RECORD,
    JobRun,
    read_runs,
    record_of,
    runs_before,
)

LEAST_DIGITS = 4  # hex digits that an abbreviated id needs
MOST_RECORDS = 10_000  # record files in a folder
_ID = re.compile(rf"[0-9a-f]{{{LEAST_DIGITS},12}}")


@dataclass(frozen=True, slots=True)
class RunDifference:
    """How a run differs from an earlier one.

    Attributes
    ----------
    before, now : JobRun
    left_out, added : tuple of str
        Words of the command line that only one of the runs has.
    versions : dict of str to (str, str)
        Versions that differ, including extractor_id; an empty text if a run does not state it.
    counts : dict of str to (float or None, float or None)
        All counts, and the seconds.
    drifts : list of Drift
        One per class, largest first; empty if there are too few songs.
    """

    before: JobRun
    now: JobRun
    left_out: tuple[str, ...]
    added: tuple[str, ...]
    versions: dict[str, tuple[str, str]]
    counts: dict[str, tuple[float | None, float | None]]
    drifts: list[Drift]


def find_runs(folder: str | os.PathLike[str]) -> tuple[list[JobRun], list[str]]:
    """Read the records in a folder, excluding its subfolders.

    Returns
    -------
    runs : list of JobRun
        Newest first.
    problems : list of str
        One line for each file that is named like a record but cannot be read as one.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    InputError
        If it has more than 10,000 records.
    """
    place = Path(folder)
    if not place.is_dir():
        raise MissingFileError(f"{place}: no such folder")
    with os.scandir(place) as entries:
        names = sorted(
            e.name for e in entries if e.name.endswith(ENDING) or e.name == SHARDS_RECORD
        )
    if len(names) > MOST_RECORDS:
        raise InputError(f"{place}: has {len(names):,} records of runs; name an output instead")
    runs: list[JobRun] = []
    problems = []
    for name in names:
        try:
            runs += read_runs(place / name)
        except (StoreError, OSError) as error:
            if name != SHARDS_RECORD:  # other programs write a run.json, and so does recall run
                problems.append(str(error))
    return sorted(runs, key=lambda run: (run.started_at, run.ended_at), reverse=True), problems


def find_run(name: str, folder: str | os.PathLike[str] = ".") -> JobRun:
    """Find one run: the last one of an output or a record, or the one whose id begins with `name`.

    Raises
    ------
    MissingFileError
        If there is no such output, and no run with such an id in `folder`.
    InputError
        If several ids begin with `name`.
    StoreError
        If the record cannot be read.
    """
    runs = runs_of(name)
    if runs:
        return runs[-1]
    if _ID.fullmatch(name) and not Path(name).exists():
        ids = {run.run_id: run for run in find_runs(folder)[0] if run.run_id.startswith(name)}
        if len(ids) > 1:
            raise InputError(f"{name}: the ids of {len(ids)} runs begin with it; give more digits")
        for run in ids.values():
            return run
    raise MissingFileError(
        f"{name}: not a record of a run, not an output with one, and not the id of a run in "
        f"{folder}; to list runs: audiorec runs list"
    )


def runs_of(name: str) -> list[JobRun]:
    """Return the runs of an output or a record, oldest first; empty if there is no record."""
    if name.endswith(SHARDS_RECORD) and os.path.lexists(name):
        return read_runs(name)
    if os.path.lexists(record_of(name)):
        return read_runs(record_of(name))
    if Path(name).is_dir():  # maybe a folder of parts
        return runs_before(os.path.join(name, SHARDS_RECORD))  # noqa: PTH118 - a text
    return []


def compare_runs(before: JobRun, now: JobRun) -> RunDifference:
    """Return how one run differs from another."""
    names = sorted(before.versions.keys() | now.versions.keys())
    versions = {name: (before.versions.get(name, ""), now.versions.get(name, "")) for name in names}
    versions["extractor_id"] = (before.extractor_id, now.extractor_id)
    counts: dict[str, tuple[float | None, float | None]] = {
        name: (before.counts.get(name), now.counts.get(name))
        for name in sorted(before.counts.keys() | now.counts.keys())
    }
    counts["wall_s"] = (before.wall_s, now.wall_s)
    counts["cpu_s"] = (before.cpu_s, now.cpu_s)
    return RunDifference(
        before=before,
        now=now,
        left_out=tuple(word for word in before.arguments if word not in now.arguments),
        added=tuple(word for word in now.arguments if word not in before.arguments),
        versions={name: pair for name, pair in versions.items() if pair[0] != pair[1]},
        counts=counts,
        drifts=drifts(before.scores, now.scores),
    )
