"""Everything but the data that decides what a user model becomes."""

from dataclasses import dataclass
from typing import Literal

from audiorec.errors import InputError

HoldOut = Literal["users", "later"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersRecipe:
    """The settings of a training; the same recipe, data and seed give the same weights."""

    dimension: int = 40  # numbers in an embedding
    hidden: tuple[int, ...] = (128, 64)  # units of the dense layers between
    id_width: int = 40  # numbers that a song's id stands for; 0: vectors alone
    half_life_days: float | None = 90.0  # of a song's weight in a history; None: time is nothing
    max_history: int = 100  # newest songs of a history
    history_dropout: float = 0.1  # of examples that are asked by the profile alone
    dropout: float = 0.1  # of hidden units
    targets_per_user: int = 20  # likes of one user in an epoch: heavy listeners do not rule
    temperature: float = 0.1  # a cosine of 1 is a logit of 10
    negatives: int = 1_024  # shared by a batch; from as few songs as this on, all songs are
    negative_power: float = 0.75  # negatives are drawn by likes ** power
    learning_rate: float = 3e-3  # Adam
    weight_decay: float = 1e-4
    batch_size: int = 256  # examples
    max_epochs: int = 60
    patience: int = 6  # epochs without a better held-out loss
    hold_out: HoldOut = "users"  # whole users, or each user's last like
    held_out_share: float = 0.1  # of users; of users whose last like is held out
    seed: int = 0

    def __post_init__(self) -> None:
        whole = ("dimension", "max_history", "targets_per_user", "negatives", "batch_size")
        for name in (*whole, "max_epochs", "patience"):
            _check(getattr(self, name) >= 1, name, "1 or more", getattr(self, name))
        for name in ("history_dropout", "dropout"):
            _check(0 <= getattr(self, name) < 1, name, "in [0, 1)", getattr(self, name))
        _check(0 < self.held_out_share < 1, "held_out_share", "in (0, 1)", self.held_out_share)
        for name in ("temperature", "learning_rate"):
            _check(getattr(self, name) > 0, name, "above 0", getattr(self, name))
        _check(self.id_width >= 0, "id_width", "0 or more", self.id_width)
        _check(all(n >= 1 for n in self.hidden), "hidden", "1 or more", self.hidden)
        half_life = self.half_life_days
        _check(half_life is None or half_life > 0, "half_life_days", "above 0", half_life)


def _check(good: bool, name: str, expected: str, got: object) -> None:
    if not good:
        raise InputError(f"{name} must be {expected}, got {got}")
