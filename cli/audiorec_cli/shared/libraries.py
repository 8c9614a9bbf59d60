"""The libraries that ``start`` made: each a store in the data folder, and whose songs it has.

folder, store ──remember──▶ library.json
folder        ──library_of──▶ `KnownLibrary` of this folder, or of one above it
                last_library▶ the one that ``start`` opened last
songs         ──moved_library▶ the one that has these songs from a place where they are no more
"""

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audiorec.errors import AudiorecError, SongError
from audiorec.files.own_files import own_data_folder, read_object, write_own

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source

LIBRARIES = "libraries"  # folder of the stores, in the user's data folder
STORE, RECORD = "vecs.parquet", "library.json"
SAMPLE = 5  # songs whose sound is compared before a library counts as moved


@dataclass(frozen=True, slots=True)
class KnownLibrary:
    """A folder of songs, the store that has them, and the record of this, as old as its opening."""

    folder: Path
    store: Path
    record: Path


def libraries() -> list[KnownLibrary]:
    """Return the libraries whose store exists, the one that was opened last first."""
    result = []
    with suppress(AudiorecError):  # without a home folder there are none
        for record in (own_data_folder() / LIBRARIES).glob(f"*/{RECORD}"):
            with suppress(OSError, ValueError, KeyError, TypeError, AudiorecError):
                said = read_object(record)
                folder, store = Path(said["folder"]), Path(said["store"])
                if store.exists():
                    result.append(KnownLibrary(folder, store, record))
        result.sort(key=lambda one: -one.record.stat().st_mtime_ns)
    return result


def remember(folder: Path, store: Path) -> None:
    """Note that a folder's songs are in a store, and that it was opened now."""
    known = (one.record for one in libraries() if one.store == store.resolve())
    said = {"folder": str(folder), "store": str(store.resolve())}
    write_own(next(known, _place(folder) / RECORD), json.dumps(said) + "\n")


def own_store(folder: Path) -> Path:
    """Return the path of a folder's store: the one that is known, else in the data folder."""
    known = (one.store for one in libraries() if one.folder == folder)
    return next(known, _place(folder) / STORE)


def library_of(folder: Path) -> KnownLibrary | None:
    """Return the library of a folder, or of the nearest one above it; None if there is none."""
    known = [one for one in libraries() if folder.is_relative_to(one.folder)]
    return max(known, key=lambda one: len(one.folder.parts), default=None)


def last_library() -> KnownLibrary | None:
    """Return the library that ``start`` opened last; None if there is none."""
    return next(iter(libraries()), None)


def folders_of(store: Path) -> list[Path]:
    """Return the folder of a store's songs: as ``start`` knows it, else that of the store."""
    known = [one.folder for one in libraries() if one.store == store.resolve()]
    return known or [store.resolve().parent]


def moved_library(sources: "Sequence[Source]") -> tuple[KnownLibrary, "list[Source]"] | None:
    """Return the library that has at least half of some songs, and those that it lacks.

    None of its own files may exist any more. Names and sizes tell which songs it has; of a few the
    sound is compared as well.
    """
    from audiorec.extraction.plan import known_to_exist
    from audiorec.library.library import open_store

    for one in libraries():
        try:
            store = open_store(one.store)
            rows = store.column("uri").to_pylist(), store.column("size").to_pylist()
            hashes = store.column("content_hash").to_pylist()
        except AudiorecError:
            continue
        places = [(uri.rpartition("/")[2], size) for uri, size in zip(*rows, strict=True)]
        known = dict(zip(places, hashes, strict=True))
        there = [source for source in sources if _named(source) in known]
        if len(there) * 2 < len(sources) or any(map(known_to_exist, rows[0])):
            continue
        if _sound_alike(there[:: max(1, len(there) // SAMPLE)][:SAMPLE], known):
            return one, [source for source in sources if _named(source) not in known]
    return None


def _named(source: "Source") -> tuple[str, int]:
    return source.uri.rpartition("/")[2], source.size


def _sound_alike(sources: "Sequence[Source]", known: dict[tuple[str, int], str]) -> bool:
    """Whether some files have the sound that is known by their name and size."""
    from audiorec.extraction.reader import hash_reader

    with hash_reader() as reader:
        for source in sources:
            try:
                if reader.read(source.path) != known[_named(source)]:
                    return False
            except SongError:
                return False
    return bool(sources)


def _place(folder: Path) -> Path:
    """Return the folder of a folder's store in the data folder; make it."""
    digest = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    name = re.sub(r"[^\w-]+", "-", folder.name).strip("-")[:40] or "music"
    place = own_data_folder() / LIBRARIES / f"{name}-{digest}"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place
