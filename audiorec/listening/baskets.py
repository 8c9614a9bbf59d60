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
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.listening.sequences import SESSION_GAP_S, Sequences
from audiorec.types import Float64Array, Int64Array, Pairs

WINDOW = 5  # positions apart in a session
MAX_BASKET = 200  # songs; a list of thousands says little about any two of them
From = Literal["sessions", "playlists"]


@dataclass(frozen=True, slots=True, eq=False)
class Baskets:
    """Songs grouped by basket, in order within each basket."""

    song: Int64Array  # (n,)
    basket: Int64Array  # (n,): ascending


def sessions(
    user: npt.NDArray[np.integer],
    song: npt.NDArray[np.integer],
    timestamp: Float64Array,
    *,
    gap_s: float = SESSION_GAP_S,
) -> Baskets:
    """Split each user's plays into sessions at gaps of more than `gap_s` seconds.

    Rows may be in any order.

    Examples
    --------
    >>> found = sessions(np.array([0, 0, 0]), np.array([7, 8, 9]), np.array([0.0, 9e3, 9.1e3]))
    >>> found.basket.tolist()
    [0, 1, 1]
    """
    if not gap_s > 0:
        raise InputError(f"the gap between sessions must be above 0 seconds, got {gap_s}")
    order = np.lexsort((timestamp, user))
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(user[order]) != 0) | (np.diff(timestamp[order]) > gap_s)
    return Baskets(song[order].astype(np.int64), np.cumsum(new) - 1)


def playlists(owner: npt.NDArray[np.integer], song: npt.NDArray[np.integer]) -> Baskets:
    """Make one basket of each owner's songs, in the given order."""
    order = np.argsort(owner, kind="stable")
    return Baskets(song[order].astype(np.int64), owner[order].astype(np.int64))


def co_occurring(baskets: Baskets, n_songs: int, *, window: int = WINDOW) -> Pairs:
    """Count co-occurring songs, in both directions: `user` is the anchor, the weight the count.

    Only the first `MAX_BASKET` songs of a basket count.

    Examples
    --------
    >>> found = co_occurring(Baskets(np.array([4, 2, 4]), np.array([0, 0, 0])), 5, window=1)
    >>> list(zip(found.user.tolist(), found.song.tolist(), found.weight.tolist()))
    [(2, 4, 2.0), (4, 2, 2.0)]
    """
    song, basket = _shortened(baskets)
    keys = []
    longest = int(np.bincount(basket).max()) if len(basket) else 0
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


def _shortened(baskets: Baskets) -> tuple[Int64Array, Int64Array]:
    if not len(baskets.basket):
        return baskets.song, baskets.basket
    _, first, counts = np.unique(baskets.basket, return_index=True, return_counts=True)
    place = np.arange(len(baskets.basket)) - np.repeat(first, counts)
    keep = place < MAX_BASKET
    return baskets.song[keep], baskets.basket[keep]


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
        baskets = sessions(plays.owner, plays.song, plays.time, gap_s=gap_s)
    else:
        baskets, window = playlists(plays.owner, plays.song), 0
    pairs = co_occurring(baskets, len(plays.song_ids), window=window)
    if not len(pairs):
        raise InputError(f"no two known songs occur together in one of the {source}")
    return pairs
