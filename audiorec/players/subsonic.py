"""OpenSubsonic: the API of Navidrome, Gonic, Airsonic, Ampache, supysonic and many others.

Parameters travel in the body of a POST, so no log of requests has them. Signing in: ``token``, an
MD5 of the secret and a salt (usual); ``password``, for servers that refuse tokens; ``key``, an API
key, for an account without a user. Of a song's history a server tells how often and when last the
account played it, its star, and its rating; some tell only the last two.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audiorec.errors import InputError, PlayerError
from audiorec.files.visible import visible
from audiorec.listening.imports.rows import (
    SongRef,
    mapping,
    number,
    text,
)
from audiorec.players.contract import Account, Player, PlayerList, PlayerSong, time_of, verdict_of
from audiorec.players.http import HttpClient

PAGE = 500  # songs or albums of one answer, the most that all servers give
MOST_SONGS = 2_000_000
MINE = "Made by audiorec, which replaces it. Rename it, and it is yours."
WAYS = ("token", "password", "key")
NO_TOKENS = (10, 41)  # codes of servers that do not take tokens
WRONG_LOGIN = (40, 42, 43, 44)


class Subsonic(Player):
    """One account of an OpenSubsonic server; see `Player`."""

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.way = account.sign_in or ("token" if account.user else "key")
        if self.way not in WAYS:
            raise InputError(f"sign_in must be one of {', '.join(WAYS)}, got {self.way!r}")
        if bool(account.user) == (self.way == "key"):
            raise InputError("an API key goes without a user; a password and a token need one")
        self.http = HttpClient(account.url)

    def songs(self) -> Iterator[PlayerSong]:
        """Yield all songs: by an empty search, or where that finds none, album by album."""
        found = False
        for child in self._unique(self._searched()):
            found = True
            yield _song(child)
        if not found:
            yield from map(_song, self._unique(self._of_albums()))

    def lists(self) -> list[PlayerList]:
        """Return the playlists that the account owns."""
        found = self._rows(self._ask("getPlaylists"), "playlists", "playlist")
        user = self.account.user.casefold()  # as some servers take it
        return [
            PlayerList(text(one.get("id")), text(one.get("name")))
            for one in found
            if not user or text(one.get("owner")).casefold() in ("", user)
        ]

    def songs_of(self, list_id: str) -> tuple[str, ...]:
        """Return the ids of a playlist's songs."""
        found = self._rows(self._ask("getPlaylist", id=list_id), "playlist", "entry")
        return tuple(text(one.get("id")) for one in found)

    def create(self, name: str, songs: Sequence[str]) -> None:
        """Add a playlist, with a comment that says whose it is."""
        before = {one.id for one in self.lists()}
        self._ask("createPlaylist", again=False, name=name, songId=songs)
        for one in self.lists():
            if one.id not in before and one.name == name:
                self._ask("updatePlaylist", playlistId=one.id, comment=MINE)

    def replace(self, list_id: str, songs: Sequence[str]) -> None:
        """Exchange all songs of a playlist in one request."""
        self._ask("createPlaylist", playlistId=list_id, songId=songs)

    def remove(self, list_id: str) -> None:
        """Remove a playlist."""
        self._ask("deletePlaylist", again=False, id=list_id)

    def close(self) -> None:
        """End the connection."""
        self.http.close()

    def _unique(self, children: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        seen: set[str] = set()
        for child in children:
            name = text(child.get("id"))
            if name and name not in seen and not child.get("isVideo"):
                seen.add(name)
                yield child
                if len(seen) > MOST_SONGS:
                    raise PlayerError(f"{self.http.url}: has more than {MOST_SONGS} songs")

    def _searched(self) -> Iterator[Mapping[str, Any]]:
        """Yield the songs that an empty search finds, until a page has nothing new."""
        known: set[str] = set()
        while True:
            answer = self._ask(
                "search3",
                query="",
                songCount=str(PAGE),
                songOffset=str(len(known)),
                albumCount="0",
                artistCount="0",
            )
            rows = self._rows(answer, "searchResult3", "song")
            there = {text(one.get("id")) for one in rows}
            if there <= known:  # the end, or a server that does not turn pages
                return
            known |= there
            yield from rows

    def _of_albums(self) -> Iterator[Mapping[str, Any]]:
        known: set[str] = set()
        while True:
            answer = self._ask(
                "getAlbumList2", type="alphabeticalByName", size=str(PAGE), offset=str(len(known))
            )
            albums = self._rows(answer, "albumList2", "album")
            new = [name for one in albums if (name := text(one.get("id"))) not in known]
            if not new:
                return
            known |= set(new)
            for name in new:
                yield from self._rows(self._ask("getAlbum", id=name), "album", "song")

    def _ask(
        self, method: str, *, again: bool = True, **form: str | Sequence[str]
    ) -> Mapping[str, Any]:
        """Return the answer to a request; raise `PlayerError` for one that says ``failed``."""
        sent = {**form, **self._signed(), "v": "1.16.1", "c": "audiorec", "f": "json"}
        content = self.http.parsed(self.http.post(f"/rest/{method}.view", sent, again=again))
        answer = mapping(mapping(content).get("subsonic-response"))
        if answer.get("status") == "ok":
            return answer
        error = mapping(answer.get("error"))
        code, said = number(error.get("code")), visible(text(error.get("message"))[:200])
        if self.way == "token" and code in NO_TOKENS:
            said = (
                'takes no tokens; set sign_in = "password" for it, over https or at home: a '
                "password can be read on the way over http"
            )
        elif code in WRONG_LOGIN:
            said = f"does not accept the account: {said}"
        raise PlayerError(f"{self.http.url}: {method}: {said or 'not an answer of OpenSubsonic'}")

    def _signed(self) -> dict[str, str]:
        secret = self.account.secret
        if self.way == "key":
            return {"apiKey": secret}
        if self.way == "password":
            return {"u": self.account.user, "p": f"enc:{secret.encode().hex()}"}
        salt = secrets.token_hex(8)
        token = hashlib.md5(f"{secret}{salt}".encode(), usedforsecurity=False).hexdigest()
        return {"u": self.account.user, "t": token, "s": salt}

    @staticmethod
    def _rows(answer: Mapping[str, Any], outer: str, inner: str) -> list[Mapping[str, Any]]:
        """Return a list of an answer; empty lists are left out by some servers."""
        found = mapping(answer.get(outer)).get(inner)
        return [mapping(one) for one in found] if isinstance(found, list) else []


def _song(child: Mapping[str, Any]) -> PlayerSong:
    isrc = child.get("isrc")
    played, starred = time_of(child.get("played")), child.get("starred")
    verdict = verdict_of(bool(starred), number(child.get("userRating")) or 0)
    return PlayerSong(
        song=SongRef(
            id=text(child.get("id")),
            mbid=text(child.get("musicBrainzId")).lower(),
            isrc=text(isrc[0] if isinstance(isrc, list) and isrc else isrc),
            path=text(child.get("path")),
            artist=text(child.get("artist")),
            title=text(child.get("title")),
            album=text(child.get("album")),
            duration_s=max(number(child.get("duration")) or 0.0, 0.0),
        ),
        plays=max(int(number(child.get("playCount")) or 0), 0),
        played_s=played,
        verdict=verdict,
        verdict_s=time_of(starred) or (played if verdict else None),
    )
