r"""Options set in files and in the environment: checked, and used as defaults.

    AUDIOREC_SIMILAR_K=5                           the environment
    ~/.config/audiorec/audiorec.toml               the user's file: [similar]\nk = 5
        ──configured──▶ `Settings`: a value and its origin for each option of each command

A table is a command: ``[recall.train]``. A key is an option without its dashes. A key in the table
of a group, or before all tables, applies to every command below that has this option; the innermost
table wins. The command line overrides everything: click uses these values as defaults.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from audiorec.errors import InputError
from audiorec.files.own_settings import user_file, user_settings
from audiorec.files.user_files import as_type
from audiorec.options import Field, Reach, check_range

if TYPE_CHECKING:
    from audiorec.files.own_settings import SettingsFile

PREFIX = "AUDIOREC"
LOOKS = "config"
NOT_OPTIONS = {"CONFIG", "DATA", "DEBUG", "CACHE", "CACHE_GB", "CHANNELS", "VECTORS"}
NEAR = 3  # suggestions
SHARED = (Reach.CHOOSES, Reach.READS)  # what a key of several commands may set
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
    def reach(self) -> Reach:
        """What it can do."""
        return self.declared.option.reach

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


@dataclass(slots=True)
class Settings:
    """All option values from files and the environment."""

    values: dict[tuple[str, str], Configured] = field(default_factory=dict)

    def defaults(self) -> dict[str, Any]:
        """Return the values as click's default map: nested by command, then by parameter."""
        nested: dict[str, Any] = {}
        for (command, _), one in self.values.items():
            table = nested
            for word in command.split():
                table = table.setdefault(word, {})
            table[one.option.parameter] = one.value
        return nested


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


def configured(root: Any) -> Settings:
    """Read and check the environment and the settings files that apply.

    Raises
    ------
    InputError
        If a key, a variable or a value is invalid.
    """
    own, settings, variables = user_settings(), Settings(), _variables()
    if own is None and not variables:
        return settings
    known = configurable(root)
    if own is not None:
        found = of_file(own, known)
        settings.values = {
            key: one
            for key, one in found.items()
            if not os.environ.get(one.option.declared.option.variable or PREFIX)
        }
    _check_variables(known, variables)
    return settings


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
    """Return the defaults that files set; none for help pages and for ``config`` itself."""
    asks = set(arguments) & {"-h", "--help", "--version", "--show-completion"}
    if asks or arguments[:1] in ([], [LOOKS]) or is_silent():
        return {}
    return configured(root).defaults()


def is_silent() -> bool:
    """Whether no file and no variable sets an option, without reading any file."""
    own = user_file()
    return not (own is not None and own.exists()) and not _variables()


def of_file(
    file: "SettingsFile", known: Mapping[str, Mapping[str, Configurable]]
) -> dict[tuple[str, str], Configured]:
    """Return the values of one file; inner tables override outer ones."""
    result: dict[tuple[str, str], Configured] = {}
    content = {key: value for key, value in file.content.items() if key != PLAYERS}
    _take(file, content, (), known, result)
    return result


def _take(
    file: "SettingsFile",
    table: Mapping[str, Any],
    path: tuple[str, ...],
    known: Mapping[str, Mapping[str, Configurable]],
    found: dict[tuple[str, str], Configured],
) -> None:
    """Apply the keys of a table to all commands below it, then visit its tables."""
    here = " ".join(path)
    below = {c: o for c, o in known.items() if c == here or not path or c.startswith(f"{here} ")}
    words = {c.split()[len(path)] for c in below if c != here}
    for key, value in table.items():
        name = key.replace("_", "-")
        if not (isinstance(value, dict) and name in words):
            for option in _meant(file, key, value, path, below):
                found[option.command, option.name] = _checked(file, option, value)
    for key, value in table.items():
        name = key.replace("_", "-")
        if isinstance(value, dict) and name in words:
            _take(file, value, (*path, name), known, found)


def _meant(
    file: "SettingsFile",
    key: str,
    value: Any,
    path: tuple[str, ...],
    below: Mapping[str, Mapping[str, Configurable]],
) -> list[Configurable]:
    """Return the options that a key of a table sets."""
    name, here = key.replace("_", "-"), " ".join(path)
    where = f"[{'.'.join(path)}]" if path else "the top"
    meant = [options[name] for options in below.values() if name in options]
    if not meant:
        there = {n for options in below.values() for n in options}
        there |= {c.split()[len(path)] for c in below if c != here}
        what = "table" if isinstance(value, dict) else "key"
        near = get_close_matches(name, sorted(there), NEAR)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(f"{file.path}: unknown {what} {key!r} in {where}{hint}")
    is_shared = here not in below
    if is_shared and (away := [o for o in meant if o.reach not in SHARED]):
        raise InputError(
            f"{file.path}: {key!r} in {where} would apply to all commands, and in "
            f"{away[0].command} it {away[0].reach}; "
            f"move it to [{away[0].command.replace(' ', '.')}]"
        )
    return meant


def _checked(file: "SettingsFile", option: Configurable, value: Any) -> Configured:
    where = f"{file.path}: [{option.command.replace(' ', '.')}]"
    try:
        return Configured(option, option.value(value), str(file.path))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _variables() -> list[str]:
    start = f"{PREFIX}_"
    names = (name for name in os.environ if name.startswith(start))
    return [name for name in names if name.removeprefix(start) not in NOT_OPTIONS]


def _check_variables(known: Mapping[str, Mapping[str, Configurable]], variables: list[str]) -> None:
    """Refuse a variable that names a command but no option of it."""
    names = {o.variable for options in known.values() for o in options.values()}
    starts = tuple(f"{PREFIX}_{c.upper().replace('-', '_').replace(' ', '_')}_" for c in known)
    for variable in variables:
        if variable not in names and variable.startswith(starts):
            near = get_close_matches(variable, sorted(names), NEAR, 0.8)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise InputError(f"${variable}: no such option{hint}")
