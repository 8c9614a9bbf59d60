"""Genre and styles of the songs in a store, from the columns that it keeps.

    store, its columns embedding and heard_tags ──stored_labels──▶ `FoundLabels` of n songs

No audio is decoded.
"""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from audiorec.store.store import VectorStore
from audiorec.tagger.song_labels import EMBEDDING, HEAD, TAGS, FoundLabels, SongLabels
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
        store without them, of another network, or of a genre head of your own.
    """
    if not has_labels(store):
        return None
    if numbers is not None:
        chosen = np.asarray(numbers, np.int64)
        read = (store.list_rows(name, chosen) for name in WIDTHS)
        heard = [row["segments"] for row in store.rows(chosen.tolist())]
        return _labelled(np.asarray(heard, np.int64), *read)
    segments = np.asarray(store.column("segments").to_pylist(), np.int64)
    blocks = zip(*(store.list_blocks(name) for name in WIDTHS), strict=True)
    bounds = zip(store.group_starts[:-1], store.group_starts[1:], strict=True)
    parts = []
    for (start, stop), lists in zip(bounds, blocks, strict=True):
        own = ((rows - start, result) for rows, result in lists)
        parts.append(_labelled(segments[start:stop], *own))
    if not parts:
        return _labelled(
            segments, *((np.zeros(0, np.int64), np.zeros((0, w))) for w in WIDTHS.values())
        )
    names = [field.name for field in fields(FoundLabels)]
    return FoundLabels(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def has_labels(store: VectorStore) -> bool:
    """Return whether a store has the ten genres, and the columns that labels are read from."""
    about = store.metadata
    same = about.sound_id == shipped_sound().sha256[:16] and SongLabels.shipped().fits(
        about.classes
    )
    return same and all(about.lists.get(name) == width for name, width in WIDTHS.items())


def with_labels(store: VectorStore, head: str, best: Int64Array) -> Int64Array:
    """Return the number of each song's likeliest class of a head, by its label where it has one.

    `best` (n,) are the numbers by mean scores, for songs and heads without labels.
    """
    result = stored_labels(store) if f"{head}/" == HEAD else None
    if result is None:
        return best
    likeliest = np.nan_to_num(result.genre).argmax(axis=1)
    return np.where(np.isfinite(result.genre[:, 0]), likeliest, best)


def _labelled(
    segments: Int64Array, *lists: tuple[Int64Array, npt.NDArray[np.floating]]
) -> FoundLabels:
    """Label songs of so many segments by their lists; NaN where a song has none."""
    columns = []
    for (there, result), width in zip(lists, WIDTHS.values(), strict=True):
        values = np.full((len(segments), width), np.nan, np.float32)
        values[there] = result
        columns.append(values)
    return SongLabels.shipped().of(*columns).heard_long(segments)
