"""Song ids: the forms of ``--id-from``.

==============  ================================================================
``path``        the path relative to the folder given (the default)
``stem``        the file's name without its extension
``tag:NAME``    a tag of the file: ``tag:musicbrainz_trackid``, ``tag:isrc``, ...
``csv:FILE``    a table with the columns ``path`` and ``song_id``; all other
                columns are aliases
==============  ================================================================

A file without such a tag, or missing from the table, keeps its path as its id and is listed in
`Naming.unnamed`: one song without a tag must not stop a run, and an unreadable file needs an id in
the list of failures. When the tag is added later, the song is recognised by its audio and moves to
the new id.

Listing stays fast: `known_names` takes the tags of unchanged files from the store that is being
extended, so that only the others are opened.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audiorec.audio.tags import read_tag
from audiorec.errors import InputError, StoreError
from audiorec.extraction.catalogue import make_source
from audiorec.files.user_files import csv_rows
from audiorec.store.parquet import open_checked
from audiorec.store.schema import Kind

Place = tuple[str, int, int]  # uri, size and modification time: identifies an unchanged file
STORED_TAGS = ("title", "artist", "album", "isrc", "musicbrainz_trackid")
_TAG_NAME = re.compile(r"[a-z0-9][a-z0-9 _:/.-]{0,63}")


@dataclass(slots=True)
class Naming:
    """Rule that gives files their song ids, and a record of the files without one.

    An instance can be passed to `audiorec.extraction.catalogue.find_songs` as ``song_id``.

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
        found = self.name(path, default)
        if found is None:
            self.unnamed.append(default)
        return found or default


def parse_naming(text: str, *, vectors: Path | None = None) -> Naming:
    """Parse a value of ``--id-from``.

    Parameters
    ----------
    text : str
        ``path``, ``stem``, ``tag:NAME`` or ``csv:FILE``.
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
        f"--id-from must be path, stem, tag:NAME (tag:musicbrainz_trackid, tag:isrc) or csv:FILE, "
        f"got {text!r}"
    )


def known_names(vectors: Path, tag: str) -> dict[Place, str | None]:
    """Return a store's values of a tag by place; empty if the store cannot be read."""
    if tag not in STORED_TAGS:
        return {}
    try:
        file = open_checked(vectors, Kind.VECTORS)
        table = file.read(["uri", "size", "mtime_ns", tag])
    except StoreError:  # the run itself reports it
        return {}
    columns = [table.column(name).to_pylist() for name in table.column_names]
    file.file.close()
    return {(uri, size, at): value for uri, size, at, value in zip(*columns, strict=True)}


def _by_tag(tag: str, vectors: Path | None) -> Naming:
    if not _TAG_NAME.fullmatch(tag):
        raise InputError(f"--id-from tag:NAME: {tag!r} is not a valid tag name")
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
        if names.setdefault(key, row["song_id"]) != row["song_id"]:
            raise InputError(
                f"{table}: row {number} gives {row['path']} the id {row['song_id']!r}, but an "
                f"earlier row {names[key]!r}"
            )
        aliases += row_aliases(row)
    return Naming(lambda path, _default: names.get(_key(path)), aliases=aliases)


def read_id_table(
    table: Path, *, needed: Sequence[str] = ("path", "song_id")
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
        (value.strip(), str(row["song_id"]))
        for column, value in row.items()
        if column not in ("path", "song_id") and isinstance(value, str) and value.strip()
    ]


def _key(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)  # noqa: PTH100 - as in the catalogue, dots kept
