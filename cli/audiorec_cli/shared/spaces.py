"""What songs are compared by: the options of every command that looks for near songs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiorec.errors import InputError, StoreError
from audiorec_cli.shared.console import say

if TYPE_CHECKING:
    from audiorec.search.library import Library
    from audiorec.search.space import Space

By = Literal["vector", "mean", "features", "embedding"]

ByOption = Annotated[
    By,
    typer.Option(
        help="Compare by the weighted vector, its mean scores alone, backbone features, or "
        "learnt embeddings."
    ),
]
FeaturesOption = Annotated[
    Path | None,
    typer.Option(help="For --by features [default: features.parquet beside the store]."),
]
EmbeddingsOption = Annotated[
    Path | None,
    typer.Option(help="For --by embedding [default: embeddings.parquet beside the store]."),
]


def open_space(
    store: "Library",
    by: By,
    *,
    features: Path | None,
    embeddings: Path | None,
    use_index: bool = True,
) -> "Space":
    """Open what is compared by; what a person should know of it goes to stderr.

    Raises
    ------
    StoreError
        If the store has no songs.
    InputError
        As `table_of`.
    """
    table = table_of(store, by, features=features, embeddings=embeddings)
    space = store.space(by, table=table, use_index=use_index)
    if space.note:
        say(f"note: {space.note}")
    return space


def table_of(
    store: "Library", by: By, *, features: Path | None, embeddings: Path | None
) -> Path | None:
    """Return the file beside the store to compare by; None where vectors are compared.

    Raises
    ------
    StoreError
        If the store has no songs.
    InputError
        If the file is missing, or given for another way of comparing.
    """
    from audiorec.search.space import TABLES

    if not len(store):
        raise StoreError(f"{store.path}: has no songs; add some: audiorec extract FOLDER")
    given = {"features": features, "embedding": embeddings}
    for name, path in given.items():
        if path is not None and name != by:
            raise InputError(f"{path} is for --by {name}, not for --by {by}")
    if by not in given:
        return None
    table = given[by] or store.path.with_name(TABLES[by])
    if not table.exists():
        raise InputError(f"--by {by} needs {table}, which is not there")
    return table
