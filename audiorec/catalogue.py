"""Which songs to work on: folders, files, globs, lists and manifests become `Source` rows.

    paths ──find_songs──▶ [Source(song_id, path, uri, size, mtime_ns), ...]

In a folder a file counts as a song if its name ends like one or, with another ending or
none, if its first bytes look like audio; what is hidden, or an AppleDouble file, does not.
A file that is named outright always counts: if it is broken, its failure is reported.

Symbolic links that lead out of the folder are not followed unless asked.
"""

import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from audiorec.errors import InputError
from audiorec.user_files import input_errors, table_rows

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
class Source:
    """One file to extract.

    Attributes
    ----------
    song_id : str
        The name under which the song is stored.
    path : str
        Where to open it; may hold surrogate escapes for a name that is not UTF-8.
    uri : str
        The absolute path in printable form, with backslash escapes where it is not UTF-8.
    size, mtime_ns : int
        As the file system says; -1 where the file could not be looked at.
    """

    song_id: str
    path: str
    uri: str
    size: int
    mtime_ns: int


def find_songs(
    paths: Sequence[str | os.PathLike[str]],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    song_id: Callable[[str, str], str] | None = None,
) -> list[Source]:
    """List the songs in `paths`, sorted by id.

    Parameters
    ----------
    paths : sequence of path
        Folders (walked), files, and globs (``**`` crosses folders).
    include, exclude : sequence of str
        Glob patterns against the path relative to its folder; `exclude` wins.
    follow_links : bool
        Follow symbolic links that lead out of the folder.
    song_id : callable, optional
        ``song_id(path, default) -> id``. The default id is the POSIX path relative to the
        folder given; with several folders it starts with the folder's name. A file given
        by itself is called by its name.

    Raises
    ------
    InputError
        If a path does not exist, a glob matches nothing, or two files have one id.
    """
    expanded = list(_expand(paths))
    folders = [p for p in expanded if os.path.isdir(p)]
    rename = song_id or (lambda _path, default: default)
    sources: list[Source] = []
    for path in expanded:
        if path in folders:
            prefix = f"{Path(path).resolve().name}/" if len(folders) > 1 else ""
            walked = _walk(path, include, exclude, follow_links)
            found = [(file, prefix + relative) for file, relative in walked]
        else:
            found = [(path, os.path.basename(path))]
        sources.extend(make_source(file, rename(file, printable(name))) for file, name in found)
    return _unique(sources)


def read_list(
    lines: Iterable[str],
    *,
    root: Path | None = None,
    song_id: Callable[[str, str], str] | None = None,
) -> list[Source]:
    """Read one path a line; ids are relative to `root` where a path lies in it.

    Blank lines and lines that start with ``#`` are passed over. For `song_id` see
    `find_songs`.
    """
    rename = song_id or (lambda _path, default: default)
    sources = []
    for line in lines:
        text = line.rstrip("\r\n\0")
        if not text.strip() or text.startswith("#"):
            continue
        sources.append(make_source(text, rename(text, _relative_name(text, root))))
    return _unique(sources)


def read_manifest(path: Path) -> list[Source]:
    """Read a CSV or Parquet table with the columns ``path`` and ``song_id``.

    Relative paths are relative to the manifest's folder.

    Raises
    ------
    InputError
        If the table cannot be read, a column is missing, a cell is empty (with the row's
        number), or two rows have one id.
    """
    failure = "cannot read the manifest"
    rows = table_rows(path, failure, needed=("path", "song_id"))
    sources = []
    for number, row in enumerate(rows, start=2 if path.suffix != ".parquet" else 1):
        file, name = row.get("path"), row.get("song_id")
        if not file or not name:
            raise InputError(f"{path}: row {number} has an empty path or song_id")
        sources.append(make_source(str(path.parent / str(file)), str(name)))
    with input_errors(path, failure):
        return _unique(sources)


def printable(text: str) -> str:
    r"""Return `text` with what is not UTF-8 written as backslash escapes.

    Examples
    --------
    >>> printable("caf\udce9.mp3")
    'caf\\xe9.mp3'
    """
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _expand(paths: Sequence[str | os.PathLike[str]]) -> Iterator[str]:
    for given in paths:
        path = os.fspath(given)
        if os.path.lexists(path):
            yield path
        elif glob.has_magic(path):
            matches = sorted(glob.glob(path, recursive=True))
            if not matches:
                raise InputError(f"{path}: no file matches")
            yield from matches
        else:
            raise InputError(f"{path}: no such file or folder")


def _walk(
    root: str, include: Sequence[str], exclude: Sequence[str], follow_links: bool
) -> Iterator[tuple[str, str]]:
    """Yield ``(path, POSIX path relative to root)`` of each song below `root`."""
    real_root = os.path.realpath(root)
    seen = {real_root}
    for folder, subfolders, files in os.walk(root, followlinks=follow_links):
        subfolders[:] = sorted(d for d in subfolders if not d.startswith((".", "__MACOSX")))
        if follow_links:  # a loop of links leads back to a folder that was seen
            subfolders[:] = [d for d in subfolders if _is_new(os.path.join(folder, d), seen)]
        for name in sorted(files):
            path = os.path.join(folder, name)
            relative = PurePosixPath(os.path.relpath(path, root).replace(os.sep, "/")).as_posix()
            inside = follow_links or _lies_in(path, real_root)
            if inside and _matches(relative, include, exclude) and _is_song(path):
                yield path, relative


def _is_new(folder: str, seen: set[str]) -> bool:
    real = os.path.realpath(folder)
    is_new = real not in seen
    seen.add(real)
    return is_new


def _matches(relative: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    if any(fnmatch(relative, pattern) for pattern in exclude):
        return False
    return not include or any(fnmatch(relative, pattern) for pattern in include)


def _lies_in(path: str, real_root: str) -> bool:
    if not os.path.islink(path) or not os.path.exists(path):
        return True  # a link to nothing is reported when it is opened
    return os.path.commonpath([os.path.realpath(path), real_root]) == real_root


def _is_song(path: str) -> bool:
    name = os.path.basename(path)
    if name.startswith("."):
        return False
    extension = os.path.splitext(name)[1].lower()
    if extension in AUDIO_EXTENSIONS:
        return True
    return extension not in OTHER_EXTENSIONS and _begins_like_audio(path)


def _begins_like_audio(path: str) -> bool:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(MAGIC_BYTES)
    except OSError:
        return False
    riff = head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE"
    aiff = head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC")
    m4a = head[4:8] == b"ftyp" and head[8:] in (b"M4A ", b"M4B ")
    return riff or aiff or m4a or head[:4] in (b"fLaC", b"OggS") or head[:3] == b"ID3"


def make_source(path: str, song_id: str) -> Source:
    """Look at a file; one that is missing gets size -1, and its failure when it is opened."""
    try:
        info = os.stat(path)
        size, mtime_ns = info.st_size, info.st_mtime_ns
    except (OSError, ValueError):  # ValueError: a name with a zero byte
        size, mtime_ns = -1, -1
    return Source(song_id, path, printable(os.path.abspath(path)), size, mtime_ns)


def _relative_name(path: str, root: Path | None) -> str:
    if root is not None:
        try:
            return printable(Path(path).absolute().relative_to(root.absolute()).as_posix())
        except ValueError:
            pass
    return printable(PurePosixPath(path.replace(os.sep, "/")).as_posix())


def _unique(sources: list[Source]) -> list[Source]:
    """Sort by id; the same file twice is one song, two files of one id are an error."""
    by_id: dict[str, Source] = {}
    twice: dict[str, Source] = {}
    for source in sources:
        if by_id.setdefault(source.song_id, source).uri != source.uri:
            twice.setdefault(source.song_id, source)
    for name, source in twice.items():
        others = f" ({len(twice) - 1} more ids stand twice)" if len(twice) > 1 else ""
        raise InputError(
            f"two files have the song id {name!r}: {by_id[name].uri} and {source.uri}{others}; "
            "give the folder that holds both, or ids of your own (--id-from, --manifest)"
        )
    return [by_id[name] for name in sorted(by_id)]
