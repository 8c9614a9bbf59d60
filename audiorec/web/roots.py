"""Restrict which files may be played: those below folders named at the start, without links.

    uri of a store ──`Roots.open`──▶ an open file     or a `SongError` that says why not

A store may come from anywhere, so its uris may point anywhere. A path below a root is opened
component by component without following links, so that no uri leads out of the folders that the
user named. Whether the file is audio is decided by a worker.
"""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from audiorec.errors import Failure, MissingFileError, MissingSongError, SongError
from audiorec.files.below import open_below, split_below


class Roots:
    """The folders below which songs may be played.

    Parameters
    ----------
    folders : sequence of Path
        Each must exist; a root itself may be a link, since the user named it.

    Raises
    ------
    MissingFileError
        If one is not a folder.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise MissingFileError(f"{folder}: no such folder; give --root an existing folder")
        named = [os.path.abspath(folder) for folder in folders]  # noqa: PTH100 - links stay
        real = [os.path.realpath(folder) for folder in folders]
        self.folders = tuple(dict.fromkeys(named))
        self._roots = tuple(dict.fromkeys((*named, *real)))

    def holds(self, uri: str) -> bool:
        """Whether a path lies below a root, judged by its text alone."""
        return split_below(self._roots, uri) is not None

    def open(self, uri: str) -> BinaryIO:
        """Open a file below a root for reading.

        Raises
        ------
        SongError
            If it lies elsewhere, does not exist, is a link or below one, or not a regular file.
        """
        found = split_below(self._roots, uri)
        if found is None:
            reason = "lies outside the folders that may be played (--root)"
            raise SongError(uri, Failure.UNREADABLE, reason, "read")
        try:
            descriptor = open_below(*found)
        except OSError as error:
            raise _refusal(uri, error) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SongError(uri, Failure.UNREADABLE, "is not a regular file", "read")
        return os.fdopen(descriptor, "rb")


def _refusal(uri: str, error: OSError) -> SongError:
    if isinstance(error, FileNotFoundError):
        return MissingSongError(uri, Failure.UNREADABLE, "no such file", "read")
    # For a link in place of a folder open(2) fails with ENOTDIR.
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return SongError(uri, Failure.UNREADABLE, "is a link, or lies below one", "read")
    reason = (error.strerror or str(error)).lower()
    return SongError(uri, Failure.UNREADABLE, reason, "read")
