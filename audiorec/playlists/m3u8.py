r"""Songs to a playlist that players and music servers read: extended M3U in UTF-8.

Paths are relative to the playlist, with forward slashes and without percent-encoding:
absolute and encoded ones are what servers fail to import. A name that cannot stand in a
playlist (not UTF-8, or with a line break) is left out and reported.
"""

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from audiorec.files.atomic import replaced

UNKNOWN_SECONDS = -1  # what the format says for a length that is not known
# An address, which stands as it is; a path has no // after a colon.
REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# How a name that is not UTF-8 is printed, in the store's ``uri`` for example: \xe9
ESCAPED_BYTE = re.compile(r"\\x[89a-f][0-9a-f]")
# What turns the direction of text, so that a title could look like another, or like a file.
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaylistEntry:
    """One song of a playlist; without a title its file's name stands in.

    `path` is the file, absolute or relative to the working folder.
    """

    path: str
    duration_s: float | None = None
    artist: str | None = None
    title: str | None = None


def write_m3u8(
    entries: Iterable[PlaylistEntry], path: Path, *, absolute: bool = False
) -> list[PlaylistEntry]:
    """Write a playlist, whole or not at all; return songs whose file name cannot stand in one.

    Parameters
    ----------
    entries : iterable of PlaylistEntry
    path : Path
        Usually ``<name>.m3u8``; replaced if it exists.
    absolute : bool
        Write absolute paths instead of those relative to the playlist's folder.
    """
    text, left_out = render_m3u8(entries, folder=None if absolute else path.parent)
    with replaced(path) as temporary:
        temporary.write_bytes(text.encode())
    return left_out


def render_m3u8(
    entries: Iterable[PlaylistEntry], *, folder: Path | None
) -> tuple[str, list[PlaylistEntry]]:
    """Return a playlist as text, and songs whose file name cannot stand in one.

    Paths are relative to `folder`, or absolute without one; lines end in a line feed.

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
    """Whether a name can be a line of UTF-8 that leads a player to the file."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    if _clean(path) != path:
        return False
    # The printed form of such a name is not the name; only a real backslash may stay.
    return not ESCAPED_BYTE.search(path) or os.path.exists(path)  # noqa: PTH110 - text


def missing_files(entries: Iterable[PlaylistEntry]) -> list[PlaylistEntry]:
    """Return the songs whose file is not there now; what has a scheme (``s3://``) passes."""
    return [e for e in entries if not REMOTE.match(e.path) and not Path(e.path).exists()]


def _location(path: str, folder: Path | None) -> str:
    if REMOTE.match(path):
        return path
    full = os.path.abspath(path)  # noqa: PTH100 - links stay as they are
    # A way up (..) leads out of the real folder, so a link to it has to be followed first.
    text = full if folder is None else os.path.relpath(full, os.path.realpath(folder))
    text = text.replace(os.sep, "/")
    # A line that begins with # would be a comment; spaces before a name are stripped.
    return f"./{text}" if text.startswith(("#", " ")) else text


def _label(entry: PlaylistEntry) -> str:
    title = _clean(entry.title or "").strip() or _clean(Path(entry.path).stem)
    artist = _clean(entry.artist or "").strip()
    return BIDI.sub("", f"{artist} - {title}" if artist else title)


def _clean(text: str) -> str:
    """Put a space for everything that could end the line or hide in it."""
    safe = text.encode("utf-8", "replace").decode()
    hidden = ("Cc", "Zl", "Zp")
    return "".join(" " if unicodedata.category(c) in hidden else c for c in safe)
