"""How SASRec is built and learns."""

from dataclasses import dataclass

from audiorec.errors import InputError
from audiorec.learning.next_recipe import NextSongRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class SasrecRecipe(NextSongRecipe):
    """The settings of SASRec, and those of `NextSongRecipe`.

    Attributes
    ----------
    blocks, heads : int
        Layers of attention, and parts that each is cut into.
    hidden : int
        Units of the small network in a block, as a multiple of `dimension`.
    dropout : float
        Of what is read, and of what each half of a block adds.
    positions : bool
        Learn where in the history a play stands.
    relative_time : bool
        Learn how the time between two plays counts, where times are known.
    longest_gap_days : float
        Longer gaps count as this one.
    session_gap_s : float
        Above 0, plays of different sessions count as `longest_gap_days` apart: by the log's
        ``session_id``, and where so many seconds are between two plays.
    repeats : bool
        Learn how likely songs of the history are to come again, where a hundredth of the plays
        are of such songs.
    """

    blocks: int = 1
    heads: int = 1
    hidden: int = 2
    dropout: float = 0.3
    max_epochs: int = 12
    positions: bool = True
    relative_time: bool = True
    longest_gap_days: float = 365.0
    session_gap_s: float = 0.0
    repeats: bool = True

    def __post_init__(self) -> None:
        # Not `super()`: a dataclass with slots is made anew, and is no longer what it stood for.
        NextSongRecipe.__post_init__(self)
        for name in ("blocks", "heads", "hidden"):
            self._check(getattr(self, name) >= 1, name, "1 or more")
        self._check(0 <= self.dropout < 1, "dropout", "in [0, 1)")
        self._check(self.longest_gap_days > 0, "longest_gap_days", "above 0")
        self._check(self.session_gap_s >= 0, "session_gap_s", "0 or more")
        if self.dimension % self.heads:
            raise InputError(f"heads must divide dimension {self.dimension}, got {self.heads}")
