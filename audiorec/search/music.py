"""Tell music from other audio, by the columns of a store.

    store ──is_music──▶ (n,) bool
          ──why_not_music──▶ the reason why a song is not music, in words

A song is not music if its audio is silent; if its mean score of *other* (speech, noise, other
sound) is at least one half and the highest of its version head; or if it is a jingle, shorter
than three segments. `audiorec.tagger.reading` withholds labels by the same rules. In a store
whose heads lack the class *other*, status and length decide.
"""

import numpy as np

from audiorec.search.filters import text_codes
from audiorec.store.store import VectorStore
from audiorec.tagger.reading import EVEN, MIN_SEGMENTS, NOT_MUSIC
from audiorec.types import BoolArray, FloatArray, Status

HEAD = "version"


def is_music(store: VectorStore) -> BoolArray:
    """Return which songs of a store are music: shape (n,), bool.

    Reads all vectors, one row group at a time, if the store has scores of *other*.

    Examples
    --------
    >>> from audiorec.search.searchable import SearchableStore
    >>> store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
    >>> [song_id for song_id, music in zip(store.ids, is_music(store)) if not music]
    ['tiny.wav']
    """
    segments = np.asarray(store.column("segments").to_pylist(), np.int64)
    music = (segments >= MIN_SEGMENTS) & ~_silent(store)
    columns, other = _version_means(store)
    if other is None:
        return music
    start = 0
    for block in store.blocks():
        music[start : start + len(block)] &= ~_is_other(block[:, columns], other)
        start += len(block)
    return music


def why_not_music(store: VectorStore, row: int) -> str:
    """Say why a song is not music; empty if it is.

    Examples
    --------
    >>> from audiorec.search.searchable import SearchableStore
    >>> store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
    >>> why_not_music(store, 4)
    'speech, noise or other sound'
    """
    song = store.rows([row])[0]
    return why_vector_not_music(store, store.read_rows([row])[0], song["status"], song["segments"])


def why_vector_not_music(store: VectorStore, vector: FloatArray, status: str, segments: int) -> str:
    """Say why a vector (V,) with this status and length is not music; see `why_not_music`."""
    if status == Status.SILENT:
        return "silent"
    columns, other = _version_means(store)
    if other is not None and _is_other(vector[None, columns], other)[0]:
        return "speech, noise or other sound"
    if segments < MIN_SEGMENTS:
        return f"only {segments} segment{'s' if segments > 1 else ''} of three seconds"
    return ""


def _silent(store: VectorStore) -> BoolArray:
    codes, statuses = text_codes(store, "status")
    return np.asarray([*(s == Status.SILENT for s in statuses), False], np.bool_)[codes]


def _version_means(store: VectorStore) -> tuple[list[int], int | None]:
    """Return the columns of the version head's means, and the index of *other* among them."""
    classes, statistics = store.metadata.classes, store.metadata.statistics
    names = [name for name in classes if name.startswith(f"{HEAD}/")]
    wanted = f"{HEAD}/{NOT_MUSIC}"
    if "mean" not in statistics or wanted not in names:
        return [], None
    mean = statistics.index("mean")
    columns = [classes.index(name) * len(statistics) + mean for name in names]
    return columns, names.index(wanted)


def _is_other(means: FloatArray, other: int) -> BoolArray:
    """Return whether *other* is the largest of the means (m, versions) and at least one half."""
    largest: BoolArray = means.argmax(axis=1) == other
    return largest & (means[:, other] >= EVEN)
