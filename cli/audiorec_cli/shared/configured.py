r"""Options set in the user's file: checked, and used as click's defaults.

    ~/.config/audiorec/audiorec.toml, a command  ──settings_of──▶  the values of its options

A table is a command: ``[recall.train]``. A key is an option without its dashes. A key in the table
of a group, or before all tables, applies to every command below that has this option; the innermost
table wins. Only the command that runs is imported, and only the tables that name it are checked;
``audiorec config`` checks all. The environment and the command line override a file.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from audiorec.errors import InputError
from audiorec.files.own_settings import user_settings
from audiorec.files.user_files import as_type
from audiorec.options import Field, check_range

if TYPE_CHECKING:
    from audiorec.files.own_settings import SettingsFile

PREFIX = "AUDIOREC"
LOOKS = "config"
NEAR = 3  # suggestions
PLAYERS = "players"  # a table of servers, not of a command: `audiorec.players.settings`
Path = tuple[str, ...]  # of a command: ("recall", "train")


def defaults(root: Any, arguments: Sequence[str]) -> dict[str, Any]:
    """Return what the user's file sets for the command of a command line, as click's default map.

    Settings are not read for ``--help``, ``--version`` and ``audiorec config``, so that these work
    even if the file is wrong.
    """
    asks = set(arguments) & {"-h", "--help", "--version", "--show-completion"}
    own = None if asks or LOOKS in arguments[:1] else user_settings()
    if own is None:
        return {}
    path, command, _ = command_of(root, [word for word in arguments if not word.startswith("-")])
    result: dict[str, Any] = {}
    if not hasattr(command, "commands"):
        result = {parameter(name): value for name, value in settings_of(own, root, path).items()}
    for word in reversed(path):
        result = {word: result}
    return result


def command_of(root: Any, words: Sequence[str]) -> tuple[Path, Any, list[str]]:
    """Return the path and the command that words begin with, and the words that follow."""
    command, at = root, 0
    while at < len(words) and words[at] in getattr(command, "commands", ()):
        command = command.commands[words[at]]
        at += 1
    return tuple(words[:at]), command, list(words[at:])


def commands_of(root: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield path and command for every command below a group."""
    for name in root.commands:
        try:
            member = root.commands[name]
        except InputError:  # a plug-in's that cannot be imported, which says so when it is called
            continue
        if hasattr(member, "commands"):
            yield from commands_of(member, (*path, name))
        else:
            yield (*path, name), member


def options_of(command: Any) -> dict[str, Field]:
    """Return the options of a command that can be set, by their names without leading dashes."""
    return {f.key: f for f in getattr(command, "fields", ()) if not f.option.argument}


def parameter(name: str) -> str:
    """Return the name of an option's parameter in click."""
    return name.replace("-", "_")


def variable(path: Path, name: str) -> str:
    """Return the environment variable of an option: ``AUDIOREC_RECALL_EVALUATE_SEED``."""
    return parameter("_".join([PREFIX, *path, name])).upper()


def settings_of(file: "SettingsFile", root: Any, path: Path) -> dict[str, Any]:
    """Return the values that a file gives to a command, by option; inner tables override outer.

    A variable of the option itself, such as ``AUDIOREC_VECTORS``, takes precedence. Raises
    `InputError` for a wrong value, a key that the command lacks, or a table of no command.
    """
    member, table = root, {key: of for key, of in file.content.items() if key != PLAYERS}
    options, result = options_of(command_of(root, path)[1]), {}
    for depth, word in enumerate((*path, "")):
        where = f"[{'.'.join(path[:depth])}]" if depth else "the top"
        members: Any = getattr(member, "commands", ())
        inner: dict[str, Any] = {}
        for key, given in table.items():
            name = key.replace("_", "-")
            if isinstance(given, dict) and name in members:
                inner = given if name == word else inner
            elif name in options:
                try:
                    result[name] = value_of(options[name], given)
                except InputError as error:
                    raise InputError(f"{file.path}: {where}: {error}") from error
            elif isinstance(given, dict) or not word:  # else it may be of another command
                raise _unknown(
                    f"{file.path}: unknown key {key!r} in {where}", name, members, options
                )
        member, table = (member.commands[word] if word else None), inner
    return {n: of for n, of in result.items() if not os.environ.get(options[n].option.variable)}


def value_of(declared: Field, given: Any) -> Any:
    """Check a value from a file and return it; raise `InputError` if it does not fit."""
    if isinstance(given, dict):
        raise InputError(f"{declared.key} is an option, not a table")
    kind: Any = str if declared.is_path else declared.plain
    several = given if declared.is_several and isinstance(given, list) else [given]
    result = [as_type(kind, declared.key, one) for one in several]
    for one in result:
        check_range(declared.option, declared.key, one)
    return result if declared.is_several else result[0]


def _unknown(said: str, name: str, *known: Mapping[str, Any] | Any) -> InputError:
    near = get_close_matches(name, sorted({n for names in known for n in names}), NEAR)
    return InputError(said + (f"; did you mean {' or '.join(near)}?" if near else ""))
