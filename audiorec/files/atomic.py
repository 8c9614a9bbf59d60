"""Replace files atomically.

    with replaced(path) as temporary:
        ...write `temporary`...

Readers of `path` see either the old or the new content, never a partial file.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from audiorec.errors import AudiorecError, StoreError
from audiorec.files.own_files import refuse_link

TEMPORARY = r"\.[^/]+\.[0-9a-f]{12}\.tmp"  # regular expression for temporary names
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success rename it to `path`.

    If the body raises, the temporary file is removed and `path` is unchanged. Raises `StoreError`
    if `path` is a link, since its target may belong to somebody else.
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
        if error.errno in _NO_ROOM:
            hint = "free some space; finished work is kept, and the same command resumes"
        reason = os.strerror(error.errno).lower()
        raise StoreError(f"{os.fspath(path)}: cannot be written: {reason}; {hint}") from error
