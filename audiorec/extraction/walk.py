"""Folders to the songs in them, and to the folders that cannot be listed.

    root ──walk──▶ (path, POSIX path relative to root), ...

In a folder a file counts as a song if its name ends like one or, with another ending or
none, if its first bytes look like audio; what is hidden, or an AppleDouble file, does not.
Symbolic links that lead out of the folder are not followed unless asked.

A folder that cannot be listed may hide songs. It is handed to the caller with the system's
error, never passed over.
"""

import glob
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

AUDIO_EXTENSIONS = frozenset(
    ".mp3 .flac .wav .wave .aif .aiff .aifc .ogg .oga .opus .m4a .m4b .aac .mp2 .caf .rf64".split()
)
# Not opened at all in a folder: what lies beside music in every collection.
OTHER_EXTENSIONS = frozenset(
    ".jpg .jpeg .png .gif .webp .bmp .txt .md .nfo .log .cue .m3u .m3u8 .pls .pdf .html .htm .xml "
    ".json .csv .tsv .ini .db .sqlite .parquet .zip .rar .7z .gz .xz .lrc .url .sfv .md5 .torrent "
    ".mp4 .mkv .avi .mov .webm .mid .midi .py".split()
)
MAGIC_BYTES = 12


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A folder that cannot be listed.

    Attributes
    ----------
    path : str
    name : str
        Its POSIX path relative to the root with a slash at the end; "" for the root itself.
    problem : str
        Why, in the system's words.
    """

    path: str
    name: str
    problem: str


def walk(
    root: str,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    on_unlisted: Callable[[Unlisted], None],
) -> Iterator[tuple[str, str]]:
    """Walk a folder and those below it.

    Parameters
    ----------
    root : str
    include, exclude : sequence of str
        Glob patterns against the relative path; `exclude` wins. A folder that cannot be
        listed is left out by `exclude` alone: its songs might have been included.
    follow_links : bool
        Follow symbolic links that lead out of the folder.
    on_unlisted : callable
        Called with each `Unlisted` folder.

    Yields
    ------
    path, relative : str
        Of each song: where to open it, and its POSIX path relative to `root`.
    """
    real_root = os.path.realpath(root)
    seen = {real_root}

    def on_error(error: OSError) -> None:
        found = _unlisted(error, root)
        names = (found.name, found.name.rstrip("/"))
        if not any(fnmatch(name, pattern) for name in names for pattern in exclude):
            on_unlisted(found)

    for folder, subfolders, files in os.walk(root, followlinks=follow_links, onerror=on_error):
        subfolders[:] = sorted(d for d in subfolders if not d.startswith((".", "__MACOSX")))
        if follow_links:  # a loop of links leads back to a folder that was seen
            subfolders[:] = [d for d in subfolders if _is_new(os.path.join(folder, d), seen)]
        for name in sorted(files):
            path = os.path.join(folder, name)
            relative = _relative(path, root)
            inside = follow_links or _lies_in(path, real_root)
            if inside and matches(relative, include, exclude) and _is_song(path):
                yield path, relative


def closed_to(pattern: str) -> list[Unlisted]:
    """List the folders that a glob (``**`` crosses folders) would look into and cannot.

    They are named by their whole path.
    """
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    base, wanted = os.path.join(*parts[:fixed]) if fixed else os.curdir, parts[fixed:]
    errors: list[OSError] = []
    for folder, subfolders, _ in os.walk(base, onerror=errors.append):
        level = len(Path(os.path.relpath(folder, base)).parts)
        if "**" not in wanted[: level + 1]:  # on each level only the folders that the glob names
            deeper = level + 1 < len(wanted)
            subfolders[:] = [d for d in subfolders if deeper and fnmatch(d, wanted[level])]
    found = (_unlisted(error, base) for error in errors)
    return [replace(f, name=f"{Path(f.path).as_posix().rstrip('/')}/") for f in found]


def matches(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a name is like one of `include`, if there are any, and like none of `exclude`."""
    if any(fnmatch(name, pattern) for pattern in exclude):
        return False
    return not include or any(fnmatch(name, pattern) for pattern in include)


def system_reason(error: Exception) -> str:
    """Return what the system says of an error, in lower case."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def _unlisted(error: OSError, root: str) -> Unlisted:
    folder = os.fspath(error.filename or root)
    name = "" if folder == root else f"{_relative(folder, root)}/"
    return Unlisted(folder, name, f"the folder cannot be listed: {system_reason(error)}")


def _relative(path: str, root: str) -> str:
    return PurePosixPath(os.path.relpath(path, root).replace(os.sep, "/")).as_posix()


def _is_new(folder: str, seen: set[str]) -> bool:
    real = os.path.realpath(folder)
    is_new = real not in seen
    seen.add(real)
    return is_new


def _lies_in(path: str, real_root: str) -> bool:
    if not os.path.islink(path):
        return True
    try:
        os.stat(path)
    except PermissionError:  # it leads somewhere: not followed if that is outside
        pass
    except OSError:
        return True  # a link to nothing is a failure of its own
    try:
        return os.path.commonpath([os.path.realpath(path), real_root]) == real_root
    except ValueError:  # on another drive
        return False


def _is_song(path: str) -> bool:
    name = os.path.basename(path)
    if name.startswith("."):
        return False
    extension = os.path.splitext(name)[1].lower()
    if extension in AUDIO_EXTENSIONS:
        return True
    return extension not in OTHER_EXTENSIONS and _begins_like_audio(path)


def _begins_like_audio(path: str) -> bool:
    """Whether the first bytes are those of audio; also if they are there and cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(MAGIC_BYTES)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    riff = head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE"
    aiff = head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC")
    m4a = head[4:8] == b"ftyp" and head[8:] in (b"M4A ", b"M4B ")
    return riff or aiff or m4a or head[:4] in (b"fLaC", b"OggS") or head[:3] == b"ID3"
