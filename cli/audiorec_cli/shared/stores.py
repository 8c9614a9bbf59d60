"""Which store a command reads, the space its songs are compared in, and the files beside it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiorec.errors import InputError, MissingFileError, StoreError
from audiorec_cli.shared.console import say
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.options import more

if TYPE_CHECKING:
    from audiorec.library.library import Library
    from audiorec.search.space import Space
    from audiorec.search.space_choice import SpaceChoice
    from audiorec.store.schema import Kind

ENVIRONMENT = "AUDIOREC_VECTORS"
DEFAULT = "vecs.parquet"
_WHICH = f"The store; by default ${ENVIRONMENT}, else {DEFAULT} in this folder."

VectorsOption = Annotated[
    Path | None, typer.Option("--vectors", "-v", metavar="STORE", help=_WHICH)
]
StoreArgument = Annotated[Path | None, typer.Argument(metavar="STORE", help=_WHICH)]

SimilarBy = Literal["auto", "sound", "vector", "mean"]


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


def open_vectors(given: Path | None, *, empty: bool = True) -> "Library":
    """Open the given or default store; refuse one without songs unless it may be `empty`."""
    from audiorec.library.library import open_store

    store = open_store(vectors_path(given))
    if not (empty or len(store)):
        raise StoreError(f"{store.path}: has no songs; add some: audiorec extract FOLDER")
    return store


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceOptions:
    """The space that songs are compared in: options of commands that search."""

    by: Annotated[
        SimilarBy,
        typer.Option(
            help="Compare by sound, by the weighted vector, or by its mean scores alone; auto: "
            "sound, or the vector in a store without."
        ),
    ] = "auto"
    embeddings: Annotated[
        Path | None, more(help="Compare by the learnt embeddings in this file instead.")
    ] = None

    def default_space(self, store: "Library") -> "SpaceChoice":
        """Choose the space.

        Raises
        ------
        InputError
            If the file of embeddings is missing, or another space is named as well.
        """
        if self.embeddings is not None and self.by != "auto":
            raise InputError(f"{self.embeddings}: is compared instead of --by {self.by}; give one")
        check(self.embeddings, InputKind.SONGS)
        return store.default_space(self.by, self.embeddings)


def say_basis(basis: "SpaceChoice", space: "Space | None" = None) -> None:
    """Print remarks on the space of comparison."""
    for note in (basis.note, space.note if space else ""):
        if note:
            say(f"note: {note}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesBeside:
    """Files that usually lie beside a store."""

    scores: Annotated[
        Path | None, typer.Option(help="Score series, if not scores.parquet beside the store.")
    ] = None
    features: Annotated[
        Path | None, typer.Option(help="Features, if not features.parquet beside the store.")
    ] = None
    errors: Annotated[
        Path | None, typer.Option(help="Failures, if not vecs.errors.parquet beside vecs.parquet.")
    ] = None

    def by_kind(self) -> "dict[Kind, Path | None]":
        """Return the given files by kind; refuse one that does not exist."""
        from audiorec.store.schema import Kind

        named = {Kind.SCORES: self.scores, Kind.FEATURES: self.features, Kind.ERRORS: self.errors}
        for path in filter(None, named.values()):
            if not path.exists():
                raise MissingFileError(f"{path}: no such file")
        return named
