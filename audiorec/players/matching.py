"""Which song of the store each song of a server is, or the likeliest reason why none is.

    songs of a server ──match──▶ `Matched`: rows of the store by id, and `UnmatchedSong`s

A song is known by the same path, a MusicBrainz id, an ISRC, folder and file name, or artist and
title, as in an import (`audiorec.listening.imports.job`). What only folder and file name, or tags,
have in common must also be of one length, and a song that several fit is none of them: a wrong song
in a history or a list is worse than one that is named in the report.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from audiorec.files.visible import clock
from audiorec.listening.imports.job import NAMES, NO_SUCH, SEVERAL, KnownSongs
from audiorec.listening.imports.rows import SongRef, text
from audiorec.types import normalised_name

NEAR_S, NEAR_SHARE = 5.0, 0.03  # by which two lengths of one recording may differ
UNMATCHED = pa.schema([("reason", pa.string()), *((name, pa.string()) for name in NAMES)])


@dataclass(frozen=True, slots=True)
class UnmatchedSong:
    """A song of a server that no song of the store is, and the likeliest reason."""

    song: SongRef
    reason: str


@dataclass(frozen=True, slots=True)
class Matched:
    """Songs of a server, matched with a store."""

    rows: dict[str, int]  # row of the store by the server's id
    ways: Counter[str]  # how many songs were found by id, by path ...
    unmatched: tuple[UnmatchedSong, ...]

    def table(self) -> Any:
        """Return the unmatched songs, sorted by path and title."""
        ordered = sorted(self.unmatched, key=lambda one: (one.song.path, one.song.title))
        columns = [pa.array([one.reason for one in ordered], pa.string())]
        for name in NAMES:
            values = [text(getattr(one.song, name)) or None for one in ordered]
            columns.append(pa.array(values, pa.string()))
        return pa.table(columns, schema=UNMATCHED)


def match(known: KnownSongs, songs: Iterable[SongRef]) -> Matched:
    """Match the songs of a server with a store.

    Parameters
    ----------
    known : KnownSongs
    songs : iterable of SongRef
        With the server's ids.

    Returns
    -------
    Matched
    """
    rows: dict[str, int] = {}
    ways: Counter[str] = Counter()
    lost: list[tuple[SongRef, str]] = []
    folders: set[str] = set()
    for song in songs:
        # A server's id may happen to be an id of the store, which names another song.
        found = known.find(song._replace(id=""))
        why = found.way if found.row < 0 else _contradiction(known, song, found.row, found.way)
        if why:
            lost.append((song, why))
            continue
        rows[song.id] = found.row
        ways[found.way] += 1
        folders.add(_folder(song.path))
    titles = known.of_title(song for song, why in lost if why == NO_SUCH)
    unmatched = tuple(UnmatchedSong(s, _reason(s, why, titles, folders)) for s, why in lost)
    return Matched(rows, ways, unmatched)


def _contradiction(known: KnownSongs, song: SongRef, row: int, way: str) -> str:
    """Return why a song that was found by path or tags is another one; empty if nothing says so."""
    length = known.durations[row]
    if way not in ("path", "tags") or known.ids[row] == song.path:
        return ""
    if not song.duration_s or not length:
        return ""
    if abs(song.duration_s - length) <= max(NEAR_S, NEAR_SHARE * length):
        return ""
    by = "folder and file name" if way == "path" else "artist and title"
    return (
        f"{known.ids[row]} has the same {by}, but lasts {clock(length)} and not "
        f"{clock(song.duration_s)}"
    )


def _reason(song: SongRef, why: str, titles: Mapping[str, str], folders: set[str]) -> str:
    if why == SEVERAL:
        return "several songs of the store fit it equally well"
    if why != NO_SUCH:
        return why
    if not song.path and not (song.artist and song.title):
        return "the server tells neither its path nor its artist and title"
    if near := titles.get(normalised_name(song.title)):
        return f"the store has its title by another artist: {near}"
    if song.path and _folder(song.path) in folders:
        return "other songs of its folder are in the store: run audiorec extract again"
    return "no song of its folder is in the store: extract this folder as well"


def _folder(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[0]


def server_ids(matched: Matched, ids: Sequence[str]) -> dict[str, str]:
    """Return the server's id of each song of the store; the first in order where it has copies."""
    found: dict[str, str] = {}
    for name in sorted(matched.rows):
        found.setdefault(ids[matched.rows[name]], name)
    return found
