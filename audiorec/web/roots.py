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
from audiorec.files.below import open_below, split_below


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
        return split_below(self._roots, uri) is not None

    def open(self, uri: str) -> BinaryIO:
        """Open a file below a root for reading.

        Raises
        ------
        SongError
            If it lies elsewhere, is not there, is a link or below one, or is no regular file.
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
            raise SongError(uri, Failure.UNREADABLE, "is no regular file", "read")
        return os.fdopen(descriptor, "rb")


def _refusal(uri: str, error: OSError) -> SongError:
    if isinstance(error, FileNotFoundError):
        return MissingSongError(uri, Failure.UNREADABLE, "the file is not there", "read")
    # A link in the place of a folder is no folder to open(2).
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return SongError(uri, Failure.UNREADABLE, "is a link, or lies below one", "read")
    reason = (error.strerror or str(error)).lower()
    return SongError(uri, Failure.UNREADABLE, reason, "read")
