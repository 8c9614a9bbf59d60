"""Everything but the data that decides what a youtube-dnn becomes."""

from dataclasses import dataclass
from typing import Literal

from audiorec.errors import InputError

HoldOut = Literal["later", "users"]


@dataclass(frozen=True, slots=True, kw_only=True)
class YoutubeDnnRecipe:
    """Settings of youtube-dnn; the same recipe, data and seed give the same weights.

    Attributes
    ----------
    dimension : int
        Numbers in an embedding.
    hidden : tuple of int
        Units of the dense layers between the history and the embedding.
    id_width : int or None
        Numbers that a song's id stands for in a history; 0: songs are their sound alone; None: as
        many as `dimension`. Where it is these, the mean of the history is added to what the layers
        return, and a song's id begins as its embedding: then training converges several times as
        fast.
    half_life_plays : float or None
        After so many more plays, a play counts half; None: all plays count the same.
    half_life_days : float or None
        Where the model learns from liked songs, which have days: after so many days, a like
        counts half; None: all likes count the same. Likes without a time do not fade.
    max_history : int
        Newest songs of a history that are read.
    history_dropout : float
        Share of examples whose history is hidden, so that the profile learns to speak alone;
        only where there are profiles.
    dropout : float
        Share of hidden units that a step leaves out.
    targets_per_user : int
        Examples of one user in an epoch, so that heavy listeners do not dominate.
    temperature : float
        What a cosine is divided by to be a logit.
    popularity : float
        How much of a song's learnt popularity counts in its similarity; 0: its cosine alone.
    negatives : int
        Songs drawn against the examples of a batch; a catalogue that is no larger counts whole.
    negative_power : float
        Negatives are drawn by plays to this power.
    learning_rate : float
        Of Adam; rises over the first 100 steps or fewer, then falls to 0 along a cosine until
        `max_epochs`.
    weight_decay : float
        Of the weights of the dense layers.
    clip : float
        The largest norm of a step's gradient.
    batch_size : int
        Examples in a step.
    max_epochs : int
        The most epochs, and the length of the learning rate's cosine.
    max_examples : int
        The most examples, those of all epochs: a large log is trained for fewer epochs, at least
        one.
    patience : int
        Training ends after so many epochs without a better validation loss.
    hold_out : {"later", "users"}
        What the validation part is: the last play of some users, or all plays of some. Where no
        play has an order, it is users.
    held_out_share : float
        Share of users that the validation part is of.
    seed : int
        Of everything that is drawn.
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
        """Numbers that a song's id stands for."""
        return self.dimension if self.id_width is None else self.id_width

    @property
    def is_residual(self) -> bool:
        """Whether the mean of the songs' ids is added to what the layers return."""
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
