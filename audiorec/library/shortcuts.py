"""Query a store in one call, without opening it first: `audiorec.similar` and others.

    vectors="vecs.parquet" ──as_library──▶ `Library` ──▶ similar, path, playlist, duplicates

Each call opens the store; for many calls use `open_store` once. As on the command line, the store
defaults to $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current folder.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from audiorec.errors import MissingFileError
from audiorec.library.library import Library, open_store
from audiorec.playlists.answers import PathOfSongs, PlaylistOfSongs, SimilarSongs
from audiorec.search.duplicates import Group
from audiorec.search.questions import MINIMUM, SPREAD, Choice, SimilarQuestion

ENVIRONMENT = "AUDIOREC_VECTORS"
DEFAULT = "vecs.parquet"

StorePath = str | os.PathLike[str]


def similar(
    song: str | os.PathLike[str],
    k: int = 10,
    *,
    vectors: StorePath | Library | None = None,
    by: str | Path = "auto",
    choice: Choice = Choice(),  # noqa: B008 - frozen
    diversity: float = 0.0,
    minimum: float = MINIMUM,
) -> SimilarSongs:
    """Return the `k` songs of a store nearest to one song, from the store or any audio file.

    Parameters
    ----------
    song : str or path
        An id, a unique part of one, or an audio file. A file that is not in the store is decoded
        in a worker process, and compared as the store's songs are.
    k : int
    vectors : path or Library, optional
        The store; by default $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current folder.
    by, choice, diversity, minimum
        As for `Library.similar`.

    Raises
    ------
    MissingFileError
        If there is no store.
    UnknownSongError, SongError, InputError
        If the song is unknown, cannot be used, or as for `Library.ask`.

    Examples
    --------
    >>> import audiorec
    >>> found = audiorec.similar("etude", 2, vectors="fixtures/formats/vecs-v1.parquet")
    >>> found[0].song_id
    'piano/prelude.flac'
    """
    question = SimilarQuestion(
        seeds=(os.fspath(song),), k=k, by=by, choice=choice, diversity=diversity, minimum=minimum
    )
    return as_library(vectors).ask(question)


def path(
    start: str,
    end: str,
    *,
    vectors: StorePath | Library | None = None,
    steps: int = 8,
    by: str | Path = "auto",
    choice: Choice = Choice(),  # noqa: B008 - frozen
) -> PathOfSongs:
    """Find a smooth path from one song of a store to another; see `Library.path_between`.

    `vectors` is the store; by default $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current
    folder. Raises `MissingFileError` if there is none.
    """
    return as_library(vectors).path_between(start, end, steps=steps, by=by, choice=choice)


def playlist(
    *songs: str,
    vectors: StorePath | Library | None = None,
    minutes: float = 60.0,
    curve: str | Sequence[str] = (),
    by: str | Path = "auto",
    choice: Choice = SPREAD,
) -> PlaylistOfSongs:
    """Make a playlist near some songs of a store; see `Library.playlist`.

    `vectors` is the store; by default $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current
    folder. Raises `MissingFileError` if there is none.
    """
    return as_library(vectors).playlist(*songs, minutes=minutes, curve=curve, by=by, choice=choice)


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
