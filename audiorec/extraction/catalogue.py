"""List the songs of a run: folders, files, globs, lists and manifests to `Source` rows; and ids.

    paths ──find_songs──▶ [Source(song_id, path, uri, size, mtime_ns), ...]
    "tag:isrc" ──parse_naming──▶ `Naming`, which gives files their ids

Inaccessible places are listed too, as a `Source` with a `problem`: a folder that cannot be listed,
under its name with a trailing slash, and a song that cannot be accessed.
"""

import errno
import glob
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, MissingFileError, StoreError
from audiorec.files.storage import within_int64
from audiorec.files.user_files import csv_rows

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
MAGIC_BYTES = 16
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

    A file in a folder counts as a song if it has an audio extension or, with an unknown extension
    or none, if its first bytes look like audio; hidden and AppleDouble files do not count. Symbolic
    links that lead out of the folder are followed only on request. A file that is named explicitly
    always counts: if it is broken, it is reported as a failure.

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
        result, prefix, whole = [given], "", ""
        if given[0] in folders:
            whole = f"{Path(given[0]).resolve().name}/"
            prefix = whole if len(folders) > 1 else ""
            result = list(_walk(given[0], include, exclude, follow_links=follow_links))
        for path, relative, problem in result:
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
            result = [(p, os.path.basename(p), "") for p in sorted(glob.glob(path, recursive=True))]
            result += _closed_to(path)
            if not result:
                raise MissingFileError(f"{path}: no file matches")
            yield from result
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
    from audiorec.audio.sniff import begins_like_audio  # rarely needed

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(MAGIC_BYTES)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return begins_like_audio(head)


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
            "pass their common folder, or set the ids yourself (`id_from`, `listed`)"
        )
    return [by_id[name] for name in sorted(by_id)]


Place = tuple[str, int, int]  # uri, size and modification time: identifies an unchanged file
STORED_TAGS = ("title", "artist", "album", "isrc", "musicbrainz_trackid")
_TAG_NAME = re.compile(r"[a-z0-9][a-z0-9 _:/.-]{0,63}")


@dataclass(slots=True)
class Naming:
    """Rule that gives files their song ids, and a record of the files without one.

    An instance can be passed to `audiorec.extraction.catalogue.find_songs` as ``song_id``.

    A file to which it gives no id keeps its path as its id and is listed in `unnamed`: one song
    without a tag must not stop a run, and an unreadable file needs an id in the list of failures.
    When the tag is added later, the song is recognised by its audio and moves to the new id.

    Attributes
    ----------
    name : callable
        ``name(path, default) -> id``; None if the rule gives the file no id.
    is_default : bool
        True if every file's id is its path.
    aliases : list of (alias, song_id)
        Other names from the table.
    unnamed : list of str
        Files that kept their path as id, in call order.
    """

    name: Callable[[str, str], str | None]
    is_default: bool = False
    aliases: list[tuple[str, str]] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)

    def __call__(self, path: str, default: str) -> str:
        """Return the id of a file."""
        name = self.name(path, default)
        if name is None:
            self.unnamed.append(default)
        return name or default


def parse_naming(text: str, *, vectors: Path | None = None) -> Naming:
    """Parse a value of ``--id-from``.

    ==============  ================================================================
    ``path``        the path relative to the folder given (the default)
    ``stem``        the file's name without its extension
    ``tag:NAME``    a tag of the file: ``tag:musicbrainz_trackid``, ``tag:isrc``, ...
    ``csv:FILE``    a table with the columns ``path`` and ``song_id``; all other
                    columns are aliases
    ==============  ================================================================

    Parameters
    ----------
    text : str
    vectors : Path, optional
        The store that is being extended, if any: tags of unchanged files are taken from it.

    Raises
    ------
    InputError
        If the form is unknown, or the table is invalid; the message gives the row.
    """
    if text == "path":
        return Naming(lambda _path, default: default, is_default=True)
    if text == "stem":
        return Naming(lambda _path, default: Path(default).stem)
    form, _, rest = text.partition(":")
    if form == "tag":
        return _by_tag(rest.lower(), vectors)
    if form == "csv" and rest:
        return _by_table(Path(rest))
    raise InputError(
        f"`id_from` must be path, stem, tag:NAME (tag:musicbrainz_trackid, tag:isrc) or csv:FILE, "
        f"got {text!r}"
    )


def known_names(vectors: Path, tag: str) -> dict[Place, str | None]:
    """Return a store's values of a tag by place; empty if the store cannot be read.

    So only new and changed files are opened for their tags.
    """
    if tag not in STORED_TAGS:
        return {}
    from audiorec.store.schema import (
        Kind,
        open_checked,  # needs Arrow; files alone do not
    )

    try:
        file = open_checked(vectors, Kind.VECTORS)
        table = file.read(["uri", "size", "mtime_ns", tag])
    except StoreError:  # the run itself reports it
        return {}
    columns = [table.column(name).to_pylist() for name in table.column_names]
    file.file.close()
    return {(uri, size, at): value for uri, size, at, value in zip(*columns, strict=True)}


def _by_tag(tag: str, vectors: Path | None) -> Naming:
    from audiorec.audio.tags import read_tag

    if not _TAG_NAME.fullmatch(tag):
        raise InputError(f"`id_from` tag:NAME: {tag!r} is not a valid tag name")
    known = known_names(vectors, tag) if vectors is not None else {}

    def name(path: str, _default: str) -> str | None:
        source = make_source(path, "")
        if source.size < 0:  # gone, or in an object store
            return None
        place = (source.uri, source.size, source.mtime_ns)
        return known[place] if place in known else read_tag(path, tag)

    return Naming(name)


def _by_table(table: Path) -> Naming:
    names: dict[str, str] = {}
    aliases: list[tuple[str, str]] = []
    for number, row in read_id_table(table):
        path = row["path"]
        key = path if "://" in path else _key(str(table.parent / path))
        if names.setdefault(key, row[StoreColumns.ID]) != row[StoreColumns.ID]:
            raise InputError(
                f"{table}: row {number} gives {row['path']} the id {row[StoreColumns.ID]!r}, "
                f"but an earlier row {names[key]!r}"
            )
        aliases += row_aliases(row)
    return Naming(lambda path, _default: names.get(_key(path)), aliases=aliases)


def read_id_table(
    table: Path, *, needed: Sequence[str] = ("path", StoreColumns.ID)
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield number and cells of each row of a CSV with the columns ``path`` and ``song_id``.

    Raises `InputError` for a missing column, and for a row with an empty cell in `needed`.
    """
    rows = csv_rows(table, "cannot read the table of ids", needed=needed)
    for number, row in enumerate(rows, start=2):
        if not all(row.get(name) for name in needed):
            raise InputError(f"{table}: row {number} has an empty {' or '.join(needed)}")
        yield number, row


def row_aliases(row: Mapping[str, object]) -> Sequence[tuple[str, str]]:
    """Return the aliases of a row: the values of columns other than path and song_id.

    Examples
    --------
    >>> row_aliases({"path": "a.mp3", "song_id": "17", "shop": "B-12", "old": ""})
    [('B-12', '17')]
    """
    return [
        (value.strip(), str(row[StoreColumns.ID]))
        for column, value in row.items()
        if column not in ("path", StoreColumns.ID) and isinstance(value, str) and value.strip()
    ]


def _key(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)  # dots are kept
