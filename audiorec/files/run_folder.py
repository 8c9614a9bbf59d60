r"""The folder beside an output that holds an unfinished run: ``vecs.parquet.run/``.

    folder = RunFolder(out, r"block-\d{6}\.parquet|job\.json")
    ...  folder.names()  folder.clear()  ...
    folder.release(remove=True)

One run at a time holds it, with an operating system lock that is released when its process
ends. A planted folder looks like a leftover one, so its whole content is checked when it is
opened; `own_files` defines which files are accepted. A folder that fails the check is an error
and is left unchanged. Otherwise temporary files that a killed run left are removed.
"""

import errno
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from audiorec.errors import BusyStoreError, StoreError
from audiorec.files.atomic import TEMPORARY, write_errors
from audiorec.files.own_files import (
    LOCK_FILE,
    SAFETENSORS_TEMPORARY,
    check_tree,
    refuse_foreign,
    refuse_other_than_folder,
    remove_tree,
)

SOFT_LOCK_FILE = "lock.soft"  # used if the system has no file locks
LOCKS = (LOCK_FILE, SOFT_LOCK_FILE)
_LEFT = re.compile(rf"(?:[^/]+/)?(?:{TEMPORARY}|{SAFETENSORS_TEMPORARY})", re.DOTALL)
ATTEMPTS = 10  # an attempt fails only if another run removes the folder at that moment


def run_folder_path(out: Path) -> Path:
    """Return the run folder of an output: ``vecs.parquet`` → ``vecs.parquet.run``.

    Beside day folders its name begins with ``_``, so that readers do not take it for a day.

    Examples
    --------
    >>> [run_folder_path(Path(out)).name for out in ("vecs.parquet", "lists/dt=2026-11-25")]
    ['vecs.parquet.run', '_dt=2026-11-25.run']
    """
    hidden = "_" if "=" in out.name or "=" in out.parent.name else ""
    return out.with_name(f"{hidden}{out.name}.run")


def unfinished_files(out: Path, names: str) -> list[str]:
    """Return the checked file names of an unfinished run, without locks; changes nothing."""
    folder = run_folder_path(out)
    refuse_other_than_folder(folder)
    if not folder.exists():
        return []
    return [name for name in check_tree(folder, _pattern(names)) if name not in LOCKS]


class RunFolder:
    """Lock on the run folder of an output, created if missing and held until `release`.

    `names` is a regular expression for the file names, relative to the folder, that this command
    writes; locks and temporary files are always allowed. Raises `StoreError` if another process
    (or another `RunFolder` in this one) holds the lock, or if the folder contains anything that
    this command cannot have written.
    """

    def __init__(self, out: Path, names: str) -> None:
        self.path = run_folder_path(out)
        self._pattern = _pattern(names)
        self._soft: Any = None
        for _ in range(ATTEMPTS):
            refuse_other_than_folder(self.path)
            with write_errors(out):
                self.path.mkdir(parents=True, exist_ok=True)
            descriptor = self._try()
            if descriptor is not None:
                self._descriptor = descriptor
                break
        else:
            raise StoreError(f"{self.path}: another run keeps removing this folder")
        try:
            for name in filter(_LEFT.fullmatch, check_tree(self.path, self._pattern)):
                with suppress(OSError):  # Windows cannot remove what an orphaned worker has open
                    (self.path / name).unlink()
        except BaseException:
            self.release()
            raise

    def names(self) -> list[str]:
        """Return the files in the folder except locks, sorted and checked."""
        return [name for name in check_tree(self.path, self._pattern) if name not in LOCKS]

    def clear(self, *, last: str = "") -> None:
        """Remove everything but the locks; the file named `last` is removed last."""
        remove_tree(self.path, self._pattern, keep=LOCKS, last=(last,))

    def release(self, *, remove: bool = False) -> None:
        """Release the lock; with `remove`, also delete the folder if it is otherwise empty."""
        if self._descriptor < 0:
            return
        if remove:
            with suppress(OSError):  # Windows cannot remove an open file
                (self.path / LOCK_FILE).unlink()
        if self._soft is not None:
            self._soft.release()
        os.close(self._descriptor)
        self._descriptor = -1
        if remove:
            with suppress(OSError):  # a new run is already using it
                self.path.rmdir()

    def _try(self) -> int | None:
        """Return the descriptor of the locked file; None if it was removed meanwhile."""
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
                    f"{self.path}: another run is writing this output; wait for it or stop it"
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
        from filelock import lock_descriptor  # imported late: only runs need it

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
    return re.compile(rf"{locks}|(?:{names})|{_LEFT.pattern}", re.DOTALL)
