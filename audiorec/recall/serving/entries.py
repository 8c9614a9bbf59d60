"""Products that lists are made for, with channel weights and fusion rules.

"daily" ──ENTRIES──▶ `Product` ──recipe_for(channels)──▶ `FusionRecipe`
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from audiorec.recall.contract.channel import Channel
from audiorec.recall.serving.candidate_rows import REPLAY
from audiorec.recall.serving.rules import FusionRecipe, by_horizon


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product that a list is made for.

    Attributes
    ----------
    about : str
    weights : mapping of str to float
        By channel; 1 for channels that are not named.
    short_share : float
        Share of the total weight for channels of short horizon (what fits now); the rest is for
        those of long horizon (what the user likes in general).
    rules : FusionRecipe
    tolerance : float
        Share of the accuracy that learnt dials may cost.
    """

    about: str
    weights: Mapping[str, float]
    short_share: float
    rules: FusionRecipe
    tolerance: float = 0.02

    def recipe_for(
        self, channels: Sequence[Channel], k: int, *, short_share: float | None = None
    ) -> FusionRecipe:
        """Return the fusion settings for the given channels, one table each."""
        # Without a replay share, that channel contributes no song, so it must not take weight.
        none = () if self.rules.replay_share else (REPLAY,)
        weights = [
            0.0 if channel.name in none else self.weights.get(channel.name, 1.0)
            for channel in channels
        ]
        share = self.short_share if short_share is None else short_share
        scaled = by_horizon(weights, [channel.horizon for channel in channels], share)
        return replace(self.rules, k=k, weights=scaled)


ENTRIES = {
    "daily": Product(
        about="a mix of what the user likes and what fits now, with some new songs",
        weights={"popular": 0.3},
        short_share=0.5,
        rules=FusionRecipe(per_artist=3, cold_share=0.1),
    ),
    "radio": Product(
        about="continues from the last songs and includes songs that the user knows",
        weights={"popular": 0.1},
        short_share=0.8,
        rules=FusionRecipe(per_artist=2, replay_share=0.3),
    ),
    "discover": Product(
        about="less known songs by many artists",
        weights={"popular": 0.0},
        short_share=0.5,
        rules=FusionRecipe(per_artist=1, popularity=0.3, diversity=0.2, cold_share=0.2),
        tolerance=0.2,
    ),
    "new": Product(
        about="songs that nobody has played yet",
        weights={"popular": 0.0},
        short_share=0.5,
        rules=FusionRecipe(per_artist=2, cold_share=1.0),
    ),
}
