"""Read Navidrome's ``navidrome.db``: scrobbles, play counts, stars and ratings of all users.

Newer versions record every play (``scrobbles``); older ones only a count and the time of the last
play (``annotation``). Each scrobble becomes a ``play``; plays counted beyond the scrobbles become
one ``play`` row with that ``weight``, at the last play, or at the first scrobble if there is one.
A star becomes a ``like`` at the time it was given; without a star, a rating of 4 or 5 becomes a
``like`` and one of 1 a ``dislike``, at the time of the rating or of the last play.
Times without a zone are UTC. Plays and stars of albums and artists are ignored.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from audiorec.listening.imports.archives import (
    ServerDatabase,
    open_database,
    row_text,
    select_columns,
)
from audiorec.listening.imports.rows import (
    ImportedEvent,
    RejectedRow,
    Rows,
    SongRef,
    UnusableRowError,
    count,
    epoch,
    moment,
    number,
    require_name,
    text,
)

NEEDED = {
    "annotation": ("user_id", "item_id", "item_type", "play_count", "play_date"),
    "media_file": ("id", "path"),
}
OF_SONG = "path title artist album duration mbz_recording_id mbz_track_id isrc".split()
OF_EVENT = "play_count play_date starred starred_at rating rated_at".split()
SONGS = "media_file"
LIKED, DISLIKED = 4, 1  # stars of five


def read(paths: Sequence[Path], user: str) -> Rows:
    """Yield the plays, stars and ratings of each database."""
    for path in paths:
        with open_database(path, NEEDED) as database:
            yield from _Rows(database, user).all()


class _Rows:
    def __init__(self, database: ServerDatabase, user: str) -> None:
        self.database, self.user = database, user
        self.file = str(database.path)
        self.number = 0
        has_names = {"id", "user_name"} <= database.columns("user")
        names = database.rows("SELECT id, user_name FROM user") if has_names else iter(())
        self.names = {str(row["id"]): text(row["user_name"]) for row in names}
        # Number of scrobbles and time of the first, by user and song.
        self.scrobbled: dict[tuple[str, str], tuple[int, float]] = {}

    def all(self) -> Rows:
        of_song = select_columns(self.database.columns(SONGS), OF_SONG, "m")
        roots = self._roots()
        library = "m.library_id" if "library_id" in self.database.columns(SONGS) else "NULL"
        song = f"{of_song}, {library} AS library"
        if {"media_file_id", "user_id", "submission_time"} <= self.database.columns("scrobbles"):
            rows = self.database.rows(
                "SELECT s.user_id AS user, s.media_file_id AS song,"  # noqa: S608
                f" s.submission_time AS at, {song}"
                " FROM scrobbles s LEFT JOIN media_file m ON m.id = s.media_file_id"
            )
            for row in rows:
                yield self._guarded(row, self._scrobble, roots)
        events = select_columns(self.database.columns("annotation"), OF_EVENT, "a")
        rows = self.database.rows(
            f"SELECT a.user_id AS user, a.item_id AS song, {events}, {song}"  # noqa: S608
            " FROM annotation a LEFT JOIN media_file m ON m.id = a.item_id"
            f" WHERE a.item_type = '{SONGS}'"
        )
        for row in rows:
            for make in self._said(row):
                yield self._guarded(row, make, roots)

    def _roots(self) -> dict[str, str]:
        """Return the root folder of each library; song paths are relative to it."""
        if not {"id", "path"} <= self.database.columns("library"):
            return {}
        return {
            str(row["id"]): text(row["path"])
            for row in self.database.rows("SELECT id, path FROM library")
        }

    def _said(self, row: sqlite3.Row) -> Iterator[Any]:
        """Yield the methods that turn a row into events: plays, and a like or dislike."""
        plays, rating = number(row["play_count"]) or 0, number(row["rating"]) or 0
        known, _ = self.scrobbled.get((str(row["user"]), str(row["song"])), (0, 0.0))
        is_starred = bool(number(row["starred"]))
        if plays > known or plays < 0:
            yield self._count
        if is_starred:
            yield self._star
        elif rating >= LIKED or rating == DISLIKED:
            yield self._rating

    def _guarded(
        self, row: sqlite3.Row, make: Any, roots: dict[str, str]
    ) -> ImportedEvent | RejectedRow:
        self.number += 1
        try:
            return make(row, _song(row, roots), self._user(row))
        except UnusableRowError as error:
            return error.at(self.file, self.number, row_text(row), self._user(row))

    def _user(self, row: sqlite3.Row) -> str:
        return self.names.get(str(row["user"])) or str(row["user"] or "") or self.user

    def _scrobble(self, row: sqlite3.Row, song: SongRef, user: str) -> ImportedEvent:
        at, key = epoch(row["at"]), (str(row["user"]), str(row["song"]))
        known, first = self.scrobbled.get(key, (0, at))
        self.scrobbled[key] = known + 1, min(first, at)
        return ImportedEvent(song=song, time_s=at, user=user)

    def _count(self, row: sqlite3.Row, song: SongRef, user: str) -> ImportedEvent:
        key = str(row["user"]), str(row["song"])
        known, first = self.scrobbled.get(key, (0, 0.0))
        at = first if known else moment_of(row["play_date"])
        plays = count(row["play_count"]) - known
        return ImportedEvent(song=song, time_s=at, user=user, weight=plays)

    def _star(self, row: sqlite3.Row, song: SongRef, user: str) -> ImportedEvent:
        at = moment_of(row["starred_at"] or row["play_date"])
        return ImportedEvent(song=song, time_s=at, user=user, event="like")

    def _rating(self, row: sqlite3.Row, song: SongRef, user: str) -> ImportedEvent:
        at = moment_of(row["rated_at"] or row["play_date"])
        event = "like" if (number(row["rating"]) or 0) >= LIKED else "dislike"
        return ImportedEvent(song=song, time_s=at, user=user, event=event)


def moment_of(value: object) -> float:
    """Convert a cell, text or number, to seconds since 1970."""
    return epoch(value) if number(value) is not None else moment(value)


def _song(row: sqlite3.Row, roots: dict[str, str]) -> SongRef:
    path, root = text(row["path"]), roots.get(str(row["library"]), "")
    if path and root and not path.startswith("/"):
        path = f"{root.rstrip('/')}/{path}"
    return require_name(
        SongRef(
            id=str(row["song"] or ""),
            mbid=(text(row["mbz_recording_id"]) or text(row["mbz_track_id"])).lower(),
            isrc=text(row["isrc"]),
            path=path,
            artist=text(row["artist"]),
            title=text(row["title"]),
            album=text(row["album"]),
            duration_s=number(row["duration"]) or 0.0,
        )
    )
