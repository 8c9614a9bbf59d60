"""Hyper-parameters of SASRec."""

from dataclasses import dataclass

from audiorec.errors import InputError
from audiorec.learning.next_plays import NextSongRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class SASRecRecipe(NextSongRecipe):
    """Settings of SASRec, and those of `NextSongRecipe`.

    Attributes
    ----------
    blocks, heads : int
        Attention blocks, and attention heads in each.
    hidden : int
        Units of the feed-forward layer, as a multiple of `dimension`.
    dropout : float
        Dropout of the input, and of the output of each half of a block.
    positions : bool
        Learn position embeddings.
    relative_time : bool
        Learn a bias for the time between two plays, if times are known.
    longest_gap_days : float
        Longer gaps are treated as this one.
    session_gap_s : float
        If above 0, plays of different sessions are `longest_gap_days` apart; a session ends where
        the log's ``session_id`` changes, or after a gap of more than this many seconds.
    repeats : bool
        Learn how likely songs of the history are to come again, if at least 1 % of the plays are
        repeats.
    """

    blocks: int = 1
    heads: int = 1
    hidden: int = 2
    dropout: float = 0.3
    dimension: int = 128
    max_epochs: int = 12
    positions: bool = True
    relative_time: bool = True
    longest_gap_days: float = 365.0
    session_gap_s: float = 0.0
    repeats: bool = True

    def __post_init__(self) -> None:
        # Not `super()`: a dataclass with slots is created anew, so `super()` finds the old class.
        NextSongRecipe.__post_init__(self)
        for name in ("blocks", "heads", "hidden"):
            self._check(getattr(self, name) >= 1, name, "1 or more")
        self._check(0 <= self.dropout < 1, "dropout", "in [0, 1)")
        self._check(self.longest_gap_days > 0, "longest_gap_days", "above 0")
        self._check(self.session_gap_s >= 0, "session_gap_s", "0 or more")
        if self.dimension % self.heads:
            raise InputError(f"heads must divide dimension {self.dimension}, got {self.heads}")
