"""What lies elsewhere, read by way of this machine's disk: copied once, within bounds.

    with_local("s3://bucket/vecs.parquet")  ──▶ <cache>/copies/<uri>/<content>/vecs.parquet
    with_local("s3://bucket/model")         ──▶ <cache>/copies/<uri>/<content>/model/...
    with_local("plays.parquet")             ──▶ plays.parquet

A copy is known by its URI, size, time and, where the store gives one, tag of the content, so that
what changed is copied anew and what did not is not. Copies stay for the next command, until all of
them take more than the limit of bytes: then those go first that were not used for longest, but
none that a process at work has used. The folder is the user's alone (``$AUDIOREC_CACHE``), since
what lies in it is believed.

Names in a listing come from outside: those that would lead out of a folder are refused.
"""

import atexit
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from audiorec.errors import BusyStoreError, InputError, MissingFileError, StoreError
from audiorec.files.own_files import refuse_other_than_folder
from audiorec.files.run_folder import RunFolder, run_folder_path
from audiorec.files.storage import (
    Entry,
    fetch,
    files_in,
    find,
    is_folder,
    is_uri,
    join,
    parent,
    read,
)

CACHE_VARIABLE, LIMIT_VARIABLE = "AUDIOREC_CACHE", "AUDIOREC_CACHE_GB"
LIMIT_GB = 20.0
MOST_FILES = 100_000  # of a folder
LONGEST_NAME = 1024
AT_ONCE = 8  # files: a store answers each after a while
COPIES, LEASES = "copies", "leases"
CONTENT, WHOLE = "content", "whole"  # of a copy: what was copied, and that all of it was
# What `delivery` leaves in a folder that it wrote: which files are the folder's, or that there
# are not all of them yet.
LISTING = ".audiorec-files.json"
MAX_LISTING_BYTES = 64 << 20
_NAMED: dict[str, str] = {}  # places of copies, and the URIs that people know them by
_LEASE: dict[Path, RunFolder] = {}  # of this process, by folder


def with_local(place: str | os.PathLike[str]) -> Path:
    """Return a path with the content of a place: of a file or folder elsewhere, a copy.

    Raises
    ------
    MissingFileError
        If a URI has no file, and none below it.
    InputError
        If there is no such kind of place, or a name in a folder leads out of it.
    MissingExtraError
        If the library for object stores is not installed.
    StoreError
        If it cannot be read, takes more than the limit of bytes, or is being written.

    Examples
    --------
    >>> with_local("plays.parquet").name, with_local("file:///logs/plays.csv").name
    ('plays.parquet', 'plays.csv')
    """
    text = os.fspath(place)
    if not is_uri(text):
        return Path(text.removeprefix("file://"))
    if is_folder(text):
        return local_folder(text)
    entry = find(text)
    if entry is None:
        raise MissingFileError(f"{text}: no such file")
    return local_file(entry)


def local_file(entry: Entry) -> Path:
    """Return a copy of one file elsewhere."""
    return local_files([entry])[0]


def local_files(entries: Sequence[Entry]) -> list[Path]:
    """Return copies of files elsewhere, each for itself; several are copied at once."""
    wanted = []
    for entry in entries:
        name = entry.place.rstrip("/").rpartition("/")[2]
        check_name(name, entry.place)
        wanted.append(_Copy(entry.place, name, {"": entry}))
    return _made(wanted)


def local_folder(uri: str, *, only: Callable[[str], bool] | None = None) -> Path:
    """Return a copy of a folder elsewhere, or of those of its files whose name is wanted."""
    entries = listed(uri)
    chosen = [entry for entry in entries if only is None or only(entry.name)]
    name = uri.rstrip("/").rpartition("/")[2]
    check_name(name, uri)
    return _made([_Copy(uri, name, {entry.name: entry for entry in chosen})])[0]


def listed(uri: str) -> list[Entry]:
    """Return the files of a folder elsewhere: those that its writer listed, where it did.

    Raises
    ------
    InputError
        If a name leads out of the folder.
    StoreError
        If there are too many files, or the folder is being written.
    """
    entries = files_in(uri)
    if len(entries) > MOST_FILES:
        raise StoreError(f"{uri}: has {len(entries)} files, the limit is {MOST_FILES}")
    for entry in entries:
        check_name(entry.name, uri)
    wanted = delivered_names(uri)
    if wanted is None:
        return entries
    found = [entry for entry in entries if wanted.get(entry.name) == entry.size]
    if len(found) < len(wanted):
        raise StoreError(
            f"{uri}: is being written, or a run that wrote it was cut off: run that one again"
        )
    return found


def delivered_names(uri: str) -> dict[str, int] | None:
    """Return the files, with their sizes, of a folder that `delivery` wrote; None of others.

    Raises
    ------
    StoreError
        If it is being written, or its listing is damaged.
    """
    content = read(join(uri, LISTING), max_bytes=MAX_LISTING_BYTES)
    if content is None:
        return None
    try:
        files = json.loads(content)["files"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{join(uri, LISTING)}: damaged") from error
    if files is None:
        raise StoreError(
            f"{uri}: is being written, or a run that wrote it was cut off: run that one again"
        )
    if not isinstance(files, dict) or not all(type(size) is int for size in files.values()):
        raise StoreError(f"{join(uri, LISTING)}: damaged")
    return files


def check_name(name: str, place: str) -> None:
    """Refuse a name of a listing that could lead elsewhere, or steer a terminal."""
    parts = name.split("/")
    odd = any(part in ("", ".", "..") for part in parts) or "\\" in name or ":" in parts[0]
    if (
        odd
        or len(name) > LONGEST_NAME
        or any(ord(letter) < 32 or letter == "\x7f" for letter in name)
    ):
        raise InputError(f"{place}: holds a file by the name {name[:80]!r}, which is refused")


def cache_folder() -> Path:
    """Return the folder of copies, made for the user alone.

    ``$AUDIOREC_CACHE`` if it is set, else ``audiorec`` in ``$XDG_CACHE_HOME``, in
    ``%LOCALAPPDATA%`` on Windows, or in ``~/.cache``.

    Raises
    ------
    InputError
        If nobody's home is known.
    StoreError
        If it cannot be made, is somebody else's or a link, or may be written by others.
    """
    named = os.environ.get(CACHE_VARIABLE)
    usual = os.environ.get("XDG_CACHE_HOME", "")
    if not Path(usual).is_absolute():
        usual = os.environ.get("LOCALAPPDATA", "") if sys.platform == "win32" else ""
    try:
        folder = Path(named or (Path(usual) if usual else Path.home() / ".cache") / "audiorec")
    except RuntimeError as error:
        raise InputError(f"no home folder is known: name one by ${CACHE_VARIABLE}") from error
    folder = folder.absolute() / "elsewhere"
    refuse_other_than_folder(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be made: {error.strerror}; name a folder by ${CACHE_VARIABLE}"
        ) from error
    owner = getattr(os, "getuid", lambda: about.st_uid)()
    if about.st_uid != owner or (os.name != "nt" and about.st_mode & 0o022):
        raise StoreError(
            f"{folder}: others may write to it, and copies in it are believed: "
            f"name a folder of your own by ${CACHE_VARIABLE}"
        )
    return folder


def drop_copies(uri: str) -> None:
    """Remove the copies of a place from this machine."""
    shutil.rmtree(cache_folder() / COPIES / digest_of(uri), ignore_errors=True)


def known_as(path: Path, name: str) -> None:
    """Let people know a path of this machine by another name, as in `by_their_names`."""
    _NAMED[str(path)] = name


def by_their_names(text: str) -> str:
    """Return a text for people with the URIs in place of the paths of copies."""
    for path in sorted(_NAMED, key=len, reverse=True):
        text = text.replace(path, _NAMED[path])
    return text


@dataclass(frozen=True, slots=True)
class _Copy:
    """What is to be copied together: one file, or a folder."""

    uri: str
    name: str
    files: dict[str, Entry]  # by their names in the copy: "" for the one file

    @property
    def n_bytes(self) -> int:
        return sum(max(entry.size, 0) for entry in self.files.values())

    def place(self, cache: Path) -> Path:
        return cache / COPIES / digest_of(self.uri) / content_of(list(self.files.values()))


def _made(wanted: Sequence[_Copy]) -> list[Path]:
    """Copy what was not copied before; return the paths of all."""
    cache = cache_folder()
    _hold(cache)
    lacking = [one for one in wanted if not _used(one.place(cache))]
    if lacking:
        _make_room(cache, lacking[0].uri, sum(one.n_bytes for one in lacking))
    several = len(lacking) > 1 or any(len(one.files) > 1 for one in lacking)
    with ThreadPoolExecutor(AT_ONCE if several else 1) as pool:
        for one in lacking:
            if len(one.files) > 1:
                _copy(one, cache, pool)
        single = [one for one in lacking if len(one.files) < 2]
        list(pool.map(lambda one: _copy(one, cache, None), single))
    paths = []
    for one in wanted:
        paths.append(one.place(cache) / CONTENT / one.name)
        known_as(paths[-1], one.uri)
        known_as(paths[-1].parent, parent(one.uri))  # what a command would look for beside it
    return paths


def _used(place: Path) -> bool:
    """Note that a copy is used from now on; whether it is there."""
    try:
        os.utime(place / WHOLE)
    except FileNotFoundError:
        return False
    return True


def _copy(one: _Copy, cache: Path, pool: ThreadPoolExecutor | None) -> None:
    place = one.place(cache)
    fresh = place.with_name(f".{place.name}.{uuid4().hex[:12]}.tmp")
    target = fresh / CONTENT / one.name
    try:
        target.parent.mkdir(parents=True)
        paths = [target / name if name else target for name in one.files]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        if not paths:
            target.mkdir()
        list((pool.map if pool else map)(_fetch_same, one.files.values(), paths))
        (fresh / WHOLE).touch()
        with suppress(OSError):  # another process has just made the same
            fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _fetch_same(entry: Entry, path: Path) -> None:
    """Copy a file as it was listed; one that was changed meanwhile is refused."""
    limit = entry.size if entry.size >= 0 else _limit_bytes()
    try:
        fetch(entry.place, path, max_bytes=limit, known=entry)
    except FileNotFoundError as error:
        raise MissingFileError(f"{entry.place}: was removed while it was copied") from error
    if entry.size >= 0 and path.stat().st_size != entry.size:
        raise StoreError(f"{entry.place}: changed while it was copied; run the command again")


def content_of(entries: Sequence[Entry]) -> str:
    """Return what tells the files of a listing from what was there before."""
    told = [[entry.name, entry.size, entry.mtime_ns, entry.tag] for entry in entries]
    return digest_of(json.dumps(told))


def digest_of(text: str) -> str:
    """Return a name for a place in the cache."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _limit_bytes() -> int:
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        limit = float(text) if text else LIMIT_GB
    except ValueError:
        limit = -1.0
    if not 0 < limit < 1e9:
        raise InputError(f"${LIMIT_VARIABLE} is a number of GB above 0, got {text!r}")
    return int(limit * 1e9)


def _hold(cache: Path) -> None:
    """Say, for as long as this process lives, that it uses copies from now on."""
    if cache not in _LEASE:
        (cache / LEASES).mkdir(mode=0o700, exist_ok=True)
        _LEASE[cache] = RunFolder(cache / LEASES / uuid4().hex[:12], "")
        os.utime(_LEASE[cache].path)
        atexit.register(_LEASE[cache].release, remove=True)


def _make_room(cache: Path, uri: str, n_bytes: int) -> None:
    """Remove copies that nobody uses until there is room for more, or refuse."""
    limit = _limit_bytes()
    in_use_since = _oldest_lease(cache)
    kept = []
    for whole in (cache / COPIES).glob(f"*/*/{WHOLE}"):
        with suppress(FileNotFoundError):
            sizes = sum(p.stat().st_size for p in whole.parent.rglob("*") if p.is_file())
            kept.append((whole.stat().st_mtime, sizes, whole.parent))
    total = sum(size for _, size, _ in kept)
    for used, size, place in sorted(kept):
        if total + n_bytes <= limit:
            break
        if used < in_use_since:
            (place / WHOLE).unlink(missing_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            with suppress(OSError):
                place.parent.rmdir()
            total -= size
    if total + n_bytes > limit:
        raise StoreError(
            f"{uri}: {n_bytes / 1e9:.2f} GB are to be copied, beside {total / 1e9:.2f} GB in use; "
            f"the limit is {limit / 1e9:.2f} GB: raise ${LIMIT_VARIABLE}, or read fewer days"
        )


def _oldest_lease(cache: Path) -> float:
    """Return since when copies may be in use, by the processes that live."""
    oldest = time.time()
    for path in (cache / LEASES).glob("*.run"):
        name = path.with_suffix("")
        if run_folder_path(name) == _LEASE[cache].path:
            oldest = min(oldest, path.stat().st_mtime)
            continue
        try:
            RunFolder(name, "").release(remove=True)  # nobody holds it: its process has ended
        except BusyStoreError:
            with suppress(FileNotFoundError):
                oldest = min(oldest, path.stat().st_mtime)
        except StoreError:
            continue
    return oldest
