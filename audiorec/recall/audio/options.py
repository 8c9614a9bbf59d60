"""How a metric model is made from files."""

from dataclasses import dataclass, field
from typing import Literal

from audiorec.errors import InputError
from audiorec.listening.rule import Rule
from audiorec.recall.audio.held_out import Split
from audiorec.recall.audio.recipe import MetricRecipe
from audiorec.recall.audio.tower_spec import EMBEDDING, Pooling

PairsFrom = Literal["likes", "sessions", "playlists"]
MAX_SEGMENTS = 30  # of a song that are kept in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How a metric model is made; all of it changes the model.

    Attributes
    ----------
    recipe : MetricRecipe
    split : Split
    rule : Rule
        From events to liked and disliked songs.
    pairs_from : {"likes", "sessions", "playlists"}
        Learn from users' likes, or from songs that stand together.
    embedding, hidden : int
    pooling : {"mean", "attention"}
    inputs : tuple of str
        Columns of the features; empty for all.
    max_segments : int
        Of a song that are kept in memory; a longer one is thinned, spread evenly.

    Raises
    ------
    InputError
        If `pairs_from` or `max_segments` is out of its range.
    """

    recipe: MetricRecipe = field(default_factory=MetricRecipe)
    split: Split = field(default_factory=Split)
    rule: Rule = field(default_factory=Rule)
    pairs_from: PairsFrom = "likes"
    embedding: int = EMBEDDING
    hidden: int = 64
    pooling: Pooling = "attention"
    inputs: tuple[str, ...] = ()
    max_segments: int = MAX_SEGMENTS

    def __post_init__(self) -> None:
        if self.pairs_from not in ("likes", "sessions", "playlists"):
            raise InputError(
                f"pairs come from likes, sessions or playlists, got {self.pairs_from!r}"
            )
        if self.max_segments < 1:
            raise InputError(f"max_segments must be at least 1, got {self.max_segments}")
