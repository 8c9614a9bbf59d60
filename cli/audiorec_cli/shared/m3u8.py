"""Output forms of a list of songs: a table, one JSON document, or a playlist file."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from audiorec.errors import InputError
from audiorec.files.visible import visible
from audiorec.options import chooses, writes
from audiorec_cli.shared.console import counted, out_lines, print_json, say
from audiorec_cli.shared.options import ADVANCED, JsonOption

if TYPE_CHECKING:
    from audiorec.playlists.answers import AnsweredSongs


@dataclass(frozen=True, slots=True, kw_only=True)
class ListForm:
    """Output forms of a list of songs: options of similar, path and playlist."""

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
        from audiorec.playlists.m3u8 import PlaylistEntry, missing_files, render_m3u8, write_m3u8

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
