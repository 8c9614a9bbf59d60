"""Everything but the data that decides what a two-tower or an mmoe becomes."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from audiorec.errors import InputError
from audiorec.spec import fingerprint

Negatives = Literal["shared", "in-batch"]
Songs = Literal["learnt", "given"]
PROTOCOL = 1  # changes with the order of draws: two halves of different ones do not fit


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoTowerRecipe:
    """Settings of a two-tower model; the same recipe, data and seed give the same weights.

    Attributes
    ----------
    dimension : int
        Numbers in the vector of a user, and of a song.
    hidden : tuple of int
        Units of the dense layers of the user tower; of an mmoe, of each expert.
    width : int
        Numbers that a value of a user's column stands for: an interest, a tag, an item.
    side_width : int
        Numbers that a value of a song's category stands for.
    id_dropout : float
        Part of the occurrences in which a song goes by its side alone, in training.
    value_dropout : float
        Part of the values of a user that a step leaves out.
    dropout : float
        Part of the hidden units that a step leaves out.
    min_users : int
        Users that share a value before it has a place of its own.
    max_values : int
        Values of one column at most, the most frequent.
    temperature : float
        What a cosine is divided by to be a logit.
    popularity : float
        How much the logarithm of a song's plays counts in its logit, beside the cosine: the towers
        then learn who differs from the crowd, and how. 0: the cosine alone.
    negative_source : {"shared", "in-batch"}
        What stands against a user's song: songs drawn for the whole batch, independently of it,
        or the songs of the other users in the batch.
    songs : {"learnt", "given"}
        Whether the song tower learns, or songs have the vectors that they were given (songs that
        sound, of `dimension` numbers). Only where those come from other users' plays, or none,
        does a count of a user's own gradients bound what they say (`accounting`).
    negatives : int
        Songs that are drawn for a batch, where they are shared.
    negative_power : float
        Shared negatives are drawn by plays to this power.
    log_q : bool
        Whether the loss is corrected for how often a negative is expected in a draw.
    positives : int
        Songs of each user in a step; their gradients are averaged.
    batch_size : int
        Users in a step.
    passes : int
        How often each user stands in a batch in an epoch.
    learning_rate : float
        Of Adam on each side; falls along a cosine until `max_epochs`.
    warm_up : float
        Part of the steps in which the learning rate rises.
    weight_decay : float
        Of the dense layers of the user tower.
    max_epochs : int
        The most epochs, and the length of the learning rate's cosine.
    patience : int
        Training ends after so many epochs without a better validation figure.
    valid : float
        Part of the users that only judge.
    seed : int
        Of everything that both sides draw: the weights at the start, and who is in a batch.
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
    negative_source: Negatives = "shared"
    songs: Songs = "learnt"
    negatives: int = 512
    negative_power: float = 0.75
    log_q: bool = True
    positives: int = 1
    batch_size: int = 256
    passes: int = 8
    learning_rate: float = 3e-3
    warm_up: float = 0.02
    weight_decay: float = 0.0
    max_epochs: int = 8
    patience: int = 3
    valid: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        whole = ("dimension", "width", "side_width", "min_users", "max_values", "negatives")
        for name in (*whole, "positives", "batch_size", "passes", "max_epochs", "patience"):
            _check(getattr(self, name) >= 1, name, "1 or more", getattr(self, name))
        for name in ("id_dropout", "value_dropout", "dropout", "warm_up"):
            _check(0 <= getattr(self, name) < 1, name, "in [0, 1)", getattr(self, name))
        for name in ("temperature", "learning_rate"):
            _check(getattr(self, name) > 0, name, "above 0", getattr(self, name))
        _check(0 < self.valid < 1, "valid", "in (0, 1)", self.valid)
        _check(0 <= self.negative_power <= 2, "negative_power", "in 0..2", self.negative_power)
        _check(self.popularity >= 0, "popularity", "0 or more", self.popularity)
        _check(self.weight_decay >= 0, "weight_decay", "0 or more", self.weight_decay)
        _check(self.seed >= 0, "seed", "0 or more", self.seed)
        _check(all(n >= 1 for n in self.hidden), "hidden", "1 or more", self.hidden)
        known = self.negative_source in ("shared", "in-batch")
        _check(known, "negative_source", "shared or in-batch", self.negative_source)

        _check(self.songs in ("learnt", "given"), "songs", "learnt or given", self.songs)

    @property
    def fingerprint(self) -> str:
        """What two parties compare before anything else: sixteen hex digits."""
        about = {"kind": type(self).__name__, "protocol": PROTOCOL, **self.to_json()}
        return fingerprint(about)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class MmoeRecipe(TwoTowerRecipe):
    """Settings of an mmoe: those of a two-tower, and these.

    Attributes
    ----------
    experts : int
        Networks that all tasks share; each task mixes them by a gate of its own.
    own_weight : float
        Weight of the partner's own task, which never leaves it; 0: there is none.
    item_weights : tuple of float
        Weight of the task of each business that has items, in their order.
    own_negatives : int
        Own items that are drawn for a batch.
    own_column : str
        The column of users whose values are the partner's own items; empty: the one with the
        most values.
    """

    experts: int = 4
    own_weight: float = 0.5
    item_weights: tuple[float, ...] = (1.0,)
    own_negatives: int = 256
    own_column: str = ""

    def __post_init__(self) -> None:
        # `super()` without arguments does not find the class that slots make.
        TwoTowerRecipe.__post_init__(self)
        _check(self.experts >= 1, "experts", "1 or more", self.experts)
        _check(self.own_weight >= 0, "own_weight", "0 or more", self.own_weight)
        _check(self.own_negatives >= 1, "own_negatives", "1 or more", self.own_negatives)
        good = len(self.item_weights) >= 1 and all(w > 0 for w in self.item_weights)
        _check(good, "item_weights", "above 0, one a business", self.item_weights)


Recipe = TwoTowerRecipe | MmoeRecipe


def recipe_of(content: dict[str, Any], kind: type[TwoTowerRecipe]) -> TwoTowerRecipe:
    """Undo `TwoTowerRecipe.to_json`; TypeError or InputError where it is not that."""
    lists = {name: tuple(value) for name, value in content.items() if isinstance(value, list)}
    return kind(**{**content, **lists})


def _check(good: bool, name: str, expected: str, got: object) -> None:
    if not good:
        raise InputError(f"{name} must be {expected}, got {got}")
