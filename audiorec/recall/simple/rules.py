"""Sequential rules: what is played after the last song of the history.

    sequences ──fit──▶ weight(a, b) = sum over a ... b of 1 / (places apart)
    last song a ──────▶ the songs b by weight(a, b)

Source: Ludewig and Jannach, *Evaluation of session-based recommendation algorithms*, 2018 ("SR").
"""

from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.data import RecallData
from audiorec.recall.simple.counted import Counted
from audiorec.types import FloatArray, Int64Array


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesRecipe:
    """How far a rule reaches, and how many a song has at most."""

    window: int = 10  # places between the two songs of a rule
    rules_per_song: int = 1_000

    def __post_init__(self) -> None:
        if min(self.window, self.rules_per_song) < 1:
            raise InputError("window and rules_per_song must be at least 1")


class Rules(Counted[RulesRecipe]):
    """Songs that were played after the last one of the history, the nearer the better."""

    name = "rules"
    horizon = "short"
    reason = ReasonKind.FOLLOWS
    Recipe = RulesRecipe
    ARRAYS = ("starts", "next", "weights")

    def _count(self, data: RecallData) -> None:
        plays, n = data.plays, len(data.song_ids)
        keys, weights = [np.empty(0, np.int64)], [np.empty(0)]
        for apart in range(1, min(self.recipe.window, int(plays.lengths.max()) - 1) + 1):
            first, then = plays.song[:-apart].astype(np.int64), plays.song[apart:]
            together = plays.owner[:-apart] == plays.owner[apart:]
            keys.append((first * n + then)[together])
            weights.append(np.full(len(keys[-1]), 1.0 / apart))
        key, place = np.unique(np.concatenate(keys), return_inverse=True)
        weight = np.bincount(place, np.concatenate(weights), minlength=len(key))
        first = key // n
        order = np.lexsort((key, -weight, first))
        nth = np.arange(len(key)) - np.searchsorted(first, first)
        order = order[nth < self.recipe.rules_per_song]
        self.starts = np.searchsorted(first[order], np.arange(n + 1))
        self.next = (key[order] % n).astype(np.int32)
        self.weights = weight[order].astype(np.float32)

    def _similarities(self, histories: Sequences) -> FloatArray:
        found = np.full((len(histories), len(self.song_ids)), -np.inf, np.float32)
        for row, last in zip(*_last_songs(histories), strict=True):
            rules = slice(self.starts[last], self.starts[last + 1])
            found[row, self.next[rules]] = self.weights[rules]
        return found

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        rows, last = _last_songs(histories)
        found = np.full(song.shape, -1, np.int64)
        found[rows] = last[:, None]
        return np.where(song >= 0, found, -1)


def _last_songs(histories: Sequences) -> tuple[Int64Array, Int64Array]:
    """Return the histories that have a song, and the last one of each."""
    rows = np.flatnonzero(histories.lengths)
    return rows, histories.song[histories.starts[rows + 1] - 1].astype(np.int64)
