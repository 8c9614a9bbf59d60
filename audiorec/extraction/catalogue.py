"""Which songs to work on: folders, files, globs, lists and manifests become `Source` rows.

    paths ──find_songs──▶ [Source(song_id, path, uri, size, mtime_ns), ...]

`audiorec.extraction.walk` says what counts as a song in a folder. A file that is named outright
always counts: if it is broken, its failure is reported.

What cannot be looked at is listed too, as a `Source` with a `problem`: a folder that cannot
be listed, under its own name with a slash at the end, and a song that is there by name only.
"""

import errno
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from audiorec.errors import InputError, MissingFileError
from audiorec.extraction.walk import Unlisted, closed_to, system_reason, walk
from audiorec.files.times import within_int64
from audiorec.files.user_files import input_errors, table_rows


@dataclass(frozen=True, slots=True)
class Source:
    """One file to extract, or a place that could not be looked at.

    Attributes
    ----------
    song_id : str
        The name under which the song is stored. That of a folder ends with a slash.
    path : str
        Where to open it; may hold surrogate escapes for a name that is not UTF-8.
    uri : str
        The absolute path in printable form, with backslash escapes where it is not UTF-8.
    size, mtime_ns : int
        As the file system says, the time within int64 (see `audiorec.files.times`); -1 where
        the file could not be looked at.
    problem : str
        Why this place could not be looked at, in the system's words; "" if it could. There
        is nothing to open: it is a failure of the stage ``walk``.
    """

    song_id: str
    path: str
    uri: str
    size: int
    mtime_ns: int
    problem: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder that could not be listed."""
        return bool(self.problem) and self.song_id.endswith("/")


def find_songs(
    paths: Sequence[str | os.PathLike[str]],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    song_id: Callable[[str, str], str] | None = None,
) -> list[Source]:
    """List the songs in `paths`, and what there could not be looked at, sorted by id.

    Parameters
    ----------
    paths : sequence of path
        Folders (walked), files, and globs (``**`` crosses folders).
    include, exclude : sequence of str
        Glob patterns against the path relative to its folder; `exclude` wins. A folder that
        cannot be listed is left out by `exclude` alone: its songs might have been included.
    follow_links : bool
        Follow symbolic links that lead out of the folder.
    song_id : callable, optional
        ``song_id(path, default) -> id``. The default id is the POSIX path relative to the
        folder given; with several folders it starts with the folder's name. A file given
        by itself is called by its name.

    Raises
    ------
    MissingFileError
        If a path does not exist, or a glob matches nothing.
    InputError
        If two files have one id.
    """
    sources: list[Source] = []
    expanded = list(_expand(paths, lambda closed: sources.append(_closed(closed, closed.name))))
    folders = [p for p in expanded if os.path.isdir(p)]
    rename = song_id or (lambda _path, default: default)
    for path in expanded:
        if path in folders:
            name = f"{Path(path).resolve().name}/"
            prefix = name if len(folders) > 1 else ""
            closed: list[Unlisted] = []
            walked = walk(
                path,
                include=include,
                exclude=exclude,
                follow_links=follow_links,
                on_unlisted=closed.append,
            )
            found = [(file, prefix + relative) for file, relative in walked]
            sources.extend(_closed(folder, prefix + folder.name or name) for folder in closed)
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


def _expand(
    paths: Sequence[str | os.PathLike[str]], on_unlisted: Callable[[Unlisted], None]
) -> Iterator[str]:
    """Yield paths, with globs resolved; `on_unlisted` gets the folders closed to a glob."""
    for given in paths:
        path = os.fspath(given)
        if _is_there(path):
            yield path
        elif glob.has_magic(path):
            matches = sorted(glob.glob(path, recursive=True))
            closed = closed_to(path)
            if not matches and not closed:
                raise MissingFileError(f"{path}: no file matches")
            for folder in closed:
                on_unlisted(folder)
            yield from matches
        else:
            raise MissingFileError(f"{path}: no such file or folder")


def _is_there(path: str) -> bool:
    """Whether there is something of this name, or no way to tell: that becomes a failure."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG
    return True


def make_source(path: str, song_id: str) -> Source:
    """Look at a file; one that cannot be looked at gets size -1 and the `Source.problem`."""
    if "://" in path:  # in an object store, which is asked when the song is fetched
        return _unseen(path, song_id, "")
    try:
        info = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        return _unseen(path, song_id, system_reason(error))
    return Source(song_id, path, uri_of(path), info.st_size, within_int64(info.st_mtime_ns))


def uri_of(path: str) -> str:
    """Return the absolute path in printable form; the address of an object store as it is."""
    return printable(path if "://" in path else os.path.abspath(path))


def _unseen(path: str, song_id: str, problem: str) -> Source:
    return Source(song_id, path, uri_of(path), -1, -1, problem)


def _closed(folder: Unlisted, name: str) -> Source:
    return _unseen(folder.path, printable(name), folder.problem)


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
