"""Access files by path or URI, with atomic writes.

    "vecs/part-00000-of-00004.vecs.parquet"      a path: no extra is needed
    "s3://bucket/vecs/part-00000-of-..."         an object store: extra ``cloud`` (fsspec)

Writes are atomic: on a disk by rename, in an object store because an object becomes visible only
when its upload is complete. Endpoints and credentials are not configured here: fsspec and the
store's own library read them from the environment (``AWS_ENDPOINT_URL``, ``FSSPEC_S3_KEY``, ...).
"""

import importlib
import math
import os
import posixpath
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audiorec.errors import (
    AudiorecError,
    Failure,
    InputError,
    MissingExtraError,
    MissingSongError,
    MissingStoreError,
    SongError,
    StoreError,
    import_extra,
)
from audiorec.files.own_files import replaced, sync, write_own

# Object stores, and fsspec's in-memory store. Other fsspec protocols are excluded: some run
# commands or open archives, and some expose partially written files.
PROTOCOLS = ("file", "memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
CHUNK_BYTES = 8 << 20
PROBE = ".audiorec-probe"
UNKNOWN = -1
_SPAN = 1 << 64
# Errors of object store libraries that are not OSErrors; looked up only if a library is loaded.
_FOREIGN_ERRORS = {
    "botocore.exceptions": "BotoCoreError",
    "aiohttp": "ClientError",
    "gcsfs.retry": "HttpError",
    "azure.core.exceptions": "AzureError",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a folder."""

    place: str  # path or URI
    name: str  # relative to the folder, with forward slashes
    size: int
    mtime_ns: int  # since 1970 (see `within_int64`); -1 if the store does not report it
    tag: str = ""  # content tag (ETag or hash), if the object store provides one


def is_uri(place: str | os.PathLike[str]) -> bool:
    """Return whether a place is a URI of a remote file system.

    Examples
    --------
    >>> is_uri("s3://bucket/song.mp3"), is_uri("songs/a.mp3"), is_uri("file:///songs/a.mp3")
    (True, False, False)
    """
    text = os.fspath(place)
    return "://" in text and not text.startswith("file://")


def join(folder: str, name: str) -> str:
    """Join a folder and a name; an absolute `name` is returned as it is.

    Examples
    --------
    >>> join("s3://bucket/vecs", "part.parquet"), join("vecs/", "part.parquet")
    ('s3://bucket/vecs/part.parquet', 'vecs/part.parquet')
    >>> join("s3://bucket/vecs", "s3://other/song.mp3"), join("memory://", "a")
    ('s3://other/song.mp3', 'memory://a')
    """
    if "://" in name:
        return name
    if is_uri(folder):
        # The root of a protocol, "memory://", keeps both of its slashes.
        root = folder.rstrip("/") + "/" if not folder.endswith("://") else folder
        return root + name.lstrip("/")
    return os.path.join(folder, name)  # noqa: PTH118 - a Path would drop "./" and odd bytes


def parent(place: str) -> str:
    """Return the parent folder of a place; "" for a bare name."""
    return posixpath.dirname(place) if is_uri(place) else os.path.dirname(_local(place))  # noqa: PTH120


def exists(place: str) -> bool:
    """Return whether a file or folder exists at a place."""
    return find(place) is not None


def find(place: str) -> Entry | None:
    """Return a file's size, time and tag without opening it; None if it does not exist."""
    if not is_uri(place):
        try:
            info = Path(_local(place)).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        name = os.path.basename(place)  # noqa: PTH119
        return Entry(place, name, info.st_size, within_int64(info.st_mtime_ns))
    with _remote(place, "looked at") as (files, path):
        try:
            return _entry(place, posixpath.basename(place), files.info(path))
        except FileNotFoundError:
            return None


def is_folder(place: str) -> bool:
    """Return whether a place is a folder; in an object store, whether any key lies below it."""
    if not is_uri(place):
        return Path(_local(place)).is_dir()
    with _remote(place, "looked at") as (files, path):
        return bool(files.isdir(path))


def files_in(folder: str) -> list[Entry]:
    """List the files of a folder recursively, sorted by name; empty if it does not exist."""
    if not is_uri(folder):
        root = Path(_local(folder))
        result = [
            replace(entry, name=path.relative_to(root).as_posix())
            for path in root.rglob("*")
            if path.is_file() and (entry := find(str(path))) is not None
        ]
        return sorted(result, key=lambda entry: entry.name)
    with _remote(folder, "listed") as (files, path):
        infos = files.find(path, detail=True)
    entries = []
    for key, info in infos.items():
        name = str(key).removeprefix(path).lstrip("/")
        entries.append(_entry(join(folder, name), name, info))
    return sorted(entries, key=lambda entry: entry.name)


@contextmanager
def opened(place: str, *, once: bool = False) -> Iterator[Any]:
    """Open a file for reading, with seek. With `once`, data that was read is not cached."""
    if not is_uri(place):
        if Path(_local(place)).is_fifo():
            raise StoreError(f"{place}: is a pipe, not a file")
        try:
            file = Path(_local(place)).open("rb")  # noqa: SIM115 - the next line closes it
        except FileNotFoundError as error:
            raise MissingStoreError(f"{place}: no such file") from error
        except OSError as error:
            raise StoreError(f"{place}: cannot be opened: {error.strerror}") from error
        with file:
            yield file
        return
    done, options = ("read", {"cache_type": "none"}) if once else ("opened", {})
    with _remote(place, done) as (files, path), files.open(path, "rb", **options) as remote:
        yield remote


def read(place: str, *, max_bytes: int) -> bytes | None:
    """Return the content of a small file; None if it does not exist."""
    if not exists(place):
        return None
    with opened(place) as file:
        content: bytes = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise StoreError(f"{place}: is larger than {max_bytes} bytes")
    return content


def fetch(place: str, target: Path, *, max_bytes: int, known: Entry | None = None) -> None:
    """Download a file to `target`; remove it if it exceeds `max_bytes` or the download fails.

    `known` is the file's entry in a recent listing; it saves a lookup.
    """
    entry = known or find(place)
    if entry is None:
        raise MissingStoreError(f"{place}: no such file")
    left = max_bytes
    try:
        with opened(place, once=True) as source, target.open("wb") as sink:
            while chunk := source.read(min(CHUNK_BYTES, left + 1)):
                left -= len(chunk)
                if left < 0 or entry.size > max_bytes:
                    raise StoreError(f"{place}: is larger than the limit of {max_bytes} bytes")
                sink.write(chunk)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def put(local: Path, place: str) -> None:
    """Move a finished local file to its place, atomically."""
    if not is_uri(place):
        target = Path(_local(place))
        target.parent.mkdir(parents=True, exist_ok=True)
        with replaced(target) as temporary:
            shutil.move(local, temporary)  # a rename, unless it is on another disk
        return
    with _remote(place, "written") as (files, path):
        files.put_file(str(local), path)
    local.unlink()


def write(place: str, content: bytes) -> None:
    """Write a small file atomically."""
    if not is_uri(place):
        target = Path(_local(place))
        target.parent.mkdir(parents=True, exist_ok=True)
        write_own(target, content)
        return
    with _remote(place, "written") as (files, path):
        files.pipe_file(path, content)


def check_writable(folder: str) -> None:
    """Write and remove a small probe file, so that a job fails before hours of work, not after."""
    probe = join(folder, PROBE)
    try:
        write(probe, b"audiorec")
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror or error}") from error
    # Another machine may have removed it meanwhile, and not every writer has delete permission.
    with suppress(StoreError, OSError):
        remove(probe)


def remove(place: str) -> None:
    """Remove a file."""
    if not is_uri(place):
        Path(_local(place)).unlink()
        sync(Path(_local(parent(place)) or "."))
        return
    with _remote(place, "removed") as (files, path):
        files.rm_file(path)


def within_int64(nanoseconds: int) -> int:
    """Wrap a time in nanoseconds since 1970 into int64.

    File systems accept dates from the year -292 billion to the year 292 billion, and files from a
    broken clock or an archive may have them. Columns of times range from 1677 to 2262. Every date
    maps to a stable number that changes when the file does.
    """
    return (nanoseconds + _SPAN // 2) % _SPAN - _SPAN // 2


def time_ns(changed: object) -> int:
    """Convert seconds since 1970 or a `datetime` (UTC) to int64 nanoseconds; -1 if neither."""
    if isinstance(changed, datetime):
        aware = changed if changed.tzinfo else changed.replace(tzinfo=UTC)
        since = aware - datetime(1970, 1, 1, tzinfo=UTC)
        whole_s = since.days * 86_400 + since.seconds
        return within_int64(whole_s * 10**9 + since.microseconds * 1000)
    if isinstance(changed, int):
        return within_int64(changed * 10**9)
    if isinstance(changed, float) and math.isfinite(changed * 1e9):
        return within_int64(int(changed * 1e9))
    return UNKNOWN


def size_bytes(size: object) -> int:
    """Return the size that an object store reports; -1 if it is invalid."""
    if isinstance(size, (int, float)) and 0 <= size < _SPAN // 2:
        return int(size)
    return UNKNOWN


def _local(place: str) -> str:
    return os.fspath(place).removeprefix("file://")


@contextmanager
def _remote(place: str, done: str) -> Iterator[tuple[Any, str]]:
    """Yield the file system and the path in it; errors name the place."""
    files, path = _file_system(place)
    try:
        yield files, path
    except _remote_errors() as error:
        if isinstance(error, AudiorecError):
            raise
        kind = MissingStoreError if isinstance(error, FileNotFoundError) else StoreError
        reason = " ".join(str(error).split()) or type(error).__name__
        raise kind(f"{place}: cannot be {done}: {reason}") from error


def _file_system(place: str) -> tuple[Any, str]:
    protocol, _, path = place.partition("://")
    if protocol not in PROTOCOLS:
        known = ", ".join(f"{name}://" for name in PROTOCOLS)
        raise InputError(f"{place}: unsupported protocol; give a path, or a URI of {known}")
    fsspec = import_extra("fsspec", f"{protocol}://", "cloud")
    try:
        # A cached listing would hide files that other machines have written since.
        files = fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError as error:
        raise MissingExtraError(f"{protocol}://", "cloud", str(error)) from error
    return files, files._strip_protocol(place) if protocol == "memory" else path.rstrip("/")


def _remote_errors() -> tuple[type[BaseException], ...]:
    loaded = [(sys.modules.get(name), attribute) for name, attribute in _FOREIGN_ERRORS.items()]
    return (OSError, *(getattr(m, attribute) for m, attribute in loaded if m is not None))


def _entry(place: str, name: str, info: dict[str, Any]) -> Entry:
    changed = info.get("LastModified") or info.get("mtime") or info.get("created")
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or ""
    return Entry(place, name, size_bytes(info.get("size")), time_ns(changed), str(tag))


MAX_SONG_BYTES = 2 << 30  # four hours of FLAC; longer songs are refused anyway


def handler(
    factory: str,
    arguments: tuple[Any, ...],
    scratch: Path | None = None,
    max_bytes: int = MAX_SONG_BYTES,
) -> Callable[[str], Any]:
    """Make a handler that downloads URIs before calling the handler made by `factory`.

    `factory` is ``package.module:function``, which makes a handler of paths from `arguments`. The
    worker process that decodes a song makes and removes the copy, within the song's time limit.
    Copies are in `scratch` (by default the system's temporary folder) while in use; the caller must
    remove that folder at the end, since a killed worker leaves its copy there.
    """
    module, function = factory.split(":")
    handle_path = getattr(importlib.import_module(module), function)(*arguments)

    def handle(place: str) -> Any:
        if not is_uri(place):
            return handle_path(place)
        with fetched(place, scratch, max_bytes=max_bytes) as path:
            try:
                return handle_path(str(path))
            except SongError as error:  # report the URI, not the local copy
                raise SongError(
                    place, error.failure, error.reason, error.stage, error.decoder
                ) from error

    return handle


@contextmanager
def fetched(
    place: str, scratch: Path | None = None, *, max_bytes: int = MAX_SONG_BYTES
) -> Iterator[Path]:
    """Yield the path of a temporary local copy; raise `SongError` ``unreadable`` on failure."""
    with tempfile.TemporaryDirectory(prefix="audiorec-song-", dir=scratch) as folder:
        # Keep only the suffix: a key may be longer than the maximum file name.
        path = Path(folder) / f"song{os.path.splitext(place)[1][:16]}"  # noqa: PTH122
        try:
            fetch(place, path, max_bytes=max_bytes)
        except StoreError as error:
            reason = str(error).removeprefix(f"{place}: ")
            kind = MissingSongError if isinstance(error, FileNotFoundError) else SongError
            raise kind(place, Failure.UNREADABLE, reason, "read") from error
        except OSError as error:
            reason = f"cannot be copied to {folder}: {error.strerror or error}"
            raise SongError(place, Failure.UNREADABLE, reason, "read") from error
        yield path
