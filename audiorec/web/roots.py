"""Which files may be heard: those below folders that were named at the start, by no link.

    uri of a store ──`Roots.open`──▶ an open file     or a `SongError` that says why not

A store may come from anywhere, and so may point anywhere. What lies below a root is opened part by
part, each without following a link, so that no name in a store leads out of the folders that the
user meant. Whether what is there is audio is for a worker to say.
"""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from audiorec.errors import Failure, MissingFileError, MissingSongError, SongError

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FLAGS = _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0)


class Roots:
    """The folders below which songs may be heard.

    Parameters
    ----------
    folders : sequence of Path
        Each must exist; a root itself may be a link, since the user named it.

    Raises
    ------
    MissingFileError
        If one is no folder.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise MissingFileError(f"{folder}: no such folder; --root names one that has songs")
        named = [os.path.abspath(folder) for folder in folders]  # noqa: PTH100 - links stay
        real = [os.path.realpath(folder) for folder in folders]
        self.folders = tuple(dict.fromkeys(named))
        self._roots = tuple(dict.fromkeys((*named, *real)))

    def holds(self, uri: str) -> bool:
        """Whether a path lies below a root, as it is written; nothing is looked at."""
        return self._split(uri) is not None

    def open(self, uri: str) -> BinaryIO:
        """Open a file below a root for reading.

        Raises
        ------
        SongError
            If it lies elsewhere, is not there, is a link or below one, or is no regular file.
        """
        found = self._split(uri)
        if found is None:
            reason = "lies outside the folders that may be played (--root)"
            raise SongError(uri, Failure.UNREADABLE, reason, "read")
        try:
            descriptor = _open_below(*found)
        except OSError as error:
            raise _refusal(uri, error) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SongError(uri, Failure.UNREADABLE, "is no regular file", "read")
        return os.fdopen(descriptor, "rb")

    def _split(self, uri: str) -> tuple[str, list[str]] | None:
        """Return the root, and the parts of the way from it to a file."""
        if "\0" in uri or "://" in uri or not Path(uri).is_absolute():
            return None
        for root in self._roots:
            below = uri.removeprefix(root.rstrip(os.sep) + os.sep)
            parts = below.split(os.sep)  # noqa: PTH206 - dots are not dropped
            if below != uri and all(part not in ("", os.curdir, os.pardir) for part in parts):
                return root, parts
        return None


def _open_below(root: str, parts: list[str]) -> int:
    """Open a file part by part; an `OSError` at the first link."""
    if os.open not in os.supports_dir_fd:  # Windows: looked at first, then opened
        place = os.path.join(root, *parts)  # noqa: PTH118
        if os.path.realpath(place) != os.path.join(os.path.realpath(root), *parts):  # noqa: PTH118
            raise OSError(errno.ELOOP, "is a link")
        return os.open(place, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    folder = os.open(root, os.O_RDONLY | _FOLDER)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | _FOLDER | _FLAGS, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1], os.O_RDONLY | _FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def _refusal(uri: str, error: OSError) -> SongError:
    if isinstance(error, FileNotFoundError):
        return MissingSongError(uri, Failure.UNREADABLE, "the file is not there", "read")
    # A link in the place of a folder is no folder to open(2).
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return SongError(uri, Failure.UNREADABLE, "is a link, or lies below one", "read")
    reason = (error.strerror or str(error)).lower()
    return SongError(uri, Failure.UNREADABLE, reason, "read")
