"""Everything but the data that decides what a metric model becomes."""

from dataclasses import dataclass, field
from typing import Literal

from audiorec.errors import InputError
from audiorec.learning.negatives import NegativeRule
from audiorec.listening.rule import Rule
from audiorec.recall.audio.closed_form import Ridge
from audiorec.recall.audio.held_out import Split
from audiorec.recall.audio.model import EMBEDDING, Pooling

Loss = Literal["hinge", "softmax"]
Start = Literal["ridge", "random"]
PairsFrom = Literal["likes", "sessions", "playlists"]
MAX_SEGMENTS = 30  # of a song that are kept in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRecipe:
    """How a metric model is trained.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    loss: Loss = "softmax"
    margin: float = 0.2  # of the hinge
    temperature: float = 0.2  # of the softmax
    negatives: NegativeRule = field(default_factory=NegativeRule)
    start: Start = "ridge"  # where the linear part of the tower begins
    ridge: Ridge = field(default_factory=Ridge)
    # a pair is drawn by the number of its artist's pairs to the power ``-balance``: at 0 every pair
    # is as likely, at 1 every artist
    balance: float = 0.75
    batch_size: int = 128  # pairs of a user and a liked song
    pairs_per_epoch: int = 50_000  # at most; all pairs where there are fewer
    # of one song that are heard at once in training, drawn anew each time; 0 for all
    segments: int = 8
    learning_rate: float = 5e-4  # of AdamW
    weight_decay: float = 1e-2
    backbone_learning_rate: float = 3e-5  # of the backbone, where it is trained as well
    # training ends after `patience` epochs without a better figure on held-out artists
    max_epochs: int = 40
    patience: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in ("hinge", "softmax") or self.start not in ("ridge", "random"):
            raise InputError(f"loss is hinge or softmax, start ridge or random; got {self}")
        whole = (self.batch_size, self.pairs_per_epoch, self.patience)
        if min(whole) < 1 or min(self.max_epochs, self.segments) < 0:
            raise InputError("batch_size, pairs_per_epoch and patience must be at least 1")
        if self.temperature <= 0 or not 0 <= self.margin <= 2:
            raise InputError("temperature must be above 0 and margin in 0..2")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How a metric model is made; all of it changes the model.

    Raises
    ------
    InputError
        If `pairs_from` or `max_segments` is out of its range.
    """

    recipe: MetricRecipe = field(default_factory=MetricRecipe)
    split: Split = field(default_factory=Split)
    rule: Rule = field(default_factory=Rule)  # from events to liked and disliked songs
    pairs_from: PairsFrom = "likes"  # learn from users' likes, or from songs that stand together
    embedding: int = EMBEDDING
    hidden: int = 64
    pooling: Pooling = "attention"
    inputs: tuple[str, ...] = ()  # columns of the features; empty for all
    # of a song that are kept in memory; a longer one is thinned, spread evenly
    max_segments: int = MAX_SEGMENTS

    def __post_init__(self) -> None:
        if self.pairs_from not in ("likes", "sessions", "playlists"):
            raise InputError(
                f"pairs come from likes, sessions or playlists, got {self.pairs_from!r}"
            )
        if self.max_segments < 1:
            raise InputError(f"max_segments must be at least 1, got {self.max_segments}")
