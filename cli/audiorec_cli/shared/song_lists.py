"""Lists of songs on the command line: seeds, forms of output, and how close songs are."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from audiorec.errors import InputError
from audiorec.files.m3u8 import PlaylistEntry, missing_files, render_m3u8, write_m3u8
from audiorec.files.user_files import read_lines
from audiorec.files.visible import visible
from audiorec.options import argument, chooses, reads, writes
from audiorec_cli.shared.console import (
    cell,
    counted,
    duration,
    fold,
    out,
    out_lines,
    print_json,
    print_table,
    say,
)
from audiorec_cli.shared.options import ADVANCED, JsonOption

if TYPE_CHECKING:
    from audiorec.search.beside import Beside
    from audiorec.search.similar import AnsweredSongs

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
    lines = (line.strip() for line in read_lines(listed, "cannot read the list"))
    names = [line for line in lines if line and not line.startswith("#")]
    if Path(listed).suffix.lower() not in PLAYLISTS:
        return names
    # A player reads relative paths from the folder of the playlist.
    there = (str(Path(listed).parent / name) for name in names)
    return [path if Path(path).is_file() else name for path, name in zip(there, names, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListForm:
    """Output forms of a list of songs: options of find, similar and playlist."""

    json: JsonOption = False
    m3u8: Annotated[Path | None, writes("--m3u8", help="Write a playlist; -: stdout.")] = None
    absolute: Annotated[
        bool, chooses("--absolute", help="Use absolute paths in the playlist.", panel=ADVANCED)
    ] = False

    @property
    def is_table(self) -> bool:
        """Whether a table is printed."""
        return not self.json and self.m3u8 is None

    def show(self, found: "AnsweredSongs", print_it: Callable[[], None]) -> None:
        """Print an answer as a document, by `print_it`, or write it; then its remarks."""
        if self.json:
            print_json(found.to_dict())
        elif self.is_table:
            print_it()
        if self.m3u8 is not None:
            self.write(found.entries())
        for line in found.remarks:
            say(line)

    def check(self) -> None:
        """Refuse a playlist that cannot be written, before any work."""
        target = self.m3u8
        if target is None:
            return
        if str(target) == "-":
            if self.json:
                raise InputError(
                    "--json and --m3u8 - would both write to stdout; name a playlist file"
                )
            return
        folder = target.parent
        if target.is_dir():
            raise InputError(f"{target}: is a folder; name the file, for example mix.m3u8")
        if not folder.is_dir():
            raise InputError(f"{target}: there is no folder {folder}")
        if not os.access(folder, os.W_OK):
            raise InputError(f"{target}: folder {folder} is not writable")

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the playlist, if requested; report songs that are left out or missing."""
        if self.m3u8 is None:
            return
        entries = [PlaylistEntry.of(row) for row in rows]
        if str(self.m3u8) == "-":
            # A path printed with escapes would not lead a player to the file.
            shown = [entry for entry in entries if visible(entry.path) == entry.path]
            text, left_out = render_m3u8(shown, folder=None if self.absolute else Path.cwd())
            left_out += [entry for entry in entries if visible(entry.path) != entry.path]
            out_lines(text.rstrip("\n"))
        else:
            left_out = write_m3u8(entries, self.m3u8, absolute=self.absolute)
            say(f"{counted(len(entries) - len(left_out), 'song')} written to {self.m3u8}")
        for entry in left_out:
            say(f"left out, its name cannot be written in a playlist: {entry.path}")
        gone = missing_files(entries)
        if gone:
            say(f"note: {len(gone)} of these files no longer exist, for example {gone[0].path}")


CLOSER = "closer_than"  # "closer" on a terminal, where it is in percent


def print_ranked(found: Any, *, title: str) -> None:
    """Print the answer to a question with the number, the names and the length of each song."""
    rows = [
        (rank, one.song_id, one.row["artist"], one.row["title"], duration(one.row["duration_s"]))
        for rank, one in enumerate(found, start=1)
    ]
    columns = ("rank", "song_id", "artist", "title", "length")
    print_songs(columns, rows, found.beside, why=found.question.why, title=title)


def print_songs(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    beside: "Beside",
    *,
    why: bool,
    title: str,
) -> None:
    """Print songs with how close each is, or how well it fits; with reasons if asked.

    In a pipe it is a share from 0 to 1, and reasons are the last column; on a terminal it is in
    percent, and reasons are lines below the table, each after the first cell of its row.
    """
    drawn, width = sys.stdout.isatty(), shutil.get_terminal_size().columns
    shares: Sequence[object] = beside.percent if drawn else beside.shares
    closer = CLOSER.partition("_")[0] if drawn else CLOSER
    if beside.strengths is not None:
        closer, shares = "fits", beside.strengths
    reasons = beside.said if why else []
    last = reasons if why and not drawn else [None] * len(rows)
    made = [
        (row[0], share, *row[1:], *([reason] if reason is not None else []))
        for row, share, reason in zip(rows, shares, last, strict=True)
    ]
    names = (columns[0], closer, *columns[1:], *(["why"] if why and not drawn else []))
    print_table(names, made, title=title)
    for row, reason in zip(rows if drawn else (), reasons, strict=False):
        if reason:
            for line in fold(f"{cell(row[0])}: {reason}", width):
                out(line)
