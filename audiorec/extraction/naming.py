"""What songs are called: the forms of ``--id-from``.

==============  ================================================================
``path``        the path relative to the folder given (the default)
``stem``        the file's name without its ending
``tag:NAME``    a tag of the file: ``tag:musicbrainz_trackid``, ``tag:isrc``, ...
``csv:FILE``    a table with the columns ``path`` and ``song_id``; all other
                columns are aliases
==============  ================================================================

A file that has no such tag, or does not stand in the table, keeps its path as its id, and
`Naming.unnamed` says how many did: one song without a tag must not stop a library, and a
file that cannot be read has to be called something in the list of failures. When the tag is
added later, the song is recognised by its audio and moves to the new id.

Listing stays quick: `known_names` takes the tags of files that did not change from the
store that is extended, and opens the others only.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audiorec.audio.tags import read_tag
from audiorec.errors import InputError, StoreError
from audiorec.extraction.catalogue import printable
from audiorec.files.storage import within_int64
from audiorec.files.user_files import csv_rows
from audiorec.store.parquet import open_checked
from audiorec.store.schema import Kind

Place = tuple[str, int, int]  # uri, size and time of change: where and what a file is
STORED_TAGS = ("title", "artist", "album", "isrc", "musicbrainz_trackid")
_TAG_NAME = re.compile(r"[a-z0-9][a-z0-9 _:/.-]{0,63}")


@dataclass(slots=True)
class Naming:
    """How files are named, and how many could not be.

    An instance is what `audiorec.extraction.catalogue.find_songs` takes as ``song_id``.

    Attributes
    ----------
    name : callable
        ``name(path, default) -> id``, None where a file has no name of this kind.
    is_default : bool
        Whether every file keeps its path.
    aliases : list of (alias, song_id)
        Other names that a table brought.
    unnamed : list of str
        Files that kept their path, in the order in which they were asked for.
    """

    name: Callable[[str, str], str | None]
    is_default: bool = False
    aliases: list[tuple[str, str]] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)

    def __call__(self, path: str, default: str) -> str:
        """Return the id of a file."""
        found = self.name(path, default)
        if found is None:
            self.unnamed.append(default)
        return found or default


def parse_naming(text: str, *, vectors: Path | None = None) -> Naming:
    """Read a form of ``--id-from``.

    Parameters
    ----------
    text : str
        ``path``, ``stem``, ``tag:NAME`` or ``csv:FILE``.
    vectors : Path, optional
        The store that is extended, if there is one: tags of files that did not change are
        taken from it.

    Raises
    ------
    InputError
        If there is no such form, or the table cannot be used; names the row.
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
        f"--id-from takes path, stem, tag:NAME (tag:musicbrainz_trackid, tag:isrc) or csv:FILE, "
        f"got {text!r}"
    )


def known_names(vectors: Path, tag: str) -> dict[Place, str | None]:
    """Return what a store knows of a tag, by the place of each file.

    A store that is missing or cannot be read gives nothing: the run itself says why.
    """
    if tag not in STORED_TAGS:
        return {}
    try:
        file = open_checked(vectors, Kind.VECTORS)
        table = file.read(["uri", "size", "mtime_ns", tag])
    except StoreError:
        return {}
    columns = [table.column(name).to_pylist() for name in table.column_names]
    file.file.close()
    return {(uri, size, at): value for uri, size, at, value in zip(*columns, strict=True)}


def _by_tag(tag: str, vectors: Path | None) -> Naming:
    if not _TAG_NAME.fullmatch(tag):
        raise InputError(f"--id-from tag:NAME: {tag!r} is no name of a tag")
    known = known_names(vectors, tag) if vectors is not None else {}

    def name(path: str, _default: str) -> str | None:
        place = _place(path)
        if place is None:
            return None
        return known[place] if place in known else read_tag(path, tag)

    return Naming(name)


def _place(path: str) -> Place | None:
    try:
        info = Path(path).stat()
    except (OSError, ValueError):  # gone, or an address of an object store
        return None
    return printable(_key(path)), info.st_size, within_int64(info.st_mtime_ns)


def _by_table(table: Path) -> Naming:
    names: dict[str, str] = {}
    aliases: list[tuple[str, str]] = []
    for number, row in read_id_table(table):
        path = row["path"]
        key = path if "://" in path else _key(str(table.parent / path))
        if names.setdefault(key, row["song_id"]) != row["song_id"]:
            raise InputError(
                f"{table}: row {number} gives {row['path']} the id {row['song_id']!r}, an "
                f"earlier row {names[key]!r}"
            )
        aliases += row_aliases(row)
    return Naming(lambda path, _default: names.get(_key(path)), aliases=aliases)


def read_id_table(
    table: Path, *, needed: Sequence[str] = ("path", "song_id")
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the number and the cells of each row of a table of ids.

    Parameters
    ----------
    table : Path
        A CSV with the columns ``path`` and ``song_id``; a relative path starts at the
        table's own folder. All other columns are aliases.
    needed : sequence of str
        Columns that must be there, with something in every row.

    Raises
    ------
    InputError
        If the table cannot be read, or a column or a cell that is needed is missing.
    """
    rows = csv_rows(table, "cannot read the table of ids", needed=needed)
    for number, row in enumerate(rows, start=2):
        if not all(row.get(name) for name in needed):
            raise InputError(f"{table}: row {number} has an empty {' or '.join(needed)}")
        yield number, row


def row_aliases(row: Mapping[str, object]) -> Sequence[tuple[str, str]]:
    """Return the aliases of one row: what stands in columns beside path and song_id.

    Examples
    --------
    >>> row_aliases({"path": "a.mp3", "song_id": "17", "shop": "B-12", "old": ""})
    [('B-12', '17')]
    """
    return [
        (value.strip(), str(row["song_id"]))
        for column, value in row.items()
        if column not in ("path", "song_id") and isinstance(value, str) and value.strip()
    ]


def _key(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)  # noqa: PTH100 - as the catalogue does, dots and all
