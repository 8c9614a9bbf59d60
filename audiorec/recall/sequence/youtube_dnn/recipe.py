"""Hyper-parameters of youtube-dnn."""

from dataclasses import dataclass
from typing import Literal

from audiorec.errors import InputError

HoldOut = Literal["later", "users"]


@dataclass(frozen=True, slots=True, kw_only=True)
class YouTubeDNNRecipe:
    """Settings of youtube-dnn; the same recipe, data and seed give the same weights.

    Attributes
    ----------
    dimension : int
        Width of an embedding.
    hidden : tuple of int
        Units of the dense layers between the history and the embedding.
    id_width : int or None
        Width of the id embedding of a song in a history; 0: songs are read by sound only; None:
        the same as `dimension`. If it equals `dimension`, the mean of the history is added to the
        output of the layers, and id embeddings start as the song embeddings: training then
        converges several times as fast.
    half_life_plays : float or None
        Number of later plays after which a play counts half; None: no decay.
    half_life_days : float or None
        Days after which a like counts half, for models trained on liked songs; None: no decay.
        Likes without a time do not decay.
    max_history : int
        Number of newest songs of a history that are read.
    history_dropout : float
        Share of examples whose history is hidden, so that the profile alone is trained too; only
        used if there are profiles.
    dropout : float
        Dropout of hidden units.
    targets_per_user : int
        Examples per user and epoch, at most, so that heavy listeners do not dominate.
    temperature : float
        Divisor of cosines in the softmax.
    popularity : float
        Weight of a song's learnt popularity in its similarity; 0: cosine only.
    negatives : int
        Negative songs shared by a batch; smaller catalogues are used whole.
    negative_power : float
        Negatives are drawn in proportion to their plays to this power.
    learning_rate : float
        Peak rate of Adam; linear warm-up over at most 100 steps, then cosine decay to 0 at
        `max_epochs`.
    weight_decay : float
        Weight decay of the dense layers.
    clip : float
        Maximum gradient norm of a step.
    batch_size : int
        Examples per step.
    max_epochs : int
        Maximum number of epochs, over which the learning rate decays.
    max_examples : int
        Maximum number of examples over all epochs: a large log is trained for fewer epochs, but
        for at least one.
    patience : int
        Training stops after this many epochs without a better validation loss.
    hold_out : {"later", "users"}
        The validation part: the last play of some users, or all plays of some users. ``users`` if
        no play has an order.
    held_out_share : float
        Share of users in the validation part.
    seed : int
        Seed of all random numbers.
    """

    dimension: int = 96
    hidden: tuple[int, ...] = (128, 64)
    id_width: int | None = None
    half_life_plays: float | None = 3.0
    half_life_days: float | None = 90.0
    max_history: int = 100
    history_dropout: float = 0.1
    dropout: float = 0.1
    targets_per_user: int = 20
    temperature: float = 0.1
    popularity: float = 1.0
    negatives: int = 512
    negative_power: float = 0.75
    learning_rate: float = 8e-3
    weight_decay: float = 1e-4
    clip: float = 1.0
    batch_size: int = 2_048
    max_epochs: int = 60
    max_examples: int = 5_000_000
    patience: int = 6
    hold_out: HoldOut = "later"
    held_out_share: float = 0.1
    seed: int = 0

    @property
    def ids(self) -> int:
        """Width of an id embedding."""
        return self.dimension if self.id_width is None else self.id_width

    @property
    def is_residual(self) -> bool:
        """Whether the mean of the id embeddings is added to the output of the layers."""
        return self.ids == self.dimension

    def __post_init__(self) -> None:
        whole = ("dimension", "max_history", "targets_per_user", "negatives", "batch_size")
        for name in (*whole, "max_epochs", "max_examples", "patience"):
            _check(getattr(self, name) >= 1, name, "1 or more", getattr(self, name))
        for name in ("history_dropout", "dropout"):
            _check(0 <= getattr(self, name) < 1, name, "in [0, 1)", getattr(self, name))
        _check(0 < self.held_out_share < 1, "held_out_share", "in (0, 1)", self.held_out_share)
        for name in ("temperature", "learning_rate", "clip"):
            _check(getattr(self, name) > 0, name, "above 0", getattr(self, name))
        _check(self.ids >= 0, "id_width", "0 or more", self.id_width)
        _check(all(n >= 1 for n in self.hidden), "hidden", "1 or more", self.hidden)
        for name in ("half_life_plays", "half_life_days"):
            value = getattr(self, name)
            _check(value is None or value > 0, name, "above 0", value)


def _check(good: bool, name: str, expected: str, got: object) -> None:
    if not good:
        raise InputError(f"{name} must be {expected}, got {got}")
