"""Match rows of listening histories to songs of a store.

    `SongRef` ──KnownSongs.find──▶ a row of the store, and how it was found

===========  =======================================================================
``id``       the song's id, or an alias that the user added (`store aliases --add`)
``mbid``     MusicBrainz recording id in the file's tags
``isrc``     ISRC in the file's tags
``path``     the same path; or the only file with the same folder and file name
``tags``     artist and title, compared by `audiorec.types.normalised_name`
===========  =======================================================================

They are tried in this order. If several songs match, the album decides, then the length; songs of
the same length (within three seconds) are the same recording, and the first id is taken. Otherwise
the row is not matched.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from audiorec.listening.imports.rows import SongRef
from audiorec.store.aliases import AliasKind, alias_table
from audiorec.store.store import VectorStore
from audiorec.types import normalised_name

WAYS = ("id", "mbid", "isrc", "path", "tags")
SAME_LENGTH_S = 3.0  # between two rips of one recording
LEAST_SHARED = 2  # parts of two paths: the file and its folder
NO_SUCH, SEVERAL = "no such song", "several songs"
MOST_KEPT = 1 << 18  # cached results


class FoundSong(NamedTuple):
    """A song of the store, or why there is none.

    Attributes
    ----------
    row : int
        Its row in the store; -1 for none.
    way : str
        How it was found, one of `WAYS`; or why not: `NO_SUCH` or `SEVERAL`.
    """

    row: int
    way: str


class KnownSongs:
    """Lookup of a store's songs by id, MusicBrainz id, ISRC, path and tags."""

    def __init__(self, store: VectorStore) -> None:
        self.ids = store.ids
        self.durations: list[float] = store.column("duration_s").to_pylist()
        names = ("uri", "title", "artist", "album", "isrc", "musicbrainz_trackid")
        uris, titles, artists, albums, isrcs, mbids = (store.column(n).to_pylist() for n in names)
        self._albums = [normalised_name(name) for name in albums]
        self._titles = [normalised_name(name) for name in titles]
        self._by_id: dict[str, list[int]] = {name: [n] for n, name in enumerate(self.ids)}
        ids, aliases = frozenset(self.ids), alias_table(store)
        own = aliases.filter(_equal(aliases.column("kind"), AliasKind.CSV.value))
        for alias, name in zip(
            *(own.column(c).to_pylist() for c in ("alias", "song_id")), strict=True
        ):
            if alias not in self._by_id:
                self._by_id[alias] = list(self._by_id[name])
            elif alias not in ids and self._by_id[name][0] not in self._by_id[alias]:
                self._by_id[alias] += self._by_id[name]
        self._by_mbid = _table(_lower(mbids))
        self._by_isrc = _table(_plain_isrc(code) for code in isrcs)
        self._by_uri = _table(uris)
        self._by_file = _table(_parts(uri)[-1] for uri in uris)
        self._uris = uris
        tags = zip(map(normalised_name, artists), self._titles, strict=True)
        self._by_tags = _table(key if all(key) else None for key in tags)
        self._kept: dict[SongRef, FoundSong] = {}

    def find(self, song: SongRef) -> FoundSong:
        """Return the matching song; results are cached."""
        found = self._kept.get(song)
        if found is None:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            found = self._kept[song] = self._found(song)
        return found

    def _found(self, song: SongRef) -> FoundSong:
        reason = NO_SUCH
        for way, rows in self._candidates(song):
            row = self._one_of(rows, song)
            if row >= 0:
                return FoundSong(row, way)
            reason = SEVERAL if rows else reason
        return FoundSong(-1, reason)

    def _candidates(self, song: SongRef) -> Iterator[tuple[str, Sequence[int]]]:
        yield "id", self._by_id.get(song.id, ())
        yield "mbid", self._by_mbid.get(song.mbid, ())
        yield "isrc", self._by_isrc.get(_plain_isrc(song.isrc) or "", ())
        yield "path", self._of_path(song.path)
        yield (
            "tags",
            self._by_tags.get((normalised_name(song.artist), normalised_name(song.title)), ()),
        )

    def _of_path(self, path: str) -> Sequence[int]:
        if not path:
            return ()
        path = path.replace("\\", "/")
        exact = self._by_uri.get(path) or self._by_id.get(path)
        if exact:
            return exact
        parts = _parts(path)
        shared = {
            row: _shared(parts, _parts(self._uris[row])) for row in self._by_file.get(parts[-1], ())
        }
        most = max(shared.values(), default=0)
        if most < min(LEAST_SHARED, len(parts)):
            return ()
        return [row for row, n in shared.items() if n == most]

    def _one_of(self, rows: Sequence[int], song: SongRef) -> int:
        """Choose one of several candidate rows; -1 if ambiguous."""
        if len(rows) > 1 and song.album:
            album = normalised_name(song.album)
            rows = [row for row in rows if self._albums[row] == album] or rows
        if len(rows) > 1 and song.duration_s:
            rows = [r for r in rows if self._is_near(r, song.duration_s)] or rows
        if len(rows) > 1 and all(self._is_near(row, self.durations[rows[0]]) for row in rows):
            rows = rows[:1]
        return rows[0] if len(rows) == 1 else -1

    def _is_near(self, row: int, duration_s: float) -> bool:
        return abs(self.durations[row] - duration_s) <= SAME_LENGTH_S

    def of_title(self, songs: Iterable[SongRef]) -> Mapping[str, str]:
        """Return song ids by title, for titles that only one song has.

        They are hints for people who review unmatched songs, since artists have many spellings.
        """
        wanted = {title for song in songs if (title := normalised_name(song.title))}
        found: dict[str, list[str]] = defaultdict(list)
        for row, title in enumerate(self._titles):
            if title in wanted:
                found[title].append(self.ids[row])
        return {title: ids[0] for title, ids in found.items() if len(ids) == 1}


def own_id(song: SongRef) -> str:
    """Return the id of a song that is not in a store: the service's id, or artist and title.

    Examples
    --------
    >>> own_id(SongRef(artist="Nina  Simone", title="Sinnerman", mbid="8f3471b5"))
    'nina simone - sinnerman'
    """
    if song.id:
        return song.id
    if song.artist and song.title:
        return f"{normalised_name(song.artist)} - {normalised_name(song.title)}"
    return song.mbid or song.isrc or song.path


def _table(keys: Iterable[object]) -> dict[object, list[int]]:
    table: dict[object, list[int]] = {}
    for row, key in enumerate(keys):
        if key:
            table.setdefault(key, []).append(row)
    return table


def _lower(texts: Iterable[str | None]) -> Iterator[str | None]:
    return (text and text.lower() for text in texts)


def _plain_isrc(code: str | None) -> str | None:
    return code and code.replace("-", "").upper()


def _parts(path: str) -> list[str]:
    return path.replace(os.sep, "/").split("/")


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many trailing components two paths share."""
    n = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        n += 1
    return n


def _equal(column: object, value: str) -> object:
    import pyarrow.compute as pc

    return pc.equal(column, value)
