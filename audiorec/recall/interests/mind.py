"""The MIND channel."""

from typing import TYPE_CHECKING

from audiorec.learning.next_plays import NextPlays, PlayBatch
from audiorec.learning.song_features import SongFeatures
from audiorec.recall.interests.channel import SeveralInterests
from audiorec.recall.interests.forward import routed_interests
from audiorec.recall.interests.recipe import MINDRecipe
from audiorec.types import FloatArray

if TYPE_CHECKING:
    from audiorec.learning.next_model import NextSongModel


class MIND(SeveralInterests[MINDRecipe]):
    """Songs near any of a user's interests, found by dynamic routing of the history."""

    name = "mind"
    Recipe = MINDRecipe

    def _network(self, features: SongFeatures, plays: NextPlays) -> "NextSongModel":
        from audiorec.recall.interests.routing import MINDNetwork

        return MINDNetwork(features, self.recipe, profile=plays.profile.shape[1])

    def _read(self, batch: PlayBatch) -> tuple[FloatArray, FloatArray]:
        return routed_interests(batch, self.songs, self.weights, self.recipe)
