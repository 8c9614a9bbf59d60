"""Options: what a user may set, each declared once with its help, its bounds and its reach.

    k: Annotated[int, chooses("--k", "-k", min=1, help="Number of songs.")] = 10

The command line, files of settings, variables and the pages of documentation read these
declarations. The function that declares an option names its reach, what the option can do, so no
option is without one. A file of settings in a folder sets only what `chooses` or `reads`.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

ADVANCED = "Advanced"  # the panel of less common options
COMMON = "Common options"  # the panel of those that most commands have
Remote = Literal["copied", "refused", "itself", "in place", "goes on"]


class Reach(StrEnum):
    """What an option can do; the value completes a message: "it writes"."""

    CHOOSES = "chooses"
    READS = "names what is read"
    WRITES = "writes"
    DELETES = "deletes"
    LOADS = "loads a model"
    CONNECTS = "opens the network"
    UNGUARDS = "lifts a limit"


FROM_A_FOLDER = frozenset({Reach.CHOOSES, Reach.READS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option or argument.

    Attributes
    ----------
    reach : Reach
    help : str
    names : tuple of str
        ``("--k", "-k")``; by default the name of the parameter or field.
    metavar : str
        What stands for the value on help pages; by default it follows from the type.
    min, max : float, optional
        Bounds of a number, both included.
    panel : str
        Heading on help pages.
    argument : bool
        Whether it is named by its position.
    common : bool
        Whether all commands that have it share it.
    log : bool
        Whether it is a listening log, which can be limited to days.
    remote : str
        What becomes of a URI: a local copy; refused; the command opens it; changed in place; an
        output whose present content is read.
    only : str
        Pattern of the file names that are copied from a remote folder; all if empty.
    variable : str
        Environment variable that stands for the option in every command.
    """

    reach: Reach
    help: str
    names: tuple[str, ...] = ()
    metavar: str = ""
    min: float | None = None
    max: float | None = None
    panel: str = ""
    argument: bool = False
    common: bool = False
    log: bool = False
    remote: Remote = "copied"
    only: str = ""
    variable: str = ""


def _declare(reach: Reach, *names: str, help: str, metavar: str = "", **about: Any) -> Option:  # noqa: A002
    if about.get("log") and not metavar:
        metavar = "LOG"
    return Option(reach=reach, names=names, help=help, metavar=metavar, **about)


chooses = partial(_declare, Reach.CHOOSES)
reads = partial(_declare, Reach.READS)
writes = partial(_declare, Reach.WRITES)
deletes = partial(_declare, Reach.DELETES)
loads = partial(_declare, Reach.LOADS)
connects = partial(_declare, Reach.CONNECTS)
unguards = partial(_declare, Reach.UNGUARDS)
argument = partial(_declare, Reach.READS, argument=True)


@cache
def options_of(kind: type) -> dict[str, Option]:
    """Return the options of a dataclass by field.

    Examples
    --------
    >>> from audiorec.search.questions import SimilarQuestion
    >>> options_of(SimilarQuestion)["k"].min
    1
    """
    hints = get_type_hints(kind, include_extras=True)
    found = {name: declared(hint) for name, hint in hints.items()}
    return {name: option for name, option in found.items() if option is not None}


def declared(hint: Any) -> Option | None:
    """Return the option of an annotation, None without one."""
    extras = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((extra for extra in extras if isinstance(extra, Option)), None)
