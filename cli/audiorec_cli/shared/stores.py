"""Which store a command reads, the space its songs are compared in, and the files beside it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiorec.errors import InputError, MissingFileError, StoreError
from audiorec_cli.shared.console import say
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

SimilarBy = Literal["auto", "vector", "mean", "features", "embedding"]


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
            help="Compare by the weighted vector, its mean scores alone, backbone features, or "
            "learnt embeddings; auto: features if the store has them."
        ),
    ] = "auto"
    features: Annotated[
        Path | None, more(help="For --by features [default: features.parquet beside the store].")
    ] = None
    embeddings: Annotated[
        Path | None, more(help="For --by embedding [default: embeddings.parquet beside the store].")
    ] = None

    def default_space(self, store: "Library", *, by_classes: bool = False) -> "SpaceChoice":
        """Choose the space; with `by_classes`, auto means the vector, which keeps classes apart.

        Raises
        ------
        InputError
            If the file is missing, or belongs to another space.
        """
        by = self._by
        if by_classes and by == "auto":
            by = "vector"
        found = store.default_space(by, self.features or self.embeddings)
        if found.table is not None and not found.table.exists():
            raise MissingFileError(f"--by {by} needs {found.table}, which does not exist")
        return found

    @property
    def _by(self) -> SimilarBy:
        """The space asked for; a given file implies its own."""
        given: dict[SimilarBy, Path | None]
        given = {"features": self.features, "embedding": self.embeddings}
        named: list[SimilarBy] = [by for by, path in given.items() if path is not None]
        by = named[0] if named and self.by == "auto" else self.by
        for other in named:
            if other != by:
                raise InputError(f"{given[other]} is for --by {other}, not for --by {by}")
        return by


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
