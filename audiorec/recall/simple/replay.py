"""Songs that this user comes back to: half of all listening repeats songs heard before.

history, times ──▶ each of its songs, ranked by how often and how recently it was played
"""

from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import DAY_S, Sequences
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.counting import CountingChannel
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.types import FloatArray, Int64Array


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
        if not min(self.half_life_days, self.half_life_plays) > 0:
            raise InputError("a half-life must be above 0")


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
        found = np.zeros((len(histories), len(self.song_ids)), np.float32)
        np.add.at(found, (owner, histories.song), np.exp2(-age).astype(np.float32))
        found[found == 0] = -np.inf
        return found

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:  # noqa: ARG002
        return song
