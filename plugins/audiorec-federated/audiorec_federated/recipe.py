"""Hyper-parameters of the models: one-way, two-tower and mmoe."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from audiorec.options import check_fields
from audiorec.spec import fingerprint

R = TypeVar("R", bound="PartyRecipe")
DRAWS = 2  # version of the order of draws; both halves must have the same
# Settings of earlier recipes, now constants; models with these values are still read.
FORMER = {
    "log_q": True,
    "negative_power": 0.75,
    "negative_source": "shared",
    "item_weights": [1.0],
    "positives": 1,
    "songs": "learnt",
    "weight_decay": 0.0,
}


class PartyRecipe:
    """Base of the recipes: settings that both parties must have alike."""

    __slots__ = ()
    dimension: int
    min_users: int
    max_values: int

    @property
    def kind(self) -> str:
        """Name of the model, as in a plan and on the command line."""
        return next(name for name, kind in RECIPES.items() if kind is type(self))

    @property
    def fingerprint(self) -> str:
        """Hash of the recipe, sixteen hex digits."""
        about = {"kind": type(self).__name__, "protocol": 1, **self.to_json()}
        return fingerprint(about)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        fields: Any = self
        result: dict[str, Any] = json.loads(json.dumps(asdict(fields)))
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWayRecipe(PartyRecipe):
    """Settings of a one-way model.

    Attributes
    ----------
    dimension : int
        Numbers in a user vector and in a song vector.
    min_users : int
        Least number of users with a value for it to count.
    max_values : int
        Maximum number of values per column; the most frequent are kept.
    regularisation : float
        The lambda of the ridge regression from user vectors to plays.
    valid : float
        Share of the users held out for the figures of the model card; the final fit has them.
    seed : int
        Seed of the draw of these users.
    """

    dimension: int = 128
    min_users: int = 2
    max_values: int = 100_000
    regularisation: float = 100.0
    valid: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, dimension=">=1", min_users=">=1", max_values=">=1", seed=">=0")
        check_fields(self, regularisation=">0", valid="(0, 1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoTowerRecipe(PartyRecipe):
    """Settings of a two-tower model; the same recipe, data and seed give the same weights.

    Attributes
    ----------
    dimension : int
        Numbers in a user vector and in a song vector.
    hidden : tuple of int
        Units of the dense layers of the user tower; of each expert of an mmoe.
    width : int
        Embedding width of a user attribute value: an interest, a tag, an item.
    side_width : int
        Embedding width of a song category value.
    id_dropout : float
        Probability that training uses a song's side information only, without its id.
    value_dropout : float
        Share of a user's values dropped in each step.
    dropout : float
        Share of hidden units dropped in each step.
    min_users : int
        Least number of users with a value for it to get an embedding.
    max_values : int
        Maximum number of values per column; the most frequent are kept.
    temperature : float
        Divisor that turns a cosine into a logit.
    popularity : float
        Weight of the logarithm of a song's plays in its logit, beside the cosine: the towers then
        learn deviations from popularity. 0: the cosine alone.
    negatives : int
        Shared negatives per batch.
    batch_size : int
        Users in a step.
    passes : int
        Number of times that each user occurs in an epoch.
    learning_rate : float
        Peak learning rate of Adam on each side, with cosine decay until `max_epochs`.
    warm_up : float
        Share of the steps in which the learning rate rises.
    max_epochs : int
        Maximum number of epochs, and the length of the cosine decay.
    patience : int
        Epochs without a better validation figure after which training stops.
    valid : float
        Share of the users held out for validation.
    seed : int
        Seed of everything that both sides draw: initial weights and batches.
    """

    dimension: int = 64
    hidden: tuple[int, ...] = (128,)
    width: int = 32
    side_width: int = 16
    id_dropout: float = 0.1
    value_dropout: float = 0.5
    dropout: float = 0.3
    min_users: int = 5
    max_values: int = 100_000
    temperature: float = 0.4
    popularity: float = 1.0
    negatives: int = 512
    batch_size: int = 256
    passes: int = 8
    learning_rate: float = 3e-3
    warm_up: float = 0.02
    max_epochs: int = 8
    patience: int = 3
    valid: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        whole = ("dimension", "width", "side_width", "min_users", "max_values", "negatives")
        more = ("batch_size", "passes", "max_epochs", "patience", "hidden")
        check_fields(self, **dict.fromkeys((*whole, *more), ">=1"), valid="(0, 1)", seed=">=0")
        parts = ("id_dropout", "value_dropout", "dropout", "warm_up")
        check_fields(self, **dict.fromkeys(parts, "[0, 1)"), popularity=">=0")
        check_fields(self, temperature=">0", learning_rate=">0")


@dataclass(frozen=True, slots=True, kw_only=True)
class MmoeRecipe(TwoTowerRecipe):
    """Settings of an mmoe model: those of a two-tower model, and the following.

    Attributes
    ----------
    experts : int
        Networks shared by all tasks; each task mixes them by a separate gate.
    own_weight : float
        Weight of the partner's own task, whose data stays with the partner; 0: no such task.
    own_negatives : int
        Own items drawn as negatives per batch.
    own_column : str
        User column whose values are the partner's own items; empty: the one with the most values.
    """

    experts: int = 4
    own_weight: float = 0.5
    own_negatives: int = 256
    own_column: str = ""

    def __post_init__(self) -> None:
        # `super()` without arguments does not find the class that slots make.
        TwoTowerRecipe.__post_init__(self)
        check_fields(self, experts=">=1", own_weight=">=0", own_negatives=">=1")


RECIPES: Mapping[str, type[PartyRecipe]] = MappingProxyType(
    {"one-way": OneWayRecipe, "two-tower": TwoTowerRecipe, "mmoe": MmoeRecipe}
)


def recipe_of(content: dict[str, Any], kind: type[R]) -> R:
    """Undo `PartyRecipe.to_json`; raise TypeError or InputError if the content is invalid."""
    kept = {n: v for n, v in content.items() if n not in FORMER or v != FORMER[n]}
    return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in kept.items()})
