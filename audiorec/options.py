"""What a person is told about a setting: declared once, beside the field that it sets.

    k: Annotated[int, Option("Number of songs.", least=1)] = 10   ──options_of──▶ {"k": Option(...)}

Command line, help pages, JSON APIs and their OpenAPI document read it from there.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Option:
    """Help, bounds and spelling of a field that people set; one without is set by programs alone.

    Attributes
    ----------
    help : str
    names : tuple of str
        Its spellings on the command line, if not that of the field.
    least, most : float, optional
        Bounds of a number.
    metavar : str, optional
        What stands for the value in help pages.
    rare : bool
        Whether help pages list it among the advanced options.
    """

    help: str
    names: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    metavar: str | None = None
    rare: bool = False


@cache
def options_of(kind: type) -> dict[str, Option]:
    """Return the options of a dataclass by field.

    Examples
    --------
    >>> from audiorec.search.questions import SimilarQuestion
    >>> options_of(SimilarQuestion)["k"].least
    1
    """
    hints = get_type_hints(kind, include_extras=True)
    found = {name: declared(hint) for name, hint in hints.items()}
    return {name: option for name, option in found.items() if option is not None}


def declared(hint: Any) -> Option | None:
    """Return the option of an annotation, None without one."""
    extras = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((extra for extra in extras if isinstance(extra, Option)), None)
