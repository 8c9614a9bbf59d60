"""What a user is told: songs with reasons, lists of them, and the story of one song."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One song for a user.

    Attributes
    ----------
    rank : int
        From 1.
    song_id, title, artist : str
        Empty where the store has no tag.
    channel : str
        What stands for it: the channel that gave it the most.
    reason : str
        In words.
    evidence : str
        The song of the history that the reason is about; empty for none.
    cold : bool
        Nobody has played it yet.
    uri : str
    duration_s : float
    """

    rank: int
    song_id: str
    title: str = ""
    artist: str = ""
    channel: str
    reason: str
    evidence: str = ""
    cold: bool = False
    uri: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What one channel says of one song."""

    channel: str
    rank: int  # in the list of the channel
    reason: str  # in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All there is to say of one song for one user.

    Attributes
    ----------
    song_id, title, artist : str
    place : int
        In the list of the entry, from 1; 0 where it is not among them.
    shut : str
        Why it never comes, in words; empty where it may.
    proposals : tuple of Proposal
        What each channel says, the surest first.
    """

    song_id: str
    title: str
    artist: str
    place: int
    shut: str
    proposals: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """A list for one interest of a user."""

    name: str  # "jazz", or "Nina Simone and the like"
    songs: tuple[Recommendation, ...]
