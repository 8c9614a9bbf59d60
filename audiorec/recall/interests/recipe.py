"""Hyper-parameters of the models with several interests."""

from dataclasses import dataclass
from typing import Literal

from audiorec.learning.next_plays import NextSongRecipe

Rule = Literal["merged", "equal", "weighted"]
RoutingLogits = Literal["drawn", "fixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestsRecipe(NextSongRecipe):
    """Settings that MIND and ComiRec-SA share, and those of `NextSongRecipe`.

    Attributes
    ----------
    interests : int
        Maximum number of embeddings per user, K.
    hidden : int
        Units of the network that combines an interest with the profile, as a multiple of
        `dimension`; 0: none, unless there are profiles.
    dropout : float
        Dropout of the input songs.
    one_above : float
        Interests of a history are merged, most similar first, while their cosine is above this, so
        that the number of interests follows the history. 1: never.
    rule : {"merged", "equal", "weighted"}
        How the lists of interests are merged: by the largest similarity, or with quotas that are
        equal or proportional to the interests' weights.
    half_life : float
        In plays: a play this long ago counts half in an interest's weight.
    diversity : float
        Penalty of a song for each higher-ranked song of the same category; 0: none.
    diversity_by : str
        The category of side information for `diversity`; empty: ``genre`` if there is one, else
        the first.
    """

    dimension: int = 64
    longest: int = 20
    negatives: int = 512
    max_epochs: int = 3
    interests: int = 4
    hidden: int = 0
    dropout: float = 0.2
    one_above: float = 0.8
    rule: Rule = "merged"
    half_life: float = 10.0
    diversity: float = 0.0
    diversity_by: str = ""

    def __post_init__(self) -> None:
        # Not `super()`: a dataclass with slots is created anew, so `super()` finds the old class.
        NextSongRecipe.__post_init__(self)
        self._check(self.interests >= 1, "interests", "1 or more")
        self._check(self.hidden >= 0, "hidden", "0 or more")
        self._check(0 <= self.dropout < 1, "dropout", "in [0, 1)")
        self._check(-1 <= self.one_above <= 1, "one_above", "in -1..1")
        self._check(self.half_life > 0, "half_life", "above 0")
        self._check(self.diversity >= 0, "diversity", "0 or more")
        rules = ("merged", "equal", "weighted")
        self._check(self.rule in rules, "rule", f"one of {', '.join(rules)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MINDRecipe(InterestsRecipe):
    """Settings of MIND, and those of `InterestsRecipe`.

    Attributes
    ----------
    rounds : int
        Routing iterations.
    routing_logits : {"drawn", "fixed"}
        Initial routing logits: drawn for each example and step (in answers, from a generator
        seeded by the model and the history), or one fixed table.
    routing_spread : float
        Standard deviation of the initial logits.
    routing_scale : float
        Length of song vectors in routing: the longer, the more strongly similar songs pull each
        other into one interest.
    sharpness : float
        Sharpness of label-aware attention in training: 0 takes the mean of the interests, larger
        values approach the interest nearest to the target.
    """

    one_above: float = 0.4
    rounds: int = 3
    routing_logits: RoutingLogits = "drawn"
    routing_spread: float = 2.0
    routing_scale: float = 6.0
    sharpness: float = 1.0

    def __post_init__(self) -> None:
        InterestsRecipe.__post_init__(self)
        self._check(self.rounds >= 1, "rounds", "1 or more")
        for name in ("routing_spread", "sharpness"):
            self._check(getattr(self, name) >= 0, name, "0 or more")
        kinds = ("drawn", "fixed")
        self._check(self.routing_logits in kinds, "routing_logits", f"one of {', '.join(kinds)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComiRecSARecipe(InterestsRecipe):
    """Settings of ComiRec-SA, and those of `InterestsRecipe`.

    Attributes
    ----------
    attention : int
        Units of the attention layer, as a multiple of `dimension`.
    positions : bool
        Learn a bias for how many plays ago a song was.
    """

    attention: int = 4
    positions: bool = True

    def __post_init__(self) -> None:
        InterestsRecipe.__post_init__(self)
        self._check(self.attention >= 1, "attention", "1 or more")
