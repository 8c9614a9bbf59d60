"""Retag one file: make a copy beside it with new tags, verify it, then swap it in.

    `Change` ──handler, in a worker──▶ `Changed`: the fields written, how to restore the old file
    `Changed` ──swap_in────────────▶ the copy replaces the file
    old, new  ──delta_of──▶ `Delta`        Delta, new  ──old_bytes──▶ old, byte for byte

Until the swap the file itself is only read. The copy must have the content hash of the file and all
of its other tags, and the old file must be restorable from it; otherwise it is removed.
"""

import base64
import binascii
import errno
import hashlib
import os
import shutil
import stat
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import numpy as np

from audiorec.audio.decode import content_hash_of
from audiorec.audio.sniff import sniff_open
from audiorec.errors import Failure, MissingSongError, SongError, StoreError
from audiorec.files.user_files import folder_below
from audiorec.types import BoolArray
from audiorec_retag.formats import Tags, open_tags, seen_by_others

BLOCK_BYTES = 1 << 22
CELL_BYTES = 1 << 12  # the fold is searched by cell, then by byte
GAP_BYTES = 24  # equal bytes between two patches; with fewer the patches are merged
MOST_BYTES = 64 << 20  # limit on the patches of one file


@dataclass(frozen=True, slots=True)
class Delta:
    """How to restore an old file from the new one.

    Tags grow or shrink in one place, the fold: before it all bytes keep their distance from the
    beginning of the file, after it from the end. The fold is placed where the fewest bytes differ;
    those that still do (the tags themselves, page numbers and checksums of Ogg, the index of an
    MP4) are stored as patches.

    Attributes
    ----------
    old_size, new_size : int
        Bytes.
    fold : int
        Offset in the old file: bytes before it equal those of the new file at the same distance
        from the beginning, bytes after it those at the same distance from the end.
    patches : tuple of (int, bytes)
        Offset in the old file, and the bytes that differ there.
    """

    old_size: int
    new_size: int
    fold: int
    patches: tuple[tuple[int, bytes], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fold and the patches as values that JSON can hold."""
        patches = [
            [at, base64.b85encode(zlib.compress(data)).decode()] for at, data in self.patches
        ]
        return {"fold": self.fold, "patches": patches}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], old_size: int, new_size: int) -> "Delta":
        """Read what `to_json` returned; raise `ValueError` if it is inconsistent."""
        fold = content["fold"]
        if not 0 <= fold <= min(old_size, new_size):
            raise ValueError("its fold lies outside the file")
        patches = []
        room, last = min(MOST_BYTES, old_size), 0
        for at, text in content["patches"]:
            data = _inflated(text, room)
            room -= len(data)
            if not last <= at <= old_size - len(data):
                raise ValueError("its patches are out of order")
            last = at + len(data)
            patches.append((at, data))
        return cls(old_size, new_size, fold, tuple(patches))


def delta_of(old: BinaryIO, new: BinaryIO) -> Delta:
    """Compare two open files.

    Raises `StoreError` if more than 64 MiB differ, which is more than a change of tags.
    """
    before, after = _mapped(old), _mapped(new)
    shift = len(after) - len(before)
    fold = _fold(before, after)
    runs: list[tuple[int, int]] = []
    kept = 0
    for start, end in _differing(before, after, fold, shift):
        joins = bool(runs) and start - runs[-1][1] <= GAP_BYTES
        kept += end - (runs[-1][1] if joins else start)
        runs.append((runs.pop()[0] if joins else start, end))
        if kept > MOST_BYTES:
            raise StoreError(f"more than {MOST_BYTES >> 20} MiB of the file would change")
    patches = tuple((start, before[start:end].tobytes()) for start, end in runs)
    return Delta(len(before), len(after), fold, patches)


def old_bytes(delta: Delta, new: BinaryIO) -> Iterator[bytes]:
    """Yield the old file, block by block, from the open new one.

    Raises `ValueError` if the size of the new file has changed, or a part of the old file cannot be
    restored.
    """
    if new.seek(0, os.SEEK_END) != delta.new_size:
        raise ValueError("the size of the file has changed")
    at = 0
    for start, data in (*delta.patches, (delta.old_size, b"")):
        yield from _unchanged(delta, new, at, start)
        yield data
        at = start + len(data)


def _unchanged(delta: Delta, new: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """Yield a part of the old file that the new one shares, on both sides of the fold."""
    shift = delta.new_size - delta.old_size
    yield from _blocks(new, start, min(end, delta.fold))
    behind = max(start, delta.fold)
    if behind < end and behind + shift < 0:
        raise ValueError("a part of the old file is missing")
    yield from _blocks(new, behind + shift, end + shift)


def _inflated(text: str, most: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(base64.b85decode(text), most + 1)
    except (zlib.error, binascii.Error) as error:
        raise ValueError(f"a patch cannot be read: {error}") from error
    if len(data) > most:
        raise ValueError("its patches are larger than the file")
    return data


def _mapped(file: BinaryIO) -> np.memmap[Any, np.dtype[np.uint8]]:
    file.flush()
    return np.memmap(file, np.uint8, "r")


def _fold(before: Any, after: Any) -> int:
    """Return the offset with the fewest differing bytes before and after it together."""
    size, shift = min(len(before), len(after)), len(after) - len(before)
    n_cells = -(-len(before) // CELL_BYTES)
    front, back = np.zeros(n_cells + 1, np.int64), np.zeros(n_cells + 1, np.int64)
    for start in range(0, len(before), BLOCK_BYTES):
        end = min(start + BLOCK_BYTES, len(before))
        cell, edges = start // CELL_BYTES, np.arange(0, end - start, CELL_BYTES)
        for counts, distance in ((front, 0), (back, shift)):
            wrong = _unlike(before, after, start, end, distance)
            counts[cell : cell + len(edges)] = np.add.reduceat(wrong.astype(np.int64), edges)
    costs = np.cumsum(front) - front + np.cumsum(back[::-1])[::-1]
    best = int(costs[: size // CELL_BYTES + 1].argmin()) * CELL_BYTES
    # Repeat byte by byte around the best cell.
    low, high = max(0, best - CELL_BYTES), min(best + CELL_BYTES, size)
    if high <= low:
        return low
    ahead = np.cumsum(_unlike(before, after, low, high, 0), dtype=np.int64)
    behind = np.cumsum(_unlike(before, after, low, high, shift), dtype=np.int64)
    fine = np.concatenate([[0], ahead]) + behind[-1] - np.concatenate([[0], behind])
    return low + int(fine.argmin())


def _unlike(before: Any, after: Any, start: int, end: int, shift: int) -> BoolArray:
    """Return which old bytes differ from the new file's at an offset of `shift`.

    Bytes for which the new file has no counterpart count as different.
    """
    unlike = np.ones(end - start, np.bool_)
    low, high = max(start, -shift), min(end, len(after) - shift)
    if low < high:
        unlike[low - start : high - start] = before[low:high] != after[low + shift : high + shift]
    return unlike


def _differing(before: Any, after: Any, fold: int, shift: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of old bytes that differ, given the fold."""
    for low, high, distance in ((0, fold, 0), (fold, len(before), shift)):
        for start in range(low, high, BLOCK_BYTES):
            end = min(start + BLOCK_BYTES, high)
            places = np.flatnonzero(_unlike(before, after, start, end, distance)) + start
            for run in np.split(places, np.flatnonzero(np.diff(places) > GAP_BYTES) + 1):
                if len(run):
                    yield int(run[0]), int(run[-1]) + 1


def _blocks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        file.seek(start)
        block = file.read(min(BLOCK_BYTES, end - start))
        if not block:
            raise ValueError("the file was truncated meanwhile")
        start += len(block)
        yield block


HANDLER = "audiorec_retag.change:handler"
STAGE = "tag"
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_BLOCK_BYTES = 1 << 20


class RootedPath(Protocol):
    """A file somewhere below a root."""

    @property
    def root(self) -> str:
        """A folder that the user named."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Path components from the root to the file."""

    @property
    def path(self) -> str:
        """The file, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The change requested for one file."""

    root: str
    parts: tuple[str, ...]  # path components from the root to the file
    content_hash: str  # content hash of the audio that the fields describe
    fields: Mapping[str, Sequence[str]]
    replace: bool = False  # overwrite existing values
    write: bool = False  # make the copy; otherwise only report what would be written
    keep_mtime: bool = False  # keep the file's modification time

    @property
    def path(self) -> str:
        """The file, for messages."""
        return os.path.join(self.root, *self.parts)  # noqa: PTH118


@dataclass(frozen=True, slots=True)
class FileState:
    """A file's size, digest and modification time at one moment."""

    size: int
    sha256: str
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Fields written, or that would be written, to a file.

    `kept` are the current values of fields that already differ and are not overwritten. `delta`
    and the states are set only if a copy was made.
    """

    put: Mapping[str, Sequence[str]]
    kept: Mapping[str, Sequence[str]]
    delta: Delta | None = None
    old: FileState | None = None
    new: FileState | None = None
    seen: tuple[int, ...] = field(default=())  # device, inode, size, mtime of the file


def handler() -> Callable[[Change], Changed]:
    """Return the function that a worker calls with each change."""
    return prepare_copy


def prepare_copy(change: Change) -> Changed:
    """Inspect a file and, if there is something to write, make the copy beside it.

    Raises `SongError` if the file cannot be changed without loss, because of its format, tags, kind
    or audio.
    """
    with song_place(change) as place, place.open_song() as file:
        refuse_irreplaceable(change, os.fstat(file.fileno()))
        seen = _identity(os.fstat(file.fileno()))
        container = sniff_open(change.path, file).container
        tags = open_tags(file, container, change.path)
        put, kept = _decided(change, tags, file)
        if not (put and change.write):
            return Changed(put=put, kept=kept, seen=seen)
        if content_hash_of(file) != change.content_hash:
            raise _refused(
                change, "its audio is not the one in the store; extract its folder again"
            )
        with place.new_copy() as copy:
            shutil.copyfileobj(_rewound(file), copy, _BLOCK_BYTES)
            copied = open_tags(copy, container, change.path)
            for name, values in put.items():
                copied.put(name, values)
            copied.save(copy)
            copy.flush()
            _prove(change, tags, open_tags(copy, container, change.path), put, copy)
            delta, old, new = _way_back(change, file, copy)
            keep_attributes(file.fileno(), copy.fileno(), keep_mtime=change.keep_mtime)
            os.fsync(copy.fileno())
            new = FileState(new.size, new.sha256, os.fstat(copy.fileno()).st_mtime_ns)
    return Changed(put=put, kept=kept, delta=delta, old=old, new=new, seen=seen)


def swap_in(change: Change, changed: Changed) -> None:
    """Replace the file with its copy.

    Raises
    ------
    SongError
        If the file has changed since the copy was made; the copy is removed.
    """
    with song_place(change) as place:
        if _identity(place.look()) != changed.seen:
            place.remove_copy()
            raise _refused(change, "was changed by another program meanwhile; left unchanged")
        place.exchange()


def discard(change: Change) -> None:
    """Remove the copy that a worker made, or left behind when it died."""
    with suppress(OSError), folder_below(change.root, change.parts[:-1]) as folder:
        SongPlace(change, folder).remove_copy()


class SongPlace:
    """A file and the copy beside it, addressed through an open folder."""

    def __init__(self, change: RootedPath, folder: int | None) -> None:
        self._folder = folder
        self._parent = os.path.join(change.root, *change.parts[:-1])  # noqa: PTH118
        self.song = self._at(change.parts[-1])
        name = hashlib.blake2b(os.fsencode(change.parts[-1]), digest_size=6).hexdigest()
        # Depends only on the song, so that the next run finds what a killed run left. Short, since
        # the song's own name may already have the maximum length.
        self.copy = self._at(f".audiorec-retag.{name}.tmp")

    def _at(self, name: str) -> str:
        return name if self._folder is not None else os.path.join(self._parent, name)  # noqa: PTH118

    def look(self) -> os.stat_result:
        """Return the status of the song's file, without following a link."""
        return os.stat(self.song, dir_fd=self._folder, follow_symlinks=False)

    def open_song(self) -> BinaryIO:
        """Open the song for reading."""
        return self._opened(self.song)

    def open_copy(self) -> BinaryIO:
        """Open the copy for reading."""
        return self._opened(self.copy)

    def _opened(self, name: str) -> BinaryIO:
        about = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.ELOOP, "is a link, or not a regular file")
        return os.fdopen(os.open(name, _READ | _NO_WAIT, dir_fd=self._folder), "rb")

    @contextmanager
    def new_copy(self) -> Iterator[BinaryIO]:
        """Yield a new empty file beside the song; it is removed if the body raises."""
        self.remove_copy()
        descriptor = os.open(self.copy, _NEW, 0o600, dir_fd=self._folder)
        try:
            with os.fdopen(descriptor, "r+b") as file:
                yield file
        except BaseException:
            self.remove_copy()
            raise

    def remove_copy(self) -> None:
        """Remove the copy if it exists."""
        with suppress(FileNotFoundError):
            os.unlink(self.copy, dir_fd=self._folder)

    def exchange(self) -> None:
        """Replace the song with the copy, atomically."""
        os.replace(self.copy, self.song, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        if self._folder is not None:
            os.fsync(self._folder)


def state_of(file: BinaryIO) -> FileState:
    """Return the state of an open file; reads all of it."""
    about = os.fstat(file.fileno())
    digest, source = hashlib.sha256(), _rewound(file)
    while block := source.read(_BLOCK_BYTES):
        digest.update(block)
    return FileState(about.st_size, digest.hexdigest(), about.st_mtime_ns)


def _decided(
    change: Change, tags: Tags, file: BinaryIO
) -> tuple[dict[str, Sequence[str]], dict[str, Sequence[str]]]:
    """Return the fields to write, and those kept unchanged."""
    put: dict[str, Sequence[str]] = {}
    kept: dict[str, Sequence[str]] = {}
    for name, values in change.fields.items():
        there = tags.values(name)
        if there == list(values):
            continue
        is_there = bool(there) or seen_by_others(file, name)
        if is_there and not change.replace:
            kept[name] = tuple(there)
        else:
            put[name] = tuple(values)
    return put, kept


def refuse_irreplaceable(change: RootedPath, about: os.stat_result) -> None:
    """Refuse a file that cannot be replaced without loss."""
    if about.st_nlink > 1:
        raise _refused(change, "has a second name (a hard link), which would keep the old tags")
    if not about.st_mode & 0o222:
        raise _refused(change, "is read-only")


def _identity(about: os.stat_result) -> tuple[int, ...]:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _prove(
    change: Change, before: Tags, after: Tags, put: Mapping[str, Sequence[str]], copy: BinaryIO
) -> None:
    """Refuse a copy that differs in anything but the fields."""
    if content_hash_of(copy) != change.content_hash:
        raise _refused(change, "its audio would change; left unchanged")
    wrong = [name for name, values in put.items() if after.values(name) != list(values)]
    if wrong:
        raise _refused(change, f"its tags cannot hold {', '.join(wrong)}")
    if before.others(put) != after.others(put):
        raise _refused(change, "other tags of it would change; left unchanged")


def _way_back(change: Change, file: BinaryIO, copy: BinaryIO) -> tuple[Delta, FileState, FileState]:
    """Return the delta that restores the old file from the copy, verified, and both states."""
    delta, old, new = delta_of(file, copy), state_of(file), state_of(copy)
    digest = hashlib.sha256()
    for block in old_bytes(delta, copy):
        digest.update(block)
    if digest.hexdigest() != old.sha256:
        raise _refused(change, "could not be restored afterwards; left unchanged")
    return delta, old, new


def keep_attributes(old: int, new: int, *, keep_mtime: bool) -> None:
    """Copy permissions, owner and extended attributes of a file to its copy."""
    about = os.fstat(old)
    if hasattr(os, "fchown") and (about.st_uid, about.st_gid) != _owner(os.fstat(new)):
        os.fchown(new, about.st_uid, about.st_gid)  # must not fail: the owner has to stay
    if hasattr(os, "fchmod"):
        os.fchmod(new, stat.S_IMODE(about.st_mode))
    for name in os.listxattr(old) if hasattr(os, "listxattr") else ():
        with suppress(OSError):  # attributes reserved for the system
            os.setxattr(new, name, os.getxattr(old, name))
    if keep_mtime:
        set_mtime(new, about.st_mtime_ns)


def set_mtime(descriptor: int, mtime_ns: int) -> None:
    """Set the modification time of an open file, where the system supports it (not Windows)."""
    if os.utime in os.supports_fd:
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))


def _owner(about: os.stat_result) -> tuple[int, int]:
    return about.st_uid, about.st_gid


def _rewound(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file


def _refused(change: RootedPath, reason: str) -> SongError:
    return SongError(change.path, Failure.UNSUPPORTED, reason, STAGE)


@contextmanager
def song_place(change: RootedPath) -> Iterator[SongPlace]:
    """Open a song's folder; errors of the system, mutagen and bad files become a `SongError`."""
    try:
        with folder_below(change.root, change.parts[:-1]) as folder:
            yield SongPlace(change, folder)
    except FileNotFoundError:
        reason = "no such file"
        raise MissingSongError(change.path, Failure.UNREADABLE, reason, STAGE) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            reason = "is a link, lies below one, or is not a regular file; links are not followed"
        else:
            reason = (error.strerror or str(error)).lower()
        raise SongError(change.path, Failure.UNREADABLE, reason, STAGE) from None
    except StoreError as error:
        raise _refused(change, str(error)) from None
    except (ValueError, KeyError, IndexError, struct.error) as error:
        reason = (
            f"its tags cannot be written: {' '.join(str(error).split()) or type(error).__name__}"
        )
        raise SongError(change.path, Failure.UNDECODABLE, reason, STAGE) from None
