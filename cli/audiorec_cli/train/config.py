"""``audiorec config``: show settings and their origin."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
from click.core import ParameterSource

from audiorec.errors import InputError
from audiorec.files.own_settings import user_file, user_settings
from audiorec.options import argument
from audiorec_cli.shared.console import print_json, print_table, say
from audiorec_cli.shared.options import JsonOption

if TYPE_CHECKING:
    from audiorec.files.own_settings import SettingsFile

COMMAND_LINE, DEFAULT = "command line", "default"
CONTEXT = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def config(
    ctx: click.Context,
    words: Annotated[
        list[str] | None,
        argument(metavar="COMMAND", help="A command, optionally with options."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show settings with their origin: command line, environment, your own file or default.

    Without COMMAND, shows everything set by your file and the environment; with it, all of its
    options. Precedence, highest first: the command line, the environment (AUDIOREC_SIMILAR_K), your
    own settings file, the default. A file in the current folder is never read.

    Examples
    --------
    audiorec config
    audiorec config similar
    audiorec config similar --json
    """
    _show(ctx, words or [], json=json)


def _show(ctx: click.Context, words: list[str], *, json: bool) -> None:
    from audiorec_cli.shared.configured import LOOKS, command_of, commands_of

    root, title = ctx.find_root().command, "settings"
    own = user_settings()
    if words:
        path, command, rest = command_of(root, words)
        if hasattr(command, "commands"):
            wrong = " ".join([*path, *rest[:1]])
            raise InputError(f"no command {wrong!r}; there are: {', '.join(command.commands)}")
        rows, title = _rows(root, path, command, rest, own), f"audiorec {' '.join(path)}"
    else:
        every = [(path, one) for path, one in commands_of(root) if path != (LOOKS,)]
        rows = [row for path, one in every for row in _rows(root, path, one, [], own)]
        rows = [row for row in rows if row["origin"] != DEFAULT]
        rows.sort(key=lambda row: (row["command"], row["option"]))
    place = user_file()
    if json:
        about = {"user_file": None if place is None else str(place)}
        print_json({"schema": "audiorec/config/1", **about, "options": rows})
        return
    columns = ("command", "option", "value", "origin")
    cells = [[_shown(row[name]) for name in columns] for row in rows]
    print_table(("command", "option", "value", "from"), cells, title=title)
    if not words:
        there = "" if place is None or place.exists() else " (does not exist)"
        say(f"your own file: {place or 'none'}{there}; options set: {len(rows)}")


def _rows(
    root: Any, path: tuple[str, ...], command: Any, rest: list[str], own: "SettingsFile | None"
) -> list[dict[str, Any]]:
    """Return a row for each option of a command, to which `rest` of a command line is given."""
    from audiorec_cli.shared.configured import (
        PREFIX,
        options_of,
        parameter,
        settings_of,
        variable,
    )

    given = {} if own is None else settings_of(own, root, path)
    how: Any = {
        "resilient_parsing": True,
        "default_map": {parameter(name): value for name, value in given.items()},
        "auto_envvar_prefix": parameter("_".join([PREFIX, *path])).upper(),
    }
    with command.make_context(" ".join(path), rest, **how) as made:
        rows = []
        for name in options_of(command):
            source, named = made.get_parameter_source(parameter(name)), variable(path, name)
            origins = {
                ParameterSource.COMMANDLINE: COMMAND_LINE,
                ParameterSource.ENVIRONMENT: f"${named}",
                ParameterSource.DEFAULT_MAP: str(own and own.path),
            }
            rows.append(
                {
                    "command": " ".join(path),
                    "option": name,
                    "value": _plain(made.params.get(parameter(name))),
                    "origin": DEFAULT if source is None else origins.get(source, DEFAULT),
                    "variable": named,
                }
            )
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _shown(value: object) -> object:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else value
