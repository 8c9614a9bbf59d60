"""Songs and users as rows of unit vectors in one space: the two sides of a cold start.

==============  ==================================  =====================================
by              songs                               users
==============  ==================================  =====================================
``embedding``   ``embeddings.parquet``              ``users.parquet``, of the same space
``vector``      a store of new songs                preference profiles over a store that
                                                    holds the songs they like
==============  ==================================  =====================================

Everything is brought to length 1, so that a dot product is a cosine.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import InputError, SpecMismatchError
from audiorec.files.arrow import strings
from audiorec.recall.cold_start.tastes import Tastes
from audiorec.search.library import Library
from audiorec.store.embeddings import EmbeddingTable
from audiorec.types import FloatArray, IdMap, Int64Array, Preferences, name_numbers

ARTIST = "artist"
# Up to here in memory; more is kept in a file that is mapped, and that the system may drop from
# memory and read again.
IN_MEMORY_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Songs or users.

    Attributes
    ----------
    id_array : pyarrow.StringArray, length n
    units : ndarray, shape (n, W), float32
        Of length 1.
    artist : ndarray, shape (n,), int64, or None
        Number of each song's artist, -1 where unknown; None where there is no such column.
    made_by : str
        The model or extractor that the numbers come from.
    """

    id_array: Any
    units: FloatArray
    artist: Int64Array | None = None
    made_by: str = ""

    def __len__(self) -> int:
        return len(self.id_array)

    @property
    def ids(self) -> list[str]:
        """Ids, one a row."""
        ids: list[str] = self.id_array.to_pylist()
        return ids


def embedding_sides(songs: EmbeddingTable, users: EmbeddingTable) -> tuple[Side, Side]:
    """Bring songs and users of one space together.

    Raises
    ------
    SpecMismatchError
        If they are of different dimensions or spaces.
    InputError
        If an embedding has length 0.
    """
    songs.metadata.check_same_space(users.metadata, f"{songs.path} and {users.path}")
    artist = None
    if ARTIST in songs.column_names:
        artist = name_numbers(songs.columns([ARTIST]).column(ARTIST).to_pylist())
    return (
        Side(songs.id_array, unit_rows(songs), artist, songs.model_id),
        Side(users.id_array, unit_rows(users), None, users.model_id),
    )


def vector_sides(songs: Library, catalogue: Library, tastes: Tastes) -> tuple[Side, Side, Tastes]:
    """Bring new songs and the tastes of users together, without any model.

    Parameters
    ----------
    songs : Library
        New songs.
    catalogue : Library
        Holds the songs that users like; its means and deviations standardise both.
    tastes : Tastes
        Over the catalogue.

    Returns
    -------
    songs, users, tastes
        Users without a liked song of the catalogue are left out of all of them.

    Raises
    ------
    SpecMismatchError
        If the stores are of two extractors.
    InputError
        If no user likes a song of the catalogue.
    """
    theirs, ours = songs.metadata.extractor_id, catalogue.metadata.extractor_id
    if theirs != ours:
        raise SpecMismatchError(
            f"{songs.path} was made by extractor {theirs}, {catalogue.path} by {ours}: "
            "extract both with one"
        )
    known = np.flatnonzero(tastes.counts)
    if not len(known):
        raise InputError(
            f"no user likes a song of {catalogue.path}: interactions and store need the same ids"
        )
    tastes = tastes.take(known)
    similarity = catalogue.space("vector", use_index=False)
    new = Side(
        strings(songs.ids),
        similarity.prepare(songs.read_vectors()),
        name_numbers(songs.column(ARTIST).to_pylist()),
        theirs,
    )
    return new, Side(strings(tastes.user_ids), tastes.profiles(similarity), None, ours), tastes


def heard_pairs(
    preferences: Preferences, songs: Side, users: Side
) -> tuple[Int64Array, Int64Array]:
    """Return the songs and the users of what was heard already, by their rows."""
    heard = preferences.heard
    song = IdMap(songs.ids).rows(preferences.song_ids)[heard.song]
    user = IdMap(users.ids).rows(preferences.user_ids)[heard.user]
    both = (song >= 0) & (user >= 0)
    return song[both], user[both]


def unit_rows(table: EmbeddingTable) -> FloatArray:
    """Read embeddings, each brought to length 1, one row group at a time: (n, D) float32.

    Raises
    ------
    InputError
        If an embedding has length 0, and so no direction.
    """
    units = _room((len(table), table.dimension))
    for start, block in table.blocks():
        length = np.sqrt(np.square(block.astype(np.float64)).sum(axis=1, keepdims=True))
        zero = np.flatnonzero(length == 0)
        if len(zero):
            name = table.id_array[start + int(zero[0])].as_py()
            raise InputError(f"{table.path}: the embedding of {name!r} has length 0")
        units[start : start + len(block)] = block / length
    return units


def file_identity(path: Path | None) -> list[Any]:
    """Return what tells one state of a file from another, without reading it."""
    if path is None:
        return []
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]


def _room(shape: tuple[int, int]) -> FloatArray:
    """Return an array to fill, in memory or, if it is large, over a file without a name."""
    if 4 * shape[0] * shape[1] <= IN_MEMORY_BYTES:
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile() as file:  # the mapping keeps it, a crash leaves nothing
        return np.memmap(file, np.float32, "w+", shape=shape)
