"""Songs as vectors of length 1, from a store or from a table of embeddings."""

from typing import Literal

import numpy as np

from audiorec.errors import InputError
from audiorec.search.library import Library
from audiorec.store.embeddings import EmbeddingTable
from audiorec.types import FloatArray


def vector_units(store: Library, *, by: Literal["vector", "mean"] = "vector") -> FloatArray:
    """Return a store's songs as `similar` compares them.

    Parameters
    ----------
    store : Library
    by : {"vector", "mean"}

    Returns
    -------
    units : ndarray, shape (S, W), float32
    """
    return store.space(by, use_index=False).matrix


def embedding_units(table: EmbeddingTable) -> FloatArray:
    """Return embeddings brought to length 1: shape (S, D), float32.

    Raises
    ------
    InputError
        If an embedding is all zeros, and so has no direction.
    """
    length = np.linalg.norm(table.embeddings, axis=1, keepdims=True)
    if not (length > 0).all():
        song_id = table.ids[int(np.argmin(length))]
        raise InputError(f"the embedding of {song_id!r} has length 0 and no direction")
    return np.asarray(table.embeddings / length, np.float32)
