"""What two songs have in common: the songs near a song, and why they are near.

    channel, a song ──near_song──▶ `NearSong`: similarity, shared facts, sound, shared lists

Vectors say that two songs are near, but not why. What they share is looked up: entities that both
have facts with, facts that link the two, and, if a log is given, the lists that both are in.
"""

from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import Queries
from audiorec.recall.graph.channel import GraphChannel
from audiorec.types import IdMap

MOST_SHOWN = 5  # lists


@dataclass(frozen=True, slots=True, kw_only=True)
class NearSong:
    """A song near another song, and what the two share.

    Attributes
    ----------
    song_id : str
    similarity : float
    cold : bool
        Whether it is in no list, so that its place comes from its facts alone.
    shared : tuple of str
        ``by artist:ayla``: a fact of both; ``sounds_like``: a fact that links the two.
    lists : tuple of str
        Some of the lists that both are in, the shortest first; empty without a log.
    n_lists : int
        Number of all such lists.
    """

    song_id: str
    similarity: float
    cold: bool
    shared: tuple[str, ...]
    lists: tuple[str, ...]
    n_lists: int


def near_song(
    channel: GraphChannel,  # type: ignore[type-arg]
    song_id: str,
    k: int,
    *,
    cold: int = 0,
    lists: Sequences | None = None,
) -> list[NearSong]:
    """Return the songs nearest to a song, and what each has in common with it.

    Parameters
    ----------
    channel : GraphChannel
        Fitted or loaded.
    song_id : str
    k, cold : int
        Number of songs in lists and, after them, of songs in none.
    lists : Sequences, optional
        Where to look up shared lists.

    Raises
    ------
    InputError
        If the song is unknown to the model, or has no place: no list and no fact.
    """
    row = int(IdMap(channel.song_ids).rows([song_id])[0])
    if row < 0:
        raise InputError(f"the model does not know a song {song_id!r}: use an id from its log")
    if not channel.song_vectors.has_place[row]:
        raise InputError(f"{song_id!r} is in no list and has no fact, so the model cannot place it")
    asked = Sequences.from_lists([[song_id]])
    found = channel.recall(Queries(asked), k, exclude=asked, cold=cold)
    own = channel.facts_of(row)
    itself = f"song:{song_id}"
    near: list[NearSong] = []
    stands_in = _lists_of(lists)
    for song, similarity, is_cold in zip(
        found.song[0].tolist(), found.similarity[0].tolist(), found.cold[0].tolist(), strict=True
    ):
        if song < 0:
            continue
        name = channel.song_ids[song]
        theirs = channel.facts_of(song)
        common = sorted(f"{relation} {entity}" for relation, entity in own & theirs)
        common += sorted({r.removesuffix(" of") for r, entity in theirs if entity == itself})
        both = stands_in.get(song_id, frozenset()) & stands_in.get(name, frozenset())
        shown = sorted(both, key=lambda at: (int(lists.lengths[at]), at)) if lists else []
        titles = tuple(lists.owner_ids[at] for at in shown[:MOST_SHOWN]) if lists else ()
        near.append(
            NearSong(
                song_id=name,
                similarity=similarity,
                cold=is_cold,
                shared=tuple(common),
                lists=titles,
                n_lists=len(both),
            )
        )
    return near


def _lists_of(lists: Sequences | None) -> dict[str, frozenset[int]]:
    """Return the lists of each song, by song id."""
    if lists is None:
        return {}
    order = np.argsort(lists.song, kind="stable")
    song, owner = lists.song[order], lists.owner[order]
    cuts = np.flatnonzero(np.diff(song)) + 1
    groups = zip(np.split(song, cuts), np.split(owner, cuts), strict=True)
    return {
        lists.song_ids[int(songs[0])]: frozenset(owners.tolist())
        for songs, owners in groups
        if len(songs)
    }
