"""Artists that each user follows, by plain name.

Interactions ──follows──▶ `Sequences`: users, with artist names in place of songs
"""

import numpy as np

from audiorec.listening.events import ARTIST_EVENTS, Interactions
from audiorec.listening.sequences import Sequences
from audiorec.types import IdMap, normalised_name


def follows(log: Interactions, owner_ids: tuple[str, ...]) -> Sequences:
    """Return the artists that the given users follow, in the order of `owner_ids`.

    `song_ids` of the result holds plain artist names (`audiorec.types.normalised_name`).
    """
    names = tuple(dict.fromkeys(map(normalised_name, log.artists.artist_ids)))
    artist = IdMap(names).rows([normalised_name(name) for name in log.artists.artist_ids])
    owner = IdMap(owner_ids).rows(log.user_ids)[log.artists.user]
    kept = np.flatnonzero((log.artists.event == ARTIST_EVENTS.index("follow")) & (owner >= 0))
    return Sequences.from_pairs(owner[kept], artist[log.artists.artist[kept]], owner_ids, names)
