"""The public names of the few packages that programs import from, imported on first use.

    audiorec/search/__init__.py   ``if TYPE_CHECKING: from audiorec.search.space import Space ...``
        ──lazy──▶ ``from audiorec.search import Space`` works, and imports that module only then

Everything inside audiorec imports from the module that defines a name. `audiorec`,
`audiorec.recall` and `audiorec.search` gather what programs use: plain imports there would load
every module below them, and make the start of a command two to four times as long.
"""

import re
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

LINE = re.compile(r"^    from (\S+) import (\w+) as \w+$", re.MULTILINE)


def lazy(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package that gathers public names.

    Examples
    --------
    >>> from audiorec.search import Space
    >>> Space.__module__
    'audiorec.search.space'
    """

    def getter(name: str) -> Any:
        if name == "__all__":
            return sorted(homes(package))
        if name.startswith("__") or name not in homes(package):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes(package)[name]
        module = import_module(home)
        return module if home == f"{package}.{name}" else getattr(module, name)

    return getter, lambda: sorted(homes(package))


@cache
def homes(package: str) -> dict[str, str]:
    """Return the module of each public name of a package; a public module is its own home."""
    loader: Any = sys.modules[package].__loader__  # also of a package in an archive
    found = LINE.findall(loader.get_source(package))
    return {name: f"{of}.{name}" if of == package else of for of, name in found}
