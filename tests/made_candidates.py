"""Small tables of candidates, written by hand in the tests."""

import numpy as np
import pyarrow as pa

from audiorec.recall.contract.candidates import SCHEMA


def table_of(channel, lists, *, cold=(), interests=None):
    """Return candidates of users: ``{"u": ["a", "b"]}``, the best first."""
    rows = [
        (user, song, rank) for user, songs in lists.items() for rank, song in enumerate(songs, 1)
    ]
    n = len(rows)
    columns = {
        "user_id": [row[0] for row in rows],
        "song_id": [row[1] for row in rows],
        "channel": [channel] * n,
        "rank": [row[2] for row in rows],
        "similarity": np.linspace(1, 0, n).tolist(),
        "reason": ["listeners"] * n,
        "evidence": [None] * n,
        "interest": [(interests or {}).get(row[1]) for row in rows],
        "cold": [row[1] in cold for row in rows],
        "model_id": ["m"] * n,
    }
    return pa.table(columns, schema=SCHEMA)
