"""Local copies of files in object stores: a cache of inputs.

    with_local("s3://bucket/vecs.parquet")  ──▶ <cache>/copies/<uri>/<content>/vecs.parquet
    with_local("s3://bucket/model")         ──▶ <cache>/copies/<uri>/<content>/model/...
    with_local("plays.parquet")             ──▶ plays.parquet

The cache folder (``$AUDIOREC_CACHE``) must be writable by the user alone, since its content is
trusted. Names in a listing are untrusted: those that would lead out of a folder are refused.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from audiorec.errors import InputError, MissingFileError, StoreError
from audiorec.files.own_files import home_folder, refuse_other_than_folder
from audiorec.files.storage import (
    Entry,
    fetch,
    files_in,
    find,
    is_folder,
    is_uri,
    join,
    parent,
)

CACHE_VARIABLE, LIMIT_VARIABLE = "AUDIOREC_CACHE", "AUDIOREC_CACHE_GB"
LIMIT_GB = 20.0
MOST_FILES = 100_000  # of a folder
LONGEST_NAME = 1024
AT_ONCE = 8  # parallel downloads, since each request has latency
COPIES = "copies"
IN_USE_S = 86_400.0  # a copy that was used within a day may be read by a running process
CONTENT, WHOLE = "content", "whole"  # of a copy: the copied files, and a marker of completeness
_NAMED: dict[str, str] = {}  # local paths of copies, and the URIs shown to users instead


def with_local(place: str | os.PathLike[str]) -> Path:
    """Return a local path for a place: a local path itself, or a cached copy of a URI.

    A copy is identified by URI, size, time and, if the store provides one, content tag, so only
    changed files are copied again. Copies stay for later commands until their total size exceeds
    the limit; then the least recently used ones are removed, except those of the last day.

    Raises
    ------
    MissingFileError
        If a URI is neither a file nor a folder with files.
    InputError
        If the protocol is not supported, or a name in a folder leads out of it.
    MissingExtraError
        If the library for object stores is not installed.
    StoreError
        If it cannot be read, or exceeds the size limit of the cache.

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
    """Return the path of a cached copy of one remote file."""
    return local_files([entry])[0]


def local_files(entries: Sequence[Entry]) -> list[Path]:
    """Return the paths of separate cached copies of remote files, downloaded in parallel."""
    wanted = []
    for entry in entries:
        name = entry.place.rstrip("/").rpartition("/")[2]
        check_name(name, entry.place)
        wanted.append(_Copy(entry.place, name, {"": entry}))
    return _made(wanted)


def local_folder(uri: str, *, only: Callable[[str], bool] | None = None) -> Path:
    """Return the path of a cached copy of a remote folder, or of the files that `only` accepts."""
    chosen = {one.name: one for one in listed(uri) if only is None or only(one.name)}
    name = uri.rstrip("/").rpartition("/")[2]
    check_name(name, uri)
    return _made([_Copy(uri, name, chosen)])[0]


def listed(uri: str) -> list[Entry]:
    """Return the files of a remote folder.

    Raises `InputError` if a name leads out of the folder; `StoreError` if there are too many files.
    """
    entries = files_in(uri)
    if len(entries) > MOST_FILES:
        raise StoreError(f"{uri}: has {len(entries)} files, the limit is {MOST_FILES}")
    for entry in entries:
        check_name(entry.name, uri)
    return entries


def check_name(name: str, place: str) -> None:
    """Refuse a name in a listing that leads out of the folder or has control characters."""
    parts = name.split("/")
    odd = any(part in ("", ".", "..") for part in parts) or "\\" in name or ":" in parts[0]
    if (
        odd
        or len(name) > LONGEST_NAME
        or any(ord(letter) < 32 or letter == "\x7f" for letter in name)
    ):
        raise InputError(f"{place}: refused, since it holds a file named {name[:80]!r}")


def cache_folder() -> Path:
    """Return the cache folder, created with access for the user alone.

    ``$AUDIOREC_CACHE`` if it is set, else ``audiorec`` in ``$XDG_CACHE_HOME``, in
    ``%LOCALAPPDATA%`` on Windows, or in ``~/.cache``.

    Raises `InputError` if the home folder is unknown; `StoreError` if it cannot be created, is a
    link, or is owned or writable by other users.
    """
    folder = home_folder(CACHE_VARIABLE, "XDG_CACHE_HOME", ".cache") / "elsewhere"
    refuse_other_than_folder(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be created: {error.strerror}; set ${CACHE_VARIABLE} to a folder"
        ) from error
    owner = getattr(os, "getuid", lambda: about.st_uid)()
    if about.st_uid != owner or (os.name != "nt" and about.st_mode & 0o022):
        raise StoreError(
            f"{folder}: is writable by others, but its content must be trusted; "
            f"set ${CACHE_VARIABLE} to a folder of your own"
        )
    return folder


def show_as(path: Path, name: str) -> None:
    """Register a name to show to users in place of a local path; see `with_shown_names`."""
    _NAMED[str(path)] = name


def beside(path: Path, name: str) -> Path:
    """Return the path of a file beside another one; beside a copy, it is copied too."""
    uri = _NAMED.get(str(path), "")
    entry = find(join(parent(uri), name)) if is_uri(uri) else None
    return path.with_name(name) if entry is None else local_file(entry)


def with_shown_names(text: str) -> str:
    """Replace the paths of cached copies in a text by their URIs."""
    for path in sorted(_NAMED, key=len, reverse=True):
        text = text.replace(path, _NAMED[path])
    return text


@dataclass(frozen=True, slots=True)
class _Copy:
    """One unit to copy: a file, or a folder."""

    uri: str
    name: str
    files: dict[str, Entry]  # by name in the copy; "" for a single file

    @property
    def n_bytes(self) -> int:
        return sum(max(entry.size, 0) for entry in self.files.values())

    def place(self, cache: Path) -> Path:
        return cache / COPIES / cache_name(self.uri) / listing_digest(list(self.files.values()))


def _made(wanted: Sequence[_Copy]) -> list[Path]:
    """Copy whatever is not cached yet; return the paths of all copies."""
    cache = cache_folder()
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
        show_as(paths[-1], one.uri)
        show_as(paths[-1].parent, parent(one.uri))  # for messages about files beside it
    return paths


def _used(place: Path) -> bool:
    """Mark a copy as used now; return whether it exists."""
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
        with suppress(OSError):  # another process has just made the same copy
            fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _fetch_same(entry: Entry, path: Path) -> None:
    """Copy a file as listed; refuse one that has changed since."""
    limit = entry.size if entry.size >= 0 else _limit_bytes()
    try:
        fetch(entry.place, path, max_bytes=limit, known=entry)
    except FileNotFoundError as error:
        raise MissingFileError(f"{entry.place}: was removed while it was copied") from error
    if entry.size >= 0 and path.stat().st_size != entry.size:
        raise StoreError(f"{entry.place}: changed while it was copied; run the command again")


def listing_digest(entries: Sequence[Entry]) -> str:
    """Return a digest of a listing, which changes whenever one of its files does."""
    rows = [[entry.name, entry.size, entry.mtime_ns, entry.tag] for entry in entries]
    return cache_name(json.dumps(rows))


def cache_name(text: str) -> str:
    """Return a folder name for a place in the cache: 32 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _limit_bytes() -> int:
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        limit = float(text) if text else LIMIT_GB
    except ValueError:
        limit = -1.0
    if not 0 < limit < 1e9:
        raise InputError(f"${LIMIT_VARIABLE} must be a number of GB above 0, got {text!r}")
    return int(limit * 1e9)


def _make_room(cache: Path, uri: str, n_bytes: int) -> None:
    """Remove unused copies, least recently used first, to make room; `StoreError` if too few."""
    limit = _limit_bytes()
    in_use_since = time.time() - IN_USE_S
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
            f"{uri}: needs {n_bytes / 1e9:.2f} GB of cache beside {total / 1e9:.2f} GB in use; "
            f"the limit is {limit / 1e9:.2f} GB: raise ${LIMIT_VARIABLE}, or read fewer days"
        )
