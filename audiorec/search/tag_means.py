"""Mean backbone tags of the songs in a store.

    store, its column heard_tags ──tag_means──▶ `TagMeans`: values (n, 50), names

The backbone's own tags (*Mellow*, *female vocalists*, *80s*) are richer than the two heads, but
less reliable. A plain ``audiorec extract`` stores their means; no audio is decoded here.
"""

from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.store.store import VectorStore
from audiorec.tagger.weights import MSD
from audiorec.types import FloatArray

COLUMN = "heard_tags"


@dataclass(frozen=True, slots=True)
class TagMeans:
    """Mean tags of every song of a store.

    Attributes
    ----------
    values : ndarray, shape (n, 50), float32
        Mean sigmoid outputs; NaN for a song that was extracted without.
    names : tuple of str
    """

    values: FloatArray
    names: tuple[str, ...]


def tag_means(store: VectorStore) -> TagMeans:
    """Read the mean tags of all songs of a store.

    Raises
    ------
    InputError
        If the store has no such column, or one of another width.
    StoreError
        If it is damaged.
    """
    rows, found = store.read_list(COLUMN)
    names = MSD.tags
    if found.shape[1] != len(names):
        raise InputError(
            f"{store.path}: its {COLUMN} have {found.shape[1]} numbers, not {len(names)}"
        )
    values = np.full((len(store), len(names)), np.nan, np.float32)
    values[rows] = found
    return TagMeans(values, names)


def stored_tag_means(store: VectorStore) -> TagMeans | None:
    """Return the mean tags of all songs, or None for a store without."""
    return tag_means(store) if store.songs_with(COLUMN) else None
