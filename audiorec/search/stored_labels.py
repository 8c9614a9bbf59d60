"""Genre and styles of the songs in a store, from the columns that it keeps.

    store, its columns embedding and heard_tags ──stored_labels──▶ `FoundLabels` of n songs

No audio is decoded.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audiorec.store.store import VectorStore
from audiorec.tagger.song_labels import EMBEDDING, TAGS, FoundLabels, SongLabels
from audiorec.tagger.vectors import shipped_sound
from audiorec.types import Int64Array

WIDTHS = {"embedding": EMBEDDING, "heard_tags": TAGS}


def stored_labels(
    store: VectorStore, numbers: Sequence[int] | Int64Array | None = None
) -> FoundLabels | None:
    """Label the songs of a store.

    Parameters
    ----------
    store : VectorStore
    numbers : sequence of int, optional
        Rows, in the order of the result; all rows by default.

    Returns
    -------
    found : FoundLabels or None
        NaN, and nothing clear, for a song that was extracted without the columns; None for a
        store of another network, or without them.
    """
    if not has_labels(store):
        return None
    chosen = np.arange(len(store)) if numbers is None else np.asarray(numbers, np.int64)
    read = {name: _column(store, name, chosen) for name in WIDTHS}
    return SongLabels.shipped().of(read["embedding"], read["heard_tags"])


def has_labels(store: VectorStore) -> bool:
    """Return whether a store has the columns that labels are read from, by the shipped network."""
    lists = store.metadata.lists
    same = store.metadata.sound_id == shipped_sound().sha256[:16]
    return same and all(lists.get(name) == width for name, width in WIDTHS.items())


def _column(store: VectorStore, name: str, numbers: Int64Array) -> npt.NDArray[np.float32]:
    """Return a list of some rows, (m, W), float32; NaN where a song has none."""
    values = np.full((len(numbers), WIDTHS[name]), np.nan, np.float32)
    there, found = store.list_rows(name, numbers)
    values[there] = found
    return values
