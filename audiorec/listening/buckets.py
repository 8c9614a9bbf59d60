"""Build the sequences of one bucket of a prepared log, from its rows alone."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import StoreError
from audiorec.files.arrow import arrow_array
from audiorec.listening.casting import DATE
from audiorec.listening.events import EVENTS, Interactions, TextColumn
from audiorec.listening.feed import BUCKET_SCHEMA
from audiorec.listening.interactions import NO_TIME
from audiorec.listening.sequences import LABEL_OF, Sequences, to_sequences
from audiorec.listening.spill import PrepareSpec
from audiorec.types import Int32Array, string_array


def bucket_sequences(rows: Any, rank: Int32Array, *, unit: int, spec: PrepareSpec) -> Sequences:
    """Build the sequences of one bucket.

    Parameters
    ----------
    rows : pyarrow.Table
        Has `PIECE_SCHEMA`, in the order of the log.
    rank : ndarray, shape (S,), int32
        The final number of each song.
    unit : int
        The time unit, an index into `UNIT_NAMES`; rows in other units are left out.
    """
    units = rows.column("unit").to_numpy()
    good = (units == unit) | (units == NO_TIME)
    if not good.all():
        rows = rows.filter(pa.array(good))
    owner, owner_ids = _sorted_codes(rows.column("owner_id"))
    time, event = rows.column("time").to_numpy(), rows.column("event").to_numpy()
    of_song = event < len(EVENTS)
    n_rows = int(of_song.sum())
    song = rows.column("song").to_numpy()[of_song]
    if n_rows and not 0 <= song.min() <= song.max() < len(rank):
        raise StoreError("a piece of an unfinished run has an invalid song number")
    label = LABEL_OF.get(spec.by)
    log = Interactions(
        user_ids=owner_ids,
        song_ids=(),
        user=owner[of_song],
        song=rank[song],
        timestamp=time[of_song] / (1.0 if unit == DATE else 1000.0**unit),
        event=event[of_song],
        played_ratio=rows.column("played_ratio").to_numpy()[of_song],
        weight=np.ones(n_rows, np.float32),
        labels={} if label is None else {label: TextColumn(owner[of_song], owner_ids)},
    )
    return to_sequences(log, by=spec.by, filters=spec.filters)


def sequences_table(found: Sequences) -> Any:
    """Convert sequences to a `pyarrow.Table` of `BUCKET_SCHEMA`."""
    starts = pa.array(found.starts.astype(np.int32))
    columns = [
        string_array(found.owner_ids),
        pa.ListArray.from_arrays(starts, arrow_array(np.ascontiguousarray(found.song), pa.int32())),
        pa.ListArray.from_arrays(
            starts, arrow_array(np.ascontiguousarray(found.time), pa.float64())
        ),
    ]
    return pa.Table.from_arrays(columns, schema=BUCKET_SCHEMA)


def _sorted_codes(texts: Any) -> tuple[Int32Array, tuple[str, ...]]:
    encoded = texts.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    ids = encoded.dictionary.take(arrow_array(order.astype(np.int64), pa.int64()))
    codes = encoded.indices.to_numpy()
    return (rank[codes] if len(rank) else np.zeros(0, np.int32)), tuple(ids.to_pylist())
