"""Explicit likes of each user: ``like`` events that were not revoked later.

Interactions ──likes──▶ `Sequences` of songs, with times
"""

import numpy as np

from audiorec.listening.events import EVENTS, Interactions
from audiorec.listening.sequences import Sequences
from audiorec.types import IdMap


def likes(log: Interactions, owner_ids: tuple[str, ...]) -> Sequences:
    """Return the songs that the given users liked, oldest first, in the order of `owner_ids`.

    A song that was disliked or blocked afterwards is left out; for repeated likes the last one
    counts.

    Examples
    --------
    >>> from audiorec.listening.interactions import read_interactions
    >>> log = read_interactions("fixtures/formats/interactions-v1.csv")
    >>> found = likes(log, ("eva", "ana"))
    >>> [[found.song_ids[s] for s in found[row]] for row in range(2)]
    [[], ['rock/live.mp3']]
    """
    said = np.isin(log.event, [EVENTS.index(name) for name in ("like", "dislike", "block")])
    owner = IdMap(owner_ids).rows(log.user_ids)[log.user]
    rows = np.flatnonzero(said & (owner >= 0))
    rows = rows[np.lexsort((rows, log.timestamp[rows]))]  # rows without a time come last
    key = owner[rows] * max(1, len(log.song_ids)) + log.song[rows]
    _, back = np.unique(key[::-1], return_index=True)  # the last event of each user and song
    last = np.sort(len(rows) - 1 - back)
    rows = rows[last]
    rows = rows[log.event[rows] == EVENTS.index("like")]
    rows = rows[np.argsort(owner[rows], kind="stable")]
    starts = np.zeros(len(owner_ids) + 1, np.int64)
    np.cumsum(np.bincount(owner[rows], minlength=len(owner_ids)), out=starts[1:])
    return Sequences(owner_ids, log.song_ids, starts, log.song[rows], log.timestamp[rows])
