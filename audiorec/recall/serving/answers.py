"""What recommendations are asked for, and the answers: songs of one user, candidates of many.

    RecommendQuestion  ──Recommender.ask──▶ RecommendAnswer: rows, songs to play, remarks
    CandidatesQuestion ──ask_candidates───▶ a file, and CandidatesAnswer: counts, remarks
                       ──ask_channel──────▶ the same rows, for a block of users

Command line, page and servers take their options from the fields of a question.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from audiorec.options import chooses, setting
from audiorec.search.questions import SONG_COUNT

DEPTH = 200  # candidates of each channel whose lists are fused
Entry = Literal["daily", "radio", "discover", "new"]
USER_SONGS = chooses("--k", "-k", min=1, help="Songs for each user.")
KEEP_HEARD = chooses("--keep-heard", help="Allow songs that the user has heard.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatesQuestion:
    """What a channel is asked for each user.

    Attributes
    ----------
    k : int
    cold_share : float
    keep_heard : bool
        The channel ``replay`` proposes heard songs in any case.
    """

    k: int = setting(100, USER_SONGS)
    cold_share: float = setting(
        0.0, chooses(min=0, max=1, help="Share of them that nobody has played.")
    )
    keep_heard: bool = setting(False, KEEP_HEARD)

    @classmethod
    def for_fusion(
        cls, depth: int = DEPTH, *, cold: bool = True, keep_heard: bool = False
    ) -> "CandidatesQuestion":
        """Ask for `depth` songs and, with `cold`, for as many that nobody has played."""
        return cls(k=depth * (1 + cold), cold_share=0.5 * cold, keep_heard=keep_heard)

    @property
    def cold(self) -> int:
        """How many songs of a list nobody has played."""
        return round(self.k * self.cold_share)

    @property
    def warm(self) -> int:
        """How many songs of a list have been played; at least one."""
        return max(1, self.k - self.cold)


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatesAnswer:
    """A file of candidates, and what to tell a person about it.

    Attributes
    ----------
    channel, model_id : str
    users, default_users, rows : int
        Users asked for, those of them with the default list, and rows of the file.
    out : Path
    left_out : int
        Songs of the channel that nobody has played, if none was asked for.
    """

    channel: str
    model_id: str
    users: int
    default_users: int
    rows: int
    out: Path
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON document."""
        counts = asdict(self) | {"out": str(self.out)}
        del counts["left_out"]
        return {"schema": "audiorec/candidates/1", **counts}

    @property
    def remarks(self) -> list[str]:
        """What to tell a person about the answer, one line each."""
        lines = [f"{self.rows:,} candidates for {self.users:,} users: {self.out}"]
        if self.default_users:
            rest = "have no history and get the default list: what is popular now"
            lines.append(f"{self.default_users:,} of them {rest}")
        if self.left_out:
            rest = "songs that nobody has played; `cold_share=0.3` adds some"
            lines.append(f"note: left out {self.left_out:,} {rest}")
        return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendQuestion:
    """What to recommend to one user.

    Attributes
    ----------
    user_id : str
    k : int
        Number of songs, or of songs in each mix, or of playlists.
    entry : {"daily", "radio", "discover", "new"}
        The product that the list is for; see `ENTRIES`.
    what : {"songs", "mixes", "lists"}
        Songs, one list for each interest of the user, or playlists made by users.
    """

    user_id: str = ""
    k: int = setting(30, SONG_COUNT)
    entry: Entry = setting("daily", chooses(help="The product that the list is for."))
    what: Literal["songs", "mixes", "lists"] = setting(
        "songs",
        chooses(
            help="Songs; mixes, one list per genre or artist of the user; or playlists by users."
        ),
    )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProposal:
    """A playlist recommended to a user.

    Attributes
    ----------
    rank : int
        From 1.
    list_id : str
    songs, known, proposed : int
        Numbers of its songs: all, played by the user, proposed to the user but not yet played.
    reason : str
        In words.
    """

    rank: int
    list_id: str
    songs: int
    known: int
    proposed: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendAnswer:
    """The answer to a question: mixes or playlists, and what to tell a person about them.

    Attributes
    ----------
    question : RecommendQuestion
    mixes : tuple of Mix
        One without a name, if songs were asked for.
    lists : tuple of ListProposal
        Playlists made by users.
    channels : tuple of str
        The channels that were asked.
    why_default : str
        Why the user gets the default list; empty for a user with plays.
    notes : tuple of str
        Why channels are missing.
    is_trained : bool
        Whether a folder of trained models was used.
    """

    question: RecommendQuestion
    mixes: tuple[Mix, ...] = ()
    lists: tuple[ListProposal, ...] = ()
    channels: tuple[str, ...] = ()
    why_default: str = ""
    notes: tuple[str, ...] = ()
    is_trained: bool = False

    @property
    def songs(self) -> list[Recommendation]:
        """The songs of all mixes, in order."""
        return [song for mix in self.mixes for song in mix.songs]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one JSON object per song or playlist; songs of a mix name it as ``list``."""
        yield from (asdict(one) for one in self.lists)
        for mix in self.mixes:
            named = {"list": mix.name} if mix.name else {}
            yield from ({**named, **asdict(song)} for song in mix.songs)

    def entries(self) -> list[dict[str, Any]]:
        """Return the columns of the songs to play, in order."""
        return [asdict(song) for song in self.songs]

    @property
    def remarks(self) -> list[str]:
        """What to tell a person about the answer, one line each."""
        trained = "train one with audiorec recall train, then pass --models"
        return [
            *self._counted(),
            *(f"note: {note}" for note in self.notes),
            *(() if self.is_trained else (f"no trained model was used; {trained}",)),
        ]

    def _counted(self) -> Iterator[str]:
        from audiorec.recall.contract.candidates import DEFAULT

        user, entry = self.question.user_id, self.question.entry
        if self.question.what == "lists":
            yield f"{len(self.lists)} lists for {user}"
            return
        if self.question.what == "mixes":
            names = "; ".join(f"{mix.name} ({len(mix.songs)})" for mix in self.mixes)
            yield f"{len(self.mixes)} lists for {user}: {names}"
            return
        songs = self.songs
        if self.why_default:
            yield f"note: {self.why_default}"
            if not songs:
                yield f"note: {entry} has no default list: it has only songs that nobody has played"
        by_default = bool(songs) and all(song.channel == DEFAULT for song in songs)
        asked = ", ".join(self.channels)
        source = "the default list: what is popular now" if by_default else asked
        yield f"{len(songs)} song{'s' * (len(songs) != 1)} for {user}, from {source}"
