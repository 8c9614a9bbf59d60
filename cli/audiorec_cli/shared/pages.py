"""Groups, commands and their help pages: examples first, options by panel, no truncation.

A command is a function. Its docstring is its help page: the description, then a numpydoc section
``Examples`` with command lines. Its options are its parameters and the fields of dataclasses among
them (see `options`), so commands share options by sharing a class.

Help pages are not drawn by typer: its boxes truncate text at 80 columns and take half the time of
``audiorec --help``.
"""

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any, TypeVar, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from audiorec.options import declared
from audiorec_cli.shared.console import drawn_on
from audiorec_cli.shared.options import ADVANCED, typer_option
from audiorec_cli.shared.places import placed
from audiorec_cli.shared.settings import described

Panels = dict[str, list[tuple[str, str]]]
Function = TypeVar("Function", bound=Callable[..., None])

_EXAMPLES = re.compile(r"\n*^Examples\n-{8}\n", re.MULTILINE)
_PAINT = (  # colours on a terminal: a pattern, and the ANSI code of its group 1
    (r"^(Usage:|[A-Z][a-z ]+:)", 1),  # bold headings
    (r"^  (-\S.*?|[a-z][a-z-]*)(?=  |$)", 36),  # cyan options and commands
    (r"(  # .*)$", 2),  # faint comments
)


# Metavars instead of typer's type names, which differ between its versions.
_VALUES = (
    (r"<int( range)?>|INTEGER( RANGE)?", "N"),
    (r"<float( range)?>|FLOAT( RANGE)?", "X"),
    (r"<str>", "TEXT"),
    (r"<(file|directory|path)>|PATH", "FILE"),
    (r"<list\[str\]>(\.\.\.)?", "TEXT"),
    (r"<list\[int\]>(\.\.\.)?", "N ..."),
    (r"[<\[](\w+(\|\w+)+)[>\]]", r"\1"),
)
SPREAD = ("k", "interests")  # options that take several numbers


SETTINGS = "Settings"  # the panel of what --set changes


class Page(TyperCommand):
    """A command whose help is drawn by `_draw`; `sets` are the dataclasses that --set changes."""

    sets: tuple[str, ...] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; options in `SPREAD` take several numbers: --k 10 20."""
        lists = (p for p in self.params if getattr(p, "multiple", False))
        several = [p for p in lists if p.name in SPREAD]
        names = {name for option in several for name in option.opts}
        spread: list[str] = []
        for word in args:
            if names and word.isdigit() and len(spread) > 1 and spread[-2] in names:
                spread.append(spread[-2])
            spread.append(word)
        return super().parse_args(ctx, spread)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        _draw(self, ctx, formatter)


class Contents(TyperGroup):
    """A group of commands whose help is drawn by `_draw`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        _draw(self, ctx, formatter)


def group(text: str, *, cls: type[Contents] = Contents, **settings: Any) -> typer.Typer:
    """Return an empty group of commands; `text` is its help page, like a docstring."""
    return typer.Typer(cls=cls, no_args_is_help=True, rich_markup_mode=None, help=text, **settings)


def command(
    parent: typer.Typer,
    name: str | None = None,
    *,
    panel: str | None = None,
    sets: tuple[str, ...] = (),
    **settings: Any,
) -> Callable[[Function], Function]:
    """Return a decorator that adds a function to a group as one of its commands.

    `sets` are the dataclasses of the library, as ``module:Class``, whose fields --set changes.
    """
    kind = type("SettingPage", (Page,), {"sets": sets}) if sets else Page

    def add(function: Function) -> Function:
        parent.command(name, cls=kind, rich_help_panel=panel, **settings)(placed(_flat(function)))
        return function

    return add


def examples(text: str | None) -> list[str]:
    """Return the command lines in the examples of a help page."""
    return _parts(text)[1].splitlines()


def _flat(function: Callable[..., None]) -> Callable[..., None]:
    """Return the function with its dataclass parameters replaced by their fields."""
    hints = get_type_hints(function, include_extras=True)
    given = inspect.signature(function).parameters
    parameters: list[Parameter] = []
    for name, parameter in given.items():
        if is_dataclass(hints[name]):
            parameters += _fields(hints[name])
        else:
            parameters.append(_parameter(name, hints[name], parameter.default))

    @wraps(function)
    def run(**values: Any) -> None:
        made = {}
        for name, parameter in given.items():
            made[name] = _taken(name, hints[name], parameter.default, values)
        function(**made)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _settable(kind: Any) -> list[tuple[Field[Any], Any]]:
    """Return the fields of a dataclass that people set, its own before those it inherits."""
    hints = get_type_hints(kind, include_extras=True)
    every = {field.name: field for field in fields(kind)}
    names = dict.fromkeys([*inspect.get_annotations(kind), *every])
    told = [(every[name], hints[name]) for name in names]
    return [(f, h) for f, h in told if is_dataclass(h) or get_origin(h) is Annotated]


def _fields(kind: Any, usual: Any = None) -> Iterator[Parameter]:
    """Yield the fields of a dataclass as parameters; `usual` is an instance with the defaults."""
    for field, hint in _settable(kind):
        default = field.default if usual is None else getattr(usual, field.name)
        if is_dataclass(hint):
            yield from _fields(hint, default)
        else:
            usual_value = Parameter.empty if default is MISSING else default
            yield _parameter(field.name, hint, usual_value)


def _taken(name: str, hint: Any, default: Any, values: dict[str, Any]) -> Any:
    """Take a parameter out of the values of a command line; a dataclass is made of its fields."""
    if is_dataclass(hint):
        own = {f.name: _taken(f.name, h, f.default, values) for f, h in _settable(hint)}
        return hint(**own)  # type: ignore[operator]
    value = values.pop(name)
    return tuple(value or ()) if default == () else value


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    option = declared(hint)
    if option is not None:
        hint = typer_option(name, hint, option)
    usual = None if default == () else default
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=hint, default=usual)


def _parts(text: str | None) -> tuple[str, str]:
    about, _, lines = _EXAMPLES.sub("\0", inspect.cleandoc(text or "")).partition("\0")
    return about, lines


def _draw(command: Any, ctx: Any, formatter: Any) -> None:
    """Write a help page: usage, text, examples, then arguments, options, commands by panel."""
    about, lines = _parts(command.help)
    formatter.write_usage(ctx.command_path, " ".join(command.collect_usage_pieces(ctx)))
    for paragraph in about.split("\n\n"):
        formatter.write_paragraph()
        formatter.write_text(paragraph)
    if lines:
        with formatter.section("Examples"):
            for line in lines.splitlines():
                formatter.write(f"  {line}\n")
    for title, rows in _panels(command, ctx).items():
        with formatter.section(title):
            formatter.write_dl(rows)
    if command.epilog:
        formatter.write_paragraph()
        formatter.write_text(command.epilog)
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        page = formatter.getvalue()
        formatter.buffer.clear()
        for pattern, code in _PAINT:
            page = re.sub(pattern, f"\033[{code}m\\1\033[0m", page, flags=re.MULTILINE)
        drawn_on(sys.stdout).write(page)


def _short(name: str) -> str:
    for pattern, value in _VALUES:
        name = re.sub(pattern, value, name)
    return name


def _panels(command: Any, ctx: Any) -> Panels:
    panels: Panels = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            is_option = parameter.param_type_name == "option"
            usual = "Options" if is_option else "Arguments"
            title = getattr(parameter, "rich_help_panel", None) or usual
            name = _short(record[0]) if is_option else record[0].partition(" ")[0]
            panels.setdefault(title, []).append((name, record[1]))
    if sets := getattr(command, "sets", ()):
        panels[SETTINGS] = list(described(sets, but=[p.name for p in command.params]))
    own: Panels = {name: panels.pop(name) for name in ("Arguments", "Options") if name in panels}
    for name in command.list_commands(ctx) if isinstance(command, TyperGroup) else ():
        member = command.commands[name]
        title = getattr(member, "rich_help_panel", None) or "Commands"
        first = _parts(member.help)[0].partition("\n\n")[0]
        panels.setdefault(title, []).append((name, first.replace("\n", " ")))
    for last in (ADVANCED, SETTINGS):
        if last in panels:
            panels[last] = panels.pop(last)
    # A group lists its commands before its few options; a command lists options in order.
    return {**panels, **own} if isinstance(command, TyperGroup) else {**own, **panels}
