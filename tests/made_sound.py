"""Sound, embeddings and heard tags for stores that are made row by row."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from audiorec.store.schema import list_type, schema_of
from audiorec.store.store import VectorStore, write_table


def unit_rows(values):
    """Return rows (n, W) of length 1, float32; a row of zeros stays."""
    values = np.asarray(values, np.float64)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return (values / np.where(length > 0, length, 1)).astype(np.float32)


def random_sound(n, *, seed=0, width=8):
    """Return `n` places drawn from all directions: (n, width), float32."""
    return unit_rows(np.random.default_rng(seed).normal(size=(n, width)))


def add_lists(path, *, sound_id="sound-1", **lists):
    """Give a store lists beside the vector, one value or None for each song in store order.

    ``add_lists(path, sound=[...], heard_tags=[...])`` also writes an embedding, which is what
    tells a song with lists from one without.
    """
    store = VectorStore.open(path)
    table, metadata = store.table(), store.metadata
    one = next(iter(lists.values()))
    lists = {"embedding": [None if value is None else [0.5, 1.0] for value in one]} | lists
    widths = {
        name: next((len(v) for v in values if v is not None), 2) for name, values in lists.items()
    }
    metadata = replace(metadata, lists=widths, sound_id=sound_id)
    for name, values in lists.items():
        kind = list_type(name)
        of = np.float16 if kind.value_type == pa.float16() else np.float32
        cells = [None if v is None else list(np.asarray(v).astype(of)) for v in values]
        table = table.append_column(name, pa.array(cells, kind))
    write_table(path, table.select(schema_of(metadata).names), metadata)
    return path
