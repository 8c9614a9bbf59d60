"""Which song of the store each song of a server is, or the likeliest reason why none is.

    songs of a server ──match──▶ `Matched`: rows of the store by id, and `UnmatchedSong`s
    unmatched songs, a `Player`, a store ──match_by_sound──▶ `Matched`, with those that were heard

A wrong song in a history or a list is worse than one that is named in the report.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from audiorec.errors import LostPlayerError, PlayerError, SongError
from audiorec.files.visible import clock
from audiorec.library.library import Library
from audiorec.listening.imports.importing import NAMES, NO_SUCH, SEVERAL, KnownSongs
from audiorec.listening.imports.rows import SongRef, text
from audiorec.players.contract import Player
from audiorec.players.push import ListLedger
from audiorec.store.recordings import ALIKE, SHIFT_S, title_of
from audiorec.types import normalised_name

if TYPE_CHECKING:
    from audiorec.library.seeds import SongOpener

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

    A song is known by the same path, a MusicBrainz id, an ISRC, folder and file name, or artist and
    title, as in an import (`audiorec.listening.imports.importing`). What only folder and file name,
    or tags, have in common must also be of one length, and a song that several fit is none of them.

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
        result = known.find(song._replace(id=""))
        why = result.way if result.row < 0 else _contradiction(known, song, result.row, result.way)
        if why:
            lost.append((song, why))
            continue
        rows[song.id] = result.row
        ways[result.way] += 1
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
    result: dict[str, str] = {}
    for name in sorted(matched.rows):
        result.setdefault(ids[matched.rows[name]], name)
    return result


MOST = 200  # songs fetched in one sync
LENGTH_S = SHIFT_S + 1.0  # servers tell whole seconds
NONE_OF_THEM = "no song of the store sounds like it"
NOT_YET = f"not heard yet: a sync fetches {MOST} songs"


def match_by_sound(
    library: Library, player: Player, matched: Matched, ledger: ListLedger
) -> Matched:
    """Return a match with the songs added that are known by their sound alone.

    This is the last resort, and asked for by ``by_sound = true``, since each song is fetched and
    decoded. One is fetched only if the store has a song of its length. It is matched if it has the
    same audio as a song of the store, or passes the store's rule for one recording: length, sound,
    embedding, version and titles (docs/decisions/0057). If songs pass that are not one recording
    themselves, none is matched. No song is fetched again until songs of its length come into the
    store, or leave it.

    Parameters
    ----------
    library : Library
    player : Player
        The account that fetches the songs.
    matched : Matched
    ledger : ListLedger
        Keeps what was heard.

    Raises
    ------
    InputError
        If the songs of the store have no sound.
    SpecMismatchError
        If this audiorec cannot make the numbers of the store.
    """
    from audiorec.library.seeds import SongOpener  # opens what extraction needs

    rows, ways, lost = dict(matched.rows), matched.ways.copy(), []
    unmatched = {one.song.id for one in matched.unmatched}
    with SongOpener(library.space("sound")) as opener:
        hearing = _Hearing(library, player, opener, ledger)
        try:
            for one in matched.unmatched:
                row, why = hearing.row(one.song)
                if row is None:
                    reason = "; ".join(filter(None, [one.reason, why]))
                    lost.append(UnmatchedSong(one.song, reason))
                else:
                    rows[one.song.id] = row
                    ways["sound"] += 1
        finally:  # if it is stopped, what was heard until then is known
            ledger.keep_heard({n: one for n, one in hearing.heard.items() if n in unmatched})
    return Matched(rows, ways, tuple(lost))


class _Hearing:
    """What was heard of a server's songs, and what can still be heard in this sync."""

    def __init__(
        self, library: Library, player: Player, opener: "SongOpener", ledger: ListLedger
    ) -> None:
        self.library, self.player, self.opener = library, player, opener
        self.heard, self.left, self.why = dict(ledger.heard), MOST, NOT_YET
        self.hashes: list[str] = library.column("content_hash").to_pylist()
        self.lengths = np.asarray(library.column("duration_s").to_pylist(), np.float64)

    def row(self, song: SongRef) -> tuple[int | None, str]:
        """Return the song of the store that a song is; or None, and why."""
        rows = np.flatnonzero(np.abs(self.lengths - song.duration_s) <= LENGTH_S)
        if not len(rows) or not song.duration_s:
            return None, ""
        of = self._digest(rows.tolist())
        before, name = self.heard.get(song.id, ("", ""))
        if before != of or (name and name not in self.library):
            if not self.left:
                return None, self.why
            try:
                name = self._name(song)
            except SongError:  # what cannot be read is heard as no song
                name = ""
            except PlayerError as error:
                self.left = 0 if isinstance(error, LostPlayerError) else self.left - 1
                self.why = f"its audio cannot be fetched: {error}"
                return None, self.why
            self.left -= 1
            self.heard[song.id] = (of, name)
        return (self.library.row_number(name), "") if name else (None, NONE_OF_THEM)

    def _digest(self, rows: list[int]) -> str:
        """Return what the answer depends on: the audio of the songs, and how it is compared."""
        about = self.library.metadata
        made = (about.extractor_id, str(about.sound_id), *sorted(self.hashes[row] for row in rows))
        return hashlib.sha256("\n".join(made).encode()).hexdigest()[:16]

    def _name(self, song: SongRef) -> str:
        """Fetch and hear a song; return the id of the song of the store that it is, or nothing."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "song")
            file.write_bytes(self.player.audio(song.id))
            heard = self.opener.read(file)
        rows = self.opener.copies(heard)
        if rows and self.hashes[rows[0]] != heard.content_hash:
            near = self.opener.copies(heard, ALIKE / 2)
            rows = [row for row in rows if self._is_titled(song, row, is_near=row in near)]
        best = rows[0] if len(rows) == 1 else self.library.recordings.best(rows) if rows else None
        return "" if best is None else self.library.ids[best]

    def _is_titled(self, song: SongRef, row: int, *, is_near: bool) -> bool:
        """Whether the titles allow one recording; two titles take half the distance."""
        title = self.library.column("title")[row].as_py()
        name = self.library.ids[row]
        ours, theirs = title_of(song.title, song.path or song.id), title_of(title, name)
        two = bool(song.title and title) and ours.plain != theirs.plain
        return ours.kinds == theirs.kinds and (is_near or not two)
