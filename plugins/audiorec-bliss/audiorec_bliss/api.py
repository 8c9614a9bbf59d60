"""The mixer API of Lyrion's plugin BlissMixer: files in, files out, one per line.

================  ==================================================================
``/api/ready``    GET: ``1``
``/api/mix``      POST, JSON: ``tracks`` to continue, ``previous`` ones, ``count``
``/api/list``     POST, JSON: ``track``, ``count``, ``byartist``
================  ==================================================================

A file is a ``file:`` URL, an absolute path, or a path relative to ``mpath``; responses use the form
of the first file in the request. A song's genre is the most likely class of the genre head, and
``genregroups`` (names or globs) are matched against it. The limits on beats per minute and on
Christmas songs are ignored, since the store does not know them.
"""

import fnmatch
import os
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import numpy as np

from audiorec.errors import InputError
from audiorec.search.questions import Choice, SimilarQuestion
from audiorec.types import BoolArray, normalised_name
from audiorec.web.apis.messages import ApiReply, ApiRequest, Handler, near
from audiorec.web.apis.routes import Route
from audiorec.web.apis.snapshot import NamedSong, Snapshot
from audiorec.web.forms import MOST_SONGS

FILE_URL = "file://"
COUNT, MOST_COUNT = 5, 50
ALL = SimilarQuestion(k=MOST_SONGS, minimum=-1.0)
MOST_TRACKS = 1_000
LEAST = 2  # songs in a mix, if necessary by an artist or from an album just played
SHUFFLED = 5  # a shuffled mix is drawn from this many times more songs
TEXT = "text/plain; charset=utf-8"
_SYSTEM = random.SystemRandom()


@dataclass
class _JustHeard:
    """Artists, albums and titles that a mix must not repeat; grows with every chosen song."""

    artists: set[str] = field(default_factory=set)
    albums: set[tuple[str, str]] = field(default_factory=set)
    titles: set[str] = field(default_factory=set)


def ready(_: Snapshot, __: ApiRequest) -> ApiReply:
    """Return that the mixer is ready."""
    return ApiReply(b"1", media_type=TEXT)


def mix(
    snapshot: Snapshot, asked: ApiRequest, shuffle: Callable[[list[int]], None] = _SYSTEM.shuffle
) -> ApiReply:
    """Return songs that continue some songs."""
    wish = asked.document()
    seeds = _songs(snapshot, wish, "tracks")
    if not seeds:
        return _lines(())
    previous = _songs(snapshot, wish, "previous")
    count = min(max(_whole(wish, "count", COUNT), 1), MOST_COUNT)
    looked_for = count * SHUFFLED if _whole(wish, "shuffle", 0) else count
    heard = _heard(snapshot, wish, seeds, previous)
    with snapshot.lock:
        allowed = _allowed(snapshot, wish, [*seeds, *previous])
        chosen = changed(snapshot.library.chosen(Choice()), allowed=allowed)
    result = near(snapshot, seeds, ALL, chosen=chosen)
    apart = _whole(wish, "norepart", 0) > 0
    rows, passed_over = _unheard(snapshot, result.rows.tolist(), heard, looked_for, apart=apart)
    rows += passed_over[: max(0, min(LEAST, count) - len(rows))]
    if _whole(wish, "shuffle", 0):
        shuffle(rows)
    return _lines(_files(snapshot, rows[:count], wish, "tracks"))


def alike(snapshot: Snapshot, asked: ApiRequest) -> ApiReply:
    """Return the songs most similar to one, nearest first."""
    wish = asked.document()
    seeds = _songs(snapshot, {**wish, "tracks": [wish.get("track")]}, "tracks")
    if not seeds:
        return _lines(())
    count = min(max(_whole(wish, "count", COUNT), 1), MOST_COUNT)
    with snapshot.lock:
        allowed = _allowed(snapshot, wish, seeds)
        if _whole(wish, "byartist", 0):
            codes = snapshot.artist_codes
            own = int(codes[seeds[0].row])
            allowed &= (codes == own) & (own >= 0)
        chosen = changed(snapshot.library.chosen(Choice()), allowed=allowed)
    result = near(snapshot, seeds, ALL, chosen=chosen)
    heard = _JustHeard(titles={_title(song) for song in snapshot.songs([seeds[0].row])} - {""})
    rows, _ = _unheard(snapshot, result.rows.tolist(), heard, count, one_album=False)
    return _lines(_files(snapshot, rows, {**wish, "tracks": [wish.get("track")]}, "tracks"))


GETS: dict[str, Handler] = {"/api/ready": ready}
POSTS: dict[str, Handler] = {"/api/mix": mix, "/api/list": alike}


def routes() -> dict[str, Route]:
    """Return the routes of the API by path: what the entry point names."""
    gets = {path: Route("bliss", {"GET": one}) for path, one in GETS.items()}
    return gets | {path: Route("bliss", {"POST": one}) for path, one in POSTS.items()}


def _songs(snapshot: Snapshot, wish: Mapping[str, Any], key: str) -> list[NamedSong]:
    """Return the songs of some files; skip files that the store does not have."""
    given = wish.get(key) or []
    if not isinstance(given, list) or len(given) > MOST_TRACKS:
        raise InputError(f"{key}: must be a list of at most {MOST_TRACKS} files")
    songs = []
    for text in given:
        if isinstance(text, str):
            with suppress(InputError):
                songs.append(snapshot.names.find(path_of(text, _music_folder(wish))))
    return songs


def path_of(text: str, folder: str = "") -> str:
    r"""Return the path of a file as written in a store.

    Examples
    --------
    >>> path_of("file:///m/caf%C3%A9.mp3"), path_of("a/b.ogg", "/m"), path_of("file:///m/%E9.mp3")
    ('/m/café.mp3', '/m/a/b.ogg', '/m/\\xe9.mp3')
    """
    if text.startswith(FILE_URL):
        path = text.removeprefix(FILE_URL).removeprefix("localhost").partition("#")[0]
        return unquote_to_bytes(path).decode("utf-8", "backslashreplace")
    return os.path.join(folder, text) if folder and not text.startswith("/") else text  # noqa: PTH118


def _music_folder(wish: Mapping[str, Any]) -> str:
    folder = wish.get("mpath")
    return folder if isinstance(folder, str) else ""


def _heard(
    snapshot: Snapshot,
    wish: Mapping[str, Any],
    seeds: Sequence[NamedSong],
    previous: Sequence[NamedSong],
) -> _JustHeard:
    heard = _JustHeard()
    artists, albums = _whole(wish, "norepart", 0), _whole(wish, "norepalb", 0)
    for index, song in enumerate(snapshot.songs([one.row for one in previous])):
        heard.titles.add(_title(song))
        if index < artists:
            heard.artists.add(normalised_name(song["artist"]))
        if index < albums:
            heard.albums.add(_album(song))
    heard.titles |= {_title(song) for song in snapshot.songs([one.row for one in seeds])}
    heard.titles.discard("")
    heard.artists.discard("")
    heard.albums.discard(("", ""))
    return heard


def _unheard(
    snapshot: Snapshot,
    rows: Sequence[int],
    heard: _JustHeard,
    count: int,
    *,
    apart: bool = False,
    one_album: bool = True,
) -> tuple[list[int], list[int]]:
    """Return the songs that repeat nothing, and the repeats that were skipped, both in order.

    `apart` also excludes a second song by an artist, `one_album` a second one from an album.
    """
    chosen: list[int] = []
    passed_over: list[int] = []
    albums: set[tuple[str, str]] = set()
    for row, song in zip(rows, snapshot.songs(rows), strict=True):
        artist, album, title = normalised_name(song["artist"]), _album(song), _title(song)
        repeats = (
            (apart and artist in heard.artists)
            or album in heard.albums
            or (one_album and album in albums)
            or title in heard.titles
        )
        if repeats:
            passed_over.append(row)
            continue
        chosen.append(row)
        heard.titles |= {title} - {""}
        heard.artists |= {artist} - {""}
        albums |= {album} - {("", "")}
        if len(chosen) >= count:
            break
    return chosen, passed_over


def _title(song: Mapping[str, Any]) -> str:
    return normalised_name(song["title"])


def _album(song: Mapping[str, Any]) -> tuple[str, str]:
    album = normalised_name(song["album"])
    return (album, normalised_name(song["artist"])) if album else ("", "")


def _allowed(snapshot: Snapshot, wish: Mapping[str, Any], heard: Sequence[NamedSong]) -> BoolArray:
    """Return which songs are allowed: by length, by genre, and not among `heard`; shape (n,)."""
    library = snapshot.library
    allowed: BoolArray = library.chosen(Choice()).allowed.copy()
    least, most = _whole(wish, "min", 0), _whole(wish, "max", 0)
    if least > 0:
        allowed &= snapshot.durations >= least
    if most > 0:
        allowed &= snapshot.durations <= most
    if _whole(wish, "filtergenre", 0):
        allowed &= _share_genre(snapshot, wish.get("genregroups"), heard)
    allowed[[one.row for one in heard]] = False
    return allowed


def _share_genre(snapshot: Snapshot, groups: Any, heard: Sequence[NamedSong]) -> BoolArray:
    """Return which songs share a genre group with the songs heard: shape (n,).

    If those are in no group, songs of all groups are excluded, as in the original mixer.
    """
    genres = snapshot.genres
    named = sorted(set(genres) - {""})
    sets = []
    for group in groups if isinstance(groups, list) else []:
        globs = [g.lower() for g in group if isinstance(g, str)] if isinstance(group, list) else []
        sets.append({name for name in named for g in globs if fnmatch.fnmatchcase(name, g)})
    own = {genres[one.row] for one in heard} - {""}
    wanted = set().union(*(result for result in sets if result & own))
    kept = wanted | {""} if wanted else {*named, ""} - set().union(*sets)
    return np.asarray([genre in kept for genre in genres], np.bool_)


def _whole(wish: Mapping[str, Any], name: str, usual: int) -> int:
    """Return a number, which the Perl client may have sent as a text."""
    value = wish.get(name, usual)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 8:
        return int(value)
    return int(value) if isinstance(value, (bool, int)) and abs(value) < 10**8 else usual


def _files(
    snapshot: Snapshot, rows: Sequence[int], wish: Mapping[str, Any], key: str
) -> Iterable[str]:
    """Yield the songs' files in the form of the first file in the request."""
    first = next((t for t in wish.get(key) or () if isinstance(t, str)), "")
    folder = _music_folder(wish).rstrip("/")
    for song in snapshot.songs(rows):
        path = song["uri"]
        if first.startswith(FILE_URL):
            yield FILE_URL + quote(_as_bytes(path))
        elif not first.startswith("/") and folder and path.startswith(f"{folder}/"):
            yield path.removeprefix(f"{folder}/")
        else:
            yield path


def _as_bytes(path: str) -> bytes:
    r"""Return a path's bytes on disk; a store escapes bytes that are not UTF-8 as ``\xe9``."""
    parts = path.split("\\x")
    raw = parts[0].encode()
    for part in parts[1:]:
        digits = part[:2]
        if re.fullmatch("[89a-f][0-9a-f]", digits):  # bytes below 80 are never escaped
            raw += bytes.fromhex(digits) + part[2:].encode()
        else:
            raw += b"\\x" + part.encode()
    return raw


def _lines(files: Iterable[str]) -> ApiReply:
    """Return a response with one file per line; skip names that contain a line break."""
    kept = [one for one in files if not set("\r\n") & set(one)]
    return ApiReply("".join(f"{one}\n" for one in kept).encode(), media_type=TEXT)
