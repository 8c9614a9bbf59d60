"""The settings that all models of what is played next share."""

from dataclasses import dataclass
from typing import Any

from audiorec.errors import InputError
from audiorec.learning.next_plays import HoldOut


@dataclass(frozen=True, slots=True, kw_only=True)
class NextSongRecipe:
    """How a model of what is played next learns.

    Attributes
    ----------
    dimension : int
        Numbers in an embedding.
    longest : int
        Newest plays of a history that are read.
    temperature : float
        Cosines are divided by it: at 1/16 a cosine of 1 is a logit of 16.
    negatives : int
        Songs against each target, shared by a batch; from as few songs as this on, all songs.
    negative_power : float
        Negatives are drawn by plays ** power: 0 is evenly, 1 as often as they are played.
    log_q : bool
        Correct for how often each negative is drawn.
    shared_table : bool
        One table for songs that are read and songs that are proposed.
    side_width : int
        Numbers that the artist, or another category of a song, stands for.
    id_dropout : float
        Part of a song's occurrences that go by its side alone, where there is side information.
    learning_rate, warm_up : float
        Of Adam, at its height; the part of the steps in which it rises. It falls along a cosine.
    network_rate : float
        The learning rate of the network, as a part of that of the songs.
    weight_decay : float
        Of the matrices, not of the songs.
    clip : float
        The largest norm of a step's gradient; 0 for none.
    batch_size : int
        Plays that are learnt from in a step, about; fewer where an epoch would have under 256
        steps.
    max_epochs, patience : int
        Epochs at most; epochs without a better figure on the validation part.
    valid : float
        Newest part that says when to stop, before everything is learnt from.
    hold_out : {"auto", "sequences", "plays"}
        Whether that is whole owners, or the end of each owner's plays.
    sparse_tables : bool or None
        Change only the rows of the songs that a step meets, and make up for what they missed when
        they are met again: the same weights to rounding, quicker where songs are many. None: from
        `audiorec.learning.next_song.SPARSE_FROM` songs on.
    most_judged : int
        Plays of the validation part that are ranked after an epoch.
    seed : int
        Of all that is drawn.
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
