"""The public names of a package, imported on first use.

    audiorec/search/__init__.pyi   ``from audiorec.search.space import Space as Space``
        ──lazy──▶ ``from audiorec.search import Space`` works, and imports that module only then

A package declares its public names once, in the stub beside its ``__init__.py``, where type
checkers and editors find them too. Importing a package reads nothing and loads nothing.
"""

import os
import re
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

LINE = re.compile(r"^from (\S+) import (\w+) as \w+$", re.MULTILINE)


def lazy(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for the ``__init__`` of a package with a stub.

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
    place = os.path.join(*sys.modules[package].__path__, "__init__.pyi")  # noqa: PTH118
    found = LINE.findall(loader.get_data(place).decode())
    return {name: f"{of}.{name}" if of == package else of for of, name in found}
