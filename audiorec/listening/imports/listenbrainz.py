"""Read a ListenBrainz export: all listens and feedback of one account.

    listenbrainz_NAME_TIME.zip: user.json, listens/YEAR/MONTH.jsonl, feedback.jsonl, ...

``listened_at`` is the start of a listen, in seconds UTC. ListenBrainz records a listen after half
of the song or four minutes, and no skips: a listen becomes a ``play`` with unknown ratio. Feedback
becomes ``like`` (1) or ``dislike`` (-1); 0 is revoked feedback. Feedback identifies recordings only
by id, so artist and title come from the listens. Pinned recordings are not read.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from audiorec.errors import InputError
from audiorec.listening.imports.archives import Broken, Member, json_rows, line_rows, members
from audiorec.listening.imports.rows import (
    NOT_AN_OBJECT,
    ImportedEvent,
    RejectedRow,
    Rows,
    SongRef,
    UnusableRowError,
    epoch,
    mapping,
    number,
    require_name,
    text,
)

FILES = r"(\.jsonl|\.json|\.listens)$"
PINNED = "pinned_recording"
FEEDBACK = "feedback"
EVENTS = {1: "like", -1: "dislike"}
MOST_USER_BYTES = 1 << 16


def read(paths: Sequence[Path], user: str) -> Rows:
    """Yield the rows of an export, given as zip, folder, or files of listens and feedback."""
    result = [m for m in members(paths, FILES) if PINNED not in m.name]
    for member in [m for m in result if _name(m) == "user.json"]:
        user = user or _user(member)
        result.remove(member)
    feedback = [m for m in result if _name(m).startswith(FEEDBACK)]
    wanted = {text(mapping(v).get("recording_msid")) for m in feedback for _, v in _values(m)}
    names: dict[str, SongRef] = {}  # recordings with feedback, by their msid
    for member in [m for m in result if m not in feedback]:
        for row, value in _values(member):
            song, heard = _listen(member.name, row, value, user)
            if song is not None and (msid := _msid(value)) in wanted:
                names[msid] = song
            yield heard
    for member in feedback:
        for row, value in _values(member):
            yield _feedback(member.name, row, value, user, names)


def _name(member: Member) -> str:
    return member.name.replace("\\", "/").rpartition("/")[2]


def _user(member: Member) -> str:
    with suppress(ValueError, RecursionError, InputError), member.open() as file:
        about = mapping(json.loads(file.read(MOST_USER_BYTES)))
        return text(about.get("username")) or text(about.get("user_name"))
    return ""


def _values(member: Member) -> Iterator[tuple[int, Any]]:
    with member.open() as file:
        yield from line_rows(file) if member.name.endswith("l") else json_rows(file)


def _msid(value: Any) -> str:
    about = mapping(mapping(value).get("track_metadata"))
    return text(mapping(value).get("recording_msid")) or text(about.get("recording_msid"))


def _listen(
    file: str, row: int, value: Any, user: str
) -> tuple[SongRef | None, ImportedEvent | RejectedRow]:
    try:
        if isinstance(value, Broken):
            raise UnusableRowError(value.reason)
        if not isinstance(value, dict):
            raise UnusableRowError(NOT_AN_OBJECT)
        if value.get("playing_now"):
            raise UnusableRowError("was playing while the file was written", is_mistake=False)
        about = mapping(value.get("track_metadata"))
        more, mapped = mapping(about.get("additional_info")), mapping(about.get("mbid_mapping"))
        seconds = number(more.get("duration")) or (number(more.get("duration_ms")) or 0) / 1000
        song = SongRef(
            mbid=(text(mapped.get("recording_mbid")) or text(more.get("recording_mbid"))).lower(),
            isrc=text(more.get("isrc")),
            artist=text(about.get("artist_name")),
            title=text(about.get("track_name")),
            album=text(about.get("release_name")),
            duration_s=max(seconds, 0.0),
        )
        time_s = epoch(value.get("listened_at"))
        whose = text(value.get("user_name")) or user
        entry = text(more.get("music_service_name"))
        return song, ImportedEvent(song=require_name(song), time_s=time_s, user=whose, entry=entry)
    except UnusableRowError as error:
        content = value.content if isinstance(value, Broken) else value
        return None, error.at(file, row, content, user)


def _feedback(
    file: str, row: int, value: Any, user: str, names: dict[str, SongRef]
) -> ImportedEvent | RejectedRow:
    try:
        if isinstance(value, Broken):
            raise UnusableRowError(value.reason)
        about = mapping(value)
        song = names.get(text(about.get("recording_msid")), SongRef())
        if mbid := text(about.get("recording_mbid")).lower():
            song = song._replace(mbid=mbid)
        score = number(about.get("score"))
        if not song.has_name:
            raise UnusableRowError("is about a recording that is not named here", is_mistake=False)
        if score == 0:
            raise UnusableRowError("is feedback that was taken back", is_mistake=False)
        if score not in EVENTS:
            raise UnusableRowError("its score is not -1, 0 or 1")
        time_s = epoch(about.get("created"))
        return ImportedEvent(song=song, time_s=time_s, event=EVENTS[int(score)], user=user)
    except UnusableRowError as error:
        content = value.content if isinstance(value, Broken) else value
        return error.at(file, row, content, user)
