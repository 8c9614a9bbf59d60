r"""Write playlists that players and music servers can read: extended M3U in UTF-8.

Paths are relative to the playlist, with forward slashes and without percent-encoding: servers
often fail to import absolute or encoded ones. A name that a playlist cannot hold (not UTF-8, or
with a line break) is left out and reported.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiorec.files.own_files import write_own

UNKNOWN_SECONDS = -1  # M3U's value for an unknown length
# A URL, written unchanged; a path has no // after a colon.
REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# The printed form of a byte that is not UTF-8, as in the store's ``uri``: \xe9
ESCAPED_BYTE = re.compile(r"\\x[89a-f][0-9a-f]")
# Direction controls, by which a title could pose as another title or a file name.
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaylistEntry:
    """One song of a playlist; without a title, its file name is shown.

    `path` is the file, absolute or relative to the current folder.
    """

    path: str
    duration_s: float | None = None
    artist: str | None = None
    title: str | None = None

    @classmethod
    def of(cls, song: Mapping[str, Any]) -> "PlaylistEntry":
        """Return the entry of a song of a store, given by its columns."""
        return cls(
            path=song["uri"],
            duration_s=song["duration_s"],
            artist=song["artist"],
            title=song["title"],
        )


def write_m3u8(
    entries: Iterable[PlaylistEntry], path: Path, *, absolute: bool = False
) -> list[PlaylistEntry]:
    """Write a playlist atomically; return the songs whose file names it cannot hold.

    Parameters
    ----------
    entries : iterable of PlaylistEntry
    path : Path
        Usually ``<name>.m3u8``; replaced if it exists.
    absolute : bool
        Write absolute paths instead of paths relative to the playlist's folder.
    """
    text, left_out = render_m3u8(entries, folder=None if absolute else path.parent)
    write_own(path, text.encode())
    return left_out


def render_m3u8(
    entries: Iterable[PlaylistEntry], *, folder: Path | None
) -> tuple[str, list[PlaylistEntry]]:
    """Return a playlist as text, and the songs whose file names it cannot hold.

    Paths are relative to `folder`, or absolute if it is None; lines end in a line feed.

    Examples
    --------
    >>> song = PlaylistEntry(path="music/a/b.mp3", duration_s=61.6, artist="Abba", title="SOS")
    >>> print(render_m3u8([song], folder=Path("music"))[0], end="")
    #EXTM3U
    #EXTINF:62,Abba - SOS
    a/b.mp3
    """
    lines, left_out = ["#EXTM3U"], []
    for entry in entries:
        if not _is_writable(entry.path):
            left_out.append(entry)
            continue
        seconds = UNKNOWN_SECONDS if entry.duration_s is None else round(entry.duration_s)
        lines += [f"#EXTINF:{seconds},{_label(entry)}", _location(entry.path, folder)]
    return "\n".join(lines) + "\n", left_out


def _is_writable(path: str) -> bool:
    """Return whether a path can be written as a UTF-8 line that players resolve to the file."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    if _clean(path) != path:
        return False
    # Such a match is the printed form of a byte, not the path, unless a file has that very name.
    return not ESCAPED_BYTE.search(path) or os.path.exists(path)  # noqa: PTH110 - text


def missing_files(entries: Iterable[PlaylistEntry]) -> list[PlaylistEntry]:
    """Return the songs whose file does not exist; URLs (``s3://``) are not checked."""
    return [e for e in entries if not REMOTE.match(e.path) and not Path(e.path).exists()]


def _location(path: str, folder: Path | None) -> str:
    if REMOTE.match(path):
        return path
    full = os.path.abspath(path)  # noqa: PTH100 - links stay as they are
    # Resolve the folder's links first: ``..`` goes up from the real folder.
    text = full if folder is None else os.path.relpath(full, os.path.realpath(folder))
    text = text.replace(os.sep, "/")
    # A leading # would be read as a comment; leading spaces are stripped by players.
    return f"./{text}" if text.startswith(("#", " ")) else text


def _label(entry: PlaylistEntry) -> str:
    title = _clean(entry.title or "").strip() or _clean(Path(entry.path).stem)
    artist = _clean(entry.artist or "").strip()
    return BIDI.sub("", f"{artist} - {title}" if artist else title)


def _clean(text: str) -> str:
    """Replace everything that could end the line, or be invisible in it, with a space."""
    safe = text.encode("utf-8", "replace").decode()
    hidden = ("Cc", "Zl", "Zp")
    return "".join(" " if unicodedata.category(c) in hidden else c for c in safe)
