"""What is asked of a cold start, and how much room that leaves on both sides."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from audiorec.errors import InputError

ListOf = Literal["audience", "songs"]
UNLIMITED = np.iinfo(np.int32).max
# Pairs below it are likes less often than chance (docs/decisions/0011-cold-start.md).
LEAST_SIMILARITY = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much room there is; a limit below 1, or a quota above `per_song`, is refused."""

    per_song: int  # users that one song is shown to, at most
    per_user: int = UNLIMITED  # songs that one user is shown, at most
    per_artist: int = UNLIMITED  # songs of one artist that one user is shown, at most
    quota: int = 0  # users that each song is shown to first, before similarity decides alone

    def __post_init__(self) -> None:
        for name in ("per_song", "per_user", "per_artist"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.quota <= self.per_song:
            raise InputError(f"quota must lie in 0..{self.per_song}, got {self.quota}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartPlan:
    """What is asked for.

    Raises
    ------
    InputError
        If a number is out of its range, or does not belong to this kind of list.
    """

    lists: ListOf  # a list of users for each song, or of songs for each user
    k: int  # length of a list, at most
    minimum: float = LEAST_SIMILARITY  # least similarity; -1 shows every pair
    per_user: int | None = None  # in how many audiences a user may be, at most
    per_song: int | None = None  # in how many users' lists a song may be, at most
    per_artist: int | None = None  # how many songs of one artist a user is shown, at most
    quota: int = 0  # how many users every song reaches first
    exposures: int | None = None  # exposures to divide over all lists

    def __post_init__(self) -> None:
        if self.lists == "audience" and self.per_song is not None:
            raise InputError("an audience has at most k users; per_song belongs to lists of songs")
        if self.lists == "songs" and self.per_user is not None:
            raise InputError("a list has at most k songs; per_user belongs to audiences")
        if np.isnan(self.minimum):
            raise InputError("the minimum similarity is not a number")
        if self.exposures is not None and self.exposures < 0:
            raise InputError(f"exposures must be 0 or more, got {self.exposures}")
        if self.quota < 0:
            raise InputError(f"quota must be 0 or more, got {self.quota}")
        _ = self.room  # whose own checks are made now, before anything is read

    @property
    def room(self) -> Room:
        """The room on both sides."""
        artist = UNLIMITED if self.per_artist is None else self.per_artist
        if self.lists == "audience":
            per_user = UNLIMITED if self.per_user is None else self.per_user
            return Room(per_song=self.k, per_user=per_user, per_artist=artist, quota=self.quota)
        # Without a limit of their own, songs compete for their quota only.
        per_song = self.per_song or max(1, self.quota)
        return Room(per_song=per_song, per_user=self.k, per_artist=artist, quota=self.quota)

    @property
    def competes(self) -> bool:
        """Whether the lists depend on each other: else every song simply has its nearest users."""
        if self.lists == "audience":
            return self.room.per_user < UNLIMITED or self.room.per_artist < UNLIMITED
        return self.per_song is not None or self.quota > 0

    @property
    def choice_is_all(self) -> bool:
        """Whether what songs compete for are the lists, and not only their quota."""
        return self.lists == "audience" or self.per_song is not None
