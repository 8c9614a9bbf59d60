"""Options of the form NAME=VALUE: fields of a dataclass of the library, which declares them once.

    --set per_artist=2 --set method=quotas  ──values_for──▶ {"per_artist": 2, "method": "quotas"}
    "audiorec.recall.serving:FusionRecipe"  ──described──▶ the rows of a help page

A name without a value switches a field on; a field of several values takes commas.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import fields
from importlib import import_module
from typing import Annotated, Any, TypeVar, get_origin, get_type_hints

from audiorec.errors import InputError
from audiorec.options import chooses

T = TypeVar("T")
SettingsOption = Annotated[
    list[str] | None,
    chooses("--set", metavar="NAME=VALUE", help="Change a setting (repeatable)."),
]


def made(
    kind: Callable[..., T], texts: Sequence[str] | None, *, option: str = "--set", **given: Any
) -> T:
    """Return a dataclass from ``NAME=VALUE`` texts and from values that have their own options."""
    return kind(**given, **values_for(texts, kind, but=given, option=option)[0])


def values_for(
    texts: Sequence[str] | None, *kinds: Any, but: Collection[str] = (), option: str = "--set"
) -> list[dict[str, Any]]:
    """Sort ``NAME=VALUE`` texts by the dataclass that has the field; return the values of each.

    Raises
    ------
    InputError
        If no dataclass has a field of this name, or the value has the wrong type.
    """
    found: list[dict[str, Any]] = [{} for _ in kinds]
    owner = {field.name: n for n, kind in enumerate(kinds) for field in fields(kind)}
    for text in texts or ():
        name, has_value, value = text.partition("=")
        name = name.replace("-", "_")
        try:
            if name not in owner or name in but:
                names = ", ".join(sorted(set(owner) - set(but)))
                raise InputError(f"unknown setting {name!r}; there are: {names}")
            kind, of_kind = kinds[owner[name]], found[owner[name]]
            if not has_value and get_type_hints(kind)[name] is not bool:
                raise InputError(f"expected {name}=VALUE")
            read = _value(kind, name, value if has_value else "true")
            of_kind[name] = of_kind.get(name, ()) + read if isinstance(read, tuple) else read
        except InputError as error:
            raise InputError(f"{option} {text}: {error}") from error
    return found


def _value(kind: Any, name: str, text: str) -> Any:
    """Return the value of a field; commas separate the values of one that takes several."""
    from audiorec.files.user_files import as_field_type, parse_value

    read = parse_value(text)
    wanted = get_type_hints(kind)[name]
    if get_origin(wanted) is tuple and not isinstance(read, list):
        read = [parse_value(part) for part in text.split(",")]
    elif wanted is str or wanted == str | None:
        read = text
    return as_field_type(kind, name, read)


def described(places: Sequence[str], but: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield name and meaning, with the default, of the fields of dataclasses ``module:Class``."""
    from audiorec.recall.contract.job import settings_of

    for place in places:
        module, _, name = place.partition(":")
        for setting in settings_of(getattr(import_module(module), name)):
            if setting.meaning and setting.name not in but:
                usual = f" [default: {setting.default}]"
                shown = "" if setting.default in (None, (), "") else usual
                yield setting.name, f"{setting.meaning.rstrip('.')}.{shown}"
