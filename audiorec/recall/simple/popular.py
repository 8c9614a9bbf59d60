"""The most played songs: one list for all users, the baseline without personalisation.

plays, times ──fit──▶ one weight per song, each play halved for every half-life of its age
"""

from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import DAY_S
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.counting import CountingChannel
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.types import FloatArray


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
        if self.half_life_days is not None and not self.half_life_days > 0:
            raise InputError(f"the half-life must be above 0 days, got {self.half_life_days:g}")


class Popular(CountingChannel[PopularRecipe]):
    """The most played songs, the same for every user."""

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
        found = np.where(self.is_cold, np.float32(-np.inf), self.weights)
        return np.repeat(found[None], len(histories), axis=0)
