"""What a command declares: its options, read from the function and the classes that it takes.

    def similar(songs: SeedsArgument, *, asked: SimilarQuestion) ──fields_of_command──▶ [Field]

A parameter whose type is a dataclass stands for the fields of that class, so commands share options
by sharing a class.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

import click
from click.core import ParameterSource

from audiorec.files.storage import is_uri
from audiorec.options import Field, declared, fields_within, made

ENVIRONMENT = ParameterSource.ENVIRONMENT
SHORT = {int: "N", float: "X", str: "TEXT", Path: "FILE"}
NOT_DECLARED = ("return", "done", "ctx")


@dataclass(frozen=True, slots=True)
class Job:
    """How a command runs as a job: its name, and the parameter with the path of its output.

    With `by_day`, it can write to the folder of a day: one file, or a whole folder (see `places`).
    `usual` returns the output if none is given.
    """

    name: str
    output: str
    by_day: Literal["file", "folder"] | None = None
    usual: Callable[[Mapping[str, Any]], Path] | None = None


def recorded(
    name: str,
    output: str,
    *,
    by_day: Literal["file", "folder"] | None = None,
    usual: Callable[[Mapping[str, Any]], Path] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes a command a job, which receives its `JobSummary` as `done`.

    `output` is the parameter with the path of the output; if it is None without a `usual` one, no
    record is written.
    """

    def add(function: Callable[..., None]) -> Callable[..., None]:
        function.job = Job(name, output, by_day, usual)  # type: ignore[attr-defined]
        return function

    return add


class Argument(click.Argument):
    """An argument that stands on the help page."""

    help: str
    panel = ""

    def make_metavar(self, ctx: click.Context) -> str:
        """Return its name as in a line of usage: ``[SONG]...``."""
        name = super().make_metavar(ctx)
        name = name if self.required or name.startswith("[") else f"[{name}]"
        return f"{name}..." if self.nargs == -1 and not name.endswith("...") else name

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return its name and its help."""
        return self.make_metavar(ctx).removesuffix("..."), self.help


class Named(click.Option):
    """An option; a variable gives one value, also to an option that takes several."""

    panel = ""
    variable: str

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return what a message calls it: its names, or the variable that gave the value."""
        if ctx is None or ctx.get_parameter_source(self.variable) is not ENVIRONMENT:
            return super().get_error_hint(ctx)
        return f"'${ctx.auto_envvar_prefix}_{self.variable.upper()}'"

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return the value of its environment variable."""
        text = self.resolve_envvar_value(ctx)
        return [text] if text is not None and self.multiple else super().value_from_envvar(ctx)


if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # takes no parameter before click 8.4


class PlaceType(ParamType):
    """A path, or a URI, which a `Path` would cut a slash from."""

    name = "path"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return a `Path`, or a URI as text; refuse nothing at all, which `Path` calls here."""
        if value == "":
            self.fail("it is empty, as from a variable that is not set", param, ctx)
        return path_or_uri(value)


def path_or_uri(text: Any) -> Any:
    """Parse a place on the command line: a `Path`; a URI stays a text."""
    if isinstance(text, Path) or is_uri(text):
        return text
    return Path(text.removeprefix("file://"))


def fields_of_command(function: Callable[..., None]) -> list[Field]:
    """Return the options that a command declares, in their order."""
    fields: list[Field] = []
    defaults = {n: p.default for n, p in inspect.signature(function).parameters.items()}
    for name, hint in get_type_hints(function, include_extras=True).items():
        if name in NOT_DECLARED:
            continue
        default = MISSING if defaults[name] is inspect.Parameter.empty else defaults[name]
        if is_dataclass(hint):
            fields += fields_within(hint, (name,), None if default is MISSING else default)
        else:
            fields.append(_field(name, hint, default))
    return fields


def packed(
    function: Callable[..., None], options: Iterable[Field], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a function: the fields of each class made into one object."""
    given = list(options)
    kinds = {n: kind for n, kind in get_type_hints(function).items() if n not in NOT_DECLARED}
    whole = {field.name: values[field.name] for field in given if not field.of}
    parts = {field.name: values[field.name] for field in given if field.of}
    return {**whole, **{n: made(kind, parts) for n, kind in kinds.items() if is_dataclass(kind)}}


def _field(name: str, hint: Any, default: Any) -> Field:
    option = declared(hint)
    if option is None:
        raise TypeError(f"{name}: declare it as an option, with audiorec.options")
    return Field(name, get_args(hint)[0], default, option)


def parameter_of(field: Field) -> click.Parameter:
    """Return the parameter of click; one object for all commands that share a common option."""
    return _common(replace(field, of=())) if field.option.common else _parameter(field)


def taken(field: Field, given: Any) -> Any:
    """Return a value as the function takes it; click gives a tuple for several."""
    if not field.is_several:
        return given
    if field.default == ():
        return tuple(given)
    return list(given) if given else field.default if field.default is not MISSING else []


def _type(field: Field) -> Any:
    option, kind = field.option, field.plain
    if field.choices:
        return click.Choice(field.choices)
    if kind in (int, float) and (option.min, option.max) != (None, None):
        ranges: Any = click.IntRange if kind is int else click.FloatRange
        made = ranges(option.min, option.max)
        made.name = "integer" if kind is int else "number"  # in messages: not a valid integer
        return made
    return PlaceType() if kind is Path else kind


def _metavar(field: Field) -> str:
    if field.option.metavar or field.plain is bool:
        return field.option.metavar
    if field.choices:
        return "|".join(field.choices)
    return SHORT[field.plain] + (" ..." if field.is_spread else "")


def _parameter(field: Field) -> click.Parameter:
    option, needed = field.option, field.default is MISSING
    default = None if needed or field.is_several else field.default
    usual: dict[str, Any] = {} if needed else {"default": default}
    name = field.key.replace("-", "_")
    if option.argument:
        argument = Argument(
            [field.name],
            type=_type(field),
            metavar=option.metavar or None,
            required=needed,
            **usual,
            nargs=-1 if field.is_several else 1,
        )
        argument.help, argument.panel = option.help, option.panel
        return argument
    made = Named(
        [*(option.names or (f"--{name.replace('_', '-')}",)), name],
        help=option.help,
        type=_type(field),
        metavar=_metavar(field) or None,
        required=needed,
        **usual,
        is_flag=field.plain is bool,
        multiple=field.is_several,
        show_default=default not in (None, "") and field.plain is not bool,
    )
    made.panel, made.variable = option.panel, name
    return made


@lru_cache
def _common(field: Field) -> click.Parameter:
    return _parameter(field)
