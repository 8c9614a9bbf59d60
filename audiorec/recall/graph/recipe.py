"""Hyper-parameters of the graph models."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from audiorec.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphRecipe:
    """Settings that all three graph models share.

    Attributes
    ----------
    dimension : int
        Width of the vectors.
    learning_rate : float
        Rate in the first epoch; it falls linearly to a twentieth in the last one.
    negatives : float
        Negative songs per pair, in expectation.
    drawn : int
        Songs sampled per batch, shared by all of its pairs.
    negative_power : float
        Songs are sampled in proportion to their number of entries to this power.
    shrink : float
        Weight of the squared vector lengths in the loss, each counted as often as its song is in
        a list.
    block : int
        Songs of a list that can form pairs in one step, at most.
    places : int
        Entries in a batch.
    window : int or None
        Maximum distance of a pair within a list; None: any two songs of the list, in any order.
        People add songs that go together one after the other, so neighbourhoods in a long list
        say more than the list as a whole.
    max_epochs, patience : int
        Training stops after `max_epochs`, or after `patience` epochs without improvement.
    choose : bool
        Choose the number of epochs on partly hidden lists, then train that long on everything;
        otherwise train on everything for `max_epochs`.
    neighbours : int
        Similar-sounding songs used as facts of a song, if there is sound and no triples.
    prior : float
        Weight of the logarithm of a song's entries in an answer: of two equally near songs, the
        one in more lists comes first. 0: none.
    recent : int or None
        Number of newest entries of a history that count in an answer; None: all, which suits
        lists. For likes collected over years, about the last twenty work better.
    seed : int
        Seed of all random numbers.
    """

    CHANGES_NOTHING: ClassVar[frozenset[str]] = frozenset({"tables"})

    dimension: int = 64
    learning_rate: float = 0.3
    negatives: float = 20.0
    drawn: int = 256
    negative_power: float = 0.75
    shrink: float = 0.0
    block: int = 128
    places: int = 256
    window: int | None = 50
    max_epochs: int = 20
    patience: int = 20
    choose: bool = True
    neighbours: int = 10
    prior: float = 0.5
    recent: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        least = (self.dimension, self.drawn, self.places, self.patience, self.block - 1)
        if min(least) < 1 or (self.window is not None and self.window < 1):
            raise InputError(
                "dimension, drawn, places, patience and window must be at least 1, block at least 2"
            )
        if not (self.learning_rate > 0 and self.negatives > 0) or self.shrink < 0:
            raise InputError("learning_rate and negatives must be above 0, shrink at least 0")
        if not 0 <= self.prior < float("inf"):
            raise InputError(f"prior must be at least 0, got {self.prior}")
        if self.recent is not None and self.recent < 1:
            raise InputError(f"recent must be at least 1, got {self.recent}")
        if self.max_epochs < 0 or self.neighbours < 0 or not 0 <= self.negative_power <= 2:
            raise InputError(
                "max_epochs and neighbours must be at least 0, negative_power lie in 0..2"
            )


def result_settings(recipe: GraphRecipe) -> dict[str, Any]:
    """Return the settings of a recipe that change the resulting model."""
    return {n: v for n, v in asdict(recipe).items() if n not in recipe.CHANGES_NOTHING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Song2vecRecipe(GraphRecipe):
    """Settings of Song2vec with TransE, and those of `GraphRecipe`.

    Attributes
    ----------
    gamma : float
        Weight of the facts: L = L_s + gamma L_r; 0 is Song2vec without the graph.
    margin : float
        Margin between true and corrupted facts, in squared distances of 0..4.
    facts : int
        Facts sampled per step.
    by_relation : float
        Share of t - r in the vector of a song without a list, in 0..1; the rest is the mean of the
        songs with the same facts. On validation lists no share found more songs than 0.
    tables : {"auto", "memory", "files"}
        Where the vectors are kept during training; it does not change the model. ``auto``: in
        files beside the model if they would take more than half of the free memory. A training
        in files cannot be resumed after a stop.
    """

    gamma: float = 1.0
    margin: float = 1.0
    facts: int = 256
    by_relation: float = 0.0
    tables: Literal["auto", "memory", "files"] = "auto"

    def __post_init__(self) -> None:
        # `super()` fails here: `slots` replaces the class by a new one.
        GraphRecipe.__post_init__(self)
        if self.gamma < 0 or not self.margin > 0 or self.facts < 1:
            raise InputError("gamma must be at least 0, margin above 0, facts at least 1")
        if not 0 <= self.by_relation <= 1:
            raise InputError(f"by_relation must lie in 0..1, got {self.by_relation}")
        if self.tables not in ("auto", "memory", "files"):
            raise InputError(f"tables are auto, memory or files, got {self.tables!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EGESRecipe(GraphRecipe):
    """Settings of EGES, and those of `GraphRecipe`.

    Attributes
    ----------
    walks, walk_length : int
        Walks that start at each song per epoch, and their length in songs.
    slots : int
        Facts per song, at most.
    """

    window: int | None = 5
    places: int = 2_048
    walks: int = 1
    walk_length: int = 10
    slots: int = 8

    def __post_init__(self) -> None:
        GraphRecipe.__post_init__(self)
        if min(self.walks, self.walk_length - 1, self.slots) < 1:
            raise InputError("walks and slots must be at least 1, walk_length at least 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSAGERecipe(GraphRecipe):
    """Settings of GraphSAGE, and those of `GraphRecipe`.

    Attributes
    ----------
    walks, walk_length : int
        As in EGES.
    near, far : int
        Neighbours sampled per song, and per each of these.
    table : int
        Neighbours stored per entity, from which they are sampled.
    sharpness : float
        Factor of the cosines in the loss.
    """

    window: int | None = 5
    places: int = 2_048
    walks: int = 1
    walk_length: int = 10
    near: int = 8
    far: int = 4
    table: int = 24
    sharpness: float = 8.0
    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        GraphRecipe.__post_init__(self)
        least = (self.walks, self.walk_length - 1, self.near, self.far, self.table)
        if min(least) < 1 or not self.sharpness > 0:
            raise InputError(
                "walks, near, far and table must be at least 1, walk_length at least 2, and "
                "sharpness above 0"
            )
