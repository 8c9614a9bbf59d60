"""Resolve a text to a song: an id, an alias, part of an id, or the path of its file.

    "etude", "~/Music/piano/etude.flac"  ──song_named──▶  the song's id
    "~/Music/piano/etude.flac"           ──song_of_file─▶  the same, None for an unknown file

A path may be relative, contain ``..``, and lead through links; it is resolved to the file. The
errors say why: no such song, no such file, or a song that failed during extraction.
"""

import os
import re
from contextlib import suppress

import pyarrow.compute as pc

from audiorec.errors import InputError, StoreError, UnknownFileError, UnknownSongError
from audiorec.files.arrow import string_array
from audiorec.store.aliases import resolve
from audiorec.store.inventory import files_beside
from audiorec.store.parquet import open_checked
from audiorec.store.schema import Kind
from audiorec.store.store import VectorStore, unique_match

ROOTED = ("/", "~", "./", "../")  # prefixes of paths; ids never start with them
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")  # a file name's extension


def song_named(store: VectorStore, text: str) -> str:
    """Return the id of the song that a text names.

    Tried in this order: an exact id; the path of a file in the store; an alias; the only id that
    ends in ``/text``; the only id that contains the text, ignoring case.

    Raises
    ------
    UnknownSongError
        If no song matches; has up to five near matches. If the text looks like a path, an
        `UnknownFileError`, which is also a ``FileNotFoundError``; if several songs match, a
        `SeveralSongsError`.
    InputError
        If the song failed during extraction; says why.
    """
    name = stored_spelling(text)
    known = name if name in store else song_of_file(store, text)
    if known is not None:
        return known
    try:
        return resolve(store, name)
    except UnknownSongError as error:
        if reason := _failure(store, name, part=not error.near):
            raise InputError(reason) from error
        # Ids look like paths, too: with near matches, take the text for a misspelt id.
        like_one = os.sep in name or _ENDING.search(name) is not None
        if name.startswith(ROOTED) or (like_one and not error.near):
            raise UnknownFileError(name, error.near) from error
        if not error.near:
            raise UnknownSongError(name, store=str(store.path)) from error
        raise


def song_of_file(store: VectorStore, path: str) -> str | None:
    """Return the id of the song stored in a file; None if there is no such song or file."""
    file = os.path.expanduser(path)  # noqa: PTH111 - a path, perhaps not UTF-8
    if not os.path.isfile(file):  # noqa: PTH113
        return None
    full = (os.path.abspath(file), os.path.realpath(file))  # noqa: PTH100
    uris = store.column("uri")
    number = pc.index_in(
        string_array([stored_spelling(name) for name in full]), value_set=uris.combine_chunks()
    )
    for row in number.to_pylist():
        if row is not None:
            return str(store.id_array[row].as_py())
    # The store may know the file by the path of another link.
    ids, names = store.column("song_id"), {os.path.basename(stored_spelling(name)) for name in full}  # noqa: PTH119
    for name in names:
        near = pc.ends_with(uris, f"/{name}")
        found = zip(uris.filter(near).to_pylist(), ids.filter(near).to_pylist(), strict=True)
        for uri, song_id in found:
            with suppress(OSError):
                if os.path.samefile(uri, file):  # noqa: PTH121
                    return str(song_id)
    return None


def stored_spelling(path: str) -> str:
    r"""Return a path or an id as the store writes it: bytes that are not UTF-8 as ``\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _failure(store: VectorStore, text: str, *, part: bool) -> str:
    """Say why a song has no vector, from the errors file; empty if it is not listed there.

    With `part`, the text may also be a part of the id, as in the store.
    """
    path = files_beside(store.path).get(Kind.ERRORS)
    if path is None:
        return ""
    try:
        with open_checked(path, Kind.ERRORS) as file:
            table = file.read(["song_id", "uri", "status", "message"])
    except StoreError:
        return ""
    ids = table.column("song_id").combine_chunks()
    full = stored_spelling(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111
    row = pc.index(table.column("uri"), string_array([full])[0]).as_py()
    if row < 0:
        try:
            found = unique_match(ids, text)
        except UnknownSongError:
            return ""
        if not (part or f"/{found}".casefold().endswith(f"/{text}".casefold())):
            return ""
        row = pc.index(ids, string_array([found])[0]).as_py()
    status, message = (table.column(name)[row].as_py() for name in ("status", "message"))
    return f"{ids[row].as_py()} failed during extraction: {status}: {message}"
