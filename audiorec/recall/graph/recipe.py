"""What decides, beside the data, what the models of the graph become."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from audiorec.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphRecipe:
    """What the three models have in common.

    Attributes
    ----------
    dimension : int
        Of a vector.
    learning_rate : float
        Of the first epoch; it falls evenly to a twentieth in the last one.
    negatives : float
        Songs against a pair, in expectation.
    drawn : int
        Songs that are drawn for a batch, which all of its pairs share.
    negative_power : float
        A song is drawn by its number of entries to this power.
    shrink : float
        How much the squared lengths of the vectors count in the loss, each as often as its song
        stands in a list.
    block : int
        The most songs of a list that meet each other in one step.
    places : int
        Entries in a batch.
    window : int or None
        How far apart in a list songs are a pair; None: as far as the list is long, in any order.
        Whoever makes a list adds songs that go together one after the other, so that a long list
        says more by the neighbourhood than as a whole.
    max_epochs, patience : int
        Training ends after so many, or without gain for so long.
    choose : bool
        Find the best number of epochs on lists of which a part is hidden, then train on
        everything for as many; otherwise train on everything for `max_epochs`.
    neighbours : int
        Songs that sound alike, as facts of a song, where there is sound and no triples.
    prior : float
        The share of the logarithm of a song's entries that an answer adds: of two songs that lie
        equally near, the one that stands in more lists comes first. 0 leaves it out.
    recent : int or None
        Of a history so many of the newest entries count in an answer; None: all of them, as suits
        lists. Likes of years are better asked for by the last twenty or so.
    seed : int
        Of everything that is drawn.
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


def deciding(recipe: GraphRecipe) -> dict[str, Any]:
    """Return the settings of a recipe that decide what a model becomes."""
    return {n: v for n, v in asdict(recipe).items() if n not in recipe.CHANGES_NOTHING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Song2vecRecipe(GraphRecipe):
    """Song2vec with TransE.

    Attributes
    ----------
    gamma : float
        The share of the relations: L = L_s + gamma L_r; 0 is Song2vec without the graph.
    margin : float
        By how much a false fact has to lie farther off, of squared distances in 0..4.
    facts : int
        That are drawn for a step.
    by_relation : float
        The share of t - r in the place of a song of no list, in 0..1; the rest is the mean of the
        songs with the same facts, which found as many on validation lists as any share.
    tables : {"auto", "memory", "files"}
        Where the vectors are while they are learnt; no other model comes of it. ``auto``: in files
        beside the model once they would take more than half of the memory that is free. A
        training in files that is stopped begins anew.
    """

    gamma: float = 1.0
    margin: float = 1.0
    facts: int = 256
    by_relation: float = 0.0
    tables: Literal["auto", "memory", "files"] = "auto"

    def __post_init__(self) -> None:
        # `super()` does not know the class that `slots` made in its place.
        GraphRecipe.__post_init__(self)
        if self.gamma < 0 or not self.margin > 0 or self.facts < 1:
            raise InputError("gamma must be at least 0, margin above 0, facts at least 1")
        if not 0 <= self.by_relation <= 1:
            raise InputError(f"by_relation must lie in 0..1, got {self.by_relation}")
        if self.tables not in ("auto", "memory", "files"):
            raise InputError(f"tables are auto, memory or files, got {self.tables!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EgesRecipe(GraphRecipe):
    """EGES: walks, and a weight for each fact of each song.

    Attributes
    ----------
    walks, walk_length : int
        Walks that begin at each song, in an epoch, and their songs.
    slots : int
        The most facts of a song.
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
class GraphSageRecipe(GraphRecipe):
    """GraphSAGE: a song is what its neighbours are, two steps deep.

    Attributes
    ----------
    walks, walk_length : int
        As in EGES.
    near, far : int
        Neighbours that are drawn of a song, and of each of these.
    table : int
        Neighbours that a thing keeps to be drawn from.
    sharpness : float
        What cosines are multiplied by in the loss.
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
