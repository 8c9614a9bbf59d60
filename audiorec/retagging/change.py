"""One file: a copy of it beside it with other tags, proved to hold the same audio.

    `Change` ──handler, in a worker──▶ `Changed`: what was put, how the old file is had back
    `Changed` ──exchange────────────▶ the copy takes the file's place

Until the exchange the file itself is only read. The copy must have the content hash of the file,
all of its other tags, and the bytes from which the file can be had back; else it is removed.
"""

import errno
import hashlib
import os
import shutil
import stat
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from audiorec.audio.content import content_hash_of
from audiorec.audio.sniff import sniff_open
from audiorec.errors import Failure, MissingSongError, SongError, StoreError
from audiorec.files.below import folder_below
from audiorec.retagging.delta import Delta, delta_of, old_bytes
from audiorec.retagging.formats import Tags, open_tags, seen_by_others

HANDLER = "audiorec.retagging.change:handler"
STAGE = "tag"
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_BLOCK_BYTES = 1 << 20


class Located(Protocol):
    """What lies somewhere below a root."""

    @property
    def root(self) -> str:
        """A folder that the user named."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The way from the root to the file."""

    @property
    def path(self) -> str:
        """The file, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to become of one file.

    Attributes
    ----------
    root : str
    parts : tuple of str
        The way from the root to the file.
    content_hash : str
        Of the audio that the fields are about.
    fields : mapping of str to sequence of str
    replace : bool
        Put fields in the place of values that are there.
    write : bool
        Make the copy; else only say what would be put.
    keep_mtime : bool
    """

    root: str
    parts: tuple[str, ...]
    content_hash: str
    fields: Mapping[str, Sequence[str]]
    replace: bool = False
    write: bool = False
    keep_mtime: bool = False

    @property
    def path(self) -> str:
        """The file, for messages."""
        return os.path.join(self.root, *self.parts)  # noqa: PTH118


@dataclass(frozen=True, slots=True)
class FileState:
    """What a file was at one moment."""

    size: int
    sha256: str
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What was, or would be, put into a file; `delta` and the states are of a copy that lies there.

    `kept` are fields that have other values already, which stay.
    """

    put: Mapping[str, Sequence[str]]
    kept: Mapping[str, Sequence[str]]
    delta: Delta | None = None
    old: FileState | None = None
    new: FileState | None = None
    seen: tuple[int, ...] = field(default=())  # device, inode, size, mtime of the file


def handler() -> Callable[[Change], Changed]:
    """Return what a worker does with each change."""
    return prepared


def prepared(change: Change) -> Changed:
    """Look at a file and, where something is to be written, make the copy beside it.

    Raises
    ------
    SongError
        If the file cannot be changed without loss: its format, its tags, its kind, its audio.
    """
    with as_song_errors(change), folder_below(change.root, change.parts[:-1]) as folder:
        place = SongPlace(change, folder)
        with place.open_song() as file:
            seen = _checked(change, os.fstat(file.fileno()))
            container = sniff_open(change.path, file).container
            tags = open_tags(file, container, change.path)
            put, kept = _decided(change, tags, file)
            if not (put and change.write):
                return Changed(put=put, kept=kept, seen=seen)
            if content_hash_of(file) != change.content_hash:
                raise _refused(
                    change, "is not the audio that the store knows; extract its folder again"
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


def exchange(change: Change, changed: Changed) -> None:
    """Put the copy in the place of the file.

    Raises
    ------
    SongError
        If the file is not what it was when the copy was made; the copy is removed.
    """
    with as_song_errors(change), folder_below(change.root, change.parts[:-1]) as folder:
        place = SongPlace(change, folder)
        if _identity(place.look()) != changed.seen:
            place.remove_copy()
            raise _refused(change, "was changed by somebody else meanwhile; it is left as it is")
        place.exchange()


def discard(change: Change) -> None:
    """Remove the copy that a worker made, or left when it died."""
    with suppress(OSError), folder_below(change.root, change.parts[:-1]) as folder:
        SongPlace(change, folder).remove_copy()


class SongPlace:
    """A file and the copy beside it, in a folder that is open."""

    def __init__(self, change: Located, folder: int | None) -> None:
        self._folder = folder
        self._parent = os.path.join(change.root, *change.parts[:-1])  # noqa: PTH118
        self.song = self._at(change.parts[-1])
        name = hashlib.blake2b(os.fsencode(change.parts[-1]), digest_size=6).hexdigest()
        # The same for the same song: what a killed run left is found by the next one. Short, since
        # the song's own name may be as long as a name can be.
        self.copy = self._at(f".audiorec-retag.{name}.tmp")

    def _at(self, name: str) -> str:
        return name if self._folder is not None else os.path.join(self._parent, name)  # noqa: PTH118

    def look(self) -> os.stat_result:
        """Return what the system knows of the song, no link followed."""
        return os.stat(self.song, dir_fd=self._folder, follow_symlinks=False)

    def open_song(self) -> BinaryIO:
        """Open the song for reading."""
        if not stat.S_ISREG(self.look().st_mode):
            raise OSError(errno.ELOOP, "is a link, or no regular file")
        return os.fdopen(os.open(self.song, _READ | _NO_WAIT, dir_fd=self._folder), "rb")

    @contextmanager
    def new_copy(self) -> Iterator[BinaryIO]:
        """Give an empty file beside the song; it is removed if the body raises."""
        self.remove_copy()
        descriptor = os.open(self.copy, _NEW, 0o600, dir_fd=self._folder)
        try:
            with os.fdopen(descriptor, "r+b") as file:
                yield file
        except BaseException:
            self.remove_copy()
            raise

    def remove_copy(self) -> None:
        """Remove the copy, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(self.copy, dir_fd=self._folder)

    def exchange(self) -> None:
        """Put the copy in the song's place, at once."""
        os.replace(self.copy, self.song, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        if self._folder is not None:
            os.fsync(self._folder)


def state_of(file: BinaryIO) -> FileState:
    """Return what an open file is now; reads all of it."""
    about = os.fstat(file.fileno())
    digest, source = hashlib.sha256(), _rewound(file)
    while block := source.read(_BLOCK_BYTES):
        digest.update(block)
    return FileState(about.st_size, digest.hexdigest(), about.st_mtime_ns)


def _decided(
    change: Change, tags: Tags, file: BinaryIO
) -> tuple[dict[str, Sequence[str]], dict[str, Sequence[str]]]:
    """Return the fields that are put, and those that stay as they are."""
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


def _checked(change: Change, about: os.stat_result) -> tuple[int, ...]:
    """Refuse a file that cannot be replaced without loss; return what it is known by."""
    if about.st_nlink > 1:
        raise _refused(change, "has a second name (a hard link), which would keep the old tags")
    if not about.st_mode & 0o222:
        raise _refused(change, "is read-only")
    return _identity(about)


def _identity(about: os.stat_result) -> tuple[int, ...]:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _prove(
    change: Change, before: Tags, after: Tags, put: Mapping[str, Sequence[str]], copy: BinaryIO
) -> None:
    """Refuse a copy that differs in more than the fields."""
    if content_hash_of(copy) != change.content_hash:
        raise _refused(change, "its audio would change; it is left as it is")
    wrong = [name for name, values in put.items() if after.values(name) != list(values)]
    if wrong:
        raise _refused(change, f"its tags cannot hold {', '.join(wrong)}")
    if before.others(put) != after.others(put):
        raise _refused(change, "others of its tags would change; it is left as it is")


def _way_back(change: Change, file: BinaryIO, copy: BinaryIO) -> tuple[Delta, FileState, FileState]:
    """Return how the old file is had back from the copy, tried out, and both states."""
    delta, old, new = delta_of(file, copy), state_of(file), state_of(copy)
    digest = hashlib.sha256()
    for block in old_bytes(delta, copy):
        digest.update(block)
    if digest.hexdigest() != old.sha256:
        raise _refused(change, "could not be had back afterwards; it is left as it is")
    return delta, old, new


def keep_attributes(old: int, new: int, *, keep_mtime: bool) -> None:
    """Give a copy the permissions, the owner and the extended attributes of the file."""
    about = os.fstat(old)
    if hasattr(os, "fchown") and (about.st_uid, about.st_gid) != _owner(os.fstat(new)):
        os.fchown(new, about.st_uid, about.st_gid)  # a refusal is an error: owners are kept
    if hasattr(os, "fchmod"):
        os.fchmod(new, stat.S_IMODE(about.st_mode))
    for name in os.listxattr(old) if hasattr(os, "listxattr") else ():
        with suppress(OSError):  # those of the system itself
            os.setxattr(new, name, os.getxattr(old, name))
    if keep_mtime:
        set_mtime(new, about.st_mtime_ns)


def set_mtime(descriptor: int, mtime_ns: int) -> None:
    """Set the time of change of an open file, where the system takes a descriptor (not Windows)."""
    if os.utime in os.supports_fd:
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))


def _owner(about: os.stat_result) -> tuple[int, int]:
    return about.st_uid, about.st_gid


def _rewound(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file


def _refused(change: Located, reason: str) -> SongError:
    return SongError(change.path, Failure.UNSUPPORTED, reason, STAGE)


@contextmanager
def as_song_errors(change: Located) -> Iterator[None]:
    """Turn what the system, mutagen and odd files raise into an error of this song."""
    try:
        yield
    except FileNotFoundError:
        reason = "the file is not there"
        raise MissingSongError(change.path, Failure.UNREADABLE, reason, STAGE) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            reason = "is a link, lies below one, or is no regular file; links are not followed"
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
