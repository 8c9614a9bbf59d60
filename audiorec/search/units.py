"""The units of songs in each space of a store: read by row, or all at once.

    store  ──sound_units, vector_units, learnt_units──▶ `LoadedUnits`: rows (m,), units (m, W)
    store, by, scaling  ──units_reader──▶ rows (Q,) ──▶ units (Q, W)

A song's sound is stored at length 1 and depends on no other song, so that nothing is fitted, and
songs that are added change no similarity. A song that was extracted without has none: it is never
found, and its unit is 0.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from audiorec.errors import SpecMismatchError, StoreError
from audiorec.search.scaling import By, Scaling, Weighting, fit_units
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray, IdMap, Int64Array

SOUND: Literal["sound"] = "sound"
LEARNT: Literal["learnt"] = "learnt"
INDEXED: tuple[By, ...] = (SOUND, "vector")  # spaces that may have an index
OFF_LENGTH = 1e-3  # lengths are rounded to float32 when they are stored
UnitsReader = Callable[[Sequence[int] | Int64Array], FloatArray]


class LoadedUnits(NamedTuple):
    """The songs of a space: rows of the store (m,), units (m, W), and what prepares others."""

    rows: Int64Array
    units: FloatArray
    scaling: Scaling


def usual_space(store: VectorStore) -> By:
    """Return what the songs of a store are compared by unless asked: sound if any song has it."""
    return "sound" if store.songs_with(SOUND) else "vector"


def sound_units(store: VectorStore) -> LoadedUnits:
    """Return the songs that have a sound, as it is stored.

    Raises
    ------
    InputError
        If the store has no such column.
    StoreError
        If a sound is not of length 1 or 0, or the file is damaged.
    """
    rows = np.empty(len(store), np.int64)
    units = np.empty((len(store), store.metadata.lists.get(SOUND, 0)), np.float32)
    end = 0
    for there, values in store.list_blocks(SOUND):
        start, end = end, end + len(there)
        rows[start:end], units[start:end] = there, _checked(store, there, values)
    return LoadedUnits(rows[:end], units[:end], Scaling.plain(units.shape[1]))


def vector_units(store: VectorStore, weighting: Weighting) -> LoadedUnits:
    """Return all songs by their vectors, scaled over the store."""
    scaling, units = fit_units(store.blocks, len(store), weighting)
    return LoadedUnits(np.arange(len(store)), units, scaling)


def learnt_units(store: VectorStore, path: Path) -> LoadedUnits:
    """Return the songs of a file of embeddings that the store has.

    Raises
    ------
    StoreError
        If the file is missing, damaged or of another kind.
    SpecMismatchError
        If it was made from a store of another extractor.
    """
    table = EmbeddingTable.open(path, kind="songs")
    ids, values, extractor_id = table.id_array, table.embeddings, table.metadata.extractor_id
    if extractor_id and extractor_id != store.metadata.extractor_id:
        raise SpecMismatchError(
            f"{path} was made by extractor {extractor_id}, {store.path} by "
            f"{store.metadata.extractor_id}: embed the songs of this store (audiorec recall songs "
            "MODEL)"
        )
    rows = IdMap(store.id_array).rows(ids)
    places = np.flatnonzero(rows >= 0)
    places = places[np.argsort(rows[places], kind="stable")]
    scaling = Scaling.plain(values.shape[1])  # embeddings were trained for the plain cosine
    return LoadedUnits(rows[places], scaling.prepare_all([values[places]], len(places)), scaling)


def units_reader(store: VectorStore, by: By, scaling: Scaling) -> UnitsReader:
    """Return what reads the units of some rows in the space of sound, or of vectors."""
    if by != SOUND:
        return lambda numbers: scaling.prepare_all([store.read_rows(numbers)], len(numbers))

    def read(numbers: Sequence[int] | Int64Array) -> FloatArray:
        wanted = np.asarray(numbers, np.int64)
        units = np.zeros((len(wanted), scaling.width), np.float32)
        there, values = store.list_rows(SOUND, wanted)
        units[there] = _checked(store, wanted[there], values)
        return units

    return read


def _checked(store: VectorStore, rows: Int64Array, values: FloatArray) -> FloatArray:
    """Return the sounds of some rows if each is of length 1, or 0 for no direction."""
    squares = np.einsum("ij,ij->i", values, values)
    wrong = (np.abs(squares - 1.0) > OFF_LENGTH) & (squares != 0)
    if wrong.any():
        song_id = store.id_array[int(rows[int(wrong.argmax())])].as_py()
        raise StoreError(
            f"{store.path}: the sound of {song_id!r} is not of length 1: the file is damaged; "
            "extract it again: audiorec extract FOLDER --overwrite"
        )
    return values
