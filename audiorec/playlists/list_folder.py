"""Write the playlists of a divided library to a folder, which a later run can update.

    `DividedLibrary` ──write_lists──▶ folder/*.m3u8, folder/playlists.json

``playlists.json`` beside the lists records audiorec's files and their digests. A file from another
program, or a list that was edited, is never replaced or removed: the list gets another file name.
Interrupting at any point leaves complete files, and an index that covers all of them.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from audiorec.errors import InputError
from audiorec.files.m3u8 import BIDI, PlaylistEntry, render_m3u8
from audiorec.files.own_files import sealed, write_errors, write_own
from audiorec.playlists.library_lists import INDEX, SCHEMA, EarlierLists, ListFile, read_lists

if TYPE_CHECKING:
    from audiorec.playlists.library_lists import DividedLibrary, NamedPlaylist

MOST_FILE_NAME = 80  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenLists:
    """Result of writing a folder of playlists.

    Attributes
    ----------
    files : mapping of str to str
        The file name of each list, by list name.
    written, unchanged, removed : int
        Numbers of files.
    left_alone : tuple of str
        Files that lists would have used, but that others wrote or edited.
    left_out : tuple of str
        Paths of songs that cannot be written to a playlist.
    """

    files: Mapping[str, str]
    written: int
    unchanged: int
    removed: int
    left_alone: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def write_lists(
    divided: "DividedLibrary", folder: str | Path, *, absolute: bool = False
) -> WrittenLists:
    """Write every list as a file in a folder.

    Parameters
    ----------
    divided : DividedLibrary
    folder : path
        Created if missing. Files of earlier lists that no longer exist are removed.
    absolute : bool
        Write absolute song paths; by default they are relative to the folder.

    Raises
    ------
    InputError
        If the parent folder does not exist.
    StoreError
        If the folder is a link, its index is damaged, or it cannot be written to.
    """
    place = Path(folder)
    earlier = read_lists(place)
    if not place.parent.is_dir():
        raise InputError(f"{place}: folder {place.parent} does not exist; create it first")
    with write_errors(place):
        place.mkdir(exist_ok=True)
        return _written(divided, place, earlier, absolute=absolute)


def _written(
    divided: "DividedLibrary", folder: Path, earlier: EarlierLists | None, *, absolute: bool
) -> WrittenLists:
    old = {one.file: one for one in (earlier.lists if earlier is not None else ())}
    ours = {name for name, one in old.items() if _digest_at(folder / name) in one.digests}
    there = {path.name.casefold() for path in folder.iterdir()} - {name.casefold() for name in ours}
    files = _file_names(divided.lists, earlier, ours, there)
    texts, left_out = {}, []
    for one in divided.lists:
        entries = [PlaylistEntry.of(song) for song in one.songs]
        text, odd = render_m3u8(entries, folder=None if absolute else folder)
        texts[one.name] = text.replace("#EXTM3U\n", f"#EXTM3U\n#PLAYLIST:{one.name}\n", 1).encode()
        left_out += [entry.path for entry in odd]
    now = [
        ListFile(
            name=one.name,
            file=files[one.name],
            songs=tuple(one.song_ids.tolist()),
            digests=(hashlib.sha256(texts[one.name]).hexdigest(),),
            says=one.naming.says,
            around=one.naming.around,
        )
        for one in divided.lists
    ]
    gone = [one for name, one in old.items() if name in ours and name not in set(files.values())]
    # Record every file that may exist during this run, so that after a kill the next run owns it.
    _write_index(divided, folder, _while_writing(now, gone, old))
    written = 0
    for file in now:
        path = folder / file.file
        if _digest_at(path) not in file.digests:
            written += 1
            write_own(path, texts[file.name])
    for dead in gone:
        (folder / dead.file).unlink(missing_ok=True)
    _write_index(divided, folder, now)
    kept = {name for name in old if name not in ours and (folder / name).exists()}
    avoided = {f"{_slug(one.name)}.m3u8" for one in divided.lists} - set(files.values())
    there_now = {path.name for path in folder.iterdir()}
    return WrittenLists(
        files=files,
        written=written,
        unchanged=len(now) - written,
        removed=len(gone),
        left_alone=tuple(sorted(kept | (avoided & there_now))),
        left_out=tuple(left_out),
    )


def _while_writing(
    now: Sequence[ListFile], gone: Sequence[ListFile], old: Mapping[str, ListFile]
) -> list[ListFile]:
    both = []
    for one in now:
        before = old[one.file].digests if one.file in old else ()
        digests = tuple(dict.fromkeys((*before, *one.digests)))
        both.append(replace(one, digests=digests))
    names = {one.name.casefold() for one in now}
    for one in gone:  # under unique names, in case the next run starts from here
        name, number = one.name, 1
        while name.casefold() in names:
            number += 1
            name = f"{one.name} ({number})"
        names.add(name.casefold())
        both.append(ListFile(name=name, file=one.file, songs=(), digests=one.digests))
    return both


def _file_names(
    lists: "Sequence[NamedPlaylist]",
    earlier: EarlierLists | None,
    ours: set[str],
    there: set[str],
) -> dict[str, str]:
    """Return the file name of each list: that of the list it continues, or a free new one."""
    by_name = {one.name: one.file for one in (earlier.lists if earlier is not None else ())}
    files: dict[str, str] = {}
    used = set(there)
    for one in lists:
        file = by_name.get(one.name) if one.name == one.went_on else None
        if file in ours and file is not None:
            files[one.name] = file
            used.add(file.casefold())
    for one in lists:
        if one.name in files:
            continue
        stem, number = _slug(one.name), 1
        file = f"{stem}.m3u8"
        while file.casefold() in used:
            number += 1
            file = f"{stem} ({number}).m3u8"
        files[one.name] = file
        used.add(file.casefold())
    return files


def _slug(name: str) -> str:
    """Return a list name as a file name that is valid on every system."""
    plain = BIDI.sub("", re.sub(r"[^\w ,&()'+-]", " ", name))
    return " ".join(plain.split())[:MOST_FILE_NAME].strip(" -") or "songs"


def _digest_at(path: Path) -> str | None:
    """Return the sha256 of a file; None if it is missing, a link or not a regular file."""
    if path.is_symlink() or not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_index(divided: "DividedLibrary", folder: Path, lists: Sequence[ListFile]) -> None:
    content = {
        "schema": SCHEMA,
        "extractor_id": divided.store.metadata.extractor_id,
        "by": divided.by,
        "size": divided.size,
        "joined": divided.joined,
        "lists": [
            {
                "name": one.name,
                "file": one.file,
                "songs": list(one.songs),
                "digests": list(one.digests),
                "says": [list(part) for part in one.says],
                "around": one.around,
            }
            for one in lists
        ],
    }
    write_own(folder / INDEX, json.dumps(sealed(content), indent=1) + "\n")
