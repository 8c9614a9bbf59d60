r"""The folder beside an output that holds an unfinished run: ``vecs.parquet.run/``.

    folder = RunFolder(out, r"block-\d{6}\.parquet|job\.json")
    ...  folder.names()  folder.clear()  ...
    folder.release(remove=True)

One run at a time holds it, by a lock of the operating system that ends with its process.
A planted folder looks like one that was left behind, so everything in it is checked when it
is opened; `own_files` says what counts as ours. A folder that fails is an error and stays
as it is.
"""

import errno
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from audiorec.errors import BusyStoreError, StoreError
from audiorec.files.atomic import TEMPORARY
from audiorec.files.own_files import (
    LOCK_FILE,
    check_tree,
    refuse_foreign,
    refuse_other_than_folder,
    remove_tree,
)

SOFT_LOCK_FILE = "lock.soft"  # where the system has no locks on files
LOCKS = (LOCK_FILE, SOFT_LOCK_FILE)
ATTEMPTS = 10  # each is lost only to a run that removes the folder at that moment


def run_folder_path(out: Path) -> Path:
    """Return where an unfinished run of `out` lies: ``vecs.parquet`` → ``vecs.parquet.run``."""
    return out.with_name(f"{out.name}.run")


def look_into(out: Path, names: str) -> list[str]:
    """Return the names in an unfinished run, but for locks, each checked; nothing is changed."""
    folder = run_folder_path(out)
    refuse_other_than_folder(folder)
    if not folder.exists():
        return []
    return [name for name in check_tree(folder, _pattern(names)) if name not in LOCKS]


class RunFolder:
    """Holds the run folder of an output, made beside it if it is not there, until `release`.

    `names` is a regular expression of the file names, relative to the folder, that this command
    writes; locks and the temporary forms of files need not be named. If another process (or
    another `RunFolder` in this one) holds it, or it holds anything that this command cannot
    have written, that is a `StoreError`.
    """

    def __init__(self, out: Path, names: str) -> None:
        self.path = run_folder_path(out)
        self._pattern = _pattern(names)
        self._soft: Any = None
        for _ in range(ATTEMPTS):
            refuse_other_than_folder(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = self._try()
            if descriptor is not None:
                self._descriptor = descriptor
                break
        else:
            raise StoreError(f"{self.path}: another run keeps removing this folder")
        try:
            check_tree(self.path, self._pattern)
        except BaseException:
            self.release()
            raise

    def names(self) -> list[str]:
        """Return the files in the folder but for locks, sorted, each of them checked."""
        return [name for name in check_tree(self.path, self._pattern) if name not in LOCKS]

    def clear(self, *, last: str = "") -> None:
        """Remove everything but the lock; the file named by `last` after all others."""
        remove_tree(self.path, self._pattern, keep=LOCKS, last=(last,))

    def release(self, *, remove: bool = False) -> None:
        """Let go; with `remove`, of a folder that is empty but for the lock and goes as well."""
        if self._descriptor < 0:
            return
        if remove:
            with suppress(OSError):  # Windows lets nobody remove a file that is open
                (self.path / LOCK_FILE).unlink()
        if self._soft is not None:
            self._soft.release()
        os.close(self._descriptor)
        self._descriptor = -1
        if remove:
            with suppress(OSError):  # a new run has begun in it already
                self.path.rmdir()

    def _try(self) -> int | None:
        """Return the descriptor of the locked file, None if it was removed meanwhile."""
        path = self.path / LOCK_FILE
        with suppress(FileNotFoundError):
            refuse_foreign(path)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(path, flags, 0o666)
        except FileNotFoundError:
            return None
        try:
            if not self._lock(descriptor):
                raise BusyStoreError(
                    f"{self.path}: another run is writing this output; wait for it or end it"
                )
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _lock(self, descriptor: int) -> bool:
        from filelock import lock_descriptor  # late, and the other one later: for runs alone

        try:
            return lock_descriptor(descriptor, blocking=False)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
        from filelock import SoftFileLock, Timeout

        self._soft = SoftFileLock(self.path / SOFT_LOCK_FILE, timeout=0)
        try:
            self._soft.acquire()
        except Timeout:
            return False
        return True


def _pattern(names: str) -> re.Pattern[str]:
    locks = "|".join(map(re.escape, LOCKS))
    return re.compile(rf"{locks}|(?:{names})|(?:[^/]+/)?{TEMPORARY}", re.DOTALL)
