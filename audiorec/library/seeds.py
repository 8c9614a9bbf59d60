"""Read the songs that a question names: rows of the store, or files that are opened for it.

    names ──read_seeds──────▶ `SeedSong`, ...   songs of the store, or extracted
          ──seeds_of_store──▶ `SeedSong`, ...   songs of the store alone

A file with the same audio as a song of the store is that song. Any other file is extracted like
the store's songs, in a worker process.

    files ──unchanged_rows──▶ [row, None, ...]   by path, size and modification time
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, SeveralSongsError, SongError, UnknownSongError
from audiorec.search.music import why_vector_not_music
from audiorec.search.searchable import SearchableStore, song_of_file, stored_spelling
from audiorec.search.similar import OpenedSong, SeedSong
from audiorec.search.space import Space
from audiorec.store.recordings import ALIKE, copies_of_song
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray

if TYPE_CHECKING:
    from audiorec.extraction.pipeline import Song
    from audiorec.extraction.reader import Reader
    from audiorec.words.titles import Titles


MOST_NEAR, MOST_OF_ARTIST = 5, 20  # ids in a message, songs that stand for an artist
NEAREST = 5  # songs that a file may be another encoding of


def read_seeds(
    store: SearchableStore,
    space: Space,
    names: Iterable[str | int],
    heads: tuple[Path, ...] = (),
    *,
    words: bool = False,
    titles: "Titles | None" = None,
) -> list[SeedSong]:
    """Return the named songs, each once, in the order given.

    Parameters
    ----------
    store : SearchableStore
    space : Space
        In which the songs are compared.
    names : iterable of str or int
        Ids, unique parts of them, audio files, or rows of the store.
    heads : tuple of path
        The heads of the store if they are not the shipped ones; they score files.
    words : bool
        Whether a sentence compares with them, so that files need an embedding.
    titles : Titles, optional
        What is no id may be a title, or an artist or album, all of whose songs count.

    Raises
    ------
    InputError
        If there is no name, or a song has nothing to be compared by.
    UnknownSongError, SongError
        If a name matches no song, or several; if a file cannot be read.
    """
    with SongOpener(space, heads, words=words) as opener:
        result = [one for name in names for one in _rows(store, name, titles)]
        opened = [opener.seed(one) if isinstance(one, str) else one for one in result]
    if not opened:
        raise InputError("name a song: an id of the store, a part of one, or an audio file")
    rows = [one[0] for one in opened if not isinstance(one, SeedSong)]
    units = iter(space.units(rows) if rows else ())
    seeds = [
        one if isinstance(one, SeedSong) else _known(store, *one, next(units)) for one in opened
    ]
    return _each_once(store, list({seed.name: seed for seed in seeds}.values()))


def _each_once(store: SearchableStore, seeds: Sequence[SeedSong]) -> list[SeedSong]:
    """Return the seeds without further copies of one recording; the first says which it is."""
    kept: dict[object, SeedSong] = {}
    for seed in seeds:
        code = -1 if seed.row is None else int(store.recordings.codes[seed.row])
        first = kept.setdefault(seed.name if code < 0 else code, seed)
        if first is not seed:
            note = "; ".join(filter(None, [first.note, f"{seed.name} is a copy of {first.name}"]))
            kept[code] = replace(first, note=note)
    return list(kept.values())


def _known(store: SearchableStore, row: int, note: str, unit: FloatArray) -> SeedSong:
    return SeedSong(store.ids[row], row, unit, note=note)


def seeds_of_store(
    store: SearchableStore, space: Space, names: Iterable[str | int]
) -> list[SeedSong]:
    """Return the two ends of a path; a file counts only as a copy of a song of the store.

    Raises
    ------
    InputError
        If a file is not a song of the store, or not two songs are named.
    """
    result = [_row(store, name) for name in names]
    known = [_copy(store, one) if isinstance(one, str) else one for one in result]
    if len(known) != 2:
        raise InputError(f"a path has two ends: name two songs, got {len(known)}")
    units = space.units([row for row, _ in known])
    return [_known(store, *one, unit) for one, unit in zip(known, units, strict=True)]


def find_id(store: SearchableStore, name: str) -> str | None:
    """Return the id that a name refers to; None for a file that is not in the store."""
    return _found(store, name)[0]


def _found(store: SearchableStore, name: str) -> tuple[str | None, str]:
    """Return the id that a name refers to, and a note if several copies have it."""
    if stored_spelling(name) not in store and Path(name).expanduser().is_file():
        return song_of_file(store, name), ""
    of_path = store.find_uri(stored_spelling(name)) if Path(name).is_absolute() else None
    return store.resolve_noted(name) if of_path is None else (of_path, "")


def _row(store: SearchableStore, name: str | int) -> tuple[int, str] | str:
    """Return the row of a song, and a note; a file that is not in the store as it is."""
    if isinstance(name, int):
        return name, ""
    song_id, note = _found(store, name)
    return name if song_id is None else (store.row_number(song_id), note)


def _rows(
    store: SearchableStore, name: str | int, titles: "Titles | None"
) -> list[tuple[int, str] | str]:
    """Return the row of a song, or the rows of all songs of an artist, each with a note."""
    try:
        return [_row(store, name)]
    except (UnknownSongError, SeveralSongsError) as error:
        what, rows = ("", []) if titles is None else titles.named(str(name))
        copies = store.recordings.codes[rows]
        one = len(rows) == 1 or (len(set(copies.tolist())) == 1 and copies[:1] >= 0)
        if not rows or (isinstance(error, SeveralSongsError) and not (what == "title" and one)):
            raise
        if what == "title" and not one:
            raise SeveralSongsError(
                str(name), tuple(store.ids[row] for row in rows[:MOST_NEAR]), len(rows)
            ) from error
        if what == "title":
            return [(rows[0], f"{name} is the title of {store.ids[rows[0]]}")]
        kept = rows[:MOST_OF_ARTIST]
        note = f"{name} is an {what}: {len(kept)} of {len(rows)} songs are the seeds"
        return [(row, note if row == kept[0] else "") for row in kept]


def _copy(store: SearchableStore, path: str) -> tuple[int, str]:
    """Return the row of the song whose audio a file has; the file is not decoded."""
    from audiorec.extraction.reader import hash_reader

    with suppress(SongError), hash_reader() as reader:
        row = _same_audio(store, reader.read(path))
        if row is not None:
            return row, f"{path} is a copy of {store.ids[row]}"
    raise InputError(f"{path}: not a song of {store.path}; add it: audiorec extract {quote(path)}")


def _same_audio(store: VectorStore, content_hash: str) -> int | None:
    """Return the row of the first song with this content hash, None if there is none."""
    hashes = store.column("content_hash").to_pylist()
    return hashes.index(content_hash) if content_hash in hashes else None


class SongOpener:
    """Extracts songs that are not in the store, with its spec, in a worker process."""

    def __init__(self, space: Space, heads: tuple[Path, ...] = (), *, words: bool = False) -> None:
        self._space = space
        self._sound = words or space.by == "sound"
        self._heads = heads
        self._closing = ExitStack()

    def __enter__(self) -> "SongOpener":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.close()

    def seed(self, path: str) -> SeedSong | tuple[int, str]:
        """Return the song of a file; if it is a copy, the row in the store, and a note."""
        space, store = self._space, self._space.store
        if space.by == "learnt":
            raise InputError(f"{path}: is not in the store, so it has no learnt embedding")
        song = self.read(Path(path).expanduser())
        if rows := self.copies(song):
            return rows[0], f"{path} is a copy of {store.ids[rows[0]]}"
        unit, entry = space.of_song(song.vector, song.lists), _entry(path, song)
        why = why_vector_not_music(store, song.vector, entry, song.heavy)
        return SeedSong(path, None, unit, OpenedSong(entry, song.vector, why, song.lists))

    def read(self, path: Path) -> "Song":
        """Extract a file."""
        return self._reader.read(path)

    def copies(self, song: "Song", limit: float = ALIKE) -> list[int]:
        """Return the row with the same audio; or else, by sound, other encodings, nearest first.

        `limit` is the largest distance of two embeddings.
        """
        row = _same_audio(self._space.store, song.content_hash)
        if row is not None or self._space.by != "sound":
            return [] if row is None else [row]
        unit = self._space.of_song(song.vector, song.lists)
        near = self._space.search(unit[None], NEAREST)[0].rows
        seconds, embedding = float(song.info.duration_s), np.asarray(song.lists["embedding"])
        near, store = near[near >= 0], self._space.store
        return copies_of_song(store, near, embedding, song.vector, seconds, limit).tolist()

    @cached_property
    def _reader(self) -> "Reader[Song]":
        from audiorec.extraction.pipeline import Extractor
        from audiorec.extraction.reader import song_reader

        metadata = self._space.store.metadata
        extractor = Extractor.for_store(metadata, heads=self._heads, sound=self._sound)
        return self._closing.enter_context(song_reader(extractor.config))


def _entry(path: str, song: "Song") -> dict[str, Any]:
    """Return the columns that the song of a file would have."""
    return {
        StoreColumns.ID: path,
        "uri": str(Path(path).expanduser().absolute()),
        "duration_s": song.info.duration_s,
        "artist": song.tags.artist,
        "title": song.tags.title,
        "album": song.tags.album,
        "genre_tag": song.tags.genre,
        "year": song.tags.year,
        "status": str(song.info.status),
        "segments": len(song.series),
        "loudness_lufs": song.loudness_lufs,
        **song.attributes,
    }
