"""Request of a cold-start job: kind and length of the lists, and limits on both sides."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from audiorec.errors import InputError

ListOf = Literal["audience", "songs"]
UNLIMITED = np.iinfo(np.int32).max
# Pairs below this are liked less often than random pairs (docs/decisions/0011-cold-start.md).
LEAST_SIMILARITY = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLimits:
    """Limits on both sides; a limit below 1 or a quota above `per_song` is an `InputError`."""

    per_song: int  # maximum number of users per song
    per_user: int = UNLIMITED  # maximum number of songs per user
    per_artist: int = UNLIMITED  # maximum number of songs per user and artist
    quota: int = 0  # users assigned to each song before the remaining pairs go by similarity

    def __post_init__(self) -> None:
        for name in ("per_song", "per_user", "per_artist"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.quota <= self.per_song:
            raise InputError(f"quota must lie in 0..{self.per_song}, got {self.quota}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartPlan:
    """Request of a cold-start job.

    Attributes
    ----------
    minimum : float
        Minimum similarity; -1 admits every pair.
    per_user, per_song : int, optional
        Most audiences of a user (only for audiences), and most users' lists of a song (only for
        lists of songs).
    per_artist : int, optional
        Most songs of one artist per user.
    quota : int
        Users given to every song before similarity decides.
    exposures : int, optional
        Total exposures to distribute over all lists.

    Raises
    ------
    InputError
        If a number is out of range or does not apply to this kind of list.
    """

    lists: ListOf  # a list of users for each song, or of songs for each user
    k: int  # maximum length of a list
    minimum: float = LEAST_SIMILARITY
    per_user: int | None = None
    per_song: int | None = None
    per_artist: int | None = None
    quota: int = 0
    exposures: int | None = None

    def __post_init__(self) -> None:
        if self.lists == "audience" and self.per_song is not None:
            raise InputError("per_song applies to lists of songs; k limits an audience")
        if self.lists == "songs" and self.per_user is not None:
            raise InputError("per_user applies to audiences; k limits a list of songs")
        if not -1 <= self.minimum <= 1:
            raise InputError(f"the minimum similarity must be in -1..1, got {self.minimum:g}")
        if self.exposures is not None and self.exposures < 0:
            raise InputError(f"exposures must be 0 or more, got {self.exposures}")
        if self.quota < 0:
            raise InputError(f"quota must be 0 or more, got {self.quota}")
        _ = self.limits  # runs the checks of `ListLimits` before any file is read

    @property
    def limits(self) -> ListLimits:
        """Limits on both sides."""
        artist = UNLIMITED if self.per_artist is None else self.per_artist
        if self.lists == "audience":
            per_user = UNLIMITED if self.per_user is None else self.per_user
            return ListLimits(
                per_song=self.k, per_user=per_user, per_artist=artist, quota=self.quota
            )
        # Without `per_song`, songs compete for their quota only.
        per_song = self.per_song or max(1, self.quota)
        return ListLimits(per_song=per_song, per_user=self.k, per_artist=artist, quota=self.quota)

    @property
    def competes(self) -> bool:
        """Whether the lists depend on each other; otherwise each is simply the nearest."""
        if self.lists == "audience":
            return self.limits.per_user < UNLIMITED or self.limits.per_artist < UNLIMITED
        return self.per_song is not None or self.quota > 0

    @property
    def choice_is_all(self) -> bool:
        """Whether songs compete for the whole lists, not only for their quota."""
        return self.lists == "audience" or self.per_song is not None
