"""The public names of the few packages that programs import from, imported on first use.

    audiorec/search/__init__.py   ``HOMES = {"audiorec.search.space": ("Space", ...), ...}``
        ──lazy──▶ ``from audiorec.search import Space`` works, and imports that module only then

Everything inside audiorec imports from the module that defines a name. `audiorec`,
`audiorec.recall` and `audiorec.search` gather what programs use: plain imports there would load
every module below them, and make the start of a command two to four times as long.

Type checkers read the same names from imports under ``if TYPE_CHECKING``; a test holds the two
equal. Nothing reads source at run time, since frozen programs have none.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazy(
    package: str, homes: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package that gathers public names.

    Parameters
    ----------
    package : str
        The package that has the names.
    homes : Mapping of str to Iterable of str
        The public names of each module. A name of the package itself is a module: its own home.

    Examples
    --------
    >>> from audiorec.search import Space
    >>> Space.__module__
    'audiorec.search.space'
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    public = sorted(home_of)

    def getter(name: str) -> Any:
        if name == "__all__":
            return public
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = home_of[name]
        if home == package:
            return import_module(f"{package}.{name}")
        return getattr(import_module(home), name)

    return getter, lambda: public
