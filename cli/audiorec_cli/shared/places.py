"""Paths, URIs and days of commands: one rule, applied where commands are registered.

    --vectors s3://bucket/vecs.parquet   ──placed──▶  the command gets the path of a local copy
    --out s3://bucket/lists.parquet      ──placed──▶  it gets a local path, uploaded at the end
    -i plays/ --days ..2026-11-25        ──placed──▶  it gets a log of these days
    --out lists/ --day 2026-11-25        ──placed──▶  it writes lists/dt=2026-11-25/

The command itself sees local paths only. The table in `reach` decides whether a path is read or
written; a URI that makes no sense for an option is an error.
"""

import copy
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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
    from audiorec.files.copies import Delivery, Revision
    from audiorec.listening.log_files import Days

LOG = "LOG"  # the metavar of options that are read as a log
LOG_NAMES = ("file",)  # parameters that may also be a log: listening check FILE
DayOption = Annotated[
    str | None, typer.Option(metavar="DAY", help="Read up to this day and write OUT/dt=DAY/.")
]
DaysOption = Annotated[
    str | None,
    more(metavar="A..B", help="Days of the log to read: ..2026-11-25, 2026-11-01..2026-11-25."),
]
CONTEXT = "context_"
DAY_FILE = "part-00000.parquet"
SUCCESS = "_SUCCESS"
# Commands that only work on local files, and why.
HERE_ALONE = {
    "extract": "reads local songs; for remote ones: audiorec manifest, audiorec shards",
    "retag": "writes to local songs",
    "browse": "shows a local library",
    "serve": "serves a local library",
    "store aliases": "changes a local store",
    "index build": "writes an index beside a local store",
    "backbones add": "registers a local network",
    "config trust": "trusts a local folder",
    "federated keys": "writes keys to a local folder",
    "federated align": "reads local keys and settings",
    "federated train": "reads local keys and settings",
    "federated release": "reads local keys and settings",
    "federated audit": "reads local keys and settings",
}
# Work in progress, and files that another program watches.
HERE_ALWAYS = ("work", "work_dir", "cache", "undo", "undo_file", "metrics_textfile", "token_file")
ITSELF = {("recall run", "config")}  # options that the command resolves itself
IN_PLACE = {("listening forget", "files")}
# Outputs whose existing content the command reads.
GOES_ON = {("recall export", "output"), ("playlists", "output")}
# Folders of which a command reads only the matching files.
PARTS = {
    ("runs list", "place"): r".*run\.json",
}


@dataclass(frozen=True, slots=True)
class RemotePlaces:
    """A remote place, given by URI."""

    uri: str


@dataclass(slots=True)
class OpenOutputs:
    """Outputs of this process's command that are remote or by day, until they are delivered.

    Attributes
    ----------
    waiting : list
        Deliveries and revisions that are not done yet.
    named : dict
        The URI of an output by its local path.
    records : dict
        The place of the record by the path of its output, if not beside it.
    marks : list
        Empty files that mark a day as complete: path or URI, with the output that must exist.
    of_day : str
        The place of the record of an output by day; empty if the command does not write by day.
    day_before : str, optional
        The output of the day before, of a command that writes by day.
    is_one_file : bool
        Whether a day is one file, not a folder that marks its own completion.
    """

    waiting: "list[Delivery | Revision]" = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    marks: list[tuple[str, Path]] = field(default_factory=list)
    of_day: str = ""
    day_before: str | None = None
    is_one_file: bool = False

    def deliver(self) -> None:
        """Upload all outputs, then write the marks."""
        from audiorec.files.storage import write

        made = [mark for mark, path in self.marks if path.exists()]
        while self.waiting:
            self.waiting[0].deliver()
            self.waiting.pop(0)
        for mark in made:
            write(mark, b"")
        self.marks.clear()

    def forget(self) -> None:
        """Discard the outputs that were not delivered."""
        for one in self.waiting:
            one.release()
        for held in (self.waiting, self.named, self.records, self.marks):
            held.clear()
        self.of_day, self.day_before, self.is_one_file = "", None, False


OUTPUTS = OpenOutputs()


def path_or_uri(text: Any) -> Any:
    """Parse a place on the command line: a `Path`, or an `RemotePlaces` for a URI."""
    from audiorec.files.storage import is_uri

    if isinstance(text, (Path, RemotePlaces)):
        return text
    return RemotePlaces(text) if is_uri(text) else Path(str(text).removeprefix("file://"))


path_or_uri.__name__ = "path"  # typer shows this name


def placed(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose paths can be URIs and whose logs can be limited to days."""
    given = list(inspect.signature(function).parameters.values())
    places = {p.name: p for p in given if _is_place(p.annotation)}
    if not places:
        return function
    logs = {n for n, p in places.items() if _is_log(p)}
    by_day: str | None = getattr(function, "by_day", None)
    parameters = [_with_parser(p) if p.name in places else p for p in given]
    names = {p.name for p in given}
    options: dict[str, Any] = {"day": DayOption} if by_day else {}
    if logs and "days" not in names:
        options |= {"days": DaysOption}
    for name, hint in options.items():
        parameters.append(Parameter(name, Parameter.KEYWORD_ONLY, annotation=hint, default=None))
    # click passes the context to one parameter: use the command's own if it has one.
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
    """Run a command and deliver its outputs, unless it ends with nothing usable."""
    try:
        work()
    except typer.Exit as end:
        if end.exit_code in (Exit.OK, Exit.SOME_FAILED):
            OUTPUTS.deliver()
        raise
    OUTPUTS.deliver()


def parts_here(parts: list[str], output: Path | None) -> tuple[str | None, list[str], Path | None]:
    """Return the folder of parts if one is given, else the files and the store to write.

    A remote file is copied. A single local file is rewritten in place if there is no `output`.
    """
    from audiorec.files.copies import with_local
    from audiorec.files.storage import is_folder, is_uri

    if len(parts) == 1 and is_folder(parts[0]):
        return parts[0], [], output
    if output is None and len(parts) == 1:
        if is_uri(parts[0]):
            raise InputError(f"{parts[0]}: name the store to write with --out")
        output = Path(parts[0])
    return None, [str(with_local(part)) if is_uri(part) else part for part in parts], output


def output_name(path: object) -> str:
    """Return the name of an output for messages: its URI if it has one."""
    return OUTPUTS.named.get(str(path), str(path))


def yesterdays_output(*, only: str) -> Path | None:
    """Return the output of the day before, for a command that writes by day.

    Of a remote one, the files that match `only` are copied.
    """
    from audiorec.files.copies import local_folder
    from audiorec.files.storage import is_uri

    before = OUTPUTS.day_before
    if before is None or not is_uri(before):
        return None if before is None else Path(before)
    return Path(local_folder(before, only=lambda name: bool(re.fullmatch(only, name))))


def output_record(path: object) -> str | None:
    """Return the place of the record of an output, None if it is beside it."""
    return OUTPUTS.records.get(str(path))


def _command(context: Any) -> str:
    """Return the words of the command, such as ``recall train``, without the program."""
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
    """Return the spellings of an option; typer keeps the first one in ``default``."""
    info = _info(parameter)
    return [n for n in (info.default, *(info.param_decls or ())) if isinstance(n, str)]


def _with_parser(parameter: Parameter) -> Parameter:
    """Return the parameter with a parser that keeps URIs; a Path would lose a slash."""
    kinds, info = _kinds(parameter.annotation), copy.copy(_info(parameter))
    info.parser = path_or_uri
    kind: Any = list[str] if list[Path] in kinds else str
    optional = kind | None if type(None) in kinds else kind
    return parameter.replace(annotation=Annotated[optional, info])


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


def _by_day(
    values: dict[str, Any], places: Mapping[str, Parameter], day: date, kind: str
) -> dict[str, Any]:
    """Direct a command's output to the folder of a day, and its input to earlier days."""
    from audiorec.listening.log_files import day_before, day_folder, folder_of_day
    from audiorec.runs.record import record_of

    out_name = next(n for n in places if n in ("output", "out"))
    out = _text(values[out_name])
    of_day = _below(out, day_folder(day))
    if kind == "file":
        of_day = _below(of_day, DAY_FILE)
    OUTPUTS.day_before = day_before(out, day)
    if values.get("recall") is not None:
        values["recall"] = path_or_uri(folder_of_day(_text(values["recall"]), day))
    OUTPUTS.of_day, OUTPUTS.is_one_file = record_of(out), kind == "file"
    return {**values, out_name: path_or_uri(of_day)}


def _text(place: Any) -> str:
    return place.uri if isinstance(place, RemotePlaces) else str(place)


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
    place = value.uri if isinstance(value, RemotePlaces) else str(value)
    if isinstance(value, RemotePlaces):
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
    from audiorec.listening.log_files import select_days

    return select_days(place, days)


def _fetched(
    uri: str, command: str, parameter: Parameter, days: "Days", *, writes: bool, is_log: bool
) -> Any:
    """Return a local path for a URI, or refuse the URI."""
    from audiorec.files.copies import Delivery, Revision, local_folder, with_local
    from audiorec.files.storage import is_folder

    if command in HERE_ALONE:
        raise InputError(f"{uri}: audiorec {command} {HERE_ALONE[command]}")
    if parameter.name in HERE_ALWAYS:
        raise InputError(f"{uri}: --{parameter.name.replace('_', '-')} must be a local path")
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
    """Return the reach of a parameter; arguments are inputs."""
    info = _info(parameter)
    if isinstance(info, typer.models.ArgumentInfo):
        return Reach.READS
    long = [name for name in _spelt(parameter) if name.startswith("--")]
    name = (long or [f"--{parameter.name.replace('_', '-')}"])[0].lstrip("-")
    return reach_of(command, name)
