"""SASRec as a channel of recall."""

from typing import TYPE_CHECKING

from audiorec.learning.next_plays import NextPlays, PlayBatch
from audiorec.learning.song_features import SongFeatures
from audiorec.recall.contract.next_song import NextSong
from audiorec.recall.sequence.sasrec.forward import newest_query
from audiorec.recall.sequence.sasrec.recipe import SasrecRecipe
from audiorec.types import FloatArray

if TYPE_CHECKING:
    from audiorec.learning.next_song import NextSongModel


class Sasrec(NextSong[SasrecRecipe]):
    """What is played next, by attention over the order and the times of a history."""

    name = "sasrec"
    Recipe = SasrecRecipe

    def _network(self, features: SongFeatures, plays: NextPlays) -> "NextSongModel":
        from audiorec.recall.sequence.sasrec.network import SasrecNetwork

        width = plays.profile.shape[1]
        return SasrecNetwork(features, self.recipe, is_timed=plays.is_timed, profile=width)

    def _queries(self, batch: PlayBatch) -> FloatArray:
        return newest_query(batch, self.songs, self.weights, self.recipe)
