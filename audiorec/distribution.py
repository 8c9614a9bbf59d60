"""The distribution that holds this package: its name, its version, and the packages of its extras.

The distribution is called ``audiorec-music``, because ``audiorec`` on the package index is another
project. Import name and command are ``audiorec``. Extras are declared once, in ``pyproject.toml``;
what is read here is the metadata of the installed distribution.
"""

import re
from functools import cache

NAME = "audiorec-music"
IMPORTED_AS = "audiorec"


@cache  # the metadata of a distribution is parsed anew each time
def version_of(package: str) -> str:
    """Return the version of an installed distribution; ``audiorec`` means our own.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        If it is not installed.
    """
    from importlib.metadata import version  # slow to import, and errors import this module

    return version(NAME if package == IMPORTED_AS else package)


def own_version() -> str:
    """Return the version of audiorec."""
    return version_of(IMPORTED_AS)


def created_by() -> str:
    """Return program and version, as files name what wrote them."""
    return f"{IMPORTED_AS} {own_version()}"


def packages(extra: str) -> list[str]:
    """Return the requirements of an extra, such as ``starlette>=0.45``.

    The list is empty if audiorec is not installed, or has no such extra.
    """
    from importlib.metadata import PackageNotFoundError, requires

    try:
        declared = requires(NAME) or []
    except PackageNotFoundError:
        return []
    of_extra = re.compile(rf"""\bextra == (["']){re.escape(extra)}\1""")
    return [text.partition(";")[0].strip() for text in declared if of_extra.search(text)]


def install_command(extra: str) -> str:
    """Return the command that installs an extra, by the names of its packages.

    >>> install_command("watch")
    'pip install "watchfiles>=1.0"'
    """
    result = packages(extra)
    if not result:
        return f'pip install ".[{extra}]" in the source folder of {IMPORTED_AS}'
    return " ".join(["pip install", *(f'"{package}"' for package in result)])
