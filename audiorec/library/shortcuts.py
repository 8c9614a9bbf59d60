"""Query a store in one call, without opening it first: `audiorec.similar` and others.

    vectors="vecs.parquet" ──as_library──▶ `Library` ──▶ similar, path, playlist, duplicates

Each call opens the store; for many calls use `open_store` once. As on the command line, the store
defaults to $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current folder.
"""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow.compute as pc

from audiorec.errors import MissingFileError
from audiorec.files.arrow import string_array
from audiorec.library.library import Library, open_store
from audiorec.playlists.of_store import PathOfSongs, PlaylistOfSongs
from audiorec.search.duplicates import Group
from audiorec.search.named import song_of_file
from audiorec.search.near import MINIMUM
from audiorec.search.space import Neighbours
from audiorec.search.space_choice import AutoBy
from audiorec.types import FloatArray

ENVIRONMENT = "AUDIOREC_VECTORS"
DEFAULT = "vecs.parquet"

StorePath = str | os.PathLike[str]


def similar(
    song: str | os.PathLike[str],
    k: int = 10,
    *,
    vectors: StorePath | Library | None = None,
    by: AutoBy = "auto",
    only: str | None = None,
    exclude: Collection[str] = (),
    per_artist: int | None = None,
    per_album: int | None = None,
    diversity: float = 0.0,
    include_non_music: bool = False,
    keep_duplicates: bool = False,
    minimum: float = MINIMUM,
) -> Neighbours:
    """Return the `k` songs of a store nearest to one song, from the store or any audio file.

    Parameters
    ----------
    song : str or path
        An id, a unique part of one, or an audio file. A file that is not in the store is decoded
        in a worker process, and compared as the store's songs are.
    k : int
    vectors : path or Library, optional
        The store; by default $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current folder.
    by, only, exclude, per_artist, per_album, diversity, include_non_music, keep_duplicates, minimum
        As for `Library.similar`.

    Raises
    ------
    MissingFileError
        If there is no store.
    UnknownSongError, SongError, InputError
        If the song is unknown, cannot be used, or as for `Library.similar`.

    Examples
    --------
    >>> import audiorec
    >>> found = audiorec.similar("etude", 2, vectors="fixtures/formats/vecs-v1.parquet")
    >>> found[0].song_id
    'piano/prelude.flac'
    """
    library = as_library(vectors)
    return library.similar(
        _query(library, os.fspath(song), by),
        k,
        by=by,
        only=only,
        exclude=exclude,
        per_artist=per_artist,
        per_album=per_album,
        diversity=diversity,
        include_non_music=include_non_music,
        keep_duplicates=keep_duplicates,
        minimum=minimum,
    )


def path(
    start: str,
    end: str,
    *,
    vectors: StorePath | Library | None = None,
    steps: int = 8,
    by: AutoBy = "auto",
    only: str | None = None,
    exclude: Collection[str] = (),
    per_artist: int | None = None,
    per_album: int | None = None,
    include_non_music: bool = False,
    keep_duplicates: bool = False,
) -> PathOfSongs:
    """Find a smooth path from one song of a store to another; see `Library.path_between`.

    `vectors` is the store; by default $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current
    folder. Raises `MissingFileError` if there is none.
    """
    return as_library(vectors).path_between(
        start,
        end,
        steps=steps,
        by=by,
        only=only,
        exclude=exclude,
        per_artist=per_artist,
        per_album=per_album,
        include_non_music=include_non_music,
        keep_duplicates=keep_duplicates,
    )


def playlist(
    *songs: str,
    vectors: StorePath | Library | None = None,
    minutes: float = 60.0,
    curve: str | Sequence[str] = (),
    artist_gap: int = 3,
    by: AutoBy = "auto",
    only: str | None = None,
    exclude: Collection[str] = (),
    per_artist: int | None = 2,
    per_album: int | None = None,
    include_non_music: bool = False,
    keep_duplicates: bool = False,
) -> PlaylistOfSongs:
    """Make a playlist near some songs of a store; see `Library.playlist`.

    `vectors` is the store; by default $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current
    folder. Raises `MissingFileError` if there is none.
    """
    return as_library(vectors).playlist(
        *songs,
        minutes=minutes,
        curve=curve,
        artist_gap=artist_gap,
        by=by,
        only=only,
        exclude=exclude,
        per_artist=per_artist,
        per_album=per_album,
        include_non_music=include_non_music,
        keep_duplicates=keep_duplicates,
    )


def duplicates(
    *,
    vectors: StorePath | Library | None = None,
    scores: StorePath | None = None,
    features: StorePath | None = None,
) -> list[Group]:
    """Return groups of songs with the same audio, most certain first.

    Parameters
    ----------
    vectors : path or Library, optional
        The store; by default $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current folder.
    scores, features : path, optional
        Series files to compare songs over time; by default those beside the store.

    Raises
    ------
    MissingFileError
        If there is no store.

    Examples
    --------
    >>> import audiorec
    >>> audiorec.duplicates(vectors="fixtures/formats/vecs-v1.parquet")
    []
    """
    library = as_library(vectors)
    return library.duplicates(
        scores=None if scores is None else os.fspath(scores),
        features=None if features is None else os.fspath(features),
    )


def as_library(vectors: StorePath | Library | None) -> Library:
    """Return or open the library; if there is none, raise an error that says how to make one."""
    if isinstance(vectors, Library):
        return vectors
    place = Path(vectors or os.environ.get(ENVIRONMENT) or DEFAULT)
    if not place.exists():
        hint = "" if vectors else f" (checked vectors=, ${ENVIRONMENT} and ./{DEFAULT})"
        raise MissingFileError(
            f"{place}: no such store{hint}; make one: audiorec.extract(folder, out={str(place)!r})"
        )
    return open_store(place)


def _query(library: Library, song: str, by: AutoBy) -> str | FloatArray:
    """Return the id of a song, or the numbers of a file that is not in the library."""
    if song in library or not Path(song).expanduser().is_file() or song_of_file(library, song):
        return library.resolve(song)
    from audiorec.extraction.pipeline import Extractor
    from audiorec.extraction.reader import song_reader

    space = library.space(by)
    extractor = Extractor.for_store(library.metadata, sound=space.by == "sound")
    with song_reader(extractor.config) as reader:
        found = reader.read(Path(song).expanduser())
    place = pc.index(library.column("content_hash"), string_array([found.content_hash])[0])
    if (row := int(place.as_py())) >= 0:
        return library.ids[row]
    values: FloatArray = found.lists["sound"] if space.by == "sound" else found.vector
    return values
