"""Record of a job: a small JSON file beside its output, with an entry for every earlier run.

    cands.parquet    ──▶  cands.parquet.run.json    beside the output, a file or a folder
    folder of parts  ──▶  run.json in it            may be in an object store

    a record, a run  ──write_run──▶  the record with that run
    folder, or the name of one  ──find_runs, find_run──▶  runs  ──compare_runs──▶  `RunDifference`
    run, runs before  ──run_warnings──▶  ["7.5 % of the songs failed (30 of 400), 0.5 % in ..."]

A record that cannot be read is left alone.
"""

import json
import math
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audiorec.distribution import own_version
from audiorec.errors import InputError, MissingFileError, MissingStoreError, StoreError
from audiorec.files import storage
from audiorec.files.own_files import parse_json, read_own
from audiorec.files.storage import exists, is_folder, is_uri, join
from audiorec.runs.report import LEAST_INDEPENDENT, Drift, ScoreDistribution, drifts

RECORD_FORM = "audiorec/run/"
RECORD_SCHEMA = f"{RECORD_FORM}1"
MAX_RECORD_BYTES = 16 << 20
MAX_HISTORY = 100  # runs
MAX_WORDS, MAX_TEXT = 200, 2000  # words of a command line, letters of one text
PERSONAL = {"--user"}  # options whose value names a person: left out of records
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
        Differences from earlier runs; see `audiorec.runs.record`.
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
    def from_dict(cls, content: Any) -> "JobRun":
        """Parse a run from `to_dict`; raise `ValueError`, in one line, for anything else."""
        try:
            given: dict[str, Any] = dict.fromkeys(
                ("run_id", "job", "output", "started_at", "ended_at"), ""
            )
            given |= {one.name: content[one.name] for one in fields(cls) if one.name in content}
            given |= {name: tuple(given.get(name, ())) for name in ("arguments", "warnings")}
            given["scores"] = ScoreDistribution.from_dict(given.get("scores"))
            run = cls(**given)
            datetime.fromisoformat(run.started_at)
            sum((run.exit_code, run.wall_s, run.cpu_s, *run.counts.values()))  # only numbers
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a run: {error}") from error
        return run


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
    content = _read_record(name)
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

    ::

        {"schema": "audiorec/run/1", "run_id": ..., "job": "recall candidates", "output": ...,
         "started_at": ..., "ended_at": ..., "exit_code": 0, "arguments": [...], "versions": {...},
         "wall_s": 12.5, "cpu_s": 11.9, "counts": {"users": 1200, "rows": 120000}, "warnings": [],
         "history": [{"run_id": ..., ...}, ...]}

    The record describes the last run that completed or was stopped; what made the output (spec,
    weights, a full report) is stored once. `history` has the last hundred runs, including this one
    and those that ended in an error.

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
    content = _read_record(place, otherwise=LEFT_ALONE)
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


def _read_record(place: str, *, otherwise: str = "") -> dict[str, Any] | None:
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
            return content
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        pass
    raise StoreError(f"{place}: not a record of a run{otherwise}")


def _runs(content: Mapping[str, Any]) -> list[JobRun]:
    if content["schema"] != RECORD_SCHEMA:
        raise ValueError(f"its form is {content['schema']}, this audiorec reads {RECORD_SCHEMA}")
    history = content.get("history")
    if not isinstance(history, list):
        raise ValueError("it has no history")
    return [JobRun.from_dict(one) for one in history[-MAX_HISTORY:]]


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
        f"{folder}; to list runs: audiorec runs"
    )


def runs_of(name: str) -> list[JobRun]:
    """Return the runs of an output or a record, by path or URI, oldest first.

    Empty if there is no record.
    """
    if name.endswith(SHARDS_RECORD) and _is_there(name):
        return read_runs(name)
    if _is_there(record_of(name)):
        return read_runs(record_of(name))
    if is_folder(name):  # maybe a folder of parts
        return runs_before(join(name, SHARDS_RECORD))
    return []


def _is_there(place: str) -> bool:
    return exists(place) if is_uri(place) else os.path.lexists(place)  # a link is refused, later


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


WENT_THROUGH = (0, 3)  # exit codes of a completed run
LEAST_SONGS = 50  # opened by a run; with fewer its share of failures is not compared
MORE_FAILURES = 0.01  # share of the songs
CHANCE = 0.001
WATCHED = ("rows", "songs", "users", "lists", "sequences")
ENOUGH = 20  # smaller counts may halve by chance
FEWER_ANSWERED = 0.75  # of the share of users before
FEWEST_KEPT = 0.5  # of the songs in lists
FACTORS = {"lists/popularity": 1.5, "lists/songs": 1.5}  # up or down
WORDS = {"lists/popularity": "plays of a song in the lists", "lists/songs": "songs in the lists"}
CHANNELS = {"proposed/": "proposed {n} songs", "channels/": "has {n} songs in the lists"}


def run_warnings(run: JobRun, before: Sequence[JobRun]) -> list[str]:
    """Return one line for each difference from the runs before; none for a stopped run.

    A run is compared with the last completed run of the same job into the same output that has
    enough data. There are five kinds of warning:

    - **failures**: at least twice the share of songs, at least one in a hundred more, and a
      difference that chance makes less than once in a thousand runs (Fisher's exact test);
    - **scores** that drifted (`audiorec.runs.report`);
    - **less**: fewer than half as many rows, songs, users or lists;
    - **channels** of recall that proposed nothing, or less than a tenth as much; or that have no
      song in the lists; or that propose songs to a quarter fewer of the users;
    - **lists** of recall that share hardly a song with those before, whose songs are far more or
      less popular, or that have far more or fewer different songs.
    """
    if run.exit_code not in WENT_THROUGH:
        return []
    earlier = [r for r in before if r.job == run.job and r.exit_code in WENT_THROUGH]
    last = earlier[-1] if earlier else None
    warnings = _failures(run, _last(earlier, lambda r: r.counts.get("opened", 0) >= LEAST_SONGS))
    warnings += _scores(run, _last(earlier, lambda r: r.scores.independent >= LEAST_INDEPENDENT))
    warnings += _less(run, last)
    return warnings + _channels(run, last) + _lists(run, last)


def _last(runs: Sequence[JobRun], fits: Callable[[JobRun], bool]) -> JobRun | None:
    return next((run for run in reversed(runs) if fits(run)), None)


def _when(run: JobRun) -> str:
    return f"in the run of {run.started_at[:16].replace('T', ' ')}"


def _failures(run: JobRun, last: JobRun | None) -> list[str]:
    opened, failed = run.counts.get("opened", 0), run.counts.get("failed", 0)
    if last is None or not opened:
        return []
    n, k = last.counts["opened"], last.counts.get("failed", 0)
    share, usual = failed / opened, k / n
    if share < max(2 * usual, usual + MORE_FAILURES):
        return []
    if chance_of((round(k), round(n)), (round(failed), round(opened))) > CHANCE:
        return []
    now, then = (f"{100 * one:.1f} %" for one in (share, usual))
    return [f"{now} of the songs failed ({failed:,.0f} of {opened:,.0f}), {then} {_when(last)}"]


def chance_of(before: tuple[int, int], now: tuple[int, int]) -> float:
    """Return the probability of this many failures or more if both runs fail at the same rate.

    Fisher's exact test, one-sided: given the total failures of both runs, they are distributed
    over the songs of both at random. Each run is given as (failures, songs).

    Examples
    --------
    >>> f"{chance_of((0, 3), (3, 3)):.2f}"
    '0.05'
    """
    (k, n), (failed, opened) = before, now
    both = failed + k
    whole = _log_choices(opened + n, both)
    terms = (
        _log_choices(opened, i) + _log_choices(n, both - i) - whole
        for i in range(failed, min(both, opened) + 1)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))


def _log_choices(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _scores(run: JobRun, last: JobRun | None) -> list[str]:
    if last is None:
        return []
    drifted = [one for one in drifts(last.scores, run.scores) if one.is_drift]
    if not drifted:
        return []
    first = drifted[0]
    more = f", and {len(drifted) - 1} more" if len(drifted) > 1 else ""
    other = "; another extractor made them" if run.extractor_id != last.extractor_id else ""
    means = f"{first.now:.2f} on average, {first.before:.2f} {_when(last)}"
    psi = f"PSI {first.psi:.2f}"
    return [f"scores have drifted: {first.name} is {means} ({psi}){more}{other}"]


def _less(run: JobRun, last: JobRun | None) -> list[str]:
    if last is None:
        return []
    return [
        f"{run.counts[name]:,.0f} {name}, {last.counts[name]:,.0f} {_when(last)}"
        for name in WATCHED
        if name in run.counts
        and last.counts.get(name, 0) >= ENOUGH
        and run.counts[name] < last.counts[name] / 2
    ]


def _channels(run: JobRun, last: JobRun | None) -> list[str]:
    channels = []
    for name, n in run.counts.items():
        for beginning, says in CHANNELS.items():
            if not name.startswith(beginning):
                continue
            usual = last.counts.get(name, 0) if last is not None else 0
            if n == 0 or (usual >= ENOUGH and n < usual / 10):
                was = f", {usual:,.0f} {_when(last)}" if usual and last is not None else ""
                text = says.format(n=f"{n:,.0f}" if n else "no")
                channels.append(f"channel {name.removeprefix(beginning)} {text}{was}")
    return channels


def _lists(run: JobRun, last: JobRun | None) -> list[str]:
    """Return how lists of recall, and the users whom channels answer, differ from the last run."""
    if last is None or last.counts.get("users", 0) < ENOUGH:
        return []
    now, then, lists = run.counts, last.counts, []
    if (kept := now.get("lists/kept", 1.0)) < FEWEST_KEPT:
        lists.append(f"{kept:.1%} of the songs in the lists are those {_when(last)}")
    for name, factor in FACTORS.items():
        if (usual := then.get(name, 0)) and not 1 / factor <= now.get(
            name, usual
        ) / usual <= factor:
            lists.append(f"{now[name]:,.0f} {WORDS[name]}, {usual:,.0f} {_when(last)}")
    for name, n in now.items():
        kind, _, channel = name.partition("/")
        share, usual = n / max(1, now.get("users", 0)), then.get(name, 0) / then["users"]
        if kind == "answered" and share < FEWER_ANSWERED * usual:
            was = f"{usual:.1%} {_when(last)}"
            lists.append(f"channel {channel} has songs for {share:.1%} of the users, {was}")
    return lists
