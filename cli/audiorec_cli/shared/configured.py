r"""Options set in files and in the environment: checked, and used as defaults.

    AUDIOREC_SIMILAR_K=5                           the environment
    ~/.config/audiorec/audiorec.toml               the user's file: [similar]\nk = 5
        ──configured──▶ a value and its origin for each option of each command

A table is a command: ``[recall.train]``. A key is an option without its dashes. A key in the table
of a group, or before all tables, applies to every command below that has this option; the innermost
table wins. The command line overrides everything: click uses these values as defaults.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Configurable:
    """One option of one command, as named in files and in the environment."""

    command: str
    declared: Field

    @property
    def name(self) -> str:
        """The option without leading dashes: ``max-per-artist``."""
        return self.declared.key

    @property
    def parameter(self) -> str:
        """Name of its parameter in click."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """Its environment variable: ``AUDIOREC_RECALL_EVALUATE_SEED``."""
        words = f"{PREFIX} {self.command} {self.name}"
        return words.upper().replace("-", "_").replace(" ", "_")

    def value(self, given: Any) -> Any:
        """Check a value from a file and return it; raise `InputError` if it does not fit."""
        if self.declared.is_several and not isinstance(given, list):
            given = [given]
        if isinstance(given, dict):
            raise InputError(f"{self.name} is an option, not a table")
        kind: Any = str if self.declared.is_path else self.declared.plain
        several = given if self.declared.is_several else [given]
        result = [as_type(kind, self.name, one) for one in several]
        for one in result:
            check_range(self.declared.option, self.name, one)
        return result if self.declared.is_several else result[0]


@dataclass(frozen=True, slots=True)
class Configured:
    """A value from a file or the environment, and its origin."""

    option: Configurable
    value: Any
    origin: str


Values = dict[tuple[str, str], Configured]  # by command and option


def commands_of(root: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield name and command for every command below a group."""
    for name in root.commands:
        try:
            member = root.commands[name]
        except InputError:  # of a plug-in; it is said when it is called
            continue
        if hasattr(member, "commands"):
            yield from commands_of(member, (*path, name))
        else:
            yield " ".join((*path, name)), member


def configurable(root: Any) -> dict[str, dict[str, Configurable]]:
    """Return every option of every command, by command and by name.

    ``config`` is left out: it shows settings and has none.
    """
    return {
        name: {
            f.key: Configurable(name, f)
            for f in getattr(command, "fields", ())
            if not f.option.argument
        }
        for name, command in commands_of(root)
        if name.split()[0] != LOOKS
    }


def configured(root: Any) -> Values:
    """Read and check the user's own file; a variable of an option takes precedence.

    Raises
    ------
    InputError
        If a key or a value is invalid.
    """
    own = user_settings()
    if own is None:
        return {}
    found = of_file(own, configurable(root)).items()
    return {
        key: one for key, one in found if not os.environ.get(one.option.declared.option.variable)
    }


def of_environment(root: Any, known: Mapping[str, Mapping[str, Configurable]]) -> list[Configured]:
    """Return the values of variables, read as click reads them."""
    result = []
    for name, command in commands_of(root):
        given = [o for o in known.get(name, {}).values() if o.variable in os.environ]
        if given:
            prefix = given[0].variable.removesuffix(f"_{given[0].parameter.upper()}")
            settings: Any = {"resilient_parsing": True, "auto_envvar_prefix": prefix}
            with command.make_context(name, [], **settings) as made:
                result += [Configured(o, made.params[o.parameter], f"${o.variable}") for o in given]
    return result


def defaults(root: Any, arguments: list[str]) -> dict[str, Any]:
    """Return what the user's file sets, as click's default map: by command, then by parameter.

    Nothing for help pages and for ``config`` itself.
    """
    asks = set(arguments) & {"-h", "--help", "--version", "--show-completion"}
    if asks or arguments[:1] in ([], [LOOKS]):
        return {}
    return default_map(configured(root))


def default_map(values: Values) -> dict[str, Any]:
    """Return values as click's default map: nested by command, then by parameter."""
    nested: dict[str, Any] = {}
    for (command, _), one in values.items():
        table = nested
        for word in command.split():
            table = table.setdefault(word, {})
        table[one.option.parameter] = one.value
    return nested


def of_file(file: "SettingsFile", known: Mapping[str, Mapping[str, Configurable]]) -> Values:
    """Return the values of one file; inner tables override outer ones."""
    result: Values = {}
    content = {key: value for key, value in file.content.items() if key != PLAYERS}
    for path, key, value in _keys(content, (), known):
        for option in _meant(file, path, key, known):
            where = f"{file.path}: [{option.command.replace(' ', '.')}]"
            try:
                found = Configured(option, option.value(value), str(file.path))
            except InputError as error:
                raise InputError(f"{where}: {error}") from error
            result[option.command, option.name] = found
    return result


def _keys(
    table: Mapping[str, Any], path: tuple[str, ...], known: Collection[str]
) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Yield the keys of a table with their values, then those of the tables of commands below."""
    inner = {key: (*path, key.replace("_", "-")) for key in table}
    tables = [
        key
        for key, value in table.items()
        if isinstance(value, dict) and any(_is_below(command, inner[key]) for command in known)
    ]
    yield from ((path, key, value) for key, value in table.items() if key not in tables)
    for key in tables:
        yield from _keys(table[key], inner[key], known)


def _is_below(command: str, path: tuple[str, ...]) -> bool:
    return tuple(command.split()[: len(path)]) == path


def _meant(
    file: "SettingsFile",
    path: tuple[str, ...],
    key: str,
    known: Mapping[str, Mapping[str, Configurable]],
) -> list[Configurable]:
    """Return the options that a key of a table sets."""
    name = key.replace("_", "-")
    below = {command: options for command, options in known.items() if _is_below(command, path)}
    meant = [options[name] for options in below.values() if name in options]
    if not meant:
        there = {n for options in below.values() for n in options}
        there |= {" ".join(command.split()[len(path) :][:1]) for command in below} - {""}
        near = get_close_matches(name, sorted(there), NEAR)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        where = f"[{'.'.join(path)}]" if path else "the top"
        raise InputError(f"{file.path}: unknown key {key!r} in {where}{hint}")
    return meant
