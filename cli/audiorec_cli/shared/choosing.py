"""Filters on songs and limits per artist and album: options of similar, path and playlist."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from audiorec_cli.shared.console import counted, say
from audiorec_cli.shared.options import more

if TYPE_CHECKING:
    from audiorec.library.library import Library
    from audiorec.search.choice import Choice, Chosen

IncludeNonMusicOption = Annotated[
    bool, more("--include-non-music", help="Include speech, noise, silence and jingles.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceOptions:
    """Filters on songs, and limits per artist and album."""

    only: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITIONS",
            help='Conditions: "genre=jazz|blues, genre.metal<0.2, duration<10:00, artist!=Abba".',
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="SONGS", help="Exclude an id, a part of ids, a folder/ or a glob."),
    ] = None
    per_artist: Annotated[
        int | None, typer.Option("--max-per-artist", min=1, help="Most songs of one artist.")
    ] = None
    per_album: Annotated[
        int | None, more("--max-per-album", min=1, help="Most songs of one album.")
    ] = None
    keep_duplicates: Annotated[
        bool, more("--keep-duplicates", help="Allow copies of the same audio.")
    ] = False
    include_non_music: IncludeNonMusicOption = False

    @property
    def choice(self) -> "Choice":
        """The options as a `Choice` of the library."""
        from audiorec.search.choice import Choice

        return Choice(
            only=self.only,
            exclude=self.exclude or (),
            per_artist=self.per_artist,
            per_album=self.per_album,
            keep_duplicates=self.keep_duplicates,
            include_non_music=self.include_non_music,
        )

    def say_left_out(self, store: "Library", chosen: "Chosen", rows: Sequence[int]) -> None:
        """Report unmatched patterns, and how many songs are left out of the list `rows`."""
        for pattern in chosen.idle:
            say(f"note: --exclude {pattern} matches no song")
        if chosen.unmet:
            say(f"note: {chosen.unmet}")
        shown = 0 if self.include_non_music else int((~store.music[list(set(rows))]).sum())
        say_non_music(chosen.not_music - shown)
        if not self.keep_duplicates and (copies := store.copies(rows)):
            found = counted(copies, "copy", "copies")
            say(f"{found} of these songs left out (--keep-duplicates shows them)")


def say_non_music(count: int) -> None:
    """Report how many songs are left out because they are not music."""
    if count:
        are = "songs that are" if count > 1 else "song that is"
        say(f"{count} {are} not music left out (--include-non-music)")
