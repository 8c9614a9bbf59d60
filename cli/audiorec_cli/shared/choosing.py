"""Which songs may come and how many of one kind: options of similar, path and playlist."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from audiorec_cli.shared.console import say
from audiorec_cli.shared.options import more

if TYPE_CHECKING:
    from audiorec.library.library import Library
    from audiorec.search.diversify import Limit
    from audiorec.types import BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which songs may come, and how many of one kind."""

    only: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITIONS",
            help='Conditions: "genre=jazz|blues, genre.metal<0.2, duration<10:00, artist!=Abba".',
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="SONGS", help="Leave out an id, a part of ids, a folder/ or a glob."),
    ] = None
    per_artist: Annotated[
        int | None, typer.Option("--max-per-artist", min=1, help="Songs of one artist at most.")
    ] = None
    per_album: Annotated[
        int | None, more("--max-per-album", min=1, help="Songs of one album at most.")
    ] = None
    keep_duplicates: Annotated[
        bool, more("--keep-duplicates", help="Let the same audio come more than once.")
    ] = False

    def of(self, store: "Library") -> "tuple[BoolArray, list[Limit]]":
        """Return the songs of a store that may come (n,), bool, and the limits of their number.

        A limit of one song for each content hash is among them unless copies are kept.
        """
        from audiorec.search.diversify import Limit
        from audiorec.search.filters import (
            excluding,
            matching,
            name_codes,
            parse_conditions,
            text_codes,
        )

        mask = matching(store, parse_conditions(self.only) if self.only is not None else ())
        excluded, idle = excluding(store, self.exclude or ())
        for pattern in idle:
            say(f"note: --exclude {pattern} fits no song")
        asked = {"artist": self.per_artist, "album": self.per_album}
        limits = [Limit(name_codes(store, name), most) for name, most in asked.items() if most]
        if not self.keep_duplicates:
            limits.append(Limit(text_codes(store, "content_hash")[0], 1))
        return mask & ~excluded, limits

    def say_copies(self, store: "Library", rows: Sequence[int]) -> None:
        """Say how many songs are not shown since they are the same audio as one that is."""
        import numpy as np

        from audiorec.search.filters import text_codes

        if self.keep_duplicates:
            return
        codes, _ = text_codes(store, "content_hash")
        shown = np.unique(np.asarray(rows, np.int64))
        copies = int(np.isin(codes, codes[shown]).sum()) - len(shown)
        if copies:
            say(f"{copies} copies of these songs left out (--keep-duplicates shows them)")
