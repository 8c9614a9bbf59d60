"""Songs that co-occur in a listening session or a playlist.

    sequences ──song_pairs──▶ pairs of an anchor song and a co-occurring song

* A **session** is a part of a sequence without a pause of half an hour, in order.
* A **playlist** is a whole sequence.

Two songs co-occur if they are at most `window` positions apart; a window of 0 means the whole
basket. The weight of a pair is the number of its co-occurrences.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import SESSION_GAP_S, Sequences
from audiorec.types import Int64Array, Pairs, Ragged

WINDOW = 5  # positions apart in a session
MAX_BASKET = 200  # songs; a list of thousands says little about any two of them
From = Literal["sessions", "playlists"]


@dataclass(frozen=True, slots=True, eq=False)
class Baskets(Ragged):
    """Songs grouped by basket, in order within each basket."""

    COLUMNS = ("song",)

    starts: Int64Array  # (B + 1,)
    song: Int64Array  # (n,)


def sessions(plays: Sequences, *, gap_s: float = SESSION_GAP_S) -> Baskets:
    """Split each owner's plays into sessions at gaps of more than `gap_s` seconds.

    Examples
    --------
    >>> times = np.array([0.0, 9e3, 9.1e3])
    >>> plays = Sequences(("ana",), ("a", "b", "c"), np.array([0, 3]), np.arange(3), times)
    >>> sessions(plays).owner.tolist()
    [0, 1, 1]
    """
    if not gap_s > 0:
        raise InputError(f"the gap between sessions must be above 0 seconds, got {gap_s}")
    order = np.lexsort((plays.time, plays.owner))
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(plays.owner) != 0) | (np.diff(plays.time[order]) > gap_s)
    starts = np.append(np.flatnonzero(new), len(order))
    return Baskets(starts, plays.song[order].astype(np.int64))


def co_occurring(baskets: Baskets, n_songs: int, *, window: int = WINDOW) -> Pairs:
    """Count co-occurring songs, in both directions: `user` is the anchor, the weight the count.

    Only the first `MAX_BASKET` songs of a basket count.

    Examples
    --------
    >>> found = co_occurring(Baskets(np.array([0, 3]), np.array([4, 2, 4])), 5, window=1)
    >>> list(zip(found.user.tolist(), found.song.tolist(), found.weight.tolist()))
    [(2, 4, 2.0), (4, 2, 2.0)]
    """
    baskets = baskets.keep(baskets.place < MAX_BASKET)
    song, basket, longest = baskets.song, baskets.owner, int(baskets.lengths.max(initial=0))
    keys = []
    for apart in range(1, min(window or longest, longest - 1) + 1):
        together = basket[apart:] == basket[:-apart]
        a, b = song[:-apart][together], song[apart:][together]
        different = a != b
        keys += [(a * n_songs + b)[different], (b * n_songs + a)[different]]
    found, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *keys]), return_counts=True)
    return Pairs(
        (found // max(1, n_songs)).astype(np.int32),
        (found % max(1, n_songs)).astype(np.int32),
        counts.astype(np.float32),
        np.full(len(found), np.nan),
    )


def song_pairs(
    plays: Sequences, *, source: From, gap_s: float = SESSION_GAP_S, window: int = WINDOW
) -> Pairs:
    """Return pairs of co-occurring songs; raise `InputError` if there are none.

    Parameters
    ----------
    plays : Sequences
    source : {"sessions", "playlists"}
        Sequences are split into sessions at pauses, or taken whole as playlists. Plays without
        a time belong to one session.
    gap_s : float
        Seconds without listening that end a session.
    window : int
        Maximum distance of two songs in a session, in positions; a playlist counts as a whole.

    Examples
    --------
    >>> found = song_pairs(Sequences.from_lists([["a", "b"], ["c"]]), source="playlists")
    >>> list(zip(found.user.tolist(), found.song.tolist()))
    [(0, 1), (1, 0)]
    """
    if source == "sessions":
        baskets = sessions(plays, gap_s=gap_s)
    else:
        baskets, window = Baskets(plays.starts, plays.song.astype(np.int64)), 0
    pairs = co_occurring(baskets, len(plays.song_ids), window=window)
    if not len(pairs):
        raise InputError(f"no two known songs occur together in one of the {source}")
    return pairs
