"""Something made of files, made anew when one of them is replaced: what was begun is finished.

    files ──make──▶ edition 1 ──a file is replaced──▶ edition 2      who holds 1 goes on with 1

Take `Editions.current` once for each request and answer from it to the end: a store that is
replaced meanwhile neither drops the request nor mixes two stores in one answer. A new edition is
made beside the old one and takes its place when it is whole; what cannot be read never does.
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
EVERY_S = 1.0  # between two looks at the files
RETRY_S = 30.0  # until what could not be read is tried again, though it did not change
_Identity = tuple[int, int, int, int] | None
Stamp = tuple[tuple[str, _Identity], ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Edition(Generic[T]):
    """What was made of the files at one time.

    Attributes
    ----------
    number : int
        1 for the first.
    value : object
        What ``make`` returned.
    stamp : tuple
        What the files were; see `stamp_of`.
    """

    number: int
    value: T
    stamp: Stamp


def stamp_of(paths: Iterable[Path]) -> Stamp:
    """Return what tells that a file was replaced: device, inode, size and time; None for none.

    Examples
    --------
    >>> stamp_of([Path("fixtures/no-such-file")])
    (('fixtures/no-such-file', None),)
    """
    return tuple((str(path), _identity(path)) for path in paths)


class Editions(Generic[T]):
    """The newest edition of what is made of some files.

    Parameters
    ----------
    paths : sequence of Path, or callable that returns one
        The files; the first must be there.
    make : callable
        Reads them. What it raises the first time is raised here; later an `AudiorecError` or an
        ``OSError`` keeps the edition that there is.
    changed : callable, optional
        Called with each new edition after the first.

    Attributes
    ----------
    current : Edition
        Replaced as a whole: reading it needs no lock.
    problem : str
        Why the files have changed and the edition has not; empty where there is nothing to say.
    """

    def __init__(
        self,
        paths: Sequence[Path] | Callable[[], Sequence[Path]],
        make: Callable[[], T],
        *,
        changed: Callable[[Edition[T]], object] | None = None,
    ) -> None:
        self._paths, self._make, self._changed = paths, make, changed
        self._looking = threading.Lock()
        self._seen: Stamp | None = None
        self._failed: tuple[Stamp, float] | None = None
        self.problem = ""
        stamp = self.stamp()
        self.current: Edition[T] = Edition(1, make(), stamp)

    def stamp(self) -> Stamp:
        """Return what the files are now."""
        return stamp_of(self._paths() if callable(self._paths) else self._paths)

    def look(self, *, settled: bool = False) -> bool:
        """Look at the files, and make a new edition where they changed; return whether it did.

        A change counts once two looks in a row see the same, since a run replaces several files
        one after the other; with `settled` it counts at once.
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
        """Look again and again, in a thread of its own, while the block runs."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(every_s):
                try:
                    self.look()
                except Exception:  # the watch goes on, whatever one look met
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
            self.problem = f"{stamp[0][0]}: is gone; the last edition of it is served"
            return False
        if self._failed is not None:
            failed, at = self._failed
            if failed == stamp and time.monotonic() - at < RETRY_S:
                return False
        try:
            value = self._make()
        except (AudiorecError, OSError) as error:
            self._failed, self.problem = (stamp, time.monotonic()), str(error)
            LOG.warning("the last edition is served on: %s", error)
            return False
        if self.stamp() != stamp:  # replaced once more while it was read: maybe two in one
            self._seen = None
            return False
        self.current = Edition(self.current.number + 1, value, stamp)
        self._seen, self._failed, self.problem = None, None, ""
        if self._changed is not None:
            self._changed(self.current)
        return True


def _identity(path: Path) -> _Identity:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
