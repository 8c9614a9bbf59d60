"""Sequences of the songs that each user likes, dislikes and has heard, for models of likes.

Interactions, Rule ──to_liked──▶ `Liked`: three `Sequences` of the same users and songs
"""

from dataclasses import dataclass

import numpy as np

from audiorec.listening.events import Interactions
from audiorec.listening.preferences import to_preferences
from audiorec.listening.rule import Rule
from audiorec.listening.sequences import Sequences
from audiorec.types import Pairs, Preferences


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Liked:
    """Songs of U users by verdict, each song at most once per user.

    Attributes
    ----------
    liked, disliked, heard : Sequences
        Ordered by the time of the verdict. `heard` holds all songs of a user, including liked and
        disliked ones. The weights come from the rule.
    """

    liked: Sequences
    disliked: Sequences
    heard: Sequences


def to_liked(log: Interactions, rule: Rule | None = None) -> Liked:
    """Return what each user likes, dislikes and has heard, by a rule.

    Examples
    --------
    >>> from audiorec.listening.interactions import read_interactions
    >>> found = to_liked(read_interactions("fixtures/formats/interactions-v1.csv")).liked
    >>> [(o, [found.song_ids[s] for s in found[u]]) for u, o in enumerate(found.owner_ids)]
    ... # doctest: +NORMALIZE_WHITESPACE
    [('ana', ['piano/etude.flac', 'rock/live.mp3']), ('ben', ['rock/live.mp3']),
     ('eva', ['piano/prelude.flac', 'lost/gone.mp3'])]
    """
    found = to_preferences(log, rule)
    return Liked(
        liked=_in_order(found, found.liked),
        disliked=_in_order(found, found.disliked),
        heard=_in_order(found, found.heard),
    )


def _in_order(known: Preferences, pairs: Pairs) -> Sequences:
    """Sort pairs by user and time; those without a time come last, ordered by song."""
    order = np.lexsort((pairs.song, pairs.time, pairs.user))
    starts = np.zeros(len(known.user_ids) + 1, np.int64)
    np.cumsum(np.bincount(pairs.user, minlength=len(known.user_ids)), out=starts[1:])
    columns = (pairs.song[order], pairs.time[order], pairs.weight[order])
    return Sequences(known.user_ids, known.song_ids, starts, *columns)
