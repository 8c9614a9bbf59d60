"""Jellyfin as a player of audiorec: written from its API description, not run against a Jellyfin.

Every request but the first has the token of a session, in a header; `close` ends the session. Ids
are those of Jellyfin. A playlist is replaced by one request (``POST /Playlists/ID``, since 10.9).
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from audiorec.errors import PlayerError
from audiorec.listening.imports.rows import SongRef
from audiorec.players.contract import Account, Player, PlayerList, PlayerSong, time_of, verdict_of
from audiorec.players.subsonic import HttpClient

CLIENT = 'MediaBrowser Client="audiorec", Device="audiorec", DeviceId="audiorec", Version="1"'
PAGE = 500  # items of one answer
TICKS = 1e7  # of a second


class Jellyfin(Player):
    """One account of a Jellyfin; see `audiorec.players.Player`."""

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.http = HttpClient(account.url)
        self.token = self.user = ""
        self.known: set[str] = set()

    def songs(self) -> Iterator[PlayerSong]:
        """Yield all songs, page by page."""
        for item in self._items("Audio", Fields="Path,ProviderIds"):
            self.known.add(item["Id"])
            yield _song(item)

    def lists(self) -> list[PlayerList]:
        """Return the playlists that the account sees."""
        return [PlayerList(one["Id"], one["Name"]) for one in self._items("Playlist")]

    def songs_of(self, list_id: str) -> tuple[str, ...]:
        """Return the ids of a playlist's songs."""
        found = self._ask("GET", f"/Playlists/{quote(list_id, safe='')}/Items")
        return tuple(item["Id"] for item in _rows(found))

    def create(self, name: str, songs: Sequence[str]) -> None:
        """Add a playlist."""
        about = {"Name": name, "Ids": self._checked(songs), "UserId": self.user}
        self._ask("POST", "/Playlists", {**about, "MediaType": "Audio"}, again=False)

    def replace(self, list_id: str, songs: Sequence[str]) -> None:
        """Exchange all songs of a playlist in one request."""
        path = f"/Playlists/{quote(list_id, safe='')}"
        self._ask("POST", path, {"Ids": self._checked(songs)})

    def remove(self, list_id: str) -> None:
        """Remove a playlist."""
        self._ask("DELETE", f"/Items/{quote(list_id, safe='')}", again=False)

    def audio(self, song_id: str) -> bytes:
        """Return the file of a song, where the account may download."""
        self._sign_in()
        headers = {"Authorization": f'{CLIENT}, Token="{self.token}"'}
        path = f"/Items/{quote(song_id, safe='')}/Download"
        return self.http.request("GET", path, headers=headers, is_long=True)

    def close(self) -> None:
        """End the session and the connection."""
        if self.token:
            with suppress(PlayerError):
                self._ask("POST", "/Sessions/Logout", again=False)
        self.token = ""
        self.http.close()

    def _checked(self, songs: Sequence[str]) -> list[str]:
        """Return the songs; Jellyfin itself would leave out those that it does not know."""
        if not self.known:
            self.known.update(item["Id"] for item in self._items("Audio"))
        if lost := set(songs) - self.known:
            raise PlayerError(f"{self.http.url}: has no song {min(lost)!r}")
        return list(songs)

    def _items(self, kind: str, **more: str) -> Iterator[dict[str, Any]]:
        seen = 0
        while True:
            self._sign_in()
            asked = {"IncludeItemTypes": kind, "Recursive": "true", "StartIndex": str(seen)}
            path = f"/Users/{self.user}/Items?{urlencode({**asked, 'Limit': str(PAGE), **more})}"
            rows = _rows(self._ask("GET", path))
            yield from rows
            seen += len(rows)
            if len(rows) < PAGE:
                return

    def _ask(self, method: str, path: str, content: object = None, *, again: bool = True) -> Any:
        self._sign_in()
        headers = {"Authorization": f'{CLIENT}, Token="{self.token}"'}
        return self.http.json(method, path, content, headers, again=again)

    def _sign_in(self) -> None:
        if self.token:
            return
        who = {"Username": self.account.user, "Pw": self.account.secret}
        headers = {"Authorization": CLIENT}
        found = self.http.json("POST", "/Users/AuthenticateByName", who, headers)
        try:
            self.token, self.user = found["AccessToken"], quote(found["User"]["Id"], safe="")
        except (KeyError, TypeError) as error:
            raise PlayerError(f"{self.http.url}: does not answer like a Jellyfin") from error


def _rows(answer: Any) -> list[dict[str, Any]]:
    """Return the items of an answer that have an id."""
    found = answer.get("Items") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise PlayerError("does not answer like a Jellyfin: its answer has no list of items")
    return [one for one in found if isinstance(one, dict) and isinstance(one.get("Id"), str)]


def _song(item: dict[str, Any]) -> PlayerSong:
    about, ids = item.get("UserData") or {}, item.get("ProviderIds") or {}
    disliked = about.get("Likes") is False
    loved = bool(about.get("IsFavorite") or about.get("Likes"))
    return PlayerSong(
        song=SongRef(
            id=item["Id"],
            mbid=str(ids.get("MusicBrainzRecording") or "").lower(),
            path=str(item.get("Path") or ""),
            artist=str((item.get("Artists") or [""])[0]),
            title=str(item.get("Name") or ""),
            album=str(item.get("Album") or ""),
            duration_s=(item.get("RunTimeTicks") or 0) / TICKS,
        ),
        plays=int(about.get("PlayCount") or 0),
        played_s=time_of(about.get("LastPlayedDate")),
        verdict="dislike" if disliked and not loved else verdict_of(loved, 0),
    )
