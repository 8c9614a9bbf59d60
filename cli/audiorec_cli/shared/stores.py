"""Which store a command reads, the space its songs are compared in, and the files beside it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from audiorec.errors import MissingFileError, StoreError
from audiorec.options import argument, reads
from audiorec_cli.shared.console import say
from audiorec_cli.shared.inputs import InputKind, check

if TYPE_CHECKING:
    from audiorec.library.library import Library

ENVIRONMENT = "AUDIOREC_VECTORS"
DEFAULT = "vecs.parquet"
_WHICH = f"The store; by default ${ENVIRONMENT}, else {DEFAULT} in this folder."

VectorsOption = Annotated[
    Path | None, reads("--vectors", "-v", metavar="STORE", variable=ENVIRONMENT, help=_WHICH)
]
StoreArgument = Annotated[Path | None, argument(metavar="STORE", variable=ENVIRONMENT, help=_WHICH)]


def vectors_path(given: Path | None) -> Path:
    """Return the path of the store to read; if it is missing, the error says how to make one."""
    path = given or _usual()
    if not path.exists():
        hint = "" if given else f" (checked --vectors, ${ENVIRONMENT} and ./{DEFAULT})"
        raise MissingFileError(
            f"no store at {path}{hint}; make one: audiorec extract FOLDER --out {DEFAULT}"
        )
    return path


def _usual() -> Path:
    named = os.environ.get(ENVIRONMENT) or DEFAULT
    if "://" not in named:
        return Path(named)
    from audiorec.files.copies import with_local

    return with_local(named)


def usual_vectors(what: str) -> Path | None:
    """Return the default store if it exists, and print a line with its path.

    `what` begins the line: the purpose of the store.
    """
    if not os.environ.get(ENVIRONMENT) and not Path(DEFAULT).exists():
        return None
    path = vectors_path(None)
    say(f"{what} {path}")
    return path


def open_vectors(given: Path | None, *, empty: bool = True, by: str | Path = "auto") -> "Library":
    """Open the given or default store; refuse one without songs unless it may be `empty`.

    With `by`, refuse a file that cannot be compared by.
    """
    from audiorec.library.library import open_store

    store = open_store(vectors_path(given))
    if not (empty or len(store)):
        raise StoreError(f"{store.path}: has no songs; add some: audiorec extract FOLDER")
    check(store.default_space(by).table, InputKind.SONGS)
    return store


def say_basis(store: "Library", by: str | Path) -> None:
    """Print a remark on the space of comparison, if there is one."""
    if note := store.default_space(by).note:
        say(f"note: {note}")


def say_non_music(count: int) -> None:
    """Report how many songs are left out because they are not music."""
    if count:
        are = "songs that are" if count > 1 else "song that is"
        say(f"{count} {are} not music left out (--also non-music)")
