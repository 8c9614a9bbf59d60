"""Lists of songs as text that the browser keeps: for players, spreadsheets and scripts.

rows    ──songs_as──▶ a playlist, a table, or paths
library ──`CopiesView`──▶ .all     its copies side by side: which is best, why, bytes to gain
                          .given   the table of them, or the files that are not the best, as text
"""

import csv
import io
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from math import isfinite
from typing import Any

from audiorec.columns import StoreColumns
from audiorec.errors import InputError
from audiorec.playlists.m3u8 import PlaylistEntry, render_m3u8
from audiorec.search.copies import Group, find_duplicates, kbit_s, not_compared, quality
from audiorec.store.export import guarded_text
from audiorec.store.schema import TEXT_ATTRIBUTES
from audiorec.web.song_columns import SongColumns
from audiorec.web.song_view import plain

KINDS = ("m3u8", "csv", "paths")
# Columns of a table: those that every store has, and those that it may have.
SONG = ("title", "artist", "album", "duration_s", "loudness_lufs", "bpm", *TEXT_ATTRIBUTES)
FILE = ("codec", "source_rate", "size", StoreColumns.ID, "uri")
APART = ("duration_s", "loudness_lufs", "status", *FILE[:3], "uri")  # of a copy, on the page
COPY = ("recording", "verdict", "best", "why", "kbit_s")
Document = dict[str, Any]
Song = dict[str, Any]


def songs_as(shelf: SongColumns, rows: Sequence[int], kind: object) -> Document:
    """Return some songs as text, with absolute paths, and how many it cannot hold.

    Parameters
    ----------
    shelf : SongColumns
    rows : sequence of int
    kind : {"m3u8", "csv", "paths"}

    Raises
    ------
    InputError
        If `kind` is none of these.
    """
    if kind not in KINDS:
        raise InputError(f"a list is given as one of: {', '.join(KINDS)}")
    with shelf.lock:
        songs = shelf.library.rows(list(rows))
    if kind == "csv":
        return {"text": _table((*SONG, *FILE), songs), "left_out": 0}
    text, left_out = render_m3u8(map(PlaylistEntry.of, songs), folder=None)
    if kind == "paths":
        text = "".join(f"{line}\n" for line in text.splitlines()[2::2])
    return {"text": text, "left_out": len(left_out)}


class CopiesView:
    """The recordings that a library holds more than once: those of ``audiorec duplicates``.

    Parameters
    ----------
    shelf : SongColumns
    """

    def __init__(self, shelf: SongColumns) -> None:
        self._shelf = shelf
        self._finding = threading.Lock()

    def all(self) -> Document:
        """Return every recording with its copies, best first, in values that JSON can hold."""
        groups = [
            {
                "verdict": group.verdict.value,
                "why": group.why,
                "gain": sum(song["size"] for _, song in songs[1:]),
                "songs": [
                    {"row": row, "kbit_s": kbit_s(song)}
                    | {name: plain(song.get(name)) for name in APART}
                    for row, song in songs
                ],
            }
            for group, songs in self._found()
        ]
        return {"groups": groups, "notes": self._notes}

    def given(self, wish: Mapping[str, Any]) -> Document:
        """Return the copies as text: all as a table, else the files that are not the best.

        Parameters
        ----------
        wish : mapping
            ``as``: as in `songs_as`; ``verdicts``: how certain the recordings are.
        """
        verdicts = wish.get("verdicts")
        if not isinstance(verdicts, list):
            raise InputError("verdicts: a list of them is expected")
        found = [one for one in self._found() if one[0].verdict.value in verdicts]
        if wish.get("as") != "csv":
            rows = [row for _, songs in found for row, _ in songs[1:]]
            return songs_as(self._shelf, rows, wish.get("as"))
        lines = [
            {
                **song,
                "recording": number,
                "verdict": group.verdict.value,
                "best": "no" if place else "yes",
                "why": "" if place else group.why,
                "kbit_s": kbit_s(song),
            }
            for number, (group, songs) in enumerate(found, 1)
            for place, (_, song) in enumerate(songs)
        ]
        return {"text": _table((*COPY, *SONG[:5], *FILE), lines), "left_out": 0}

    def _found(self) -> list[tuple[Group, list[tuple[int, Song]]]]:
        """Return each recording, and the rows and songs of its copies, best first."""
        with self._finding:
            return self._groups

    @cached_property
    def _groups(self) -> list[tuple[Group, list[tuple[int, Song]]]]:
        library = self._shelf.library
        self._notes = [note] if (note := not_compared(library)) else []
        found = find_duplicates(library)
        songs = iter(library.rows([row for group in found for row in group.rows]))
        together = [(group, [(row, next(songs)) for row in group.rows]) for group in found]
        return [(group, sorted(own, key=lambda one: quality(one[1]))) for group, own in together]


def _table(names: Sequence[str], songs: Iterable[Song]) -> str:
    """Return songs as CSV, one line per song; what the store lacks is empty, no formula runs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(song.get(name)) for name in names] for song in songs)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return guarded_text(value)
    return f"{value:.6g}" if isinstance(value, float) and isfinite(value) else plain(value)
