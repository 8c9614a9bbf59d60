"""Which songs may come and how many of one kind: options shared by similar, path, playlist."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from audiorec_cli.shared.console import say

if TYPE_CHECKING:
    from audiorec.search.diversify import Limit
    from audiorec.search.library import Library
    from audiorec.types import BoolArray

OnlyOption = Annotated[
    str | None,
    typer.Option(
        "--only",
        help='Conditions: "genre=jazz|blues, genre.metal<0.2, duration<10:00, artist!=Abba".',
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option("--exclude", help="Leave out an id, a part of ids, a folder/ or a glob."),
]
PerArtistOption = Annotated[
    int | None, typer.Option("--max-per-artist", min=1, help="Songs of one artist at most.")
]
PerAlbumOption = Annotated[
    int | None, typer.Option("--max-per-album", min=1, help="Songs of one album at most.")
]
KeepDuplicatesOption = Annotated[
    bool, typer.Option("--keep-duplicates", help="Let the same audio come more than once.")
]


def allowed_songs(store: "Library", only: str | None, exclude: list[str] | None) -> "BoolArray":
    """Return the songs that meet the conditions and are not left out: shape (n,), bool."""
    from audiorec.search.filters import excluding, matching, parse_conditions

    mask = matching(store, parse_conditions(only) if only is not None else ())
    excluded, idle = excluding(store, exclude or ())
    for pattern in idle:
        say(f"note: --exclude {pattern} fits no song")
    return mask & ~excluded


def limits(
    store: "Library",
    *,
    per_artist: int | None,
    per_album: int | None,
    keep_duplicates: bool,
) -> "list[Limit]":
    """Return the limits that were asked for, and one song for each content hash."""
    from audiorec.search.diversify import Limit
    from audiorec.search.filters import name_codes, text_codes

    found = []
    if per_artist is not None:
        found.append(Limit(name_codes(store, "artist"), per_artist))
    if per_album is not None:
        found.append(Limit(name_codes(store, "album"), per_album))
    if not keep_duplicates:
        found.append(Limit(text_codes(store, "content_hash")[0], 1))
    return found


def say_copies(store: "Library", rows: Sequence[int]) -> None:
    """Say how many songs are not shown since they are the same audio as one that is."""
    import numpy as np

    from audiorec.search.filters import text_codes

    codes, _ = text_codes(store, "content_hash")
    shown = np.unique(np.asarray(rows, np.int64))
    copies = int(np.isin(codes, codes[shown]).sum()) - len(shown)
    if copies:
        say(f"{copies} copies of these songs left out (--keep-duplicates shows them)")
