"""Seed songs on the command line: named one by one, or in a playlist or a list of ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from audiorec.options import argument, reads

PLAYLISTS = (".m3u", ".m3u8")
SeedsArgument = Annotated[
    list[str] | None,
    argument(metavar="SONG", help="Song ids, unique parts of them, or audio files."),
]
FromOption = Annotated[
    str | None,
    reads("--from", metavar="FILE", help="A playlist, or a list of ids, # for comments; -: stdin."),
]


def seed_names(songs: Sequence[str] | None, listed: str | None) -> tuple[str, ...]:
    """Return the songs named on the command line and in a list."""
    return (*(songs or ()), *(_lines(listed) if listed is not None else ()))


def _lines(listed: str) -> list[str]:
    from audiorec.files.user_files import read_lines

    lines = (line.strip() for line in read_lines(listed, "cannot read the list"))
    names = [line for line in lines if line and not line.startswith("#")]
    if Path(listed).suffix.lower() not in PLAYLISTS:
        return names
    # A player reads relative paths from the folder of the playlist.
    there = (str(Path(listed).parent / name) for name in names)
    return [path if Path(path).is_file() else name for path, name in zip(there, names, strict=True)]
