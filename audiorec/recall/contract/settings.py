"""The settings of a channel: the fields of its recipe, with defaults and meanings.

a recipe with an ``Attributes`` section in its docstring  ──settings_of──▶ one `Setting` per field
"""

import inspect
import re
from dataclasses import MISSING, dataclass, fields
from typing import Any

# An unindented "name : type", then indented lines up to the next entry.
ENTRY = re.compile(r"^(?P<names>\w+(?:, \w+)*) : .+\n(?P<text>(?:[ \t]+.*\n?|\n)+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a recipe."""

    name: str
    type: str
    default: Any
    meaning: str  # one line; empty if undocumented


def settings_of(recipe: type | None) -> list[Setting]:
    """Return the fields of a recipe, in order; an empty list for a channel without one.

    Examples
    --------
    >>> from audiorec.recall.simple.popular import PopularRecipe
    >>> setting, = settings_of(PopularRecipe)
    >>> setting.name, setting.type, setting.default
    ('half_life_days', 'float | None', None)
    >>> setting.meaning[:40]
    'Days in which a play loses half its weig'
    """
    if recipe is None:
        return []
    meanings = _meanings(recipe)
    return [
        Setting(
            field.name,
            inspect.formatannotation(field.type, base_module="").replace("typing.", ""),
            field.default if field.default is not MISSING else None,
            meanings.get(field.name, ""),
        )
        for field in fields(recipe)
    ]


def _meanings(recipe: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind in reversed(recipe.__mro__):  # inherited fields are documented in the parent
        said = inspect.cleandoc(kind.__doc__ or "")
        _, _, attributes = said.partition("Attributes\n----------\n")
        for entry in ENTRY.finditer(f"{attributes}\n"):
            text = " ".join(entry["text"].split()).replace("`", "")
            found |= dict.fromkeys(entry["names"].split(", "), text)
    return found
