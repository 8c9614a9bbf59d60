"""Songs that are named on a command line: rows of a store, or files to be opened.

    songs, --vectors ──find_known──▶ store, [Named(name, row, source), ...]

What is on the disk is a file, and of the store where it did not change since; everything else is
an id of the store, or a part of one.
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
    SongError,
    StoreError,
    UnknownSongError,
)
from audiorec_cli.shared.console import say
from audiorec_cli.shared.stores import DEFAULT, ENVIRONMENT, open_vectors

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source
    from audiorec.library.library import Library


@dataclass(frozen=True, slots=True)
class Named:
    """One song: a row of the store, a file, or a file that is a row.

    `name` is its id in the store, or what `find_songs` calls the file.
    """

    name: str
    row: int | None
    source: "Source | None"

    @property
    def is_opened(self) -> bool:
        """Whether the store cannot answer, and there is a file to open."""
        return self.row is None and self.source is not None and not self.source.problem

    @property
    def why_not(self) -> SongError:
        """Why a file that is not opened cannot be."""
        assert self.source is not None  # noqa: S101 - a row of the store is not asked
        return SongError(self.source.path, Failure.UNREADABLE, self.source.problem, "walk")

    @property
    def place(self) -> object:
        """What is the same of one song that is named twice."""
        return self.row if self.row is not None or self.source is None else self.source.uri

    @property
    def as_file(self) -> "Named":
        """The same without the store."""
        assert self.source is not None  # noqa: S101 - an id alone is never without its row
        return replace(self, name=self.source.song_id, row=None)


def find_known(
    songs: Sequence[str] | None, vectors: Path | None
) -> "tuple[Library | None, list[Named]]":
    """Find the songs that are named, each once and in the order of their names.

    Without names they are all songs of the store. The store is None where none was asked for and
    none lies in this folder.
    """
    store = _store(vectors, needed=not songs)
    if not songs and store is not None:
        return store, [Named(name, row, None) for row, name in enumerate(store.ids)]
    found = _marked(store, [one for name in songs or () for one in _named(name, store)])
    folders = [name for name in songs or () if Path(name).is_dir()]
    if len(folders) > 1:  # two of them may have songs of one name
        found = [_with_folder(one, folders) for one in found]
    first: dict[object, Named] = {}
    for one in found:
        first.setdefault(one.place, one)
    times = Counter(one.name for one in first.values())
    return store, [
        replace(one, name=one.source.uri) if one.source is not None and times[one.name] > 1 else one
        for one in first.values()
    ]


def _named(name: str, store: "Library | None") -> list[Named]:
    """Return the files that a name means, or the row of the store."""
    from audiorec.extraction.catalogue import find_songs

    is_id = store is not None and name in store
    if store is None or os.path.lexists(name) or (has_magic(name) and not is_id):
        # One by one: in a run two files of one name would be two songs of one id.
        paths = [] if os.path.lexists(name) else sorted(glob(name, recursive=True))  # noqa: PTH207
        files = [file for path in paths or [name] for file in find_songs([path])]
        return [Named(file.song_id, None, file) for file in files]
    try:
        song_id = store.resolve(name)
    except UnknownSongError as error:
        raise MissingFileError(f"{name}: no such file, and {error}") from error
    return [Named(song_id, store.row_number(song_id), None)]


def _marked(store: "Library | None", found: list[Named]) -> list[Named]:
    """Return the songs with the rows of those files that the store knows as they are."""
    if store is None:
        return found
    from audiorec.library.known import known_rows

    rows = iter(known_rows(store, [one.source for one in found if one.source is not None]))
    return [
        replace(one, name=store.ids[row], row=row)
        if one.source is not None and (row := next(rows)) is not None
        else one
        for one in found
    ]


def _with_folder(one: Named, folders: Sequence[str]) -> Named:
    """Put the folder's name before the name of a file that the store does not know."""
    if one.row is not None or one.source is None:
        return one
    inside = (f for f in folders if Path(f).absolute() in Path(one.source.uri).parents)
    folder = next(inside, None)
    return replace(one, name=f"{Path(folder).resolve().name}/{one.name}") if folder else one


def find_one(
    song: str, vectors: Path | None, *, needed: bool = False
) -> "tuple[Library | None, Named]":
    """Find the one song that is named; with `needed` there has to be a store.

    Raises
    ------
    InputError
        If a folder or a pattern is named; otherwise as `find_known`.
    """
    store = _store(vectors, needed=needed)
    if Path(song).is_dir():
        raise InputError(f"{song}: is a folder; name one song")
    found = _marked(store, _named(song, store))
    if len(found) > 1:
        raise InputError(f"{song}: fits {len(found)} files; name one song")
    return store, found[0]


def _store(vectors: Path | None, *, needed: bool) -> "Library | None":
    """Open the store that is meant; one that merely lies here need not be usable."""
    named = vectors is not None or bool(os.environ.get(ENVIRONMENT))
    if named or needed:
        return open_vectors(vectors)
    if not Path(DEFAULT).exists():
        return None
    try:
        return open_vectors(None)
    except StoreError as error:
        say(f"note: {error}; its songs are opened")
        return None
