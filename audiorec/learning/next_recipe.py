"""Settings shared by all next-song models."""

from dataclasses import dataclass
from typing import Any

from audiorec.errors import InputError
from audiorec.learning.next_plays import HoldOut


@dataclass(frozen=True, slots=True, kw_only=True)
class NextSongRecipe:
    """Training settings of a next-song model.

    Attributes
    ----------
    dimension : int
        Numbers in an embedding.
    longest : int
        Number of newest plays read of a history.
    temperature : float
        Divisor of cosines: at 1/16 a cosine of 1 is a logit of 16.
    negatives : int
        Negatives per target, shared by a batch; all songs if there are no more than this.
    negative_power : float
        Negatives are drawn in proportion to plays ** power: 0 is uniform, 1 by plays.
    log_q : bool
        Correct the loss for the sampling frequency of each negative (logQ).
    shared_table : bool
        Use one table for input and output embeddings of songs.
    side_width : int
        Embedding width of the artist and other categories of a song.
    id_dropout : float
        Probability that training uses a song's side information only, without its id.
    learning_rate, warm_up : float
        Peak learning rate of Adam, and the share of the steps in which it rises. It decays along a
        cosine.
    network_rate : float
        Learning rate of the network, relative to that of the songs.
    weight_decay : float
        Weight decay of the matrices, not of the songs.
    clip : float
        Maximum norm of a step's gradient; 0 for no clipping.
    batch_size : int
        Approximate number of plays per step; fewer if an epoch would have less than 256 steps.
    max_epochs, patience : int
        Maximum number of epochs; epochs without improvement on the validation part before stopping.
    valid : float
        Share of the newest plays held out for early stopping, before training on everything.
    hold_out : {"auto", "sequences", "plays"}
        Whether to hold out whole owners, or the end of each owner's plays.
    sparse_tables : bool or None
        Update only the table rows used in a step, and catch up on skipped updates when a row is
        used again: the same weights up to rounding, faster with many songs. None: from
        `audiorec.learning.next_song.SPARSE_FROM` songs on.
    most_judged : int
        Maximum number of validation plays ranked after an epoch.
    seed : int
        Seed of all draws.
    """

    dimension: int = 96
    longest: int = 50
    temperature: float = 1 / 16
    negatives: int = 1_024
    negative_power: float = 0.5
    log_q: bool = True
    shared_table: bool = True
    side_width: int = 16
    id_dropout: float = 0.2
    learning_rate: float = 0.015
    network_rate: float = 0.05
    warm_up: float = 0.02
    weight_decay: float = 0.0
    clip: float = 5.0
    batch_size: int = 2_048
    max_epochs: int = 6
    patience: int = 3
    valid: float = 0.05
    hold_out: HoldOut = "auto"
    sparse_tables: bool | None = None
    most_judged: int = 4_000
    seed: int = 0

    def __post_init__(self) -> None:
        whole = ("dimension", "longest", "negatives", "batch_size", "max_epochs", "patience")
        for name in (*whole, "most_judged", "side_width"):
            self._check(getattr(self, name) >= 1, name, "1 or more")
        for name in ("temperature", "learning_rate", "network_rate"):
            self._check(getattr(self, name) > 0, name, "above 0")
        for name in ("warm_up", "id_dropout"):
            self._check(0 <= getattr(self, name) < 1, name, "in [0, 1)")
        for name in ("weight_decay", "clip", "negative_power"):
            self._check(getattr(self, name) >= 0, name, "0 or more")
        self._check(0 < self.valid < 1, "valid", "in (0, 1)")
        modes = ("auto", "sequences", "plays")
        self._check(self.hold_out in modes, "hold_out", f"one of {', '.join(modes)}")

    def _check(self, good: bool, name: str, expected: str) -> None:
        got: Any = getattr(self, name)
        if not good:
            raise InputError(f"{name} must be {expected}, got {got}")
