"""Write a file whole or not at all.

    with replaced(path) as temporary:
        ...write `temporary`...

The reader of `path` sees the old content or the new one, never a part of it.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from audiorec.errors import AudiorecError, StoreError
from audiorec.files.own_files import refuse_link

TEMPORARY = r"\.[^/]+\.[0-9a-f]{12}\.tmp"  # regular expression of the temporary names
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name in the folder of `path`; on success it takes its place.

    If the body raises, the temporary file is removed and `path` stays as it was. A `path` that
    is a link is a `StoreError`: what it leads to may be anybody's.
    """
    target = Path(path)
    refuse_link(target)
    temporary = target.with_name(f".{target.name}.{uuid4().hex[:12]}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync(target.parent)


def sync(path: Path) -> None:
    """Make the content of a file, or the names in a folder, outlive a power failure."""
    if os.name == "nt" and path.is_dir():  # Windows keeps their names by itself
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def write_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors with the system's number (a full disk, no permission) into a `StoreError`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or isinstance(error, AudiorecError):
            raise
        hint = "give another place"
        if error.errno in _NO_ROOM:
            hint = "make room: what is finished is kept, and the same command goes on from there"
        reason = os.strerror(error.errno).lower()
        raise StoreError(f"{os.fspath(path)}: cannot be written: {reason}; {hint}") from error
