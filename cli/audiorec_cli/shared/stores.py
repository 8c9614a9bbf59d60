"""Which ``vecs.parquet`` a command reads: the option, the environment, or this folder."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiorec.errors import MissingFileError

if TYPE_CHECKING:
    from audiorec.search.library import Library

ENVIRONMENT = "AUDIOREC_VECTORS"
DEFAULT = "vecs.parquet"

VectorsOption = Annotated[
    Path | None,
    typer.Option(
        "--vectors",
        "-v",
        help=f"The store; by default ${ENVIRONMENT}, else {DEFAULT} in this folder.",
    ),
]


def open_vectors(given: Path | None) -> "Library":
    """Open the store that is meant.

    Raises
    ------
    MissingFileError
        If there is none; says where it was looked for and how to make one.
    """
    from audiorec.search.library import Library

    return Library.open(vectors_path(given))


def vectors_path(given: Path | None) -> Path:
    """Return the path of the store that is meant.

    Raises
    ------
    MissingFileError
        As for `open_vectors`.
    """
    path = given or Path(os.environ.get(ENVIRONMENT) or DEFAULT)
    if not path.exists():
        hint = "" if given else f" (looked at --vectors, ${ENVIRONMENT} and ./{DEFAULT})"
        raise MissingFileError(
            f"no store at {path}{hint}; make one: audiorec extract FOLDER --out {DEFAULT}"
        )
    return path
