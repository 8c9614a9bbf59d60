"""Read settings as typed values, from TOML (``--config``) or ``NAME=VALUE`` arguments.

    audiorec.toml ──read_settings──▶ one of its tables ──from_table──▶ a dataclass
    "epochs=5"    ──as_field_type──────────▶ 5

Unknown keys are refused with a list of the known ones, and so are values of the wrong type.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from audiorec.errors import InputError
from audiorec.files.user_files import read_text

TABLES = ("library", "recall", "federated")
T = TypeVar("T")


def read_settings(path: Path, table: str) -> Mapping[str, Any]:
    """Return one table of a settings file.

    Raises
    ------
    InputError
        If the file is missing, not TOML, lacks the table, or has an unknown one.
    """
    text = read_text(path, "cannot read the settings")
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not TOML: {error}") from error
    unknown = [name for name in content if name not in TABLES]
    if unknown:
        raise InputError(f"{path}: unknown table {unknown[0]!r}; there are: {', '.join(TABLES)}")
    found = content.get(table)
    if not isinstance(found, Mapping):
        raise InputError(f"{path}: has no table [{table}]")
    return found


def from_table(kind: type[T], content: Mapping[str, Any], where: str) -> T:
    """Build a dataclass from the keys of a table; missing keys keep their defaults.

    Raises
    ------
    InputError
        If a key is unknown, a value has the wrong type, or the dataclass refuses it; the message
        begins with `where`.
    """
    try:
        return kind(**{name: as_field_type(kind, name, value) for name, value in content.items()})
    except (InputError, TypeError) as error:  # a field without a default may be missing
        raise InputError(f"{where}: {error}") from error


def as_field_type(kind: type, name: str, value: Any) -> Any:
    """Convert a value to the type of a dataclass field; lists become tuples.

    Raises
    ------
    InputError
        If there is no such field, or the value has the wrong type.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Recipe:
    ...     rate: float = 0.1
    ...     hidden: tuple[int, ...] = ()
    >>> as_field_type(Recipe, "rate", 1), as_field_type(Recipe, "hidden", [8, 4])
    (1.0, (8, 4))
    """
    known = {field.name for field in fields(kind)}
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise InputError(f"unknown setting {name!r}; there are: {names}")
    return as_type(get_type_hints(kind)[name], name, value)


def as_type(wanted: Any, name: str, value: Any) -> Any:
    """Convert a value to a given type; lists become tuples, and strings paths where needed.

    Raises
    ------
    InputError
        If it has the wrong type; the message begins with `name`.

    Examples
    --------
    >>> as_type(float | None, "rate", 1), as_type(list[str], "name", ["a"])
    (1.0, ('a',))
    """
    read = _as_tuples(value)
    if isinstance(read, int) and not isinstance(read, bool) and not _takes(wanted, read):
        read = float(read)
    if isinstance(read, tuple) and _takes(wanted, tuple(map(_as_float, read))):
        read = read if _takes(wanted, read) else tuple(map(_as_float, read))
    if not _takes(wanted, read):
        read = _as_paths(read) if _takes(wanted, _as_paths(read)) else read
    if not _takes(wanted, read):
        choices = get_args(wanted) if get_origin(wanted) is Literal else ()
        if choices:
            raise InputError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")
        shown = getattr(wanted, "__name__", None) or str(wanted).replace("typing.", "")
        raise InputError(f"{name} must be {shown}, got {value!r}")
    return read


def parse_value(text: str) -> Any:
    """Parse the value of a setting on the command line: JSON if valid, otherwise the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _as_paths(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_as_paths, value))
    return Path(value) if isinstance(value, str) else value


def _as_float(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_as_float, value))
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _takes(wanted: Any, value: Any) -> bool:
    """Return whether a value matches the type `wanted`."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Literal:
        return value in arguments
    if origin in (Union, UnionType):
        return any(_takes(one, value) for one in arguments)
    if origin in (tuple, list):
        return isinstance(value, tuple) and all(_takes(arguments[0], part) for part in value)
    if isinstance(wanted, type) and issubclass(wanted, Path):
        return isinstance(value, Path)
    return type(value) is (origin or wanted) or (
        isinstance(value, Mapping) and origin is not None and issubclass(origin, Mapping)
    )
