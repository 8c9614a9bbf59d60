"""How models of several interests are built, learn, and answer."""

from dataclasses import dataclass
from typing import Literal

from audiorec.learning.next_recipe import NextSongRecipe

Rule = Literal["merged", "equal", "weighted"]
RoutingLogits = Literal["drawn", "fixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestsRecipe(NextSongRecipe):
    """What MIND and ComiRec-SA share, and the settings of `NextSongRecipe`.

    Attributes
    ----------
    interests : int
        K, embeddings of a user at most.
    hidden : int
        Units of the network that joins an interest and the profile, as a multiple of `dimension`;
        0 for none where there are no profiles.
    dropout : float
        Of the songs that are read.
    one_above : float
        Interests of a history become one, the nearest first, while their cosine is above it: how
        many a user has follows what was played. 1: none do.
    rule : {"merged", "equal", "weighted"}
        How lists of the interests become one: by the largest similarity, or by quotas that are
        the same for all or follow the interests' weights.
    half_life : float
        In plays: what was played so long ago counts half in an interest's weight.
    diversity : float
        How much a song loses for each one of its category that stands above it in the list; 0 for
        nothing.
    diversity_by : str
        Which category of side information that is; empty: ``genre`` if there is one, else the
        first.
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
        # Not `super()`: a dataclass with slots is made anew, and is no longer what it stood for.
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
class MindRecipe(InterestsRecipe):
    """The settings of MIND, and those of `InterestsRecipe`.

    Attributes
    ----------
    rounds : int
        Of routing.
    routing_logits : {"drawn", "fixed"}
        Logits that routing begins with: drawn anew for each example and step, and when the model
        answers from a generator seeded by the model and the history; or one table for all.
    routing_spread : float
        Their standard deviation.
    routing_scale : float
        Length of a song as it is routed: the longer, the more songs that are alike pull each other
        into one interest.
    sharpness : float
        Of label-aware attention in training: 0 is the mean of the interests, and the larger it is,
        the nearer to the one that is nearest to the target.
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
class ComirecSaRecipe(InterestsRecipe):
    """The settings of ComiRec-SA, and those of `InterestsRecipe`.

    Attributes
    ----------
    attention : int
        Units that attention looks at songs with, as a multiple of `dimension`.
    positions : bool
        Learn how the number of plays since counts in attention.
    """

    attention: int = 4
    positions: bool = True

    def __post_init__(self) -> None:
        InterestsRecipe.__post_init__(self)
        self._check(self.attention >= 1, "attention", "1 or more")
