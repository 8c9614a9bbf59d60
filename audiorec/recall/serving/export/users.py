"""Rows of the table of users: counts of plays, portraits and embeddings.

a block of users, their plays, side information ──user_columns──▶ columns of the table `users`
"""

from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.files.arrow import integers
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import SongSide
from audiorec.recall.serving.export.features import LONG_AGO
from audiorec.recall.serving.export.schema import ARROW, HORIZONS, TIME
from audiorec.recall.serving.one_user.portrait import KINDS, PORTRAIT, PortraitRecipe, portraits
from audiorec.types import Float64Array, FloatArray, IdMap, Int64Array

MOST = 5  # values per kind in a portrait
_RECIPE = PortraitRecipe(most=MOST)


def user_columns(
    user_ids: Any, plays: Sequences, likes: Int64Array, side: SongSide | None
) -> dict[str, Any]:
    """Return the columns of a block of users, except embeddings.

    Parameters
    ----------
    user_ids : pyarrow.StringArray, length n
        Sorted.
    plays : Sequences
        Finished plays of the users who are in the log.
    likes : ndarray, shape (len(plays),), int64
        Number of liked songs of each of them.
    side : SongSide, optional
    """
    row = IdMap(user_ids).rows(plays.owner_ids)
    n = len(user_ids)
    pairs = np.unique(plays.owner * max(1, len(plays.song_ids)) + plays.song)
    songs = np.bincount(pairs // max(1, len(plays.song_ids)), minlength=len(plays))
    first, last = _ends(plays)
    columns: dict[str, Any] = {
        "user_id": user_ids,
        "plays": pa.array(_spread(plays.lengths, row, n)),
        "songs": pa.array(_spread(songs, row, n)),
        "likes": pa.array(_spread(likes, row, n)),
        "first_played": moments(_spread(first, row, n, LONG_AGO)),
        "last_played": moments(_spread(last, row, n, LONG_AGO)),
    }
    drawn = PORTRAIT.empty_table() if side is None else portraits(plays, side, _RECIPE)
    return columns | _portrait_lists(drawn, user_ids)


def moments(time: Float64Array) -> Any:
    """Return seconds since 1970 as an Arrow timestamp array; null where not finite."""
    known = np.isfinite(time)
    micro = np.rint(np.where(known, time, 0) * 1e6).astype(np.int64)
    return pa.array(micro, mask=~known).cast(TIME)


def vectors(rows: FloatArray, known: Any = None) -> Any:
    """Return rows (n, W) as an Arrow list array; null if not `known`, by default if all zero."""
    known = np.asarray(rows.any(axis=1)) if known is None else known
    flat = np.ascontiguousarray(rows[known], np.float32).reshape(-1)
    ends = np.concatenate([[0], np.cumsum(known)]).astype(np.int32) * np.int32(rows.shape[1])
    bits = pa.py_buffer(np.packbits(known, bitorder="little"))
    # Zero-copy: `pyarrow.array` may copy, and imports pandas.
    numbers = pa.Array.from_buffers(pa.float32(), len(flat), [None, pa.py_buffer(flat)])
    buffers = [bits, pa.py_buffer(ends)]
    return pa.Array.from_buffers(ARROW["vector"], len(rows), buffers, children=[numbers])


def _spread(values: Any, row: Int64Array, n: int, usual: float = 0) -> Any:
    found = np.full(n, usual, values.dtype if usual == 0 else np.float64)
    found[row] = values
    return found


def _ends(plays: Sequences) -> tuple[Float64Array, Float64Array]:
    """Return the first and last known time of each owner: (U,), `LONG_AGO` for none."""
    known = np.flatnonzero(~np.isnan(plays.time))
    owner, time = plays.owner[known], plays.time[known]
    first, last = np.full(len(plays), np.inf), np.full(len(plays), LONG_AGO)
    np.minimum.at(first, owner, time)
    np.maximum.at(last, owner, time)
    return np.where(np.isfinite(first), first, LONG_AGO), last


def _portrait_lists(table: Any, user_ids: Any) -> dict[str, Any]:
    """Return portraits as two lists per user, horizon and kind: values and their shares."""
    found: dict[str, Any] = {}
    horizon, kind = (np.array(table.column(n).to_pylist(), object) for n in ("horizon", "kind"))
    owner = IdMap(user_ids).rows(table.column("user_id").combine_chunks())
    for name in KINDS:
        for when in HORIZONS:
            rows = np.flatnonzero((kind == name) & (horizon == when))
            part = table.take(integers(rows))
            counts = np.bincount(owner[rows], minlength=len(user_ids))
            ends = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
            for column, values in (
                (f"{name}s_{when}", "value"),
                (f"{name}s_{when}_share", "share"),
            ):
                flat = part.column(values).combine_chunks()
                found[column] = pa.ListArray.from_arrays(ends, flat)
    return found
