"""Read Lyrion Music Server's ``persist.db``: play counts and ratings that survive rescans.

``tracks_persistent`` has one row per file: its URL (``file:///music/a%20song.flac``), its play
count, the time of the last play in seconds UTC, and a rating from 0 to 100. Lyrion does not record
users. A count becomes one ``play`` row with that ``weight``; a rating of 80 or more becomes a
``like``, one from 1 to 20 a ``dislike``, at the last play or when the song was added. Files never
played nor rated are skipped. Songs are matched by path and MusicBrainz id, since their tags are
in another database.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from audiorec.listening.imports.archives import open_database, row_text, select_columns
from audiorec.listening.imports.rows import (
    ImportedEvent,
    RejectedRow,
    Rows,
    SongRef,
    UnusableRowError,
    count,
    epoch,
    number,
    require_name,
    text,
)

TABLE = "tracks_persistent"
NEEDED = {TABLE: ("playcount", "lastplayed", "url")}
COLUMNS = "url musicbrainz_id added rating playcount lastplayed".split()
LIKED, DISLIKED = 80, 20  # of 100: four stars and one


def read(paths: Sequence[Path], user: str) -> Rows:
    """Yield the plays and ratings of each database."""
    for path in paths:
        with open_database(path, NEEDED) as database:
            names = select_columns(database.columns(TABLE), COLUMNS, "t")
            number_of_row = 0
            for row in database.rows(f"SELECT {names} FROM {TABLE} t"):  # noqa: S608
                plays, rating = number(row["playcount"]) or 0, number(row["rating"]) or 0
                wanted = ["play"] * (plays != 0)
                wanted += ["like"] * (rating >= LIKED) + ["dislike"] * (0 < rating <= DISLIKED)
                for event in wanted:
                    number_of_row += 1
                    yield _heard(str(path), number_of_row, row, event, user)


def _heard(
    file: str, place: int, row: sqlite3.Row, event: str, user: str
) -> ImportedEvent | RejectedRow:
    try:
        song = require_name(
            SongRef(path=path_of(text(row["url"])), mbid=text(row["musicbrainz_id"]).lower())
        )
        at = epoch(row["lastplayed"] if number(row["lastplayed"]) else row["added"])
        weight = count(row["playcount"]) if event == "play" else 1.0
        return ImportedEvent(song=song, time_s=at, event=event, user=user, weight=weight)
    except UnusableRowError as error:
        return error.at(file, place, row_text(row), user)


def path_of(url: str) -> str:
    """Return the path of a ``file:`` URL; other URLs are returned unchanged.

    Examples
    --------
    >>> path_of("file:///music/a%20song.flac"), path_of("spotify:track:1")
    ('/music/a song.flac', 'spotify:track:1')
    """
    if not url.startswith("file:"):
        return url
    try:
        path = unquote(urlsplit(url.replace("#", "%23") if "#" in url else url).path)
    except ValueError:
        return ""
    return text(path)
