"""Replace files atomically.

    with replaced(path) as temporary:
        ...write `temporary`...

Readers of `path` see either the old or the new content, never a partial file. A killed process
leaves its temporary file; the next job with the same output removes it, see `remove_leftovers`.
"""

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from audiorec.errors import AudiorecError, StoreError
from audiorec.files.own_files import refuse_link

TEMPORARY = r"\.[^/]+\.[0-9a-f]{12}\.tmp"  # regular expression for temporary names
LEFT_S = 3_600.0  # a running job has written to its temporary files within this time
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success rename it to `path`.

    If the body raises, the temporary file is removed and `path` is unchanged.

    Raises
    ------
    StoreError
        If `path` is a link, whose target may belong to somebody else, a folder or a device; if the
        temporary file cannot be written, or the disk is full.
    """
    target = Path(path)
    refuse_irreplaceable(target)
    temporary = target.with_name(f".{target.name}.{uuid4().hex[:12]}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(target)
    except OSError as error:
        # Other errors may be of a file that the body reads.
        if error.errno in NO_ROOM or (error.errno and temporary.name in str(error)):
            with write_errors(target):
                raise
        raise
    finally:
        with suppress(OSError):  # it was not written: no folder there, a name that is too long
            temporary.unlink(missing_ok=True)
    sync(target.parent)


def refuse_irreplaceable(path: Path) -> None:
    """Raise `StoreError` if a file could not be written to `path`: a link, a folder, a device."""
    refuse_link(path)
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise StoreError(f"{path}: is {kind} and cannot be replaced; choose another name")


def leftovers(folder: Path, name: str = "") -> list[Path]:
    """Return the temporary files and folders that killed jobs left in a folder.

    With `name`, only those of the output with this name. Nothing that has changed within the last
    hour is returned, since its job may still be running.
    """
    found, now = [], time.time()
    with suppress(OSError), os.scandir(folder) as entries:  # a URI, or a folder yet to be made
        for entry in entries:
            if re.fullmatch(TEMPORARY, entry.name, re.DOTALL) and (
                not name or entry.name[1:-17] == name
            ):
                changed = entry.stat(follow_symlinks=False).st_mtime
                if now - changed > LEFT_S:
                    found.append(Path(entry.path))
    return sorted(found)


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Remove the temporary files among `leftovers`; links and folders stay."""
    for path in leftovers(folder, name):
        with suppress(OSError):
            if stat.S_ISREG(path.lstat().st_mode):
                path.unlink()


def sync(path: Path) -> None:
    """Flush the content of a file, or the entries of a folder, to disk."""
    if os.name == "nt" and path.is_dir():  # Windows flushes folder entries itself
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def write_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Convert an `OSError` with an errno (disk full, no permission) to a `StoreError`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or isinstance(error, AudiorecError):
            raise
        hint = "choose another place"
        if error.errno in NO_ROOM:
            hint = "free some space and repeat the command; finished work is kept"
        reason = os.strerror(error.errno).lower()
        raise StoreError(f"{os.fspath(path)}: cannot be written: {reason}; {hint}") from error
