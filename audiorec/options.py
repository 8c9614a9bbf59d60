"""Options: what a user may set, each declared once with its help, its bounds and its reach.

    k: int = setting(10, chooses("--k", "-k", min=1, help="Number of songs."))      in a dataclass
    k: Annotated[int, chooses("--k", "-k", min=1, help="Number of songs.")] = 10    of a function

    a class ──fields_of──▶ `Field`s: name, type, default, option      values ──made──▶ an object

The command line, files of settings, variables, the pages of documentation, the JSON API and the
page's forms read these declarations. The function that declares an option names its reach: a client
of a server sets only what `chooses`, and names no file; what `writes` names a local path.
"""

import inspect
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from audiorec.errors import InputError

ADVANCED = "Advanced"  # the panel of less common options
OPTION = "option"  # its key in the metadata of a field
COMMON = "Common options"  # the panel of those that most commands have


CHOOSES, READS, WRITES = "chooses", "reads", "writes"
SEVERAL = (list, tuple, Collection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option or argument.

    Attributes
    ----------
    reach : {"chooses", "reads", "writes"}
        What it can do: choose how to answer, name what is read, or name what is written.
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
    holds : str
        What else the file must hold, in words; any file if empty.
    takes_uri : bool
        Whether the command opens a URI itself; else it gets a local copy of an input.
    only : str
        Pattern of the file names that are copied from a remote folder; all if empty.
    variable : str
        Environment variable that stands for the option in every command.
    """

    reach: str
    help: str
    names: tuple[str, ...] = ()
    metavar: str = ""
    min: float | None = None
    max: float | None = None
    panel: str = ""
    argument: bool = False
    common: bool = False
    log: bool = False
    holds: str = ""
    takes_uri: bool = False
    only: str = ""
    variable: str = ""


def _declare(reach: str, *names: str, help: str, metavar: str = "", **about: Any) -> Option:  # noqa: A002
    if about.get("log") and not metavar:
        metavar = "LOG"
    return Option(reach=reach, names=names, help=help, metavar=metavar, **about)


chooses = partial(_declare, CHOOSES)
reads = partial(_declare, READS)
writes = partial(_declare, WRITES)
argument = partial(_declare, READS, argument=True)


def setting(default: Any, option: Option) -> Any:
    """Return a field of a dataclass that is an option: its signature shows type and default alone.

    Examples
    --------
    >>> @dataclass
    ... class Question:
    ...     k: int = setting(10, chooses("--k", "-k", min=1, help="Number of songs."))
    >>> str(inspect.signature(Question)), fields_of(Question)[0].option.help
    ('(k: int = 10) -> None', 'Number of songs.')
    """
    return field(default=default, metadata={OPTION: option})


def declared(hint: Any) -> Option | None:
    """Return the option of an annotation, None without one."""
    extras = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((extra for extra in extras if isinstance(extra, Option)), None)


@dataclass(frozen=True, slots=True)
class Field:
    """One option, and where its value goes.

    Attributes
    ----------
    name : str
        The parameter of a function, or the field of a class.
    kind : type
        Its type, such as ``int | None``.
    default : object
        `MISSING` if it has to be given.
    option : Option
    of : tuple of str
        The parameter, and the fields below it, whose class has this field; empty for a parameter.
    """

    name: str
    kind: Any
    default: Any
    option: Option
    of: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name in files and variables, without dashes in front: ``max-per-artist``."""
        long = [name for name in self.option.names if name.startswith("--")]
        return (long or [self.name.replace("_", "-")])[0].lstrip("-").partition("/")[0]

    @property
    def is_several(self) -> bool:
        """Whether it can be given more than once."""
        return any(get_origin(kind) in SEVERAL for kind in (self.kind, *get_args(self.kind)))

    @property
    def plain(self) -> Any:
        """The type of one value: `int` for ``list[int] | None``; a `Literal` stays."""
        return next(kind for kind in members(self.kind) if kind is not type(None))

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a `Literal`; empty for any other type."""
        return get_args(self.plain) if get_origin(self.plain) is Literal else ()

    @property
    def is_spread(self) -> bool:
        """Whether several values may follow one name: ``--k 10 20``."""
        return self.is_several and self.plain is int

    @property
    def is_path(self) -> bool:
        """Whether its values are paths, which can be URIs."""
        return self.plain is Path

    @property
    def is_for_clients(self) -> bool:
        """Whether a client of a server may set it: it chooses, and takes no path or song."""
        kinds = set(members(self.kind)) - {type(None)}  # a song, str | int, may be a file
        return self.option.reach == CHOOSES and len(kinds) == 1 and Path not in kinds


def fields_of(kind: type) -> list[Field]:
    """Return the options of a dataclass and of those in its fields, its own before inherited ones.

    Fields without a declaration are left out: programs alone set them.

    Examples
    --------
    >>> from audiorec.search.questions import PathQuestion
    >>> [(field.name, field.default) for field in fields_of(PathQuestion)][:2]
    [('steps', 8), ('by', 'auto')]
    """
    return list(fields_within(kind, ()))


def fields_within(kind: Any, of: tuple[str, ...], usual: Any = None) -> Iterator[Field]:
    """Yield the options of a dataclass at `of`; `usual` is an instance with other defaults."""
    hints = get_type_hints(kind, include_extras=True)
    every = {one.name: one for one in fields(kind)}
    for name in dict.fromkeys([*inspect.get_annotations(kind), *every]):
        default = _default(every[name]) if usual is None else getattr(usual, name)
        if is_dataclass(hints[name]):
            yield from fields_within(
                hints[name], (*of, name), None if default is MISSING else default
            )
        elif option := every[name].metadata.get(OPTION):
            yield Field(name, hints[name], default, option, of)
        elif (option := declared(hints[name])) is not None:
            yield Field(name, get_args(hints[name])[0], default, option, of)


def _default(one: Any) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def made(kind: Any, values: Mapping[str, Any]) -> Any:
    """Return an object of a dataclass, and of those in its fields, from values by field."""
    own: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        if name in values:
            own[name] = values[name]
        elif is_dataclass(hint):
            own[name] = made(hint, values)
    return kind(**own)


def members(kind: Any) -> tuple[Any, ...]:
    """Return the plain types in a type: int and None for ``list[int] | None``."""
    if get_origin(kind) is Literal:
        return (kind,)
    inner = get_args(kind)
    return tuple(one for part in inner for one in members(part)) if inner else (kind,)


def check_range(option: Option, name: str, value: Any) -> None:
    """Raise `InputError` if a number is outside its declared bounds."""
    low, high = option.min, option.max
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    if not (low is None or value >= low) or not (high is None or value <= high):  # nor nan
        least = "" if low is None else f" from {low:g}"
        raise InputError(
            f"{name} is{least}{'' if high is None else f' to {high:g}'}, got {value!r}"
        )


# ``>0``, ``>=1``, ``[0, 1)``
LIMITS = re.compile(r"(>=?|\[|\()([-\d.]+)(?:, ([-\d.inf]+)([\])]))?")


def check_fields(of: object, **allowed: str | Collection[str]) -> None:
    """Check fields of a recipe: numbers against limits, texts against what they may be.

    Raises `InputError` for the first one that is wrong; a field that is None is not checked.
    Of several numbers, each must be within the limits.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> recipe = SimpleNamespace(history=5, by="user", fade=1.5)
    >>> check_fields(recipe, history=">=1", by=("user", "list"), fade="[0, 1]")
    Traceback (most recent call last):
    audiorec.errors.InputError: fade must be in [0, 1], got 1.5
    """
    for name, known in allowed.items():
        value = getattr(of, name)
        if value is None:
            continue
        if isinstance(known, str):
            several = value if isinstance(value, tuple) else (value,)
            good = all(_is_within(one, known) for one in several)
            wanted = re.sub(r"^(?=[\[(])", "in ", known)
            wanted = wanted.replace(">=", "at least ").replace(">", "above ")
        else:
            good, wanted = value in known, f"one of {', '.join(known)}"
        if not good:
            raise InputError(f"{name} must be {wanted}, got {value!r}")


def _is_within(value: float, limits: str) -> bool:
    first, low, high, last = LIMITS.findall(limits)[0]
    is_above = value >= float(low) if first in (">=", "[") else value > float(low)
    is_below = value < float(high) if last == ")" else value <= float(high or "inf")
    return is_above and is_below  # neither for nan
