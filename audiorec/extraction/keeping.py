"""Which rows of a store stay when songs have moved, are gone, or cannot be seen.

A row goes only if its song is known to be gone. A folder without permission, a disk that
does not answer or is not mounted, a path beyond the system's limit: none of them says so.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from audiorec.extraction.catalogue import Source
from audiorec.extraction.plan import KnownFailure, KnownSong

_ESCAPE = re.compile(rb"\\x([89a-f][0-9a-f])")  # a byte that is not UTF-8, in a uri


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows that go at the end of a run.

    Attributes
    ----------
    song_ids : set of str
    healed : set of str
        Those of them that are folders which could not be listed once, and can be now.
    kept : Counter of str
        How many rows stay although their file was not found, by the folder to blame: one
        that cannot be looked at, or that is empty as if its disk were not mounted.
    """

    song_ids: set[str] = field(default_factory=set)
    healed: set[str] = field(default_factory=set)
    kept: Counter[str] = field(default_factory=Counter)


def rows_to_drop(
    sources: Sequence[Source],
    songs: Sequence[KnownSong],
    failures: Sequence[KnownFailure],
    *,
    moved: Collection[str] = (),
    prune: bool = False,
    roots: Iterable[str] = (),
) -> Dropped:
    """Find the rows whose file goes by another name now, has moved or, with `prune`, is gone.

    Parameters
    ----------
    sources : sequence of Source
        What the run found.
    songs, failures : sequence
        The rows that there are.
    moved : collection of str
        Content hashes of songs that were found at a new place.
    prune : bool
        Drop rows whose file is gone.
    roots : iterable of str
        Folders that were searched, as uris. Below one without a single song nothing counts
        as gone: its disk may not be mounted.
    """
    ids = {source.song_id for source in sources}
    places = {source.uri for source in sources}
    rows = [(k.song_id, k.uri) for k in songs] + [(f.song_id, f.uri) for f in failures]
    dropped = Dropped({name for name, uri in rows if uri in places} - ids)
    dropped.song_ids.update(
        k.song_id
        for k in songs
        if k.content_hash in moved and k.song_id not in ids and is_there(k.uri) is False
    )
    dropped.healed.update(
        f.song_id
        for f in failures
        if f.song_id.endswith("/") and f.song_id not in ids and _can_be_listed(f.uri)
    )
    dropped.song_ids.update(dropped.healed)
    if prune:
        done = ids | dropped.song_ids
        left = [(name, uri) for name, uri in rows if name not in done]
        _prune(dropped, left, [*_unseen(sources), *_without_songs(roots, sources)])
    return dropped


def _prune(dropped: Dropped, rows: Sequence[tuple[str, str]], unseen: Sequence[str]) -> None:
    """Drop rows whose file is gone, and count those that nobody can tell of."""
    hiding_place = _hiding_place(unseen)
    for name, uri in rows:
        there, folder = is_there(uri), Path(uri).parent
        if there or "://" in uri:
            continue
        place = str(folder) if there is None else hiding_place(folder)
        if place is None:
            dropped.song_ids.add(name)
        else:
            dropped.kept[place] += 1


def failures_to_report(
    unseen: Sequence[Source], with_vector: Collection[str], *, prune: bool = False
) -> list[Source]:
    """Choose under which names places that could not be looked at become failures.

    A failure takes the place of the song's vector. A song that has one and cannot be seen
    keeps it, and its folder is reported instead, once for all of its songs. With `prune`
    that does not hold for a song that is gone.
    """
    hiding_place = _hiding_place([])
    reported: list[Source] = []
    by_folder: dict[Path, list[Source]] = {}
    for source in unseen:
        folder = Path(source.uri).parent
        pruned = prune and is_there(source.uri) is False and hiding_place(folder) is None
        if source.song_id in with_vector and not pruned:
            by_folder.setdefault(folder, []).append(source)
        else:
            reported.append(source)
    for folder, songs in by_folder.items():
        more = f" and {len(songs) - 1} more" if len(songs) > 1 else ""
        problem = f"{Path(songs[0].uri).name}{more}: {songs[0].problem}; vectors are kept"
        name = f"{folder.as_posix().rstrip('/')}/"
        reported.append(Source(name, str(folder), str(folder), -1, -1, problem))
    return reported


def is_there(uri: str) -> bool | None:
    """Whether a file, or a link, is at its place; None if there is no telling."""
    if "://" in uri:
        return None
    for path in _spellings(uri):
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # a zero byte: on no disk
            continue
        except OSError:
            return None
        return True
    return None if "\\x" in uri else False  # an escaped name cannot be looked up for certain


def _spellings(uri: str) -> set[bytes]:
    """Return the paths that a uri may stand for: as it is, and with its escapes undone."""
    name = os.fsencode(uri)
    return {name, _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), name)}


def _can_be_listed(uri: str) -> bool:
    for path in _spellings(uri):
        try:
            with os.scandir(path):
                return True
        except (OSError, ValueError):
            continue
    return False


def _unseen(sources: Iterable[Source]) -> list[str]:
    return [source.uri for source in sources if source.problem]


def _without_songs(roots: Iterable[str], sources: Sequence[Source]) -> list[str]:
    found = [source.uri for source in sources if not source.problem]
    return [root for root in roots if not any(_is_below(uri, root) for uri in found)]


def _is_below(uri: str, place: str) -> bool:
    return uri == place or uri.startswith(place.rstrip(os.sep) + os.sep)


def _hiding_place(unseen: Sequence[str]) -> Callable[[Path], str | None]:
    """Make a function that says what may hide the songs of a folder; None if nothing does."""

    @cache
    def hiding_place(folder: Path) -> str | None:
        for place in unseen:
            if _is_below(str(folder), place):
                return place
        while True:
            try:
                with os.scandir(folder) as entries:
                    return str(folder) if next(entries, None) is None else None
            except (NotADirectoryError, ValueError):
                return None
            except FileNotFoundError:
                if folder == folder.parent:
                    return str(folder)
                folder = folder.parent
            except OSError:
                return str(folder)

    return hiding_place
