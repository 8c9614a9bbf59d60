"""The contract of a player: what every kind of music server offers to `audiorec sync`.

    Account ──PLAYERS[kind]──▶ `Player`: songs, lists, songs_of, create, replace, remove
    Player  ──check_player──▶ one sentence for each rule that it breaks

A kind of player is a class with this interface, registered as an entry point of the group
``audiorec.players``; ours are registered in the same way.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Self
from urllib.parse import SplitResult, urlsplit

from audiorec.errors import InputError, PlayerError
from audiorec.listening.imports.navidrome import DISLIKED, LIKED, moment_of
from audiorec.listening.imports.rows import SongRef, UnusableRowError
from audiorec.runs.entry_points import Registry

PLAYERS = Registry("audiorec.players", "kind of player")
CHECK = "A check of audiorec"
Verdict = Literal["like", "dislike", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account of a server."""

    url: str
    user: str = ""  # to sign in with; empty if the server has no users
    secret: str = field(default="", repr=False)  # password or token; never in a message
    sign_in: str = ""  # how to sign in, where there are several ways; empty for the usual one


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerSong:
    """A song of a server, and what the account did with it; times are seconds since 1970."""

    song: SongRef  # its id on the server, with all that identifies it elsewhere
    plays: int = 0  # 0 if the server does not count
    skips: int = 0
    played_s: float | None = None  # the last time
    skipped_s: float | None = None
    now_s: float | None = None  # when the present play began, if the server counts none
    verdict: Verdict = ""  # see `verdict_of`
    verdict_s: float | None = None  # when it was given


@dataclass(frozen=True, slots=True)
class PlayerList:
    """A playlist on a server."""

    id: str
    name: str


def verdict_of(starred: bool, stars: float) -> Verdict:
    """Return what a favourite, or else a rating of up to five stars, says: as in the importers.

    Examples
    --------
    >>> verdict_of(True, 1), verdict_of(False, 4), verdict_of(False, 1), verdict_of(False, 3)
    ('like', 'like', 'dislike', '')
    """
    if starred or stars >= LIKED:
        return "like"
    return "dislike" if 0 < stars <= DISLIKED else ""


def time_of(value: object) -> float | None:
    """Return seconds since 1970 of a number or a text; None if it is no time of a log.

    Examples
    --------
    >>> time_of("2024-03-01T12:00:00Z"), time_of(1709294400), time_of("never")
    (1709294400.0, 1709294400.0, None)
    """
    if not value:  # most songs have none: their texts are not tried in every form
        return None
    try:
        return moment_of(value)
    except UnusableRowError:
        return None


def address(url: str, like: str) -> SplitResult:
    """Return the parts of an address of the kind of `like`, with a path, but nothing secret.

    Raises `InputError` for any other, without repeating it: it may have a password in it.

    Examples
    --------
    >>> address("mpd://localhost:6600", "mpd://host:6600").port
    6600
    """
    with suppress(ValueError):  # of a port, or of brackets
        parts = urlsplit(url)
        schemes = {urlsplit(like).scheme, urlsplit(like).scheme.removesuffix("s")}
        odd = parts.username, parts.password, parts.query, parts.fragment
        if parts.scheme in schemes and not any(odd) and parts.port != 0:
            return parts
    raise InputError(f"url must be like {like}; user and secret have their own keys")


class Player(ABC):
    """One account of a music server or player.

    The rules:

    1. Creating a player connects to nothing; the first call does, and `close` ends the connection.
    2. `songs` yields every song of the server once, and each with the same id at every call.
    3. `lists` has the playlists that the account owns, and no others.
    4. `create` adds exactly one list; songs keep their order, and may occur twice.
    5. `replace` leaves the old or the new songs if it is interrupted, and keeps the list's id.
    6. No call but `create`, `replace` and `remove` changes anything on the server.
    7. An id that the server does not know is a `PlayerError`, and leaves all lists as they were.
    8. `audio` returns the same bytes at every call, which counts as no play.
    9. What fails raises `PlayerError`; a message has no secret in it.
    """

    def __init__(self, account: Account) -> None:
        self.account = account

    @abstractmethod
    def songs(self) -> Iterator[PlayerSong]:
        """Yield all songs of the server, and what the account did with them."""

    @abstractmethod
    def lists(self) -> list[PlayerList]:
        """Return the playlists of the account."""

    @abstractmethod
    def songs_of(self, list_id: str) -> tuple[str, ...]:
        """Return the ids of a playlist's songs, in order."""

    @abstractmethod
    def create(self, name: str, songs: Sequence[str]) -> None:
        """Add a playlist; `lists` has it afterwards."""

    @abstractmethod
    def replace(self, list_id: str, songs: Sequence[str]) -> None:
        """Exchange all songs of a playlist, in one step."""

    @abstractmethod
    def remove(self, list_id: str) -> None:
        """Remove a playlist."""

    def audio(self, song_id: str) -> bytes:  # noqa: ARG002 - others use it
        """Return the audio file of a song; by default a player hands none out."""
        raise PlayerError(f"{self.account.url}: hands out no audio")

    def close(self) -> None:  # noqa: B027 - not every player holds a connection
        """End the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_player(player: Player) -> tuple[str, ...]:
    """Check a player against the contract, on a server with at least three songs.

    A list with the name `CHECK` is made, changed and removed; nothing else on the server changes.

    Returns
    -------
    broken : tuple of str
        One sentence for each violated rule; empty if there is none.

    Raises
    ------
    PlayerError
        If the server fails, or has fewer than three songs.
    """
    broken: list[str] = []
    result = [one.song.id for one in player.songs()]
    if len(result) < 3:
        raise PlayerError("the checks of a player need a server with at least three songs")
    before = {one: player.songs_of(one.id) for one in player.lists()}
    _expect(broken, all(result) and len(set(result)) == len(result), "each song has one id")
    again = sorted(one.song.id for one in player.songs())
    _expect(broken, again == sorted(result), "ids stay the same")
    first, second = [*result[:3], result[0]], result[2:0:-1]
    player.create(CHECK, first)
    made = [one for one in player.lists() if one not in before]
    _expect(broken, [one.name for one in made] == [CHECK], "create adds one list of that name")
    for one in made:
        _check_list(player, one.id, first, second, broken)
        player.remove(one.id)
    after = {one: player.songs_of(one.id) for one in player.lists()}
    _expect(broken, after == before, "the other lists stay as they are, and remove removes")
    refused = _refuses(player.songs_of, "no-such-list")
    _expect(broken, refused, "a list of an unknown id cannot be read")
    if not _refuses(player.audio, result[0]):
        same = player.audio(result[0]) == player.audio(result[0])
        refused = _refuses(player.audio, "no-such-song")
        _expect(broken, same and refused, "audio is that of a song, and the same at every call")
    return tuple(broken)


def _check_list(
    player: Player, list_id: str, first: list[str], second: list[str], broken: list[str]
) -> None:
    _expect(broken, player.songs_of(list_id) == tuple(first), "a list keeps order and repeats")
    player.replace(list_id, second)
    _expect(broken, player.songs_of(list_id) == tuple(second), "replace exchanges all songs")
    _expect(broken, list_id in {one.id for one in player.lists()}, "replace keeps the id")
    refused = _refuses(player.replace, list_id, [first[0], "no-such-song"])
    _expect(broken, refused, "an unknown song is a PlayerError")
    kept = player.songs_of(list_id) == tuple(second)
    _expect(broken, kept, "a refused replace leaves the list as it was")


def _refuses(call: Callable[..., object], *arguments: object) -> bool:
    with suppress(PlayerError):
        call(*arguments)
        return False
    return True


def _expect(broken: list[str], holds: bool, rule: str) -> None:
    if not holds:
        broken.append(f"it does not hold that {rule}")
