"""Inputs of a command: the store that it reads, and the kind of every other file.

    reads(help=..., holds=InputKind.USERS)    checked before the command runs
    check(path, InputKind.SONGS)              the same where it depends on other options

For a file that does not exist or has another kind, the error says in one line which file, what it
holds, what it should hold, and the command to run.
"""

import os
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from audiorec.errors import MissingFileError, StoreError
from audiorec.options import argument, chooses, reads
from audiorec_cli.shared.console import say
from audiorec_cli.shared.options import store_file

if TYPE_CHECKING:
    from audiorec.library.library import Library
    from audiorec_cli.shared.libraries import KnownLibrary


class InputKind(StrEnum):
    """The kind of an input, in words."""

    VECTORS = "vectors of songs"
    FEATURES = "features of songs"
    SONGS = "embeddings of songs"
    USERS = "embeddings of users"


# The command that makes such a file at {path} from the songs in {folder}.
MAKES = {
    InputKind.VECTORS: "audiorec extract {folder} --out {path}",
    InputKind.FEATURES: "audiorec extract {folder} --features {path}",
    InputKind.SONGS: "audiorec recall songs MODEL {folder} --out {path}",
    InputKind.USERS: "audiorec recall users MODEL -i LOG --out {path}",
}
USUAL = {
    InputKind.VECTORS: "vecs.parquet",
    InputKind.FEATURES: "features.parquet",
    InputKind.SONGS: "embeddings.parquet",
    InputKind.USERS: "users.parquet",
}
# The kind in the metadata of a file, in words.
HOLDS = {
    "vectors": InputKind.VECTORS,
    "features": InputKind.FEATURES,
    "song_embeddings": InputKind.SONGS,
    "user_embeddings": InputKind.USERS,
    "interactions": "listening",
    "scores": "score series",
    "errors": "failures of a run",
    "audiences": "audiences",
    "song_lists": "lists of songs",
    "tastes": "tastes of users",
}
# What to do if the first is wanted and the file holds the second.
INSTEAD = {
    (InputKind.SONGS, "vectors"): "embed the songs first: audiorec recall songs MODEL -v {path} "
    "--out embeddings.parquet",
    (InputKind.SONGS, "features"): "embed the songs first: audiorec recall songs MODEL -v {path} "
    "--out embeddings.parquet",
    (
        InputKind.VECTORS,
        "song_embeddings",
    ): "embeddings of songs are compared with embeddings of users: --users users.parquet",
}
PARQUET = ".parquet"


def check(path: Path | None, wanted: InputKind) -> None:
    """Refuse a file that does not exist or has another kind; None is accepted.

    Damaged files and files without a kind are left to their reader.
    """
    if path is None:
        return
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; {_make(wanted, path)}")
    if path.is_dir():
        how = _make(wanted, folder=str(path))
        raise StoreError(f"{path}: is a folder, not {wanted}; {how}")

    from audiorec.store.inventory import declared_kind

    kind = declared_kind(path)
    holds = HOLDS.get(kind)
    if holds is None or holds == wanted:
        return
    instead = INSTEAD.get((wanted, kind), "").format(path=path)
    raise StoreError(f"{path}: holds {holds}, not {wanted}; {instead or _make(wanted)}")


def _make(wanted: InputKind, path: Path | None = None, *, folder: str = "FOLDER") -> str:
    """Return the command that makes such a file, at `path` if its suffix fits."""
    name = path if path is not None and path.suffix == PARQUET else USUAL[wanted]
    return f"make them: {MAKES[wanted].format(path=name, folder=folder)}"


ENVIRONMENT = "AUDIOREC_VECTORS"
DEFAULT = "vecs.parquet"
_WHICH = (
    f"The store; by default ${ENVIRONMENT}, else {DEFAULT} in this folder, else that of audiorec "
    "start: of this folder, or of the one opened last."
)

VectorsOption = Annotated[Path | None, store_file(variable=ENVIRONMENT, help=_WHICH)]
plays_file = partial(reads, "--interactions", "-i", metavar="PLAYS")
users_file = partial(chooses, "--users", "-u", metavar="FILE", holds=InputKind.USERS)
StoreArgument = Annotated[Path | None, argument(metavar="STORE", variable=ENVIRONMENT, help=_WHICH)]


def vectors_path(given: Path | None) -> Path:
    """Return the path of the store to read; if it is missing, the error says how to make one."""
    if given is None and _is_left_to_start() and (library := usual_library()):
        say(f"library: {library.folder} (store {library.store})")
        return library.store
    path = given or _usual()
    if not path.exists():
        hint = "" if given else f" (checked --vectors, ${ENVIRONMENT} and ./{DEFAULT})"
        raise MissingFileError(
            f"no store at {path}{hint}; make one: audiorec start FOLDER, or audiorec extract "
            f"FOLDER --out {DEFAULT}"
        )
    return path


def has_usual() -> bool:
    """Whether there is a default store."""
    return not _is_left_to_start() or usual_library() is not None


def _is_left_to_start() -> bool:
    return not os.environ.get(ENVIRONMENT) and not Path(DEFAULT).exists()


def usual_library() -> "KnownLibrary | None":
    """Return the library of this folder, or the one that ``start`` opened last."""
    from audiorec_cli.shared.libraries import last_library, library_of

    return library_of(Path.cwd()) or last_library()


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
    if not has_usual():
        return None
    path = vectors_path(None)
    say(f"{what} {path}")
    return path


def open_vectors(given: Path | None, *, empty: bool = True, by: str | Path = "auto") -> "Library":
    """Open the given or default store; refuse one without songs unless it may be `empty`.

    With `by`, refuse a file that cannot be compared by.
    """
    from audiorec.library.library import Library

    store = Library.open(vectors_path(given))
    if not (empty or len(store)):
        raise StoreError(f"{store.path}: has no songs; add some: audiorec extract FOLDER")
    check(store.default_space(by).table, InputKind.SONGS)
    return store


def say_basis(store: "Library", by: str | Path) -> None:
    """Print a remark on the space of comparison, if there is one."""
    if note := store.default_space(by).note:
        say(f"note: {note}")
