"""What a nightly run is to do, what it has done, and which day is served.

    recall.toml ──NightlyPlan.read──▶ `NightlyPlan`
    channel, data, the day before ──train_night──▶ a model; every so many of a channel are full
    OUT/current.json ──read_current──▶ `Current` ──promoted──▶ another day, newer or older
    OUT ──served_folder──▶ OUT/dt=DAY/; OUT itself, if no run of a day was ever promoted there

Only days are read from ``current.json``, so it cannot lead out of the folder; links are not
followed.
"""

import json
import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from audiorec.columns import ShownColumns
from audiorec.errors import (
    AudiorecError,
    ChannelFailedError,
    DamagedFileError,
    InputError,
    LostBlocksError,
    MissingFileError,
    SpecMismatchError,
    StoreError,
    WeightsError,
)
from audiorec.files.own_files import (
    NO_ROOM,
    parse_json,
    read_own,
    refuse_link,
    refuse_other_than_folder,
    write_own,
)
from audiorec.files.storage import exists, is_uri, join
from audiorec.files.user_files import from_table, read_settings
from audiorec.listening.log_files import day_folder, days_in, offset_s, parse_day
from audiorec.options import check_fields
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import RecallData
from audiorec.recall.contract.training import train_channel
from audiorec.recall.contract.warm import check_start
from audiorec.recall.registry import EXTERNAL, channel_class, is_external, load_channel
from audiorec.recall.serving.answers import DEPTH, CandidatesQuestion
from audiorec.recall.serving.export.exporting import ExportRecipe
from audiorec.recall.serving.rules import FusionRecipe

NAME = re.compile(r"[^A-Za-z0-9._-]+")  # what a file name does not hold
Resolve = Callable[[str, str], Path]  # (name of a setting, its text) → local path


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierDays:
    """Output of earlier days, for a run of one day.

    Attributes
    ----------
    ends_s : float
        End of the day, in seconds since 1970.
    export : Path, optional
        The export of the newest earlier day.
    lists : Path, optional
        The folder of that day, with its lists.
    nights : tuple of Path
        The folders of all earlier days that were not taken back, the newest first.
    served : Path, optional
        The folder of the newest earlier day that was promoted, with its models.
    """

    ends_s: float
    export: Path | None = None
    lists: Path | None = None
    nights: tuple[Path, ...] = ()
    served: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NightlyPlan:
    """The table ``[recall]`` of a settings file.

    Attributes
    ----------
    interactions, out : Path
        The listening log, and the output folder. Paths are relative to the settings file.
    channels : tuple of str
        Channels to train on the log, by name or as ``module:Class``; kept as names.
    vectors, features, songs, side, profiles, triples : Path, optional
        Information on songs and users; see `read_context`.
    exposures : Path, optional
        Impressions: `user_id`, `song_id`, `shown_at`, of every list that was displayed; a table, or
        a folder of tables by day. Only these count as shown.
    lists : Path, optional
        Playlists that people made: a log with ``playlist`` events. Every user gets the best ones.
    k : int
        Songs per user.
    depth : int
        Candidates per channel and user.
    keep_heard : bool
        Allow songs that the user has played.
    entry : str
        The product that the lists are for.
    exposure_days : float
        Days during which a shown song is excluded; 0: shown songs are not excluded.
    settings : mapping of str to mapping
        Recipe settings, by channel.
    required : tuple of str
        Channels without which there is no night. Any other one that fails is left out of it.
    skip_bad_rows : bool
        Leave out, and count, rows of the logs that cannot be used; otherwise they end the night.
    full_every : int
        For runs of one day: every so many trainings of a channel are full, and the others go on
        from the model of the day before, where the channel can; 1: all are full.
    weights : mapping of str to float
        By channel; 1 for channels that are not named. By default they are learnt every night
        (`audiorec.recall.serving.nightly.weighing`).
    fusion : mapping
        Settings of `FusionRecipe`, except ``k`` and ``weights``: caps, shares and dials.
    export : mapping, optional
        Settings of `audiorec.recall.serving.export.exporting.ExportRecipe`; None: no export.
    judge_share : float
        For a run of one day: the share of users whose newest song no night trains on; the lists of
        a day are judged by it before they are served. 0: nothing is judged.
    margin : float
        For a run of one day: the share of the served lists' hit rate that new lists may lose.
    least_rows : float
        For a run of one day: the share of a usual day's rows that the day must have to be served;
        0: any number.
    utc_offset : str
        Offset of local midnight for a run of one day, such as ``+08:00``; empty for UTC.
    tables : mapping of str to Path
        The local table of each channel ``external:FILE``. Set by `read`, not in the file.
    """

    interactions: Path
    out: Path
    channels: tuple[str, ...]
    vectors: Path | None = None
    features: Path | None = None
    songs: Path | None = None
    side: Path | None = None
    profiles: Path | None = None
    triples: Path | None = None
    exposures: Path | None = None
    lists: Path | None = None
    k: int = 100
    depth: int = DEPTH
    keep_heard: bool = False
    entry: str = "daily"
    exposure_days: float = 7.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    skip_bad_rows: bool = True
    full_every: int = 1
    weights: Mapping[str, Any] = field(default_factory=dict)
    fusion: Mapping[str, Any] = field(default_factory=dict)
    export: Mapping[str, Any] | None = None
    judge_share: float = 0.2
    margin: float = 0.05
    least_rows: float = 0.1
    utc_offset: str = ""
    tables: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = tuple(channel_class(named).name for named in self.channels)
        object.__setattr__(self, "channels", names)
        if not self.channels or len(set(map(file_stem, self.channels))) < len(self.channels):
            raise InputError("channels must name at least one channel, and none twice")
        for name in (*self.settings, *self.weights, *self.required):
            if name not in self.channels:
                raise InputError(
                    f"{name!r} has settings or a weight or is required, but is not in channels"
                )
        check_fields(self, full_every=">=1", judge_share="[0, 1]", margin="[0, 1]")
        check_fields(self, least_rows="[0, 1]")
        if self.depth < self.k:
            raise InputError(f"depth must be at least k, got {self.depth} and {self.k}")
        for name in self.channels:
            self.channel(name)
        self.recipe()
        export_recipe(self.export)
        offset_s(self.utc_offset)

    @classmethod
    def read(cls, path: Path, resolved: Resolve | None = None) -> "NightlyPlan":
        """Read a settings file.

        `resolved` maps the name of a setting and its text, which may be a URI, to a local path; by
        default texts are paths relative to the file.

        Raises
        ------
        InputError
            If the file is missing or damaged, or has an unknown key or an invalid value.
        """
        given = read_settings(path, "recall")
        if "tables" in given:
            raise InputError(f"{path}: [recall]: name a table in channels, as external:FILE")

        def local(name: str, text: str) -> Path:
            if resolved is None and is_uri(text):
                raise InputError(f"{path}: {name} is a URI; read the file with open_night")
            return path.parent / text if resolved is None else resolved(name, text)

        # Check the settings before fetching anything.
        plan = from_table(cls, given, f"{path}: [recall]")
        places: dict[str, Any] = {
            name: local(name, str(given[name])) for name in (*plan.files(), "out")
        }
        named = [name for name in plan.channels if is_external(name)]
        tables = {name: local(name, name.removeprefix(EXTERNAL)) for name in named}
        return replace(plan, **places, tables=tables)

    def without(self, name: str) -> "NightlyPlan":
        """Return the plan without one of its channels."""
        maps = {n: getattr(self, n) for n in ("settings", "weights", "tables")}
        rest: Any = {n: {c: v for c, v in of.items() if c != name} for n, of in maps.items()}
        kept = (c for c in self.channels if c != name)
        return replace(self, channels=tuple(kept), **rest)

    def files(self) -> dict[str, Path]:
        """Return the input files, by setting; tables by the name of their channel."""
        sound = ("vectors", "features", "songs")
        known = ("side", "profiles", "triples", "exposures", "lists")
        names = ("interactions", *sound, *known)
        result = {name: place for name in names if (place := getattr(self, name)) is not None}
        return result | dict(self.tables)

    def channel(self, name: str) -> Channel:
        """Return an unfitted channel of the plan, with its settings."""
        kind: Any = channel_class(name)
        settings = self.settings.get(name)
        if settings and getattr(kind, "Recipe", None) is None:
            raise InputError(f"{name} has no settings")
        recipe = [from_table(kind.Recipe, settings, f"settings of {name}")] if settings else []
        try:
            made: Any = kind(*recipe)
        except AudiorecError:
            raise
        except Exception as error:
            raise InputError(f"{name} cannot be made: {type(error).__name__}: {error}") from error
        if name in self.tables:
            made.recipe = replace(made.recipe, table=str(self.tables[name]))
        return made

    def question(self) -> CandidatesQuestion:
        """Return what each channel is asked."""
        cold = bool(self.recipe().cold_share)
        return CandidatesQuestion.for_fusion(self.depth, cold=cold, keep_heard=self.keep_heard)

    @property
    def is_weighed(self) -> bool:
        """Whether the weights of channels are learnt, not given."""
        return not self.weights and len(self.channels) > 1

    def recipe(self) -> FusionRecipe:
        """Return the settings of the fusion."""
        weights = tuple(float(self.weights.get(name, 1.0)) for name in self.channels)
        given = {**self.fusion, "k": self.k, "weights": list(weights)}
        return from_table(FusionRecipe, given, "fusion")


def export_recipe(settings: Mapping[str, Any] | None) -> ExportRecipe:
    """Check the settings of an export and return them."""
    return from_table(ExportRecipe, settings or {}, "export")


def file_stem(channel: str) -> str:
    """Return the name of a channel's files, without a suffix.

    Examples
    --------
    >>> file_stem("vs-knn"), file_stem("external:theirs/lists.parquet")
    ('vs-knn', 'external-theirs-lists')
    """
    return NAME.sub("-", channel.removesuffix(".parquet").removesuffix(".csv"))


def train_night(
    channel: Channel,
    data: RecallData,
    out: Path,
    older: Path | None,
    full_every: int,
    **run: Any,
) -> str | None:
    """Train a channel; return the id of its model, None if stopped.

    It goes on from the model `older`, unless that is missing, does not fit, or `full_every` asks
    for a full training. `run` are options of `train_channel`.
    """
    start = None if older is None else _start(channel, older, full_every)
    if start is not None:
        with suppress(InputError, SpecMismatchError):  # such as sound of another extractor
            return train_channel(channel, data, out, start=start, **run)
    return train_channel(channel, data, out, **run)


def _start(channel: Channel, older: Path, full_every: int) -> Channel | None:
    """Return the model to go on from, None for a full training."""
    with suppress(InputError, WeightsError):
        result = load_channel(older)
        check_start(channel, result)
        warm_starts = 0 if result.parent is None else result.parent.generation
        return result if warm_starts + 1 < full_every else None
    return None


RECORD = "run.json"
STATE = "state.json"  # fingerprint and cost of each finished step
FUSED, JUDGED = "fused.parquet", "judged.json"
WEIGHTS = "weights.json"  # of the channels, learnt tonight
LAST = "last.parquet"  # the lists of the last night, while a run compares them with its own
REPORT = "report.md"
FUSE = "fuse"  # the step that writes the lists
RANKED = "lists.parquet"  # playlists that people made
DAILY = ("interactions", "exposures")  # files that may be folders of days
MAX_STATE_BYTES = 1 << 20


@contextmanager
def blamed(channel: str) -> Iterator[None]:
    """Raise what a channel raises, which may be anything, as a `ChannelFailedError`.

    A full disk is not its fault, nor are a few blocks of users that an engine lost.
    """
    try:
        yield
    except ChannelFailedError:
        raise
    except Exception as error:
        cause = error.__cause__ if isinstance(error, StoreError) else error
        is_full = isinstance(cause, OSError) and cause.errno in NO_ROOM
        if is_full or (isinstance(error, LostBlocksError) and len(error.lost) < error.n_blocks):
            raise
        said = str(error)
        if not isinstance(error, AudiorecError):
            at = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__}: {error} ({Path(at.filename).name}, line {at.lineno})"
        raise ChannelFailedError(channel, said) from error


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its finished worker processes."""
    return sum(os.times()[:4])


def read_file(place: str | os.PathLike[str]) -> bytes | None:
    """Return the content of a file of the job; None if there is none."""
    with suppress(FileNotFoundError):
        return read_own(Path(place), MAX_STATE_BYTES)
    return None


def read_json(place: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the object in a file of the job; empty if there is none, or it is damaged."""
    with suppress(ValueError):
        result = parse_json(read_file(place) or b"", max_bytes=MAX_STATE_BYTES)
        return result if isinstance(result, dict) else {}
    return {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object, atomically."""
    write_own(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


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
        result = parse_json(content, max_bytes=MAX_STATE_BYTES)
        if not isinstance(result, dict) or result.get("schema") != SCHEMA:
            raise ValueError(f"is not of {SCHEMA}")
        before, withdrawn = (_days(result[name]) for name in ("before", "withdrawn"))
        return Current(day=_days([result["day"]])[0], before=before, withdrawn=withdrawn)
    except (InputError, KeyError, ValueError) as error:
        raise DamagedFileError(
            f"{place}: does not say which day is served: {error}; write it again: "
            f"audiorec recall promote {os.fspath(root)} --day DAY"
        ) from error


def write_current(root: str | os.PathLike[str], current: Current) -> None:
    """Write which day is served, atomically."""
    place = Path(root, CURRENT)
    refuse_link(place)
    content = {
        "schema": SCHEMA,
        "day": current.day.isoformat(),
        "before": [day.isoformat() for day in current.before],
        "withdrawn": [day.isoformat() for day in current.withdrawn],
    }
    write_own(place, f"{json.dumps(content, indent=1)}\n")


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
    result = promoted(current, day)
    write_current(place, result)
    return result


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
    files = [root / CURRENT]
    with suppress(AudiorecError):  # told by `served_folder`
        night = served_folder(root)
        files += [night / RECORD, night / FUSED, *sorted(night.glob("models/*/model.json"))]
    return files


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
