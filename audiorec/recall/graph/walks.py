"""Random walks over songs: from a song to one of its lists, and to another song of that list.

    lists ──list_walks──▶ `Sequences` of songs, one per walk

The chance of a step grows with how often two songs share a list, long lists counting less, as in a
weighted graph of songs; the graph itself is never built.
"""

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.types import Int64Array


def list_walks(lists: Sequences, rng: np.random.Generator, *, walks: int, length: int) -> Sequences:
    """Start `walks` walks of `length` songs at each song that is in a list.

    Examples
    --------
    >>> lists = Sequences.from_lists([["a", "b"], ["c", "d"]])
    >>> found = list_walks(lists, np.random.default_rng(0), walks=2, length=4)
    >>> found.lengths.tolist(), set(found[0].tolist()) <= {0, 1}, set(found[-1].tolist()) <= {2, 3}
    ([4, 4, 4, 4, 4, 4, 4, 4], True, True)
    """
    order = np.argsort(lists.song, kind="stable")
    owner_by_song = lists.owner[order]
    counts = np.bincount(lists.song, minlength=len(lists.song_ids))
    first = np.cumsum(counts) - counts
    now = np.repeat(np.flatnonzero(counts), walks)
    steps = [now]
    for _ in range(length - 1):
        of = owner_by_song[first[now] + _any(counts[now], rng)]
        now = lists.song[lists.starts[of] + _any(lists.lengths[of], rng)].astype(np.int64)
        steps.append(now)
    songs = np.stack(steps, axis=1) if len(steps[0]) else np.empty((0, length), np.int64)
    n = len(songs)
    return Sequences(
        ("",) * n,
        lists.song_ids,
        np.arange(n + 1, dtype=np.int64) * length,
        songs.ravel().astype(np.int32),
        np.full(songs.size, np.nan),
    )


def _any(sizes: Int64Array, rng: np.random.Generator) -> Int64Array:
    """Draw a random index below each size."""
    found: Int64Array = (rng.random(len(sizes)) * sizes).astype(np.int64)
    return found
