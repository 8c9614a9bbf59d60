"""Other names of a song: MusicBrainz id, ISRC, path, file name, and aliases of your own.

    "USRC17607839"  ──find_by_alias──▶  the song's id

An id takes precedence over every alias. Aliases of your own are stored in ``aliases.parquet``
beside the store; the others are read from its columns.
"""

import os
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import StoreColumns
from audiorec.errors import MissingStoreError, SeveralSongsError, StoreError
from audiorec.files.arrow import string_array
from audiorec.files.tables import TableFile, write_plain
from audiorec.store.store import VectorStore, unique_match

ALIASES_FILE = "aliases.parquet"
SCHEMA = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("alias", "kind", StoreColumns.ID)],
    metadata={"audiorec": '{"format_version": 1, "kind": "aliases"}'},
)
CANDIDATES = 5  # songs listed in the message about an ambiguous alias


class AliasKind(StrEnum):
    """Kind of an alias, in lookup order.

    ======  =======================================================  =====================
    kind    the alias                                                where it comes from
    ======  =======================================================  =====================
    mbid    MusicBrainz recording id, in lower case                  the file's tags
    isrc    ISRC without hyphens, in capitals                        the file's tags
    path    absolute path of the file, as in ``uri``                 the store
    csv     anything                                                 a table of your own
    stem    name of the file without its suffix                      the store
    ======  =======================================================  =====================
    """

    MBID = "mbid"
    ISRC = "isrc"
    PATH = "path"
    CSV = "csv"
    STEM = "stem"


_FORMS = {
    AliasKind.MBID: re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    AliasKind.ISRC: re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}"),
}


def resolve(store: VectorStore, query: str) -> str:
    """Return the id of the song that a query means.

    Tried in this order: an exact id; an alias; the only id that ends in ``/query``; the only id
    that contains `query`, ignoring case.

    Raises
    ------
    UnknownSongError
        If no song matches; has up to five near matches.
    SeveralSongsError
        If several songs match, or have this alias; has up to five of them.
    """
    if query in store:
        return query
    return find_by_alias(store, query) or unique_match(store.id_array, query)


def find_by_alias(store: VectorStore, query: str) -> str | None:
    """Return the id of the song with this alias, None if there is none.

    Raise `SeveralSongsError` if several have it as an alias of the same kind.
    """
    if not query or not len(store):
        return None
    for kind in AliasKind:
        songs = _songs_of(store, query, kind)
        if len(songs) > 1:
            raise SeveralSongsError(query, tuple(sorted(songs)[:CANDIDATES]), len(songs))
        if songs:
            return songs[0]
    return None


def alias_table(store: VectorStore) -> Any:
    """Return all aliases of a store's songs.

    Columns ``alias``, ``kind`` and ``song_id``, sorted by alias, kind and song; an alias may
    occur in several rows.
    """
    ids = store.column(StoreColumns.ID)
    tables = [_own_aliases(store)]
    for kind in (AliasKind.MBID, AliasKind.ISRC, AliasKind.PATH, AliasKind.STEM):
        aliases = _aliases(store, kind)
        there = pc.and_kleene(pc.is_valid(aliases), pc.greater(pc.binary_length(aliases), 0))
        table = pa.table({"alias": aliases, StoreColumns.ID: ids}).filter(there)
        kinds = string_array([kind.value] * len(table))
        columns = [table.column("alias"), kinds, table.column(StoreColumns.ID)]
        tables.append(pa.table(columns, schema=SCHEMA))
    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in SCHEMA.names])


def write_aliases(path: Path, table: Any) -> None:
    """Write a table in the form of `alias_table`, atomically."""
    write_plain(path, table.cast(SCHEMA).replace_schema_metadata(SCHEMA.metadata))


def read_aliases(path: Path) -> Any:
    """Read a file written by `write_aliases`; raise `StoreError` if it is anything else."""
    if not path.exists():
        raise MissingStoreError(f"{path}: no such file")
    try:
        with TableFile.open(path) as file:
            return file.read_as(SCHEMA)
    except StoreError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise StoreError(f"{path}: not a table of aliases: {reason}") from error


def add_own_aliases(path: Path, aliases: Iterable[tuple[str, str]]) -> int:
    """Add pairs of alias and song id to ``aliases.parquet``; return the number of pairs.

    Earlier aliases of the same songs are replaced; those of other songs are kept.
    """
    pairs = sorted(set(aliases))
    if not pairs:
        return 0
    texts, songs = zip(*pairs, strict=True)
    columns = [
        string_array(texts),
        string_array([AliasKind.CSV.value] * len(pairs)),
        string_array(songs),
    ]
    table = pa.table(columns, schema=SCHEMA)
    if path.exists():
        before = read_aliases(path)
        ours = pc.equal(before.column("kind"), AliasKind.CSV.value)
        others = pc.invert(pc.is_in(before.column(StoreColumns.ID), value_set=string_array(songs)))
        table = pa.concat_tables([before.filter(pc.and_(ours, others)), table])
    write_aliases(path, table.sort_by([(name, "ascending") for name in SCHEMA.names]))
    return len(pairs)


def _songs_of(store: VectorStore, query: str, kind: AliasKind) -> list[str]:
    """Return the ids of the songs that have `query` as an alias of one kind."""
    text, ids = query, store.column(StoreColumns.ID)
    if kind is AliasKind.MBID:
        text = query.lower()
    elif kind is AliasKind.ISRC:
        text = query.replace("-", "").upper()
    elif kind is AliasKind.PATH and "://" not in query:
        text = os.fsencode(os.path.abspath(query)).decode("utf-8", "backslashreplace")  # noqa: PTH100
    if kind in _FORMS and not _FORMS[kind].fullmatch(text):
        return []
    if kind is AliasKind.CSV:
        own = _own_aliases(store)
        aliases, ids = own.column("alias"), own.column(StoreColumns.ID)
    elif kind is AliasKind.STEM:  # filtered first: the regular expressions are slow
        uris = store.column("uri")
        near = pc.match_substring(uris, f"/{query}.")
        aliases, ids = _stems(uris.filter(near)), ids.filter(near)
    else:
        aliases = _aliases(store, kind)
    return ids.filter(pc.equal(aliases, string_array([text])[0])).to_pylist()


def _aliases(store: VectorStore, kind: AliasKind) -> Any:
    """Return every song's alias of one kind other than csv; null where it has none."""
    if kind is AliasKind.MBID:
        return pc.utf8_lower(store.column("musicbrainz_trackid"))
    if kind is AliasKind.ISRC:
        return pc.utf8_upper(pc.replace_substring(store.column("isrc"), "-", ""))
    uris = store.column("uri")
    return uris if kind is AliasKind.PATH else _stems(uris)


def _own_aliases(store: VectorStore) -> Any:
    """Return the csv aliases beside a store, for songs that it holds."""
    path = store.path.with_name(ALIASES_FILE)
    if not path.exists():
        return pa.Table.from_batches([], SCHEMA)
    table = read_aliases(path)
    own = pc.equal(table.column("kind"), string_array([AliasKind.CSV.value])[0])
    here = pc.is_in(
        table.column(StoreColumns.ID), value_set=store.column(StoreColumns.ID).combine_chunks()
    )
    return table.filter(pc.and_(own, here))


def _stems(uris: Any) -> Any:
    names = pc.replace_substring_regex(uris, r"(?s)^.*/", "")
    return pc.replace_substring_regex(names, r"(?s)^(.+)\.[^.]*$", r"\1")
