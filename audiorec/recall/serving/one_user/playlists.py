"""Rank existing playlists for one user.

`ranked_lists` takes playlists, the songs proposed to the user and those that the user knows, and
returns the playlists that suit best as `ListProposal` objects.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.types import IdMap

FLATNESS = 20.0  # of the reciprocal rank of a proposed song
KNOWN = 0.5 / FLATNESS  # value of a played song, about half of that of the first proposed one
FEWEST = 10  # added to the length of a list, so that very short lists do not win
NAMED = 2  # songs named in a reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProposal:
    """A playlist recommended to a user.

    Attributes
    ----------
    rank : int
        From 1.
    list_id : str
    songs, known, proposed : int
        Numbers of its songs: all, played by the user, proposed to the user but not yet played.
    reason : str
        In words.
    """

    rank: int
    list_id: str
    songs: int
    known: int
    proposed: int
    reason: str


def ranked_lists(
    lists: Sequences,
    *,
    proposed: Sequence[str],
    known: Sequence[str],
    name: Callable[[str], str],
    left_out: Collection[str] = (),
    k: int = 10,
) -> list[ListProposal]:
    """Return the best playlists for a user, from proposed and played songs.

    Parameters
    ----------
    lists : Sequences
        Songs by list.
    proposed : sequence of str
        Songs proposed to the user, best first.
    known : sequence of str
        Songs that the user played, newest first.
    name : callable
        Maps a song id to a title.
    left_out : collection of str
        Lists to skip, such as the user's own.
    k : int
        Maximum number of lists.

    Examples
    --------
    >>> lists = Sequences.from_lists([["a", "b", "c"], ["a", "x"], ["y"]], ["one", "two", "three"])
    >>> found = ranked_lists(lists, proposed=["b", "c"], known=["a"], name=str.upper)
    >>> [(one.list_id, one.known, one.proposed, one.reason) for one in found]
    ... # doctest: +NORMALIZE_WHITESPACE
    [('one', 1, 2, 'you know A; suits you: B, C'), ('two', 1, 0, 'you know A')]
    """
    n = len(lists.song_ids)
    place, played = np.full(n, -1), np.full(n, -1)
    for found, songs in ((place, proposed), (played, known)):
        rows = IdMap(lists.song_ids).rows(list(songs))
        found[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    worth = np.where(place >= 0, 1 / (FLATNESS + np.maximum(place, 0) + 1), 0.0)
    worth = np.where(played >= 0, KNOWN, worth)
    pair = np.unique(lists.owner * max(1, n) + lists.song)
    owner, song = pair // max(1, n), pair % max(1, n)
    sizes = np.bincount(owner, minlength=len(lists))
    value = np.bincount(owner, worth[song], minlength=len(lists)) / np.sqrt(sizes + FEWEST)
    order = np.lexsort((np.arange(len(lists)), -value))
    found_lists: list[ListProposal] = []
    for row in order.tolist():
        if len(found_lists) == k or value[row] <= 0:
            break
        if lists.owner_ids[row] in left_out:
            continue
        own = song[owner == row]
        mine = own[played[own] >= 0]
        suits = own[(place[own] >= 0) & (played[own] < 0)]
        parts = []
        for said, songs, by in (("you know", mine, played), ("suits you:", suits, place)):
            first = songs[np.argsort(by[songs], kind="stable")][:NAMED].tolist()
            more = f" and {len(songs) - len(first)} more" if len(songs) > len(first) else ""
            if first:
                parts.append(f"{said} {', '.join(name(lists.song_ids[s]) for s in first)}{more}")
        found_lists.append(
            ListProposal(
                rank=len(found_lists) + 1,
                list_id=lists.owner_ids[row],
                songs=len(own),
                known=len(mine),
                proposed=len(suits),
                reason="; ".join(parts),
            )
        )
    return found_lists
