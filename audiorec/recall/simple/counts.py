"""Channels that count plays: the most played songs, songs that return, and songs that follow.

    plays, times ──Popular──▶ one list for all users, the baseline without personalisation
    history      ──Replay───▶ songs that this user comes back to
    sequences    ──Rules────▶ songs that often follow the last songs of the history

They learn from plays alone.
"""

from dataclasses import dataclass

import numpy as np

from audiorec.listening.sequences import DAY_S, Sequences
from audiorec.options import check_fields
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.channel import CountingChannel
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.types import FloatArray, Int32Array, Int64Array


@dataclass(frozen=True, slots=True, kw_only=True)
class PopularRecipe:
    """The decay of plays.

    Attributes
    ----------
    half_life_days : float or None
        Days in which a play loses half its weight, counted from the newest play; None: no decay.
        Plays without a time keep their full weight.
    """

    half_life_days: float | None = None

    def __post_init__(self) -> None:
        check_fields(self, half_life_days=">0")


class Popular(CountingChannel[PopularRecipe]):
    """The most played songs, the same for every user.

    A play is halved for every half-life of its age.
    """

    name = "popular"
    serves = frozenset({"history", "profile"})
    reason = ReasonKind.POPULAR
    Recipe = PopularRecipe
    ARRAYS = ("weights",)

    def _count(self, data: RecallData) -> None:
        plays, half_life = data.plays, self.recipe.half_life_days
        weight = np.ones(len(plays.song))
        timed = ~np.isnan(plays.time)
        if half_life is not None and timed.any():
            age = plays.time[timed].max() - plays.time[timed]
            weight[timed] = np.exp2(-age / (half_life * DAY_S))
        counts = np.bincount(plays.song, weight, minlength=len(data.song_ids))
        self.weights = counts.astype(np.float32)

    def _similarities(self, queries: Queries) -> FloatArray:
        histories = queries.histories
        result = np.where(self.is_cold, np.float32(-np.inf), self.weights)
        return np.repeat(result[None], len(histories), axis=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRecipe:
    """The decay of plays.

    Attributes
    ----------
    half_life_days : float
        Days in which a play loses half its weight, where times are known.
    half_life_plays : float
        The same in number of later plays, where times are unknown.
    """

    half_life_days: float = 30.0
    half_life_plays: float = 50.0

    def __post_init__(self) -> None:
        check_fields(self, half_life_days=">0", half_life_plays=">0")


class Replay(CountingChannel[ReplayRecipe]):
    """Songs of the user's own history, by how often and how recently they were played."""

    name = "replay"
    reason = ReasonKind.REPLAY
    Recipe = ReplayRecipe

    def _count(self, data: RecallData) -> None:
        """Learn nothing but the catalogue: everything else is in the query."""

    def _similarities(self, queries: Queries) -> FloatArray:
        histories = queries.histories
        owner, after = histories.owner, histories.starts[1:][histories.owner] - 1
        later = after - np.arange(len(owner))
        age = later / self.recipe.half_life_plays
        timed = ~np.isnan(histories.time)
        days = (histories.time[after] - histories.time) / DAY_S
        age = np.where(timed, days / self.recipe.half_life_days, age)
        similarities = np.zeros((len(histories), len(self.song_ids)), np.float32)
        np.add.at(similarities, (owner, histories.song), np.exp2(-age).astype(np.float32))
        similarities[similarities == 0] = -np.inf
        return similarities

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:  # noqa: ARG002
        return song


BLOCK_PLAYS = 250_000  # of whose songs the rules are counted at once


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesRecipe:
    """Reach of a rule, rules per song, and how much of the history counts.

    Attributes
    ----------
    window : int
        Maximum distance between the two songs of a rule, in places.
    rules_per_song : int
        Rules kept per song, the strongest.
    history : int
        Number of newest songs of the history whose rules count.
    fade : float
        Weight of a song relative to the one after it; 0: only the last song counts.
    """

    window: int = 10
    rules_per_song: int = 1_000
    history: int = 10
    fade: float = 0.3

    def __post_init__(self) -> None:
        check_fields(self, window=">=1", rules_per_song=">=1", history=">=1", fade="[0, 1]")


class Rules(CountingChannel[RulesRecipe]):
    """Songs that were often played soon after the last songs of the history.

        plays   ──▶ weight(a, b) = sum over occurrences a ... b of 1 / (places apart)
        history ──▶ songs b by the sum of weight(a, b), a decayed by its distance from the end

    Source: Ludewig and Jannach, *Evaluation of session-based recommendation algorithms*, 2018
    ("SR").
    """

    name = "rules"
    horizon = "short"
    reason = ReasonKind.FOLLOWS
    Recipe = RulesRecipe
    ARRAYS = ("starts", "next", "weights")

    def _count(self, data: RecallData) -> None:
        plays, n = data.plays, len(data.song_ids)
        place = np.argsort(plays.song, kind="stable")  # plays by song, in order of playing
        starts = np.searchsorted(plays.song[place], np.arange(n + 1))
        stop = plays.starts[1:][plays.owner]
        parts, first = [], 0
        while first < n:  # the pairs of all songs at once would be ten times the log
            last = int(np.searchsorted(starts, starts[first] + BLOCK_PLAYS, side="right")) - 1
            last = min(n, max(last, first + 1))
            parts.append(self._rules(plays.song, place[starts[first] : starts[last]], stop, n))
            first = last
        key, self.weights = (np.concatenate(part) for part in zip(*parts, strict=True))
        self.starts = np.searchsorted(key // n, np.arange(n + 1))
        self.next = (key % n).astype(np.int32)

    def _rules(
        self, song: Int32Array, place: Int64Array, stop: Int64Array, n: int
    ) -> tuple[Int64Array, FloatArray]:
        """Return the strongest rules from the songs at some places, as ``first * n + then``.

        `stop` is where each play's sequence ends. Rules are sorted by their first song, the
        strongest first.
        """
        keys, weights = [np.empty(0, np.int64)], [np.empty(0)]
        for apart in range(1, self.recipe.window + 1):
            place = place[place + apart < stop[place]]
            keys.append(song[place].astype(np.int64) * n + song[place + apart])
            weights.append(np.full(len(place), 1.0 / apart))
        key, at = np.unique(np.concatenate(keys), return_inverse=True)
        weight = np.bincount(at, np.concatenate(weights), minlength=len(key))
        first = key // n
        order = np.lexsort((key, -weight, first))
        nth = np.arange(len(key)) - np.searchsorted(first, first)
        order = order[nth < self.recipe.rules_per_song]
        return key[order], weight[order].astype(np.float32)

    def _similarities(self, queries: Queries) -> FloatArray:
        histories = queries.histories
        similarities = np.zeros((len(histories), len(self.song_ids)), np.float32)
        for row in range(len(histories)):
            newest_first = histories[row][::-1][: self.recipe.history]
            for back, song in enumerate(newest_first.tolist()):
                rules = slice(self.starts[song], self.starts[song + 1])
                weight = np.float32(self.recipe.fade**back)
                similarities[row, self.next[rules]] += weight * self.weights[rules]
        similarities[similarities == 0] = -np.inf
        return similarities

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        rows = np.flatnonzero(histories.lengths)
        result = np.full(song.shape, -1, np.int64)
        result[rows] = histories.song[histories.starts[rows + 1] - 1][:, None]
        return np.where(song >= 0, result, -1)
