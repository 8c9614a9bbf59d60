"""Songs named on the command line: rows of a store, or files to open.

    songs, --vectors ──find_known──▶ store, [Named(name, row, source), ...]

A name that exists on disk is a file; if the store has it unchanged, its row is used. Any other
name is an id of the store, or a part of one.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from audiorec.errors import (
    Failure,
    InputError,
    MissingFileError,
    SeveralSongsError,
    SongError,
    StoreError,
    UnknownFileError,
    UnknownSongError,
)
from audiorec_cli.shared.console import say
from audiorec_cli.shared.inputs import DEFAULT, ENVIRONMENT, open_vectors

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source
    from audiorec.library.library import Library


@dataclass(frozen=True, slots=True)
class GivenSong:
    """One song: a row of the store, a file, or a file that is a row.

    `name` is its id in the store, or the id that `find_songs` gives the file.
    """

    name: str
    row: int | None
    source: "Source | None"

    @property
    def is_opened(self) -> bool:
        """Whether the song is not in the store and has a readable file."""
        return self.row is None and self.source is not None and not self.source.problem

    @property
    def why_not(self) -> SongError:
        """The error of a file that cannot be opened."""
        assert self.source is not None  # noqa: S101 - never called for a row of the store
        return SongError(self.source.path, Failure.UNREADABLE, self.source.problem, "walk")

    @property
    def place(self) -> object:
        """A key that is equal for two names of one song."""
        return self.row if self.row is not None or self.source is None else self.source.uri

    @property
    def as_file(self) -> "GivenSong":
        """The song as a file, ignoring the store."""
        assert self.source is not None  # noqa: S101 - without a row there is always a file
        return replace(self, name=self.source.song_id, row=None)


def find_known(
    songs: Sequence[str] | None, vectors: Path | None
) -> "tuple[Library | None, list[GivenSong]]":
    """Find the named songs, each once, in the order given.

    Without names, all songs of the store are returned. The store is None if none was given and
    there is none in the current folder.
    """
    store = _store(vectors, needed=not songs)
    if not songs and store is not None:
        return store, [GivenSong(name, row, None) for row, name in enumerate(store.ids)]
    found = _marked(store, [one for name in songs or () for one in _named(name, store)])
    folders = [name for name in songs or () if Path(name).is_dir()]
    if len(folders) > 1:  # two folders may contain the same file name
        found = [_with_folder(one, folders) for one in found]
    first: dict[object, GivenSong] = {}
    for one in found:
        first.setdefault(one.place, one)
    times = Counter(one.name for one in first.values())
    return store, [
        replace(one, name=one.source.uri) if one.source is not None and times[one.name] > 1 else one
        for one in first.values()
    ]


def _named(name: str, store: "Library | None") -> list[GivenSong]:
    """Return the files that a name matches, or the row of the store."""
    from audiorec.extraction.catalogue import find_songs

    is_id = store is not None and name in store
    if store is None or os.path.lexists(name) or (has_magic(name) and not is_id):
        # One by one: together, two files of the same name would be refused as duplicate ids.
        paths = [] if os.path.lexists(name) else sorted(glob(name, recursive=True))  # noqa: PTH207
        files = [file for path in paths or [name] for file in find_songs([path])]
        return [GivenSong(file.song_id, None, file) for file in files]
    try:
        song_id = store.resolve(name)
    except (SeveralSongsError, UnknownFileError):  # says both
        raise
    except UnknownSongError as error:
        raise MissingFileError(f"{name}: no such file, and {error}") from error
    return [GivenSong(song_id, store.row_number(song_id), None)]


def _marked(store: "Library | None", found: list[GivenSong]) -> list[GivenSong]:
    """Return the songs, with the rows of files that the store has unchanged."""
    if store is None:
        return found
    from audiorec.library.readings import unchanged_rows

    rows = iter(unchanged_rows(store, [one.source for one in found if one.source is not None]))
    return [
        replace(one, name=store.ids[row], row=row)
        if one.source is not None and (row := next(rows)) is not None
        else one
        for one in found
    ]


def _with_folder(one: GivenSong, folders: Sequence[str]) -> GivenSong:
    """Prefix the name of a file that is not in the store with its folder."""
    if one.row is not None or one.source is None:
        return one
    inside = (f for f in folders if Path(f).absolute() in Path(one.source.uri).parents)
    folder = next(inside, None)
    return replace(one, name=f"{Path(folder).resolve().name}/{one.name}") if folder else one


def find_one(
    song: str, vectors: Path | None, *, needed: bool = False
) -> "tuple[Library | None, GivenSong]":
    """Find the one named song; with `needed`, a store must exist.

    Raises
    ------
    InputError
        If a folder or a pattern with several matches is named; otherwise as `find_known`.
    """
    store = _store(vectors, needed=needed)
    if Path(song).is_dir():
        raise InputError(f"{song}: is a folder; name one song")
    found = _marked(store, _named(song, store))
    if len(found) > 1:
        raise InputError(f"{song}: matches {len(found)} files; name one song")
    return store, found[0]


def _store(vectors: Path | None, *, needed: bool) -> "Library | None":
    """Open the store; an unusable one that was not asked for is ignored with a note."""
    named = vectors is not None or bool(os.environ.get(ENVIRONMENT))
    if named or needed:
        return open_vectors(vectors)
    if not Path(DEFAULT).exists():
        return None
    try:
        return open_vectors(None)
    except StoreError as error:
        say(f"note: {error}; reading audio files instead")
        return None
