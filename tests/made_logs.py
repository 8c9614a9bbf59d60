"""Small listening logs, written by hand in the tests."""

import numpy as np

from audiorec.listening.events import EVENTS, Interactions


def log_of(*rows):
    """Rows are (user, song, time, event[, ratio[, weight]]); ratio None is unknown."""
    full = [(*row, *(None, 1.0)[len(row) - 4 :]) for row in rows]
    users = tuple(sorted({row[0] for row in full}))
    songs = tuple(sorted({row[1] for row in full}))
    return Interactions(
        user_ids=users,
        song_ids=songs,
        user=np.array([users.index(r[0]) for r in full], np.int32),
        song=np.array([songs.index(r[1]) for r in full], np.int32),
        timestamp=np.array([r[2] for r in full], np.float64),
        event=np.array([EVENTS.index(r[3]) for r in full], np.int8),
        played_ratio=np.array([np.nan if r[4] is None else r[4] for r in full], np.float32),
        weight=np.array([r[5] for r in full], np.float32),
    )
