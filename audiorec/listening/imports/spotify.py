"""Read Spotify's extended streaming history, and the shorter history of its account data.

    my_spotify_data.zip: Streaming_History_Audio_2023_1.json, endsong_0.json, ...  (extended)
                         StreamingHistory_music_0.json, StreamingHistory0.json     (account data)

``ts`` and ``endTime`` are the *end* of a stream in UTC, to the second and to the minute; the start
is ``ms_played`` milliseconds earlier. ``offline_timestamp`` is not used: its unit changed over the
years, and it is the time when the app went offline. Spotify does not give the song's length: the
played ratio is computed from the store if the song is in it. IP addresses, devices and countries
are not stored.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiorec.listening.imports.archives import array_rows, members
from audiorec.listening.imports.rows import (
    LONGEST_PLAY_S,
    NOT_AN_OBJECT,
    ImportedEvent,
    RejectedRow,
    Rows,
    SongRef,
    UnusableRowError,
    check_time,
    moment,
    number,
    require_name,
    text,
)

FILES = r"(Streaming_?History_?(Audio|music)?_?\d*[^/]*|endsong_?\d*)\.json$"
NO_MUSIC_FILES = ("video", "podcast", "audiobook")
FINISHED = "trackdone"
BROKEN_OFF = frozenset(
    {"fwdbtn", "backbtn", "endplay", "clickrow", "clickside", "playbtn", "popup"}
)
NOT_MUSIC = ("episode_name", "spotify_episode_uri", "audiobook_title", "audiobook_uri")
# Private fields, which are not stored even for rejected rows.
PRIVATE = frozenset(
    "ip_addr ip_addr_decrypted user_agent user_agent_decrypted platform conn_country city region "
    "metro_code longitude latitude incognito_mode".split()
)


def read(paths: Sequence[Path], user: str) -> Rows:
    """Yield the rows of an export, given as zip, folder, or JSON files.

    Podcasts and audiobooks are rejected, and files of videos skipped, since they are not songs.
    """
    for member in members(paths, FILES):
        if any(word in member.name.rpartition("/")[2].lower() for word in NO_MUSIC_FILES):
            continue
        with member.open() as file:
            for row, value in array_rows(file):
                yield _stream(member.name, row, value, user)


def _stream(file: str, row: int, value: Any, user: str) -> ImportedEvent | RejectedRow:
    try:
        if not isinstance(value, dict):
            raise UnusableRowError(NOT_AN_OBJECT)
        return _heard(value, user)
    except UnusableRowError as error:
        if isinstance(value, dict):
            value = {name: v for name, v in value.items() if name not in PRIVATE}
        return error.at(file, row, value, user)


def _heard(value: Mapping[str, Any], user: str) -> ImportedEvent:
    if any(text(value.get(name)) for name in NOT_MUSIC):
        raise UnusableRowError("is a podcast or an audiobook", is_mistake=False)
    is_extended = "ts" in value
    played_ms = number(value.get("ms_played" if is_extended else "msPlayed"))
    if played_ms is None or not 0 <= played_ms <= LONGEST_PLAY_S * 1000:
        raise UnusableRowError("its playing time is not from 0 to a day")
    prefix = "master_metadata_"
    song = SongRef(
        id=text(value.get("spotify_track_uri")),
        artist=text(value.get(f"{prefix}album_artist_name" if is_extended else "artistName")),
        title=text(value.get(f"{prefix}track_name" if is_extended else "trackName")),
        album=text(value.get(f"{prefix}album_album_name")),
    )
    ended = moment(value.get("ts" if is_extended else "endTime"))
    return ImportedEvent(
        song=require_name(song),
        time_s=check_time(ended - played_ms / 1000),
        event=_event(value),
        user=user or text(value.get("username")),
        played_s=played_ms / 1000,
    )


def _event(value: Mapping[str, Any]) -> str:
    """Return finish, skip (a button, another song, the end of the app) or play for all others.

    Account data has plays alone: the played ratio decides.
    """
    why = text(value.get("reason_end"))
    if why == FINISHED:
        return "finish"
    return "skip" if value.get("skipped") is True or why in BROKEN_OFF else "play"
