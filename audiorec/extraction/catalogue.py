"""List the songs of a run: folders, files, globs, lists and manifests to `Source` rows.

    paths ──find_songs──▶ [Source(song_id, path, uri, size, mtime_ns), ...]

A file in a folder counts as a song if it has an audio extension or, with an unknown extension or
none, if its first bytes look like audio; hidden and AppleDouble files do not count. Symbolic links
that lead out of the folder are followed only on request. A file that is named explicitly always
counts: if it is broken, it is reported as a failure.

Inaccessible places are listed too, as a `Source` with a `problem`: a folder that cannot be
listed, under its name with a trailing slash, and a song that cannot be accessed.
"""

import errno
import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from audiorec.errors import InputError, MissingFileError
from audiorec.files.storage import within_int64
from audiorec.files.user_files import input_errors, table_rows

AUDIO_EXTENSIONS = frozenset(
    ".mp3 .flac .wav .wave .aif .aiff .aifc .ogg .oga .opus .m4a .m4b .aac .mp2 .caf .rf64 "
    ".wv .ape .tta .mpc .mp+ .mpp .wma .asf .dsf .dff .spx .ac3 .eac3 .ec3 .mka .weba".split()
)
# Never opened in a folder: files that commonly lie beside music.
OTHER_EXTENSIONS = frozenset(
    ".jpg .jpeg .png .gif .webp .bmp .txt .md .nfo .log .cue .m3u .m3u8 .pls .pdf .html .htm .xml "
    ".json .csv .tsv .ini .db .sqlite .parquet .zip .rar .7z .gz .xz .lrc .url .sfv .md5 .torrent "
    ".mp4 .mkv .avi .mov .webm .wmv .wvc .mid .midi .py".split()
)
MAGIC_BYTES = 12
# A path, its name relative to the searched folder, and why it is inaccessible, or "".
Found = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Source:
    """One file to extract, or an inaccessible place.

    Attributes
    ----------
    song_id : str
        The id under which the song is stored. That of a folder ends with a slash.
    path : str
        Path to open; contains surrogate escapes if it is not UTF-8.
    uri : str
        The absolute path in printable form, with backslash escapes for bytes that are not UTF-8.
    size, mtime_ns : int
        Size in bytes and modification time, wrapped into int64; -1 if the file is inaccessible.
    problem : str
        Why the place is inaccessible, in the system's words; otherwise "". It is not opened but
        becomes a failure of the stage ``walk``.
    """

    song_id: str
    path: str
    uri: str
    size: int
    mtime_ns: int
    problem: str = ""

    @property
    def is_folder(self) -> bool:
        """True for a folder that could not be listed."""
        return bool(self.problem) and self.song_id.endswith("/")


def find_songs(
    paths: Sequence[str | os.PathLike[str]],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    song_id: Callable[[str, str], str] | None = None,
) -> list[Source]:
    """List the songs in `paths`, and the inaccessible places there, sorted by id.

    Parameters
    ----------
    paths : sequence of path
        Folders (walked recursively), files, and globs (``**`` crosses folders).
    include, exclude : sequence of str
        Glob patterns for the path relative to its folder; `exclude` wins. Only `exclude` leaves
        out a folder that cannot be listed: its songs might match `include`.
    follow_links : bool
        Follow symbolic links that lead out of the folder.
    song_id : callable, optional
        ``song_id(path, default) -> id``. The default id is the POSIX path relative to the
        folder given; with several folders it starts with the folder's name. For a file given
        by itself it is the file's name.

    Raises
    ------
    MissingFileError
        If a path does not exist, or a glob matches nothing.
    InputError
        If two files have the same id.
    """
    expanded = list(_expand(paths))
    folders = {path for path, _, problem in expanded if not problem and os.path.isdir(path)}
    rename = song_id or (lambda _path, default: default)
    sources: list[Source] = []
    for given in expanded:
        found, prefix, whole = [given], "", ""
        if given[0] in folders:
            whole = f"{Path(given[0]).resolve().name}/"
            prefix = whole if len(folders) > 1 else ""
            found = list(_walk(given[0], include, exclude, follow_links=follow_links))
        for path, relative, problem in found:
            name = printable(prefix + relative or whole)
            if problem:
                sources.append(_unseen(path, name, problem))
            else:
                sources.append(make_source(path, rename(path, name)))
    return unique(sources)


def read_list(
    lines: Iterable[str],
    *,
    root: Path | None = None,
    song_id: Callable[[str, str], str] | None = None,
) -> list[Source]:
    """Read a list with one path per line; ids of paths below `root` are relative to it.

    Blank lines and lines that start with ``#`` are skipped. For `song_id` see `find_songs`.
    """
    rename = song_id or (lambda _path, default: default)
    sources = []
    for line in lines:
        text = line.rstrip("\r\n\0")
        if not text.strip() or text.startswith("#"):
            continue
        sources.append(make_source(text, rename(text, _relative_name(text, root))))
    return unique(sources)


def read_manifest(path: Path) -> list[Source]:
    """Read a CSV or Parquet table with the columns ``path`` and ``song_id``.

    Relative paths are relative to the manifest's folder.

    Raises
    ------
    InputError
        If the table cannot be read, a column is missing, a cell is empty (the message gives the
        row number), or two rows have the same id.
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
        return unique(sources)


def printable(text: str) -> str:
    r"""Return `text` with backslash escapes for bytes that are not UTF-8.

    Examples
    --------
    >>> printable("caf\udce9.mp3")
    'caf\\xe9.mp3'
    """
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def matches(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Return whether a name matches one of `include` (if any) and none of `exclude`."""
    if any(fnmatch(name, pattern) for pattern in exclude):
        return False
    return not include or any(fnmatch(name, pattern) for pattern in include)


def make_source(path: str, song_id: str) -> Source:
    """Stat a file; an inaccessible one gets size -1 and a `Source.problem`."""
    if "://" in path:  # in an object store, accessed only when the song is fetched
        return _unseen(path, song_id, "")
    try:
        info = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        return _unseen(path, song_id, _system_reason(error))
    return Source(song_id, path, uri_of(path), info.st_size, within_int64(info.st_mtime_ns))


def uri_of(path: str) -> str:
    """Return the absolute path in printable form; the URI of an object store unchanged."""
    return printable(path if "://" in path else os.path.abspath(path))


def _expand(paths: Sequence[str | os.PathLike[str]]) -> Iterator[Found]:
    """Expand globs; yield all paths, and the folders in which a glob could not look."""
    for given in paths:
        path = os.fspath(given)
        if _is_there(path):
            yield path, os.path.basename(path), ""
        elif glob.has_magic(path):
            found = [(p, os.path.basename(p), "") for p in sorted(glob.glob(path, recursive=True))]
            found += _closed_to(path)
            if not found:
                raise MissingFileError(f"{path}: no file matches")
            yield from found
        else:
            raise MissingFileError(f"{path}: no such file or folder")


def _closed_to(pattern: str) -> list[Found]:
    """Return the folders that a glob would search but that cannot be listed, by full path."""
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    base, wanted = os.path.join(*parts[:fixed]) if fixed else os.curdir, parts[fixed:]
    if not _is_there(base):
        return []
    errors: list[OSError] = []
    for folder, subfolders, _ in os.walk(base, onerror=errors.append):
        level = len(Path(os.path.relpath(folder, base)).parts)
        if "**" not in wanted[: level + 1]:  # descend only into folders that match the glob
            deeper = level + 1 < len(wanted)
            subfolders[:] = [d for d in subfolders if deeper and fnmatch(d, wanted[level])]
    closed = (_unlisted(error, base) for error in errors)
    return [(path, f"{Path(path).as_posix().rstrip('/')}/", why) for path, _, why in closed]


def _walk(
    root: str, include: Sequence[str], exclude: Sequence[str], *, follow_links: bool
) -> Iterator[Found]:
    """Yield the songs of a folder tree, then the folders that could not be listed."""
    real_root = os.path.realpath(root)
    seen = {real_root}
    closed: list[OSError] = []
    for folder, subfolders, files in os.walk(root, followlinks=follow_links, onerror=closed.append):
        subfolders[:] = sorted(d for d in subfolders if not d.startswith((".", "__MACOSX")))
        if follow_links:  # links may form a loop
            subfolders[:] = [d for d in subfolders if _is_new(os.path.join(folder, d), seen)]
        for name in sorted(files):
            path = os.path.join(folder, name)
            relative = _relative(path, root)
            inside = follow_links or _lies_in(path, real_root)
            if inside and matches(relative, include, exclude) and _is_song(path):
                yield path, relative, ""
    for path, name, problem in (_unlisted(error, root) for error in closed):
        if not any(fnmatch(n, pattern) for n in (name, name.rstrip("/")) for pattern in exclude):
            yield path, name, problem


def _unlisted(error: OSError, root: str) -> Found:
    folder = os.fspath(error.filename or root)
    name = "" if folder == root else f"{_relative(folder, root)}/"
    return folder, name, f"the folder cannot be listed: {_system_reason(error)}"


def _system_reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


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
    except PermissionError:  # the target exists: checked below
        pass
    except OSError:
        return True  # a dangling link is reported as a failure
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
    """Return whether the first bytes look like audio, or the file exists but cannot be read."""
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
    dff = head[:4] == b"FRM8"
    others = (b"fLaC", b"OggS", b"wvpk", b"MAC ", b"TTA1", b"MPCK", b"DSD ")
    return riff or aiff or m4a or dff or head[:4] in others or head[:3] in (b"ID3", b"MP+")


def _is_there(path: str) -> bool:
    """Return whether the path exists, or may exist: then it is reported as a failure."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG
    return True


def _unseen(path: str, song_id: str, problem: str) -> Source:
    return Source(song_id, path, uri_of(path), -1, -1, problem)


def _relative_name(path: str, root: Path | None) -> str:
    if root is not None:
        with suppress(ValueError):
            return printable(Path(path).absolute().relative_to(root.absolute()).as_posix())
    return printable(PurePosixPath(path.replace(os.sep, "/")).as_posix())


def unique(sources: Iterable[Source]) -> list[Source]:
    """Sort by id and merge duplicates; raise `InputError` for two files with the same id."""
    by_id: dict[str, Source] = {}
    twice: dict[str, Source] = {}
    for source in sources:
        if by_id.setdefault(source.song_id, source).uri != source.uri:
            twice.setdefault(source.song_id, source)
    for name, source in twice.items():
        others = f" ({len(twice) - 1} more ids are duplicates)" if len(twice) > 1 else ""
        raise InputError(
            f"two files have the song id {name!r}: {by_id[name].uri} and {source.uri}{others}; "
            "pass their common folder, or set the ids yourself (--id-from, --manifest)"
        )
    return [by_id[name] for name in sorted(by_id)]
