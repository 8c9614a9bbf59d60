"""OpenSubsonic: the API of Navidrome, Gonic, Airsonic, Ampache, supysonic and many others.

Parameters travel in the body of a POST, so no log of requests has them. Signing in: ``token``, an
MD5 of the secret and a salt (usual); ``password``, for servers that refuse tokens; ``key``, an API
key, for an account without a user. Of a song's history a server tells how often and when last the
account played it, its star, and its rating. Some tell only the last two, and what is played now.

Ask a music server by HTTP, within `Bounds`: one connection, kept open, to one host alone.

    HttpClient("https://music.example.org").post("/rest/ping", {...})  ──▶ the body of the answer

TLS is verified. Redirects are refused, since they would take the secret elsewhere: the message
names where they lead. What is slow, busy (429) or failing (5xx, a broken connection) is asked again
a few times within the time of an answer, if the request may be repeated; then it is a
`LostPlayerError`.
"""

import hashlib
import http.client
import json
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from audiorec.errors import InputError, LostPlayerError, PlayerError
from audiorec.files.visible import visible
from audiorec.listening.imports.rows import SongRef, mapping, number, text
from audiorec.players.bounds import Bounds, Held, Line
from audiorec.players.contract import (
    Account,
    Player,
    PlayerList,
    PlayerSong,
    address,
    time_of,
    verdict_of,
)

LIKE = "https://music.example.org"
PIECE_BYTES = 1 << 16
TRIES = 4  # of a request that may be repeated
PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # the first pause, which doubles; the longest
BUSY = 429
REFUSED = (401, 403)


class _Bounded:
    """A connection of the standard library over a `Line`."""

    bounds: Bounds
    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock = Line(self.sock, self.bounds)


class _Http(_Bounded, http.client.HTTPConnection):
    pass


class _Https(_Bounded, http.client.HTTPSConnection):
    pass


class HttpClient:
    """Requests to one address.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://``, a host, and perhaps a port and a path.

    Raises
    ------
    InputError
        If the address is another one, or has a user, a password or a question in it.
    """

    def __init__(self, url: str) -> None:
        parts = address(url, LIKE)
        if not parts.hostname:
            raise InputError(f"url must be like {LIKE}, with a host")
        self.url, self._path = url.rstrip("/"), parts.path.rstrip("/")
        place = (parts.hostname, parts.port)
        self._connection: Any = _Http(*place)
        if parts.scheme == "https":
            self._connection = _Https(*place, context=ssl.create_default_context())
        self.bounds = self._connection.bounds = Bounds(self.url)

    def post(
        self,
        path: str,
        form: Mapping[str, str | Sequence[str]],
        *,
        again: bool = True,
        is_long: bool = False,
    ) -> bytes:
        """Send a form, and return the body of the answer; the rest is as in `request`."""
        body = urlencode(form, doseq=True).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.request("POST", path, body, kind, again=again, is_long=is_long)

    def json(
        self,
        method: str,
        path: str,
        content: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        again: bool = True,
    ) -> Any:
        """Send JSON, or nothing, and return the answer as JSON; None for an empty one."""
        body = None if content is None else json.dumps(content).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        answer = self.request(method, path, body, {**kind, **(headers or {})}, again=again)
        return self.parsed(answer) if answer else None

    def parsed(self, answer: bytes) -> Any:
        """Parse an answer as JSON; raise `PlayerError` for anything else."""
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise PlayerError(
                f"{self.url}: its answer is not JSON; is this the address of the server?"
            ) from error

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        again: bool = True,
        is_long: bool = False,
    ) -> bytes:
        """Send a request and return the body of the answer.

        Parameters
        ----------
        method, path : str
        body : bytes, optional
        headers : mapping of str to str, optional
        again : bool
            Whether the request may be repeated.
        is_long : bool
            Whether the answer is a file of audio, which may be larger than others.

        Raises
        ------
        LostPlayerError
            If the server cannot be reached, is too slow, or fails at every try.
        PlayerError
            If it refuses the account or the request, or its answers are over a limit.
        """
        why, pause = "", PAUSE_S
        self.bounds.begin(is_long=is_long)
        if not again:  # a connection that was kept may have ended meanwhile
            self.close()
        for one in range(TRIES if again else 1):
            if one:
                pause = min(pause, LONGEST_PAUSE_S)
                if pause >= self.bounds.left_s:
                    break
                time.sleep(pause)
                pause *= 2
            try:
                status, asked_s, answer = self._once(method, path, body, headers or {})
            except ssl.SSLCertVerificationError as error:
                self.close()
                raise PlayerError(
                    f"{self.url}: its certificate is not valid: {error.verify_message}"
                ) from error
            except (OSError, http.client.HTTPException) as error:
                self.close()
                why = str(error) or type(error).__name__
                continue
            if status != BUSY and status < 500:
                return answer
            why, pause = f"it answers {status}", max(pause, asked_s)
        raise LostPlayerError(f"{self.url}: no answer: {visible(why)}")

    def _once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, float, bytes]:
        """Return status, the pause that the server asks for, and body of one answer."""
        self._connection.timeout = self.bounds.wait_s()  # to connect; then its `Line` counts
        self._connection.request(method, f"{self._path}{path}", body, dict(headers))
        answer = self._connection.getresponse()
        if 300 <= answer.status < 400:
            to = visible(answer.headers.get("Location") or "somewhere else")
            self.close()
            raise PlayerError(f"{self.url}: sends us to {to}; if you trust it, make that the url")
        with answer:  # once it is closed, the connection takes the next request
            content = self._body(answer)
        if answer.will_close:
            self._connection.close()
        if 400 <= answer.status < 500 and answer.status != BUSY:
            refused = answer.status in REFUSED
            what = "does not accept the account" if refused else "refuses a request"
            raise PlayerError(f"{self.url}: {what}: it answers {answer.status}")
        pause = answer.headers.get("Retry-After") or ""
        return answer.status, float(pause) if pause.isdecimal() else 0.0, content

    @staticmethod
    def _body(answer: http.client.HTTPResponse) -> bytes:
        """Return the body, read piece by piece: `read` makes room for all that is promised."""
        pieces = []
        while piece := answer.read1(PIECE_BYTES):
            pieces.append(piece)
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        return b"".join(pieces)

    def close(self) -> None:
        """End the connection; a further request opens a new one."""
        self._connection.close()


PAGE = 500  # songs or albums of one answer, the most that all servers give
MOST_PLAYING = 100  # songs that an account plays at once
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
        now, counts = self._playing(), False
        waiting: list[PlayerSong] = []
        for child in self._children():
            counts |= "playCount" in child
            song = _song(child)
            if song.song.id in now:
                waiting.append(song)
            else:
                yield song
        for song in waiting:  # a server that counts plays will count these as well
            yield song if counts else replace(song, now_s=now[song.song.id])

    def lists(self) -> list[PlayerList]:
        """Return the playlists that the account owns."""
        rows = self._rows(self._ask("getPlaylists"), "playlists", "playlist")
        user = self.account.user.casefold()  # as some servers take it
        return [
            PlayerList(text(one.get("id")), text(one.get("name")))
            for one in rows
            if not user or text(one.get("owner")).casefold() in ("", user)
        ]

    def songs_of(self, list_id: str) -> tuple[str, ...]:
        """Return the ids of a playlist's songs."""
        rows = self._rows(self._ask("getPlaylist", id=list_id), "playlist", "entry")
        return tuple(text(one.get("id")) for one in rows)

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

    def audio(self, song_id: str) -> bytes:
        """Return the file of a song; ``stream`` would count as a play on some servers."""
        result = self._sent("download", {"id": song_id}, is_long=True)
        if result.startswith(b"{"):  # as no audio file does
            self._answer("download", result)
        return result

    def _playing(self) -> dict[str, float | None]:
        """Return when the account began to play what it plays now, by song."""
        try:
            answer = self._ask("getNowPlaying")
        except LostPlayerError:
            raise
        except PlayerError:  # a server without it, or a wrong account, which the next call tells
            return {}
        return {
            text(one.get("id")): time_of(time.time() - 60 * (number(one.get("minutesAgo")) or 0))
            for one in self._rows(answer, "nowPlaying", "entry")[:MOST_PLAYING]
            if text(one.get("username")).casefold() == self.account.user.casefold()
        }

    def _children(self) -> Iterator[Mapping[str, Any]]:
        """Yield each song of the server once; videos are none."""
        for pages in (self._searched, self._album_songs):
            is_empty = True
            for child in pages():
                if not child.get("isVideo"):
                    is_empty = False
                    yield child
            if not is_empty:
                return

    def _searched(self) -> Iterator[Mapping[str, Any]]:
        of = ("searchResult3", "song", "songCount", "songOffset")
        form = {"query": "", "albumCount": "0", "artistCount": "0"}
        for page in self._pages("search3", *of, form):
            yield from page

    def _album_songs(self) -> Iterator[Mapping[str, Any]]:
        of = ("albumList2", "album", "size", "offset")
        songs = _NewRows(self.http.url)
        for page in self._pages("getAlbumList2", *of, {"type": "alphabeticalByName"}):
            before = len(songs.known)
            for album in page:
                answer = self._ask("getAlbum", id=text(album.get("id")))
                yield from songs.of(self._rows(answer, "album", "song"))
            if len(page) >= PAGE and len(songs.known) == before:
                raise PlayerError(f"{self.http.url}: its albums go on without a new song")

    def _pages(
        self, method: str, outer: str, inner: str, size: str, offset: str, form: Mapping[str, str]
    ) -> Iterator[list[Mapping[str, Any]]]:
        """Yield the new rows of each page, until one has none."""
        rows = _NewRows(self.http.url)
        while True:
            page: Any = {**form, size: str(PAGE), offset: str(len(rows.known))}
            new = rows.of(self._rows(self._ask(method, **page), outer, inner))
            if not new:  # the end, or a server that does not turn pages
                return
            yield new

    def _ask(
        self, method: str, *, again: bool = True, **form: str | Sequence[str]
    ) -> Mapping[str, Any]:
        return self._answer(method, self._sent(method, form, again=again))

    def _sent(
        self,
        method: str,
        form: Mapping[str, str | Sequence[str]],
        *,
        again: bool = True,
        is_long: bool = False,
    ) -> bytes:
        about = {**self._signed(), "v": "1.16.1", "c": "audiorec", "f": "json"}
        path = f"/rest/{method}.view"
        return self.http.post(path, {**form, **about}, again=again, is_long=is_long)

    def _answer(self, method: str, found: bytes) -> Mapping[str, Any]:
        """Return an answer; raise `PlayerError` for one that says ``failed``, and for any other."""
        answer = mapping(mapping(self.http.parsed(found)).get("subsonic-response"))
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
        result = mapping(answer.get(outer)).get(inner)
        return [mapping(one) for one in result] if isinstance(result, list) else []


class _NewRows:
    """The rows of a server's answers that have an id, each once."""

    def __init__(self, url: str) -> None:
        self.known: set[str] = set()
        self._held = Held(url)

    def of(self, rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return those that were not there before."""
        result = []
        for row in rows:
            name = text(row.get("id"))
            if name and name not in self.known:
                self._held.keep(name)
                self.known.add(name)
                result.append(row)
        return result


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
