"""Hot reload: a value made from files, rebuilt when one of them is replaced.

    files ──make──▶ edition 1 ──a file is replaced──▶ edition 2      holders of 1 keep using 1

Read `Editions.current` once per request and use it to the end: if the store is replaced meanwhile,
the request is neither dropped nor answered from a mix of two stores. A new edition is built beside
the old one and replaces it when complete; if the files cannot be read, the old one stays.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from audiorec.errors import AudiorecError

LOG = logging.getLogger("audiorec.web")
EVERY_S = 1.0  # interval between checks of the files
RETRY_S = 30.0  # then unreadable files are tried again even if they did not change
_Identity = tuple[int, int, int, int] | None
Stamp = tuple[tuple[str, _Identity], ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Edition(Generic[T]):
    """The value made from the files at one time.

    Attributes
    ----------
    number : int
        1 for the first.
    value : object
        Return value of ``make``.
    stamp : tuple
        Identity of the files; see `stamp_of`.
    """

    number: int
    value: T
    stamp: Stamp


def stamp_of(paths: Iterable[Path]) -> Stamp:
    """Return the identity of each file: device, inode, size and mtime; None if it is missing.

    Examples
    --------
    >>> stamp_of([Path("fixtures/no-such-file")])
    (('fixtures/no-such-file', None),)
    """
    return tuple((str(path), _identity(path)) for path in paths)


class Editions(Generic[T]):
    """Holder of the newest edition of a value made from some files.

    Parameters
    ----------
    paths : sequence of Path, or callable that returns one
        The files; the first must exist.
    make : callable
        Reads them and returns the value. Errors of the first call are raised here; later an
        `AudiorecError` or ``OSError`` leaves the current edition in place.

    Attributes
    ----------
    current : Edition
        Replaced atomically: reading it needs no lock.
    problem : str
        Why the changed files could not be loaded; empty if there is no problem.
    """

    def __init__(
        self,
        paths: Sequence[Path] | Callable[[], Sequence[Path]],
        make: Callable[[], T],
    ) -> None:
        self._paths, self._make = paths, make
        self._looking = threading.Lock()
        self._seen: Stamp | None = None
        self._failed: tuple[Stamp, float] | None = None
        self.problem = ""
        stamp = self.stamp()
        self.current: Edition[T] = Edition(1, make(), stamp)

    def stamp(self) -> Stamp:
        """Return the current identity of the files."""
        return stamp_of(self._paths() if callable(self._paths) else self._paths)

    def look(self, *, settled: bool = False) -> bool:
        """Check the files and build a new edition if they changed; return whether one was built.

        A change counts only once two successive checks see the same state, since a run replaces
        several files one after the other; with `settled` it counts at once.
        """
        with self._looking:
            stamp = self.stamp()
            if stamp == self.current.stamp:
                self._seen, self._failed, self.problem = None, None, ""
                return False
            if stamp != self._seen and not settled:
                self._seen = stamp
                return False
            return self._renew(stamp)

    @contextmanager
    def watched(self, every_s: float = EVERY_S) -> Iterator[None]:
        """Check the files repeatedly in a background thread while the block runs."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(every_s):
                try:
                    self.look()
                except Exception:  # one failed check must not end the watch
                    LOG.exception("looking for a new edition failed")

        thread = threading.Thread(target=watch, name="editions", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(timeout=5)

    def _renew(self, stamp: Stamp) -> bool:
        if stamp and stamp[0][1] is None:
            self.problem = f"{stamp[0][0]}: no longer exists; its last edition is still served"
            return False
        if self._failed is not None:
            failed, at = self._failed
            if failed == stamp and time.monotonic() - at < RETRY_S:
                return False
        try:
            value = self._make()
        except (AudiorecError, OSError) as error:
            if str(error) != self.problem:  # tried again every half minute, said once
                LOG.warning("still serving the last edition: %s", error)
            self._failed, self.problem = (stamp, time.monotonic()), str(error)
            return False
        if self.stamp() != stamp:  # replaced again while being read: may mix two states
            self._seen = None
            return False
        self.current = Edition(self.current.number + 1, value, stamp)
        self._seen, self._failed, self.problem = None, None, ""
        return True


def _identity(path: Path) -> _Identity:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
