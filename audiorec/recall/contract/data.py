"""What channels learn from, and what they are asked.

sequences, side information, vectors ──▶ `RecallData` ──Channel.fit──▶
histories of some users              ──▶ `Queries`    ──Channel.recall──▶ `Candidates`
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.types import BoolArray, IdMap, Int64Array


@dataclass(frozen=True, eq=False)
class RecallData:
    """What a channel may learn from.

    Attributes
    ----------
    sequences : Sequences
        Finished plays of U users (or sessions, or lists), the oldest owner first where that is
        known: channels that prefer what is recent go by it where there are no times.
    catalogue : tuple of str
        All songs that may be proposed: those that were played, and new ones.
    """

    sequences: Sequences
    new_songs: tuple[str, ...] = ()

    @cached_property
    def song_ids(self) -> tuple[str, ...]:
        """The catalogue, sorted: songs that were played, and new ones. Length S."""
        return tuple(sorted({*self.sequences.song_ids, *self.new_songs}))

    @cached_property
    def plays(self) -> Sequences:
        """The sequences, in numbers of `song_ids`."""
        return self.sequences.among(self.song_ids)

    @cached_property
    def counts(self) -> Int64Array:
        """Plays of each song: shape (S,), int64."""
        return np.bincount(self.plays.song, minlength=len(self.song_ids)).astype(np.int64)

    @property
    def is_cold(self) -> BoolArray:
        """Which songs were never played: shape (S,), bool."""
        cold: BoolArray = self.counts == 0
        return cold

    def require_plays(self, channel: str) -> None:
        """Refuse data without a play, on which nothing can be learnt."""
        if not len(self.plays.song):
            raise InputError(f"{channel}: there is no finished play to learn from")


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """Q users who are to get songs."""

    histories: Sequences

    def __len__(self) -> int:
        return len(self.histories)

    @property
    def user_ids(self) -> tuple[str, ...]:
        """Length Q."""
        return self.histories.owner_ids

    def take(self, rows: Int64Array) -> "Queries":
        """Return some of the queries."""
        return Queries(self.histories.take(rows))


def mask_of(song_ids: tuple[str, ...], wanted: tuple[str, ...]) -> BoolArray:
    """Return which songs are wanted, (S,) bool; ids that are not there are passed over."""
    mask = np.zeros(len(song_ids), np.bool_)
    rows = IdMap(song_ids).rows(wanted)
    mask[rows[rows >= 0]] = True
    return mask
