"""The ComiRec-SA channel."""

from typing import TYPE_CHECKING

from audiorec.learning.next_plays import NextPlays, PlayBatch
from audiorec.learning.song_features import SongFeatures
from audiorec.recall.interests.channel import SeveralInterests
from audiorec.recall.interests.forward import pooled_interests
from audiorec.recall.interests.recipe import ComiRecSARecipe
from audiorec.types import FloatArray

if TYPE_CHECKING:
    from audiorec.learning.next_model import NextSongModel


class ComiRecSA(SeveralInterests[ComiRecSARecipe]):
    """Songs near any of a user's interests, each found by self-attention over the history."""

    name = "comirec-sa"
    Recipe = ComiRecSARecipe

    def _network(self, features: SongFeatures, plays: NextPlays) -> "NextSongModel":
        from audiorec.recall.interests.pooling import ComiRecSANetwork

        return ComiRecSANetwork(features, self.recipe, profile=plays.profile.shape[1])

    def _read(self, batch: PlayBatch) -> tuple[FloatArray, FloatArray]:
        return pooled_interests(batch, self.songs, self.weights, self.recipe)
