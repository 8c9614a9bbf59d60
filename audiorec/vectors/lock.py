"""One run at a time on one output, even after a crash.

The lock is the operating system's, on a file in the run's folder, so it ends with the
process that holds it, however that ends.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from audiorec.errors import StoreError

LOCK_FILE = "lock"
ATTEMPTS = 10  # each is lost only to a run that removes the folder at that moment


class RunLock:
    """Holds a folder until `release`.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    StoreError
        If another process (or another lock in this one) holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for _ in range(ATTEMPTS):
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = self._try()
            if descriptor is not None:
                self._descriptor = descriptor
                return
        raise StoreError(f"{folder}: another run keeps removing this folder")

    def release(self, *, remove: bool = False) -> None:
        """Let go; with `remove`, of a folder that is empty but for the lock and goes as well."""
        if self._descriptor < 0:
            return
        if remove:
            (self.folder / LOCK_FILE).unlink()
            with suppress(OSError):  # a new run has begun in it already
                self.folder.rmdir()
        os.close(self._descriptor)
        self._descriptor = -1

    def _try(self) -> int | None:
        """Return the descriptor of the locked file, None if it was removed meanwhile."""
        path = self.folder / LOCK_FILE
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise StoreError(
                f"{self.folder}: another run is writing this output; wait for it or end it"
            ) from error
        except FileNotFoundError:
            pass
        os.close(descriptor)
        return None
