"""Entry point of the ``audiorec`` command: load a command, run it, return its exit code."""

import atexit
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from typing import Any

import click

from audiorec.errors import AudiorecError, InputError
from audiorec.files.visible import visible
from audiorec_cli.shared.console import (
    Exit,
    exit_code,
    guard_streams,
    lost_output,
    say,
    system_errors,
)
from audiorec_cli.shared.pages import OTHERS, CommandGroup, command, group

# Each command is a module, imported when the command is called or its help page is shown.
PANELS = {
    "Library": (
        *("start", "demo", "extract", "info", "classify"),
        *("duplicates", "store", "doctor"),
    ),
    "Listen": (
        *("similar", "find", "playlist", "playlists"),
        *("browse", "serve", "sync"),
    ),
    "Recommend": ("listening", "recall", "recommend", "cold-start"),
    "Train and scale": (
        *("heads", "backbones", "manifest", "shards"),
        *("runs", "config"),
    ),
}
WITH = {"demo": "start"}  # commands in the module of another
FOLDERS = dict(zip(PANELS, ("library", "listen", "recommend", "train"), strict=True))
# What `audiorec --help` lists; `audiorec help all` lists the rest as well.
FIRST = (
    *("start", "demo", "find", "similar", "playlist"),
    *("duplicates", "classify", "browse", "doctor"),
)
HELP_ALL = ["help", "all"]
THEIRS = "Plug-ins"
# Commands that work on local files alone, and what they do with them.
HERE = {
    "start": "listens to a local folder",
    "demo": "listens to a local folder",
    "extract": "reads local songs; for remote ones: audiorec manifest, audiorec shards",
    "browse": "shows a local library",
    "serve": "serves a local library",
    "sync": "writes a local log",
}


class Commands(Mapping[str, Any]):
    """All commands by name, panel by panel, then those of plug-ins; each imported on first access.

    Importing all of them takes longer than most commands run. Plug-ins are looked for only if a
    name is not ours, or all names are asked for.
    """

    def __init__(self) -> None:
        self._panels = {name: panel for panel, names in PANELS.items() for name in names}
        self._loaded: dict[str, Any] = {}

    @cached_property
    def plugins(self) -> dict[str, Any]:
        """The entry points of commands of other distributions, by name."""
        from audiorec.runs.entry_points import COMMANDS  # slow to import

        return {e.name: e for e in COMMANDS.others() if e.name not in self._panels}

    def __getitem__(self, name: str) -> Any:
        if name not in self._panels:
            return self._plugin(name)
        panel = self._panels[name]
        if name not in self._loaded:
            of = WITH.get(name, name).replace("-", "_")
            module = import_module(f"audiorec_cli.{FOLDERS[panel]}.{of}")
            result: Any = getattr(module, "app", None)
            if result is None:
                alone = click.Group()
                own: Any = {"here": HERE.get(name, "")}
                own["context_settings"] = getattr(module, "CONTEXT", None)
                command(alone, name, **own)(getattr(module, name.replace("-", "_")))
                result = alone.commands[name]
            result.name, result.panel = name, panel
            self._loaded[name] = result
        return self._loaded[name]

    def _plugin(self, name: str) -> Any:
        """Return the command of a plug-in: one of click, or a function that declares its options.

        `InputError` if it cannot be imported, or two distributions register the name.
        """
        from audiorec.runs.entry_points import COMMANDS

        if name not in self._loaded:
            found = COMMANDS[name]
            alone = click.Group()
            if isinstance(found, click.Command):
                alone.add_command(found, name)
            else:
                command(alone, name)(found)
            self._loaded[name] = alone.commands[name]
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._panels or name in self.plugins

    def __iter__(self) -> Iterator[str]:
        return iter((*self._panels, *self.plugins))

    def __len__(self) -> int:
        return len(self._panels) + len(self.plugins)


class Root(CommandGroup):
    """The root group of commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = Commands()

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the commands panel by panel."""
        return list(self.commands)

    def described(self, ctx: Any) -> Sequence[str]:
        """Return the commands that an owner wants first; after ``audiorec help all``, all."""
        return [n for names in PANELS.values() for n in names] if ctx.obj == HELP_ALL else FIRST

    def named(self, ctx: Any) -> tuple[str, list[tuple[str, str]]]:
        """Return the other commands by panel; after ``help all``, those of plug-ins, not imported.

        What a plug-in does is what its distribution says of itself.
        """
        if ctx.obj == HELP_ALL:
            about = {name: entry.dist for name, entry in self.commands.plugins.items()}
            return THEIRS, [(n, d.metadata.get("Summary") or "") for n, d in about.items()]
        rest = {panel: [n for n in names if n not in FIRST] for panel, names in PANELS.items()}
        return OTHERS, [(panel, ", ".join(names)) for panel, names in rest.items() if names]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; one of a plug-in that is not installed says how to install it."""
        if args[0] not in self.commands:
            from audiorec.runs.entry_points import COMMANDS, brought_by

            if line := brought_by(COMMANDS.group, args[0]):
                raise InputError(line)
        return super().resolve_command(ctx, args)


def _complete(ctx: click.Context, _: click.Parameter, shell: str | None) -> None:
    """Print the script that completes names in a shell, and end."""
    if shell is None or ctx.resilient_parsing:
        return
    from click.shell_completion import get_completion_class

    if kind := get_completion_class(shell):
        click.echo(kind(ctx.command, {}, "audiorec", COMPLETION).source())
        ctx.exit()


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the version, and end."""
    if asked and not ctx.resilient_parsing:
        from audiorec import __version__

        click.echo(f"audiorec {__version__}")
        ctx.exit()


def _debug(_: click.Context, __: click.Parameter, asked: bool) -> None:
    if asked:
        os.environ["AUDIOREC_DEBUG"] = "1"


OF_ROOT: Any = {"expose_value": False, "is_eager": True, "allow_from_autoenv": False}
COMPLETION = "_AUDIOREC_COMPLETE"  # the variable with which a shell asks for names
app = group(
    """Find the songs that you own, and those that your users want next.

    Examples
    --------
    audiorec start ~/Music                 # a page to browse, play and make lists
    audiorec extract ~/Music               # a vector for every song: vecs.parquet
    audiorec similar ~/Music/song.mp3      # the songs that sound most like it
    """,
    cls=Root,
    name="audiorec",
    params=[
        click.Option(
            ["--version"], is_flag=True, callback=_version, help="Print the version.", **OF_ROOT
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            callback=_debug,
            help="Show tracebacks for errors.",
            **OF_ROOT,
        ),
        click.Option(
            ["--show-completion"],
            type=click.Choice(["bash", "zsh", "fish"]),
            callback=_complete,
            help="Print the script that completes names in your shell.",
            **OF_ROOT,
        ),
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 success, 2 usage error, 3 finished but some songs failed, 4 nothing usable, "
        "5 stopped by --max-failures, 6 done but stdout could not be written, 130 interrupted."
    ),
)


def _call(arguments: list[str]) -> int:
    """Run the command that a command line names; return its exit code."""
    if shell := os.environ.get(COMPLETION):
        from click.shell_completion import shell_complete

        return shell_complete(app, {}, "audiorec", COMPLETION, shell)
    given = arguments
    if arguments[:1] == HELP_ALL[:1]:  # help similar: as similar --help
        arguments = [*(arguments[1:] if arguments != HELP_ALL else ()), "--help"]
    from audiorec_cli.shared.configured import PREFIX, defaults

    context = app.make_context(
        "audiorec",
        arguments,
        default_map=defaults(app, arguments),
        auto_envvar_prefix=PREFIX,
        obj=given,
    )
    with context:
        app.invoke(context)
    return Exit.OK


def _said(error: click.ClickException) -> str:
    """Return the message of an error in the use of a command; a thing too many is named."""
    from audiorec_cli.shared.things import extra_argument

    of_thing = extra_argument(error) if isinstance(error, click.UsageError) else None
    return of_thing or error.format_message()


def main() -> None:
    """Run the command; print an `AudiorecError` as one line, without a traceback."""
    guard_streams()
    code: int = Exit.OK
    try:
        with system_errors():
            code = _call(sys.argv[1:])
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.ClickException as error:
        if not isinstance(error, click.exceptions.NoArgsIsHelpError):  # a page: all of its lines
            shown = visible(_said(error))  # repeats an argument: a name from a folder
            error.format_message = lambda: shown  # type: ignore[method-assign]
        error.show()
        code = error.exit_code
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except AudiorecError as error:
        if os.environ.get("AUDIOREC_DEBUG"):
            raise
        say(f"error: {error}")
        code = exit_code(error)
    lost = lost_output()
    if lost is not None:
        say(f"error: stdout could not be written: {lost}; the command itself has finished")
        code = code or Exit.OUTPUT_LOST
    sys.exit(code)


# PyTorch's compiler. Version 3.9, which torch 2.15 brings, prints its own leaks of memory while the
# interpreter is taken down: 25 lines of "nanobind: leaked", behind every command that trains.
TELLS_LEAKS = "triton._C.libtriton"


def program() -> None:
    """Run the command as a program, and end it: without a teardown that is told to the user."""
    code: int | str | None = Exit.OK
    try:
        main()
    except SystemExit as end:
        code = end.code
    if TELLS_LEAKS not in sys.modules:
        sys.exit(code)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed: `main` has said so
            stream.flush()
    os._exit(code if isinstance(code, int) else Exit.OK)


if __name__ == "__main__":
    program()
