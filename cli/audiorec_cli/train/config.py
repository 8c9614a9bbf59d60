"""``audiorec config``: show settings and their origin."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from audiorec.errors import InputError
from audiorec.files.own_settings import user_file
from audiorec.options import argument
from audiorec_cli.shared.console import print_json, print_table, say
from audiorec_cli.shared.options import JsonOption

if TYPE_CHECKING:
    from audiorec_cli.shared.configured import Configurable, Values

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
    from audiorec_cli.shared.configured import configurable, configured, of_environment

    root = ctx.find_root().command
    settings = configured(root)
    if words:
        name, rows = _of_command(root, settings, words)
        title = f"audiorec {name}"
    else:
        given = [*settings.values(), *of_environment(root, configurable(root))]
        rows = [_row(one.option, one.value, one.origin) for one in given]
        rows.sort(key=lambda row: (row["command"], row["option"]))
        title = "settings"
    if json:
        own = user_file()
        about = {"user_file": None if own is None else str(own)}
        print_json({"schema": "audiorec/config/1", **about, "options": rows})
        return
    columns = ("command", "option", "value", "origin")
    cells = [[_shown(row[name]) for name in columns] for row in rows]
    print_table(("command", "option", "value", "from"), cells, title=title)
    if not words:
        own = user_file()
        there = "" if own is None or own.exists() else " (does not exist)"
        say(f"your own file: {own or 'none'}{there}; options set: {len(rows)}")


def _of_command(
    root: Any, settings: "Values", words: list[str]
) -> tuple[str, list[dict[str, Any]]]:
    """Return the name and option rows of the command that `words` begin with.

    The rest of `words` are options given to it.
    """
    from audiorec_cli.shared.configured import PREFIX, configurable, default_map

    path: list[str] = []
    command, rest = root, list(words)
    while hasattr(command, "commands"):
        word = rest.pop(0) if rest else ""
        if word not in command.commands:
            there = ", ".join(command.commands)
            raise InputError(f"no command {' '.join([*path, word])!r}; there are: {there}")
        command = command.commands[word]
        path.append(word)
    name = " ".join(path)
    options = configurable(root).get(name, {})
    defaults: Any = default_map(settings)
    for word in path:
        defaults = defaults.get(word, {})
    prefix = "_".join([PREFIX, *(word.replace("-", "_") for word in path)]).upper()
    settings_of: Any = {"resilient_parsing": True, "default_map": defaults}
    settings_of["auto_envvar_prefix"] = prefix
    with command.make_context(name, rest, **settings_of) as made:
        rows = []
        for option in options.values():
            source = made.get_parameter_source(option.parameter)
            given = settings.get((name, option.name))
            if source is not None and source.name == "COMMANDLINE":
                origin = COMMAND_LINE
            elif source is not None and source.name == "ENVIRONMENT":
                origin = f"${option.variable}"
            else:
                origin = given.origin if given else DEFAULT
            rows.append(_row(option, made.params.get(option.parameter), origin))
    return name, rows


def _row(option: "Configurable", value: Any, origin: str) -> dict[str, Any]:
    plain = (
        [str(v) if isinstance(v, Path) else v for v in value] if isinstance(value, list) else value
    )
    plain = str(plain) if isinstance(plain, Path) else plain
    return {
        "command": option.command,
        "option": option.name,
        "value": plain,
        "origin": origin,
        "variable": option.variable,
    }


def _shown(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else value
