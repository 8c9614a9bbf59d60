"""Groups, commands and their help pages: examples first, options by panel, no truncation.

A command is a function. Its docstring is its help page: the description, then a numpydoc section
``Examples`` with command lines. Its options are what it declares (see `declared`).
"""

import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import click

from audiorec.errors import UnknownSongError
from audiorec.options import Field
from audiorec_cli.shared.console import drawn_on, name_options
from audiorec_cli.shared.declared import Job, fields_of_command, packed, parameter_of, taken
from audiorec_cli.shared.jobs import METRICS, run_job
from audiorec_cli.shared.options import ADVANCED, COMMON
from audiorec_cli.shared.places import check_kinds, day_fields, local_values

OTHERS = "More commands (audiorec help all)"
Panels = dict[str, list[tuple[str, str]]]
Function = TypeVar("Function", bound=Callable[..., None])

_EXAMPLES = re.compile(r"\n*^Examples\n-{8}\n", re.MULTILINE)
_PAINT = (  # colours on a terminal: a pattern, and the ANSI code of its group 1
    (r"^(Usage:|[A-Z][a-z ]+:)", 1),  # bold headings
    (r"^  (-\S.*?|[a-z][a-z-]*)(?=  |$)", 36),  # cyan options and commands
    (r"(  # .*)$", 2),  # faint comments
)


class Command(click.Command):
    """A command: a function, the options that it declares, and the job that it is.

    Attributes
    ----------
    function : callable
    fields : list of Field
        Its options, those that all commands of its kind share included.
    panel : str
        Heading on the page of its group.
    here : str
        Why it works on local files alone; empty if it does not.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., None],
        *,
        panel: str,
        here: str,
        **settings: Any,
    ) -> None:
        self.function, self.panel, self.here = function, panel, here
        self.job: Job | None = getattr(function, "job", None)
        self.fields: list[Field] = fields_of_command(function)
        self.fields += [METRICS] if self.job else []
        self.fields += day_fields(self.fields, by_day=bool(self.job and self.job.by_day))
        made = [parameter_of(field) for field in self.fields]
        self.shared = [p for p, field in zip(made, self.fields, strict=True) if field.option.common]
        own = [p for p in made if p not in self.shared]
        super().__init__(name, params=own, help=inspect.getdoc(function), **settings)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return its parameters, and the common options that it takes."""
        return [*super().get_params(ctx), *self.shared]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; some options take several numbers: --k 10 20."""
        names = {n for f in self.fields if f.is_spread for n in parameter_of(f).opts}
        spread: list[str] = []
        for word in args:
            if names and word.isdigit() and len(spread) > 1 and spread[-2] in names:
                spread.append(spread[-2])
            spread.append(word)
        return super().parse_args(ctx, spread)

    def invoke(self, ctx: click.Context) -> None:
        """Make places local, then run the function, as a job if it is one.

        A thing that an argument does not take, a store for a song, is refused first.
        """
        from audiorec_cli.shared.things import refuse_blamed, refuse_others

        name_options(self._named_options())
        refuse_others(ctx)
        try:
            self._invoke(ctx)
        except UnknownSongError as error:
            refuse_blamed(ctx, error)
            raise

    def _named_options(self) -> dict[str, str]:
        """Return its options by the names that they have in Python and in the field."""
        made = [(field.name, parameter_of(field)) for field in self.fields]
        options = [(name, one) for name, one in made if isinstance(one, click.Option)]
        longest = [(name, one.name or name, max(one.opts, key=len)) for name, one in options]
        return {name: option for *names, option in longest for name in names}

    def _invoke(self, ctx: click.Context) -> None:
        given = {f.name: taken(f, ctx.params[parameter_of(f).name or f.name]) for f in self.fields}
        values, of_day = local_values(self.fields, given, job=self.job, here=self.here)
        own = [f for f in self.fields if f.name in values and f is not METRICS]
        call = partial(self.function, **packed(self.function, own, values))
        if "ctx" in inspect.signature(self.function).parameters:
            call = partial(call, ctx=ctx)

        def run(**done: Any) -> None:
            check_kinds(own, values)  # a job that fails by it leaves a record
            call(**done)

        if self.job is None:
            run()
        else:
            run_job(self.job, run, values, of_day)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help page."""
        _draw(self, ctx, formatter)


class CommandGroup(click.Group):
    """A group of commands whose help is drawn by `_draw`."""

    panel = ""

    def described(self, ctx: click.Context) -> Sequence[str]:
        """Return the commands that the page describes."""
        return self.list_commands(ctx)

    def named(self, ctx: click.Context) -> tuple[str, list[tuple[str, str]]]:  # noqa: ARG002
        """Return a heading, and rows of commands that the page only names, without loading them."""
        return "", []

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help page."""
        _draw(self, ctx, formatter)


def group(text: str, *, cls: type[CommandGroup] = CommandGroup, **settings: Any) -> CommandGroup:
    """Return an empty group of commands; `text` is its help page, like a docstring."""
    return cls(no_args_is_help=True, help=inspect.cleandoc(text), **settings)


def command(
    parent: click.Group,
    name: str | None = None,
    *,
    panel: str = "",
    here: str = "",
    **settings: Any,
) -> Callable[[Function], Function]:
    """Return a decorator that adds a function to a group as one of its commands.

    `here` says why a command refuses URIs: "reads local songs".
    """

    def add(function: Function) -> Function:
        words = name or function.__name__.replace("_", "-")
        parent.add_command(Command(words, function, panel=panel, here=here, **settings))
        return function

    return add


def examples(text: str | None) -> list[str]:
    """Return the command lines in the examples of a help page."""
    return _parts(text)[1].splitlines()


def _parts(text: str | None) -> tuple[str, str]:
    about, _, lines = _EXAMPLES.sub("\0", inspect.cleandoc(text or "")).partition("\0")
    return about, lines


def _draw(command: Any, ctx: click.Context, formatter: click.HelpFormatter) -> None:
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


def _panels(command: Any, ctx: click.Context) -> Panels:
    panels: Panels = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            usual = "Options" if parameter.param_type_name == "option" else "Arguments"
            title = getattr(parameter, "panel", "") or usual
            panels.setdefault(title, []).append(record)
    own: Panels = {name: panels.pop(name) for name in ("Arguments", "Options") if name in panels}
    is_group = isinstance(command, CommandGroup)
    title_of_others, others = command.named(ctx) if is_group else ("", [])
    for name in command.described(ctx) if is_group else ():
        member = command.commands[name]
        first = _parts(member.help)[0].partition("\n\n")[0]
        title = "Commands" if title_of_others == OTHERS else member.panel or "Commands"
        panels.setdefault(title, []).append((name, first.replace("\n", " ")))
    if others:
        panels[title_of_others] = others
    for last in (ADVANCED, COMMON):
        if last in panels:
            panels[last] = panels.pop(last)
    # A group lists its commands before its few options; a command lists options in order.
    return {**panels, **own} if is_group else {**own, **panels}
