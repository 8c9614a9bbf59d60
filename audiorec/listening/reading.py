"""How a log is read: rows that are skipped, plays that are left out, and what users like.

Interactions ──likes──▶ `Sequences` of songs, with times
Interactions, Rule ──to_liked──▶ `Liked`: the songs that each user likes, dislikes, has heard
Interactions ──follows──▶ `Sequences`: users, with artist names in place of songs
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.events import ARTIST_EVENTS, EVENTS, Interactions
from audiorec.listening.interactions import read_interactions
from audiorec.listening.rule import Rule, load_rule, to_preferences
from audiorec.listening.sequences import By, Sequences, to_sequences
from audiorec.types import IdMap, Pairs, Preferences, normalised_name, offsets


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
    starts = offsets(np.bincount(owner[rows], minlength=len(owner_ids)))
    return Sequences(owner_ids, log.song_ids, starts, log.song[rows], log.timestamp[rows])


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
    starts = offsets(np.bincount(pairs.user, minlength=len(known.user_ids)))
    columns = (pairs.song[order], pairs.time[order], pairs.weight[order])
    return Sequences(known.user_ids, known.song_ids, starts, *columns)


def follows(log: Interactions, owner_ids: tuple[str, ...]) -> Sequences:
    """Return the artists that the given users follow, in the order of `owner_ids`.

    `song_ids` of the result holds plain artist names (`audiorec.types.normalised_name`).
    """
    names = tuple(dict.fromkeys(map(normalised_name, log.artists.artist_ids)))
    artist = IdMap(names).rows([normalised_name(name) for name in log.artists.artist_ids])
    owner = IdMap(owner_ids).rows(log.user_ids)[log.artists.user]
    kept = np.flatnonzero((log.artists.event == ARTIST_EVENTS.index("follow")) & (owner >= 0))
    return Sequences.from_pairs(owner[kept], artist[log.artists.artist[kept]], owner_ids, names)


@dataclass(frozen=True, kw_only=True)
class LogReading:
    """How a log is read.

    Attributes
    ----------
    filter : tuple of str
        Plays to leave out: flood, looped, skip-chain, shared-device.
    skip_bad_rows : bool
        Leave out rows that cannot be used, instead of refusing the log.
    likes : bool
        Histories are liked songs instead of plays.
    rule : Path, optional
        Rule for liked songs, in TOML or JSON.
    by : {"user", "session", "list"}, optional
        One history per user, session or list; by default per user, or as the model was trained.
    """

    filter: tuple[str, ...] = ()
    skip_bad_rows: bool = False
    likes: bool = False
    rule: Path | None = None
    by: By | None = None

    @cached_property
    def liking(self) -> Rule:
        """The rule for liked songs."""
        return Rule() if self.rule is None else load_rule(self.rule)

    def log(self, path: str | os.PathLike[str]) -> Interactions:
        """Read a log."""
        return read_interactions(path, skip_bad_rows=self.skip_bad_rows)

    def plays(self, log: Interactions, by: By = "user") -> Sequences:
        """Return the finished plays of a log, in order of listening."""
        return to_sequences(log, by=by, filters=self.filter)

    def liked(self, log: Interactions) -> Liked:
        """Return the liked, disliked and heard songs of each user of a log."""
        return to_liked(log, self._rule_alone)

    def preferences(self, log: Interactions) -> Preferences:
        """Return what each user of a log likes, dislikes and has heard, with times and weights."""
        return to_preferences(log, self._rule_alone)

    @property
    def _rule_alone(self) -> Rule:
        if self.filter:
            raise InputError("filters leave out plays, likes go by a rule: leave filter out")
        return self.liking
