"""A recall channel: songs that are played at the hour of the last play."""

from dataclasses import dataclass

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.recall import CountingChannel, Queries, ReasonKind, RecallData


@dataclass(frozen=True)
class HourRecipe:
    """Settings of `Hour`.

    Attributes
    ----------
    hours : int
        Length of the cycle: 24 for the time of day, 168 for that of the week.
    """

    hours: int = 24


class Hour(CountingChannel[HourRecipe]):
    """Songs that are played at the hour of the last play."""

    name, horizon, reason = "hour", "short", ReasonKind.POPULAR
    Recipe, ARRAYS = HourRecipe, ("counts",)

    def _hours(self, plays: Sequences) -> np.ndarray:
        return np.nan_to_num(plays.time // 3600).astype(int) % self.recipe.hours

    def _count(self, data: RecallData) -> None:
        self.counts = np.zeros((self.recipe.hours, len(data.song_ids)), np.float32)
        np.add.at(self.counts, (self._hours(data.plays), data.plays.song), 1)

    def _similarities(self, queries: Queries) -> np.ndarray:
        last = queries.histories.newest(1)
        found = np.full((len(last), len(self.song_ids)), -np.inf, np.float32)
        counts = self.counts[self._hours(last)]
        found[last.owner] = np.where(counts > 0, counts, -np.inf)
        return found
