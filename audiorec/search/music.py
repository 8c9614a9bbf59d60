"""Which songs of a store are music, and which version each is: as the owner says, or as is heard.

store ──is_music──▶ (n,) bool            ──why_not_music──▶ the reason in words
store ──stated_versions──▶ (n,) int64    the class of the version head
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.compute as pc

from audiorec.files.arrow import booleans, integers, one_chunk, string_array
from audiorec.search.stored_labels import said_genres
from audiorec.store.schema import GENRE_TAG
from audiorec.store.store import VectorStore
from audiorec.tagger.reading import EVEN, MIN_SEGMENTS, NOT_MUSIC, heaviness, sounds_other
from audiorec.tagger.song_labels import TaggedGenre, said_genre, tagged_genre
from audiorec.tagger.weights import MSD
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, Status

HEAD, HEARD_TAGS = "version", "heard_tags"


def is_music(store: VectorStore) -> BoolArray:
    """Return which songs of a store are music: shape (n,), bool.

    What the owner says of a song counts. Else it is not music if its audio is silent; if it is a
    jingle, shorter than three segments; or if it sounds like speech, noise or another sound
    (`audiorec.tagger.reading.sounds_other`). `audiorec.tagger.reading` withholds labels by the same
    rules. In a store whose heads lack the class *other*, status and length decide; in others all
    vectors are read, one row group at a time.

    Examples
    --------
    >>> from audiorec.search.searchable import SearchableStore
    >>> store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
    >>> [song_id for song_id, music in zip(store.ids, is_music(store)) if not music]
    ['tiny.wav']
    """
    is_long = booleans(
        pc.greater_equal(one_chunk(store.column("segments")), integers([MIN_SEGMENTS])[0])
    )
    is_silent = booleans(
        pc.equal(one_chunk(store.column("status")), string_array([Status.SILENT])[0])
    )
    music: BoolArray = is_long & ~is_silent
    means = store.metadata.mean_columns(HEAD)
    if NOT_MUSIC in means:
        music &= ~sounds_other(_versions(store), list(means).index(NOT_MUSIC), *_evidence(store))
    for row, is_said in said_music(store).items():
        music[row] = is_said
    return music


def stated_versions(store: VectorStore) -> Int64Array:
    """Return the class of each song of the version head, by number: shape (n,), int64.

    As the owner says; else the likeliest, which is *other* of music only where no other is likely.
    """
    names = list(store.metadata.mean_columns(HEAD))
    values = _versions(store)
    if NOT_MUSIC in names:
        other = names.index(NOT_MUSIC)
        is_rescued = is_music(store) & (values[:, other] >= EVEN)
        values[is_rescued, other] = 0.0
    best: Int64Array = values.argmax(axis=1)
    for row, value in store.corrections[HEAD].items():
        best[row] = names.index(value)
    return best


def _versions(store: VectorStore) -> FloatArray:
    """Return the mean scores of the version head, a row group at a time: shape (n, C)."""
    columns = list(store.metadata.mean_columns(HEAD).values())
    blocks = [block[:, columns] for block in store.blocks()]
    return np.concatenate([np.zeros((0, len(columns)), np.float32), *blocks])


def _evidence(store: VectorStore) -> tuple[Float64Array, BoolArray]:
    """Return how heavy each song is, and whether a genre is said of it: shapes (n,)."""
    codes, said = said_genres(store)
    return heavy_of(store), np.asarray([bool(one) for one in said], np.bool_)[codes]


def said_music(store: VectorStore) -> dict[int, bool]:
    """Return by row whether the owner says that a song is music; rows without a word are absent."""
    versions = {row: value != NOT_MUSIC for row, value in store.corrections["version"].items()}
    return versions | {row: value == "yes" for row, value in store.corrections["music"].items()}


def why_not_music(store: VectorStore, row: int) -> str:
    """Say why a song is not music; empty if it is.

    Examples
    --------
    >>> from audiorec.search.searchable import SearchableStore
    >>> store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
    >>> why_not_music(store, 4)
    'speech, noise or other sound'
    """
    said = said_music(store).get(row)
    if said is not None:
        return "" if said else "as you say"
    (codes, statements), heavy = said_genres(store), heavy_of(store, np.asarray([row]))[0]
    vector, song = store.read_rows([row])[0], store.rows([row])[0]
    return why_vector_not_music(store, vector, song, heavy, named=bool(statements[codes[row]]))


def why_vector_not_music(
    store: VectorStore,
    vector: FloatArray,
    song: Mapping[str, Any],
    heavy: float = 0.0,
    *,
    named: bool | None = None,
) -> str:
    """Say why a song that may lie elsewhere is not music; see `why_not_music`.

    Parameters
    ----------
    store : VectorStore
    vector : ndarray, shape (V,)
    song : mapping
        Its columns: ``status``, ``segments`` and ``genre_tag``.
    heavy : float
        As from `audiorec.tagger.reading.heaviness`.
    named : bool, optional
        Whether a genre is said of it; by default whether its tag names one.
    """
    if (song.get("status") or Status.OK) == Status.SILENT:
        return "silent"
    means = store.metadata.mean_columns(HEAD)
    if named is None:
        named = bool(said_genre(tagged_genre(song.get(GENRE_TAG)) or TaggedGenre(""), "tag"))
    if NOT_MUSIC in means:
        values, other = vector[None, list(means.values())], list(means).index(NOT_MUSIC)
        if sounds_other(values, other, np.asarray([heavy]), np.asarray([named]))[0]:
            return "speech, noise or other sound"
    segments = int(song.get("segments") or 0)
    if segments < MIN_SEGMENTS:
        return f"only {segments} segment{'s' if segments > 1 else ''} of three seconds"
    return ""


def heavy_of(store: VectorStore, numbers: Int64Array | None = None) -> Float64Array:
    """Return how heavy some songs are, by default all; 0 where it is unknown: shape (n,)."""
    result = np.zeros(len(store) if numbers is None else len(numbers))
    if store.metadata.lists.get(HEARD_TAGS) == len(MSD.tags):
        one = store.list_rows(HEARD_TAGS, numbers) if numbers is not None else None
        for there, tags in store.list_blocks(HEARD_TAGS) if one is None else [one]:
            result[there] = heaviness(tags)
    return result
