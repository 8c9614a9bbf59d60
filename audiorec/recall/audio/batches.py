"""Draw training pairs of an anchor and a liked song, and their negatives.

Every draw has its own generator, seeded by the recipe's seed, the epoch and the batch: a resumed
training draws exactly what it would have drawn without the interruption.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.negatives import NegativeSampler
from audiorec.learning.seeds import generator
from audiorec.recall.audio.recipe import UserAudioRecipe
from audiorec.store.features import SongSegments
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, Pairs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingData:
    """Training data of a tower; raises `InputError` if there is no pair to learn from."""

    songs: SongSegments  # all songs, including those for judging only
    groups: Int64Array  # (S,): artist of each song
    pool: Int64Array  # (n,): rows of the training songs
    liked: Pairs  # of anchors and songs; only songs of `pool`
    disliked: Pairs  # of anchors and songs
    heard: Pairs
    # (U, E): embeddings of the users. None if anchors are songs: the first number of a pair is
    # then a song, which also goes through the tower
    anchors: FloatArray | None
    anchors_are_learnt: bool = False  # if so, `anchors` are initial values

    def __post_init__(self) -> None:
        if not len(self.liked):
            raise InputError(
                "no user likes a song of the training part: check that the log and the features "
                "use the same ids"
            )


@dataclass(frozen=True, slots=True, eq=False)
class PairBatch:
    """B anchors, the liked song of each, and its negatives."""

    anchor: Int64Array  # (B,)
    liked: Int64Array  # (B,)
    others: Int64Array  # (B, m)
    usable: BoolArray  # (B, m)
    is_disliked: BoolArray  # (B, m)
    key: tuple[int, int, int]  # seed of further draws for this batch


class Batches:
    """The batches of an epoch, drawn reproducibly."""

    def __init__(self, data: TrainingData, recipe: UserAudioRecipe) -> None:
        self.data = data
        self.recipe = recipe
        likes = np.bincount(data.liked.song, minlength=len(data.songs))
        self._sampler = NegativeSampler(
            data.heard, data.disliked, data.pool, likes, recipe.negative_rule
        )
        self._cumulative = np.cumsum(_pair_weights(data, recipe.balance))
        self.pairs_per_epoch = min(len(data.liked), recipe.pairs_per_epoch)

    def __len__(self) -> int:
        return -(-self.pairs_per_epoch // self.recipe.batch_size)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[PairBatch]:
        """Yield the batches of an epoch, starting at number `first`."""
        rng = generator(self.recipe.seed, epoch)
        at = np.searchsorted(self._cumulative, rng.random(self.pairs_per_epoch), side="right")
        pairs = np.minimum(at, len(self.data.liked) - 1)
        size = self.recipe.batch_size
        for number in range(first, len(self)):
            yield self._batch(pairs[number * size : (number + 1) * size], epoch, number)

    def _batch(self, pairs: Int64Array, epoch: int, number: int) -> PairBatch:
        anchor = self.data.liked.user[pairs].astype(np.int64)
        liked = self.data.liked.song[pairs].astype(np.int64)
        key = (self.recipe.seed, epoch, number)
        others, usable, is_disliked = self._sampler.sample(anchor, generator(*key, 1))
        usable &= others != liked[:, None]
        if self.data.anchors is None:
            usable &= others != anchor[:, None]
        return PairBatch(anchor, liked, others, usable, is_disliked, key)


def _pair_weights(data: TrainingData, balance: float) -> Float64Array:
    """Return the probability of each liked pair: shape (P,), sums to 1."""
    artist = data.groups[data.liked.song]
    pairs_of = np.bincount(artist)
    weights = pairs_of[artist].astype(np.float64) ** -balance
    scaled: Float64Array = weights / weights.sum()
    return scaled
