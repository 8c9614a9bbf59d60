"""Read Last.fm scrobbles, as written by its API and the common export tools.

==========================================  ============================================
CSV with a header                           ``uts`` (seconds) or ``utc_time``, ``artist``,
                                            ``track``, ``album``; ``track_mbid`` if there
CSV of four columns without a header        artist, album, track, ``01 Mar 2024 12:00``
CSV with ``;``, ``Date#NAME`` in its header  ``Date`` in milliseconds
JSON of the API, page by page               ``{"recenttracks": {"track": [...]}}``, or lists of it
JSON of ``scrobbles``                       ``{"username": "ana", "scrobbles": [{"track": ...}]}``
==========================================  ============================================

All times are the start of a play, in UTC; numbers are seconds or milliseconds by their size.
Last.fm counts a play after half of the song or four minutes, and does not record skips: a scrobble
becomes a ``play`` with unknown ratio. ``loved`` 1 does *not* become a ``like``: the API does not
say when it was loved. A track playing during the export has no time yet, and is rejected.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from audiorec.errors import InputError
from audiorec.listening.imports.archives import Broken, Member, delimited, json_rows, members
from audiorec.listening.imports.rows import (
    NO_TIME,
    NOT_AN_OBJECT,
    ImportedEvent,
    RejectedRow,
    Rows,
    SongRef,
    UnusableRowError,
    epoch,
    mapping,
    moment,
    number,
    require_name,
    text,
)

FILES = r"\.(csv|tsv|json|jsonl|ndjson)$"
WITHOUT_HEADER = ("artist", "album", "track", "date")
# Names of CSV columns and JSON keys; the first one present is used.
TITLE = ("track", "name", "title", "track_name", "track name")
ARTIST = ("artist", "artist_name", "artist name")
ALBUM = ("album", "album_name", "album name", "release")
MBID = ("track_mbid", "mbid", "recording_mbid")
TIME = ("uts", "timestamp", "date", "utc_time", "time", "played_at", "date_uts")
PAGES = ("track", "tracks", "scrobbles")  # keys of the rows in a JSON page


def read(paths: Sequence[Path], user: str) -> Rows:
    """Yield the rows of CSV and JSON files, also in folders and zips."""
    for member in members(paths, FILES):
        is_table = member.name.lower().endswith((".csv", ".tsv"))
        yield from _table(member, user) if is_table else _json(member, user)


def _json(member: Member, user: str) -> Rows:
    row = 0
    with member.open() as file:
        for _, page in json_rows(file):
            for track in _tracks(page):
                row += 1
                yield _scrobble(member.name, row, track, user)


def _tracks(page: Any) -> Iterator[Any]:
    """Yield the tracks of an array element: a track, a page, or a list of tracks."""
    waiting = [page]
    while waiting:
        page = waiting.pop()
        if isinstance(page, list):
            waiting += reversed(page)
            continue
        inner = mapping(mapping(page).get("recenttracks")) or mapping(page)
        result = next((inner[name] for name in PAGES if isinstance(inner.get(name), list)), None)
        if result is None:
            yield page
        else:
            yield from result


def _table(member: Member, user: str) -> Rows:
    with member.open() as file:
        first, others = delimited(file)
        names, whose = _named_columns([name.strip().lower() for name in first], user)
        for row, cells in enumerate(others if names else chain([first], others), 1):
            yield _cells(member.name, row, names or WITHOUT_HEADER, cells, whose)


def _named_columns(header: Sequence[str], user: str) -> tuple[Sequence[str] | None, str]:
    """Return the column names, or None if the first line is not a header; and the user."""
    names = [name.partition("#")[0] for name in header]
    said = [name.partition("#")[2] for name in header if "#" in name]
    if any(n in names for n in ARTIST) and any(n in names for n in TITLE):
        if not any(n in names for n in TIME):
            raise InputError(f"has no time column; it must have one of {', '.join(TIME)}")
        return names, user or (said[0] if said else "")
    if len(header) == len(WITHOUT_HEADER):
        return None, user
    raise InputError(
        f"has no artist and track columns, and is not a table of {', '.join(WITHOUT_HEADER)}"
    )


def _cells(
    file: str, row: int, names: Sequence[str], cells: Sequence[str], user: str
) -> ImportedEvent | RejectedRow:
    if len(cells) != len(names):
        error = UnusableRowError(f"has {len(cells)} columns, the header {len(names)}")
        return error.at(file, row, list(cells), user)
    return _scrobble(file, row, dict(zip(names, cells, strict=True)), user)


def _scrobble(file: str, row: int, value: Any, user: str) -> ImportedEvent | RejectedRow:
    try:
        if isinstance(value, Broken):
            raise UnusableRowError(value.reason)
        if not isinstance(value, Mapping):
            raise UnusableRowError(NOT_AN_OBJECT)
        if str(mapping(value.get("@attr")).get("nowplaying", "")).lower() == "true":
            raise UnusableRowError("was playing while the file was written", is_mistake=False)
        song = SongRef(
            mbid=_first(value, MBID).lower(),
            artist=_first(value, ARTIST),
            title=_first(value, TITLE),
            album=_first(value, ALBUM),
        )
        return ImportedEvent(song=require_name(song), time_s=_time(value), user=user)
    except UnusableRowError as error:
        content = value.content if isinstance(value, Broken) else value
        return error.at(file, row, content, user)


def _first(value: Mapping[str, Any], names: Sequence[str]) -> str:
    for name in names:
        result = value.get(name)
        if isinstance(result, Mapping):  # the API: {"#text": "Abba", "mbid": ""} or {"name": ...}
            result = result.get("#text") or result.get("name")
        if there := text(result):
            return there
    return ""


def _time(value: Mapping[str, Any]) -> float:
    for name in TIME:
        result = value.get(name)
        if isinstance(result, Mapping):  # the API: {"uts": "1709294400", "#text": "01 Mar ..."}
            result = result.get("uts") or result.get("#text")
        if number(result) is not None:
            return epoch(result)
        if text(result):
            return moment(result)
    raise UnusableRowError(NO_TIME)
