"""Paths and URIs of commands: one rule for all, applied where commands are made.

    --vectors s3://bucket/vecs.parquet   ──placed──▶  the command gets the path of a copy
    --out s3://bucket/lists.parquet      ──placed──▶  it gets a path; what it made is put at the end
    -i plays/ --until 2026-11-25         ──placed──▶  it gets a log of these days
    --out lists/ --day 2026-11-25        ──placed──▶  it writes lists/dt=2026-11-25/

A command itself knows paths of this machine alone. Whether one is read or written follows from the
table of `reach`; where a place elsewhere makes no sense, that is an error that says so.
"""

import copy
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import Exit
from audiorec_cli.shared.options import more
from audiorec_cli.shared.reach import Reach, reach_of

if TYPE_CHECKING:
    from audiorec.files.delivery import Delivery, Revision
    from audiorec.listening.days import Days

LOG = "LOG"  # the metavar of what is read as a log
LOG_NAMES = ("file",)  # of parameters that may be one as well: listening check FILE
DayOption = Annotated[
    str | None, typer.Option(metavar="DAY", help="Read up to this day, write OUT/dt=DAY/.")
]
SinceOption = Annotated[
    str | None, more(metavar="DAY", help="First day to read, of a log in folders of days.")
]
UntilOption = Annotated[
    str | None, more(metavar="DAY", help="Last day to read; later rows stay out.")
]
OffsetOption = Annotated[
    str, more(metavar="+HH:MM", help="Of the midnights between days [default: UTC].")
]
CONTEXT = "context_"
DAY_FILE = "part-00000.parquet"
SUCCESS = "_SUCCESS"
# Commands that work on this machine alone, and why.
HERE_ALONE = {
    "extract": "reads songs of this machine; elsewhere: audiorec manifest, audiorec shards",
    "retag": "writes into songs of this machine",
    "browse": "shows a library of this machine",
    "serve": "serves a library of this machine",
    "store aliases": "changes a store of this machine",
    "index build": "makes an index beside a store of this machine",
    "backbones add": "keeps a network of this machine",
    "config trust": "trusts a folder of this machine",
    "federated keys": "keeps keys on this machine",
    "federated align": "reads keys and settings of this machine",
    "federated train": "reads keys and settings of this machine",
    "federated users": "reads keys and settings of this machine",
    "federated audit": "reads keys and settings of this machine",
}
# Files and folders of work in hand, and what another program watches.
HERE_ALWAYS = ("work", "work_dir", "cache", "undo", "undo_file", "metrics_textfile", "token_file")
ITSELF = {("recall run", "config")}  # commands that take a URI as it is
IN_PLACE = {("listening forget", "files")}
# Outputs of which a command reads what is there.
GOES_ON = {("recall export", "output"), ("playlists", "output")}
# Folders of which a command reads some files alone.
PARTS = {
    ("runs list", "place"): r".*run\.json",
    ("recall export", "earlier"): r"manifest\.json|served/.*",
}


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A place that is not on this machine."""

    uri: str


@dataclass(slots=True)
class OpenOutputs:
    """What the one command of this process writes elsewhere, or by day, until it is put.

    Attributes
    ----------
    waiting : list
        What is to be put.
    named : dict
        By the path of an output, the URI that people know it by.
    records : dict
        By the path of an output, where its record is, if not beside it.
    marks : list
        Empty files that say that a day is whole: by path or URI, with the path of what is to be
        there.
    of_day : str
        Where the record of the output of a day is; empty if the command does not write by day.
    is_one_file : bool
        Whether a day is one file, or a folder that says itself when it is whole.
    """

    waiting: "list[Delivery | Revision]" = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    marks: list[tuple[str, Path]] = field(default_factory=list)
    of_day: str = ""
    is_one_file: bool = False

    def deliver(self) -> None:
        """Put all that was made."""
        from audiorec.files.storage import write

        made = [mark for mark, path in self.marks if path.exists()]
        while self.waiting:
            self.waiting[0].deliver()
            self.waiting.pop(0)
        for mark in made:
            write(mark, b"")
        self.marks.clear()

    def forget(self) -> None:
        """Let go of what was not put."""
        for one in self.waiting:
            one.release()
        for held in (self.waiting, self.named, self.records, self.marks):
            held.clear()
        self.of_day, self.is_one_file = "", False


OUTPUTS = OpenOutputs()


def path_or_uri(text: Any) -> Any:
    """Return what a command line says of a place: a Path, or an `Elsewhere`."""
    from audiorec.files.storage import is_uri

    if isinstance(text, (Path, Elsewhere)):
        return text
    return Elsewhere(text) if is_uri(text) else Path(str(text).removeprefix("file://"))


path_or_uri.__name__ = "path"  # what typer calls its values


def placed(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose paths may be URIs, and whose logs may be of some days."""
    given = list(inspect.signature(function).parameters.values())
    places = {p.name: p for p in given if _is_place(p.annotation)}
    if not places:
        return function
    logs = {n for n, p in places.items() if _is_log(p)}
    by_day: str | None = getattr(function, "by_day", None)
    parameters = [_with_parser(p) if p.name in places else p for p in given]
    names = {p.name for p in given}
    options: dict[str, Any] = {"day": DayOption} if by_day else {}
    if logs and "since" not in names:
        options |= {"since": SinceOption, "until": UntilOption, "utc_offset": OffsetOption}
    for name, hint in options.items():
        default = "" if name == "utc_offset" else None
        parameters.append(Parameter(name, Parameter.KEYWORD_ONLY, annotation=hint, default=default))
    # A command has one context: its own, where it asks for it.
    own = next((p.name for p in given if p.annotation is typer.Context), "")
    if not own:
        kind: Any = typer.Context
        parameters.append(Parameter(CONTEXT, Parameter.KEYWORD_ONLY, annotation=kind))

    @wraps(function)
    def run(**values: Any) -> None:
        context = values[own] if own else values.pop(CONTEXT)
        command = _command(context)
        days, day = _days({name: values.pop(name) for name in options})
        try:
            if day is not None:
                values = _by_day(values, places, day, by_day or "")
            for name, parameter in places.items():
                values[name] = _resolved(values[name], command, parameter, days, name in logs)
            delivering(lambda: function(**values))
        finally:
            OUTPUTS.forget()

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def delivering(work: Callable[[], None]) -> None:
    """Do the work of a command, and put what it made, where it made anything."""
    try:
        work()
    except typer.Exit as end:
        if end.exit_code in (Exit.OK, Exit.SOME_FAILED):
            OUTPUTS.deliver()
        raise
    OUTPUTS.deliver()


def parts_here(parts: list[str], output: Path | None) -> tuple[str | None, list[str], Path | None]:
    """Return the folder of parts, if they are one; else the files, and the store to make of them.

    A file elsewhere is copied. One file alone is made anew in its place, unless it is elsewhere.
    """
    from audiorec.files.copies import with_local
    from audiorec.files.storage import is_folder, is_uri

    if len(parts) == 1 and is_folder(parts[0]):
        return parts[0], [], output
    if output is None and len(parts) == 1:
        if is_uri(parts[0]):
            raise InputError(f"{parts[0]}: name the store to write by --out")
        output = Path(parts[0])
    return None, [str(with_local(part)) if is_uri(part) else part for part in parts], output


def output_name(path: object) -> str:
    """Return what people know an output by: its URI, where it has one."""
    return OUTPUTS.named.get(str(path), str(path))


def output_record(path: object) -> str | None:
    """Return where the record of an output is, None for beside it."""
    return OUTPUTS.records.get(str(path))


def _command(context: Any) -> str:
    """Return ``recall train``, however the program itself was called."""
    words = []
    while context.parent is not None:
        words.append(context.info_name)
        context = context.parent
    return " ".join(words[::-1])


def _kinds(annotation: Any) -> set[Any]:
    kinds = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return {kinds, *get_args(kinds)}


def _is_place(annotation: Any) -> bool:
    kinds = _kinds(annotation)
    return Path in kinds or list[Path] in kinds


def _info(parameter: Parameter) -> Any:
    return get_args(parameter.annotation)[1]


def _is_log(parameter: Parameter) -> bool:
    info = _info(parameter)
    if parameter.name in LOG_NAMES:
        return True
    return getattr(info, "metavar", None) == LOG and "--out" not in _spelt(parameter)


def _spelt(parameter: Parameter) -> list[str]:
    """Return how an option is written; typer takes the first spelling for a default at first."""
    info = _info(parameter)
    return [n for n in (info.default, *(info.param_decls or ())) if isinstance(n, str)]


def _with_parser(parameter: Parameter) -> Parameter:
    """Return a parameter that keeps a URI as it is, where a Path would lose a slash of it."""
    kinds, info = _kinds(parameter.annotation), copy.copy(_info(parameter))
    info.parser = path_or_uri
    kind: Any = list[str] if list[Path] in kinds else str
    optional = kind | None if type(None) in kinds else kind
    return parameter.replace(annotation=Annotated[optional, info])


def _days(given: Mapping[str, Any]) -> "tuple[Days, date | None]":
    from audiorec.listening.days import Days, parse_day

    day = parse_day(given["day"], "--day") if given.get("day") else None
    since, until = (
        parse_day(given[name], f"--{name}") if given.get(name) else None
        for name in ("since", "until")
    )
    if day is not None and until is not None:
        raise InputError("--day is the last day that is read: leave --until out")
    return Days(since=since, until=day or until, utc_offset=given.get("utc_offset") or ""), day


def _by_day(
    values: dict[str, Any], places: Mapping[str, Parameter], day: date, kind: str
) -> dict[str, Any]:
    """Let a command write into the folder of a day, and go on from what earlier days have."""
    from audiorec.listening.day_folders import day_before, day_there
    from audiorec.listening.days import day_folder
    from audiorec.runs.record import record_of

    out_name = next(n for n in places if n in ("output", "out"))
    out = _text(values[out_name])
    of_day = _below(out, day_folder(day))
    if kind == "file":
        of_day = _below(of_day, DAY_FILE)
    if "earlier" in places and values["earlier"] is None:
        before = day_before(out, day)
        values["earlier"] = None if before is None else path_or_uri(before)
    if values.get("recall") is not None:
        values["recall"] = path_or_uri(day_there(_text(values["recall"]), day))
    OUTPUTS.of_day, OUTPUTS.is_one_file = record_of(out), kind == "file"
    return {**values, out_name: path_or_uri(of_day)}


def _text(place: Any) -> str:
    return place.uri if isinstance(place, Elsewhere) else str(place)


def _below(folder: str, name: str) -> str:
    from audiorec.files.storage import join

    return join(folder, name)


def _resolved(value: Any, command: str, parameter: Parameter, days: "Days", is_log: bool) -> Any:
    if isinstance(value, (list, tuple)):
        return [_resolved(one, command, parameter, days, is_log) for one in value]
    if value is None:
        return None
    reach = _reach(command, parameter)
    writes = reach is Reach.WRITES and parameter.name not in HERE_ALWAYS
    writes &= (command, parameter.name) not in ITSELF
    place = value.uri if isinstance(value, Elsewhere) else str(value)
    if isinstance(value, Elsewhere):
        value = _fetched(value.uri, command, parameter, days, writes=writes, is_log=is_log)
    elif is_log and days:
        value = _chosen(value, days)
    if is_log and days.until is not None and OUTPUTS.of_day:
        from audiorec.listening.log_files import check_day

        check_day(value, days.until)
    if writes and parameter.name in ("output", "out") and OUTPUTS.of_day:
        OUTPUTS.records[str(value)] = OUTPUTS.of_day
        if OUTPUTS.is_one_file:
            value.parent.mkdir(parents=True, exist_ok=True)
            OUTPUTS.marks.append((place.removesuffix(DAY_FILE) + SUCCESS, value))
    return value


def _chosen(place: Any, days: "Days") -> Path:
    from audiorec.listening.log_files import chosen_log

    return chosen_log(place, days)


def _fetched(
    uri: str, command: str, parameter: Parameter, days: "Days", *, writes: bool, is_log: bool
) -> Any:
    """Return a path for a place elsewhere, or refuse it."""
    from audiorec.files.copies import local_folder, with_local
    from audiorec.files.delivery import Delivery, Revision
    from audiorec.files.storage import is_folder

    if command in HERE_ALONE:
        raise InputError(f"{uri}: audiorec {command} {HERE_ALONE[command]}")
    if parameter.name in HERE_ALWAYS:
        raise InputError(f"{uri}: --{parameter.name.replace('_', '-')} is a place on this machine")
    if (command, parameter.name) in ITSELF:
        return uri
    if (command, parameter.name) in IN_PLACE:
        revision = Revision(uri)
        OUTPUTS.waiting.append(revision)
        return revision.path
    if writes:
        delivery = Delivery(uri)
        OUTPUTS.waiting.append(delivery)
        OUTPUTS.named[str(delivery.path)] = uri
        if (command, parameter.name) in GOES_ON:
            delivery.bring()
        return delivery.path
    if (command, parameter.name) in PARTS and is_folder(uri):
        wanted = PARTS[command, parameter.name]
        return local_folder(uri, only=lambda name: bool(re.fullmatch(wanted, name)))
    return _chosen(uri, days) if is_log else with_local(uri)


def _reach(command: str, parameter: Parameter) -> Reach | None:
    """Return what a parameter can do; arguments are read."""
    info = _info(parameter)
    if isinstance(info, typer.models.ArgumentInfo):
        return Reach.READS
    long = [name for name in _spelt(parameter) if name.startswith("--")]
    name = (long or [f"--{parameter.name.replace('_', '-')}"])[0].lstrip("-")
    return reach_of(command, name)
