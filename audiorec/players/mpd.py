"""MPD, the Music Player Daemon: its protocol, stored playlists and stickers.

MPD has no users and keeps no history. Clients such as myMPD note plays, skips and likes as stickers
of songs; these are read where MPD has a ``sticker_file``. An address is ``mpd://host:6600``, or
``mpd:///path/of/a/socket``.

A list is replaced in one step: the new songs are written under another name, then the old list goes
and the new one takes its name, in one list of commands, which MPD runs after all of it has arrived.

Lines go over a `Line`, which keeps `Bounds`: python-mpd2 reads lines of any length, without a time
for a whole answer, and refuses file names that are not UTF-8.
"""

import socket
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from audiorec.errors import InputError, LostPlayerError, PlayerError
from audiorec.files.visible import visible
from audiorec.listening.imports.rows import SongRef, number, text
from audiorec.players.bounds import LONG_BYTES, Bounds, Held, Line
from audiorec.players.contract import (
    Account,
    Player,
    PlayerList,
    PlayerSong,
    address,
    time_of,
    verdict_of,
)

PORT, LIKE = 6600, "mpd://host:6600"
IDLE_S = 20.0  # MPD ends a connection that says nothing for a minute
PAGE = 1000  # songs of one answer; MPD ends a connection whose answers grow too large
MOST_LINES = 1 << 17  # of one answer, but for stickers
LONGEST_LINE = 1 << 16  # bytes
NEW = " (new)"  # behind the name of a list that is being written
STICKERS = ("playCount", "lastPlayed", "skipCount", "lastSkipped", "like", "rating")
LOVED, HATED, OF_TEN = 2, 0, 2  # values of ``like``; ``rating`` goes to ten


class Mpd(Player):
    """One MPD; see `Player`."""

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        parts = address(account.url, LIKE)
        self._place: Any = (parts.hostname, parts.port or PORT) if parts.netloc else parts.path
        if not (parts.hostname or parts.path):
            raise InputError(f"url must be like {LIKE} or mpd:///path/of/a/socket")
        self._line: Any = None
        self._answers: Any = None
        self._bounds, self._used = Bounds(account.url), 0.0

    def songs(self) -> Iterator[PlayerSong]:
        """Yield all songs, page by page, with their stickers."""
        held = Held(self.account.url)
        stickers = {name: self._stickers(name, held) for name in STICKERS}
        start = 0
        while True:
            window = f"{start}:{start + PAGE}"
            rows = _songs(self._ask(f"find \"(base '')\" window {window}"))
            for row in rows:
                held.keep(row["file"])
                yield _song(
                    row, {name: result.get(row["file"]) for name, result in stickers.items()}
                )
            if len(rows) < PAGE:
                return
            start += PAGE

    def lists(self) -> list[PlayerList]:
        """Return the stored playlists; their names are their ids."""
        names = [name for key, name in self._ask("listplaylists") if key == "playlist"]
        return [PlayerList(name, name) for name in names if not name.endswith(NEW)]

    def songs_of(self, list_id: str) -> tuple[str, ...]:
        """Return the paths of a playlist's songs."""
        result = self._ask(f"listplaylist {_quoted(list_id)}")
        return tuple(path for key, path in result if key == "file")

    def create(self, name: str, songs: Sequence[str]) -> None:
        """Add a playlist."""
        if name in {one.name for one in self.lists()}:
            raise PlayerError(f"{self.account.url}: has a list {visible(name)!r} already")
        self._written(name, songs, [])

    def replace(self, list_id: str, songs: Sequence[str]) -> None:
        """Exchange all songs of a playlist in one step."""
        self._written(list_id, songs, [f"rm {_quoted(list_id)}"])

    def remove(self, list_id: str) -> None:
        """Remove a playlist."""
        self._ask(f"rm {_quoted(list_id)}")

    def audio(self, song_id: str) -> bytes:
        """Return the file of a song, from MPD's folder of music if it is on this machine.

        MPD tells its folder over a socket alone.
        """
        config = dict(self._ask("config")) if isinstance(self._place, str) else {}
        name, place = PurePosixPath(song_id), Path(config.get("music_directory", ""), song_id)
        is_below = "music_directory" in config and ".." not in name.parts and not name.is_absolute()
        with suppress(OSError):
            if is_below and place.is_file() and place.stat().st_size <= LONG_BYTES:
                return place.read_bytes()
        raise PlayerError(f"{self.account.url}: its file is not here, or over {LONG_BYTES} bytes")

    def close(self) -> None:
        """End the connection."""
        if self._line is not None:
            self._answers.close()
            self._line.close()
            self._line = None

    def _written(self, name: str, songs: Sequence[str], first: Sequence[str]) -> None:
        new = _quoted(f"{name}{NEW}")
        with suppress(_AckError):  # left by a run that was killed
            self._ask(f"rm {new}")
        if not songs:
            raise PlayerError(f"{self.account.url}: a list without songs cannot be stored")
        try:
            self._all([f"playlistadd {new} {_quoted(path)}" for path in songs])
        except PlayerError:
            with suppress(PlayerError):
                self._ask(f"rm {new}")
            raise
        self._all([*first, f"rename {new} {_quoted(name)}"])

    def _stickers(self, name: str, held: Held) -> Mapping[str, str]:
        """Return the value of a sticker by song; nothing where MPD stores none."""
        result, path = {}, ""
        try:
            with closing(self._lines(f'sticker find song "" {name}', is_long=True)) as lines:
                for key, value in lines:
                    if key == "file":
                        path = value
                    elif key == "sticker" and path:
                        result[path] = value.partition("=")[2]
                        held.keep(path, result[path])
        except _AckError:
            return {}
        return result

    def _all(self, commands: Sequence[str]) -> None:
        self._ask("\n".join(["command_list_begin", *commands, "command_list_end"]))

    def _ask(self, command: str) -> list[tuple[str, str]]:
        """Send a command, or a list of them, and return the lines of the answer."""
        with closing(self._lines(command)) as lines:
            result = list(islice(lines, MOST_LINES + 1))
        if len(result) > MOST_LINES:
            raise PlayerError(f"{self.account.url}: an answer has over {MOST_LINES} lines")
        return result

    def _lines(self, command: str, *, is_long: bool = False) -> Generator[tuple[str, str]]:
        """Send a command, or a list of them, and yield key and value of each line of the answer."""
        try:
            self._bounds.begin(is_long=is_long)
            if self._line is None or time.monotonic() - self._used > IDLE_S:
                self._connect()
            self._send(command)
            yield from self._answer()
        except _AckError:
            raise
        except (PlayerError, GeneratorExit):  # the rest of the answer is not read
            self.close()
            raise
        except OSError as error:
            self.close()
            raise LostPlayerError(f"{self.account.url}: no answer: {error}") from error

    def _connect(self) -> None:
        self.close()
        left_s = self._bounds.wait_s()
        if isinstance(self._place, str):
            connected = socket.socket(socket.AF_UNIX)
            try:
                connected.settimeout(left_s)
                connected.connect(self._place)
            except OSError:
                connected.close()
                raise
        else:
            connected = socket.create_connection(self._place, left_s)
        self._line = Line(connected, self._bounds)
        self._answers = self._line.makefile()
        if not self._next().startswith("OK MPD "):
            raise PlayerError(f"{self.account.url}: is not an MPD")
        if self.account.secret:
            self._send(f"password {_quoted(self.account.secret)}")
            try:
                for _ in self._answer():
                    pass
            except _AckError as error:
                raise PlayerError(f"{self.account.url}: does not accept the password") from error

    def _send(self, command: str) -> None:
        self._line.sendall(f"{command}\n".encode("utf-8", "surrogateescape"))

    def _answer(self) -> Iterator[tuple[str, str]]:
        while (line := self._next()) != "OK":
            if line.startswith("ACK "):
                raise _AckError(f"{self.account.url}: {visible(line[4:204])}")
            key, _, value = line.partition(": ")
            yield key, value
        self._used = time.monotonic()

    def _next(self) -> str:
        """Return the next line."""
        line = self._answers.readline(LONGEST_LINE + 1)
        if len(line) > LONGEST_LINE:
            raise PlayerError(f"{self.account.url}: a line has over {LONGEST_LINE} bytes")
        if not line.endswith(b"\n"):
            raise ConnectionError("the connection ended")
        return str(line[:-1].decode("utf-8", "surrogateescape"))


class _AckError(PlayerError):
    """MPD refuses a command; the connection stays usable."""


def _quoted(value: str) -> str:
    if "\n" in value:
        raise PlayerError(f"{visible(value)!r} has a line break, which MPD cannot take")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _songs(lines: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Return the songs of an answer; the first value of each tag counts."""
    songs: list[dict[str, str]] = []
    for key, value in lines:
        if key == "file":
            songs.append({})
        if songs:
            songs[-1].setdefault(key, value)
    return songs


def _song(row: Mapping[str, str], stickers: Mapping[str, str | None]) -> PlayerSong:
    like, stars = number(stickers["like"]), (number(stickers["rating"]) or 0) / OF_TEN
    return PlayerSong(
        song=SongRef(
            id=row["file"],
            mbid=text(row.get("MUSICBRAINZ_TRACKID")).lower(),
            path=text(row["file"]),
            artist=text(row.get("Artist")),
            title=text(row.get("Title")),
            album=text(row.get("Album")),
            duration_s=max(number(row.get("duration")) or 0.0, 0.0),
        ),
        plays=_count(stickers["playCount"]),
        skips=_count(stickers["skipCount"]),
        played_s=time_of(stickers["lastPlayed"]),
        skipped_s=time_of(stickers["lastSkipped"]),
        verdict="dislike" if like == HATED else verdict_of(like == LOVED, stars),
    )


def _count(value: object) -> int:
    return max(int(number(value) or 0), 0)
