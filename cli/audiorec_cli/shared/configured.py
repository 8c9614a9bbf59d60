r"""Options set in files and in the environment: checked, and used as defaults.

    AUDIOREC_SIMILAR_K=5                           the environment
    ./audiorec.toml       [similar]\nk = 5          the file of a folder, if trusted
    ~/.config/audiorec/audiorec.toml               the user's file
        ──configured──▶ `Settings`: a value and its origin for each option of each command

A table is a command: ``[recall.train]``. A key is an option without its dashes. A key in the table
of a group, or before all tables, applies to every command below that has this option; the innermost
table wins. The command line overrides everything: click uses these values as defaults.
"""

import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from audiorec.errors import InputError
from audiorec.files.own_settings import (
    FILE,
    SettingsLayer,
    SettingsOwner,
    TrustStatus,
    layers,
    user_file,
)
from audiorec_cli.shared.console import say
from audiorec_cli.shared.reach import FROM_A_FOLDER, reach_of, refusal
from audiorec_cli.shared.stores import ENVIRONMENT as VECTORS_VARIABLE

PREFIX = "AUDIOREC_"
LOOKS = "config"
NOT_OPTIONS = ("help", "version", "debug", "install-completion", "show-completion")
WORDS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off", ""), False),
}
NEAR = 3  # suggestions


@dataclass(frozen=True, slots=True)
class Configurable:
    """One option of one command, as named in files and in the environment.

    Attributes
    ----------
    command : str
        ``recall train``.
    name : str
        The option without leading dashes: ``max-per-artist``.
    parameter : str
        Name of its parameter in click.
    kind : type
        Type of its value; of one value if it can be repeated.
    is_several : bool
    least, most : number or None
    variable : str
        ``AUDIOREC_RECALL_TRAIN_EPOCHS``.
    follows_vectors : bool
        Whether its default is ``$AUDIOREC_VECTORS``.
    """

    command: str
    name: str
    parameter: str
    kind: Any
    is_several: bool
    least: float | None
    most: float | None
    variable: str
    follows_vectors: bool

    def value(self, given: Any) -> Any:
        """Check a value from a file and return it; raise `InputError` if it does not fit."""
        from audiorec.files.user_files import as_type

        if self.is_several and not isinstance(given, list):
            given = [given]
        if isinstance(given, dict):
            raise InputError(f"{self.name} is an option, not a table")
        found = as_type(self.kind, self.name, given)
        for one in found if self.is_several and isinstance(found, tuple) else (found,):
            if isinstance(one, (int, float)) and not isinstance(one, bool):
                self._check_range(one)
        return list(found) if isinstance(found, tuple) else found

    def _check_range(self, one: float) -> None:
        low, high = self.least, self.most
        if (low is not None and one < low) or (high is not None and one > high):
            least = "" if low is None else f" from {low:g}"
            raise InputError(
                f"{self.name} is{least}{'' if high is None else f' to {high:g}'}, got {one!r}"
            )

    def value_of_text(self, text: str) -> Any:
        """Return the value of an environment variable."""
        if self.is_several:
            import json

            if not text.startswith("["):
                return self.value([self._one(text)])
            try:
                return self.value(json.loads(text))
            except ValueError as error:
                raise InputError(f"{self.name} must be a JSON list or one value") from error
        return self.value(self._one(text))

    def _one(self, text: str) -> Any:
        kinds = _members(self.kind)
        if bool in kinds and text.lower() in WORDS:
            return WORDS[text.lower()]
        for number in (int, float):
            if number in kinds:
                try:
                    return number(text)
                except ValueError:
                    continue
        return text


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
    for name, member in root.commands.items():
        if hasattr(member, "commands"):
            yield from commands_of(member, (*path, name))
        else:
            yield " ".join((*path, name)), member


def configurable(root: Any) -> dict[str, dict[str, Configurable]]:
    """Return every option of every command, by command and by name.

    ``config`` is left out: it shows settings and has none.
    """
    found = ((name, command) for name, command in commands_of(root) if name.split()[0] != LOOKS)
    return {name: dict(_options(name, command)) for name, command in found}


def _options(command: str, found: Any) -> Iterator[tuple[str, Configurable]]:
    hints = inspect.signature(found.callback).parameters
    for parameter in found.params:
        if parameter.param_type_name != "option" or parameter.name not in hints:
            continue
        long = [name for name in parameter.opts if name.startswith("--")]
        name = (long or parameter.opts)[0].lstrip("-")
        if name in NOT_OPTIONS:
            continue
        kind, *about = get_args(hints[parameter.name].annotation)
        several = any(get_origin(one) is list for one in (kind, *get_args(kind)))
        variable = PREFIX + f"{command} {name}".upper().replace("-", "_").replace(" ", "_")
        yield (
            name,
            Configurable(
                command=command,
                name=name,
                parameter=parameter.name,
                kind=kind,
                is_several=several,
                least=getattr(about[0], "min", None),
                most=getattr(about[0], "max", None),
                variable=variable,
                follows_vectors=VECTORS_VARIABLE in (parameter.help or ""),
            ),
        )


def _members(kind: Any) -> tuple[Any, ...]:
    """Return the plain types in a type: int and None for ``list[int] | None``."""
    if get_origin(kind) is Literal:
        return (str,)
    inner = get_args(kind)
    return tuple(one for part in inner for one in _members(part)) if inner else (kind,)


def configured(root: Any, *, folder: Path | None = None, quiet: bool = False) -> Settings:
    """Read and check the environment and the settings files that apply.

    Raises
    ------
    InputError
        If a key, a variable or a value is invalid, or the file of a folder sets an option that it
        may not set.
    """
    found, standing = layers(folder)
    if not quiet:
        say_standing(standing)
    settings = Settings()
    variables = _variables()
    if not found and not variables:
        return settings
    known = configurable(root)
    for layer in found:
        settings.values.update(of_layer(layer, known))
    if os.environ.get(VECTORS_VARIABLE):
        for key, one in list(settings.values.items()):
            if one.option.follows_vectors and one.option.name == "vectors":
                del settings.values[key]
    settings.values.update(_of_environment(known, variables))
    return settings


def say_standing(standing: TrustStatus) -> None:
    """Print a note if the file of the folder is ignored, with the command to trust it."""
    if standing is TrustStatus.UNKNOWN:
        say(f"note: ./{FILE} is not trusted and was not read; trust it: audiorec config trust")
    elif standing is TrustStatus.CHANGED:
        say(
            f"note: ./{FILE} has changed since it was trusted and was not read; trust it: "
            "audiorec config trust"
        )


def is_silent() -> bool:
    """Whether no file and no variable sets an option, without reading any file."""
    own = user_file()
    return not (own is not None and own.exists()) and not os.path.lexists(FILE) and not _variables()


def of_layer(
    layer: SettingsLayer, known: Mapping[str, Mapping[str, Configurable]]
) -> dict[tuple[str, str], Configured]:
    """Return the values of one file; inner tables override outer ones."""
    found: dict[tuple[str, str], Configured] = {}
    _take(layer, layer.content, (), known, found)
    return found


def _take(
    layer: SettingsLayer,
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
            for option in _meant(layer, key, value, path, below):
                found[option.command, option.name] = _checked(layer, option, value)
    for key, value in table.items():
        name = key.replace("_", "-")
        if isinstance(value, dict) and name in words:
            _take(layer, value, (*path, name), known, found)


def _meant(
    layer: SettingsLayer,
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
        raise InputError(f"{layer.path}: unknown {what} {key!r} in {where}{hint}")
    is_shared = here not in below
    if is_shared and (away := [o for o in meant if reach_of(o.command, name) not in FROM_A_FOLDER]):
        raise InputError(
            f"{layer.path}: {key!r} in {where} would apply to all commands, and in "
            f"{away[0].command} it {reach_of(away[0].command, name)}; "
            f"move it to [{away[0].command.replace(' ', '.')}]"
        )
    return meant


def _checked(layer: SettingsLayer, option: Configurable, value: Any) -> Configured:
    where = f"{layer.path}: [{option.command.replace(' ', '.')}]"
    if layer.whose is SettingsOwner.FOLDER and (why := refusal(option.command, option.name, value)):
        raise InputError(
            f"{where}: {option.name}: a file in a folder may not set this: {why}; give it on the "
            "command line, or in your own settings file"
        )
    try:
        return Configured(option, option.value(value), str(layer.path))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _variables() -> list[str]:
    other = {VECTORS_VARIABLE, "AUDIOREC_CONFIG", "AUDIOREC_DATA", "AUDIOREC_DEBUG"}
    other |= {"AUDIOREC_CACHE", "AUDIOREC_CACHE_GB", "AUDIOREC_CHANNELS"}
    return [name for name in os.environ if name.startswith(PREFIX) and name not in other]


def _of_environment(
    known: Mapping[str, Mapping[str, Configurable]], variables: list[str]
) -> dict[tuple[str, str], Configured]:
    """Return the values of variables; refuse one that names a command but no option of it."""
    by_variable = {o.variable: o for options in known.values() for o in options.values()}
    starts = tuple(f"{PREFIX}{c.upper().replace('-', '_').replace(' ', '_')}_" for c in known)
    found = {}
    for variable in variables:
        option = by_variable.get(variable)
        if option is None:
            if variable.startswith(starts):
                near = get_close_matches(variable, sorted(by_variable), NEAR, 0.8)
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise InputError(f"${variable}: no such option{hint}")
            continue
        try:
            value = option.value_of_text(os.environ[variable])
        except InputError as error:
            raise InputError(f"${variable}: {error}") from error
        found[option.command, option.name] = Configured(option, value, f"${variable}")
    return found
