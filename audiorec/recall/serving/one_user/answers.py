"""Results of `Recommender`: songs with reasons, mixes, and the explanation of one song."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """A song recommended to a user.

    Attributes
    ----------
    rank : int
        From 1.
    song_id, title, artist : str
        Empty where the store has no tag.
    channel : str
        The channel that contributed most to its weight.
    reason : str
        In words.
    evidence : str
        The song of the user's history that the reason refers to; empty for none.
    cold : bool
        Whether nobody has played it yet.
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
    """A song as proposed by one channel."""

    channel: str
    rank: int  # in the list of the channel
    reason: str  # in words


@dataclass(frozen=True, slots=True, kw_only=True)
class SongExplanation:
    """Explanation of why one song is, or is not, recommended to a user.

    Attributes
    ----------
    song_id, title, artist : str
    place : int
        Rank in the list of the entry, from 1; 0 if it is not in the list.
    excluded_because : str
        Why the song is excluded, in words; empty if it is not.
    proposals : tuple of Proposal
        The channels that propose it, by rank.
    """

    song_id: str
    title: str
    artist: str
    place: int
    excluded_because: str
    proposals: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """A list of songs for one interest of a user."""

    name: str  # "jazz", or "Nina Simone and the like"
    songs: tuple[Recommendation, ...]
