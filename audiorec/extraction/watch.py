"""Watch folders and keep a store up to date: new files are extracted once they are complete.

    look() ──settled──▶ complete files ──work──▶ one ordinary run, again and again

A scan (`look`) lists the songs, as every run does. It is triggered by change notifications from the
operating system (`notices`), and at fixed intervals in any case: network shares send none, and a
system may lose some. A file is **complete** once its size and modification time have not changed
for some seconds; on the first scan, files with an older modification time are complete at once.
Growing files wait for a later scan. A burst of thousands of files is therefore one batch, or a few.

While a folder is missing, nothing runs and nothing is removed from the store: a disk may be
unplugged. The watch continues when the folder is back.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from audiorec.distribution import install_command
from audiorec.errors import MissingFileError
from audiorec.extraction.catalogue import Source

SETTLE_S = 10.0  # network copies write in bursts; NFS reports sizes three seconds late
EVERY_S = 60.0
LONGEST_WAIT_S = 3600.0
LEAST_GAP_S = 1.0  # between two scans, however many notifications arrive
PIECE_S = 0.2
FIRST_SONGS = 8  # of the first part
GROWTH = 4  # each further part has so many times the songs of all before it, new ones only
_NOTICE_MS = 400  # debounce time of change notifications


def growing_parts(sources: Sequence[Source], todo: Collection[Source]) -> Iterator[list[Source]]:
    """Yield selections of the sources, each with more of `todo`; the last has all.

    A run replaces its store once, at the end. A run of each part in turn lets readers have the
    first songs within seconds, and replaces the store seldom. The first part is spread evenly over
    `todo`, as a folder lists one artist after the other.

    Examples
    --------
    >>> songs = [Source(str(n), str(n), str(n), 0, 0) for n in range(150)]
    >>> [len(part) for part in growing_parts(songs, songs[10:])]
    [18, 50, 150]
    """
    new = list(todo)
    done = set(sources) - set(new)
    count = min(FIRST_SONGS, len(new))
    first = {new[place * len(new) // count] for place in range(count)}
    new = [*(s for s in new if s in first), *(s for s in new if s not in first)]
    while count < len(new):
        chosen = done.union(new[:count])
        yield [source for source in sources if source in chosen]
        count += GROWTH * count
    yield list(sources)


class ChangeSource(Protocol):
    """Source of change notifications."""

    def wait(self, timeout_s: float) -> None:
        """Wait for a change, for the end of the watch, or for `timeout_s` seconds."""


@dataclass(slots=True)
class SettledFiles:
    """Record of when each file last changed, to tell complete files from growing ones.

    Attributes
    ----------
    settle_s : float
        Seconds without a change after which a file is complete.
    """

    settle_s: float
    _seen: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    _is_first: bool = True

    def split_complete(
        self, sources: Sequence[Source], *, now_s: float, clock_s: float
    ) -> tuple[list[Source], list[Source]]:
        """Split the files into complete and possibly growing ones.

        Parameters
        ----------
        sources : sequence of Source
            All songs of one scan.
        now_s : float
            Monotonic clock, in seconds.
        clock_s : float
            Seconds since 1970, to compare with modification times on the first scan.
        """
        whole: list[Source] = []
        growing: list[Source] = []
        seen: dict[str, tuple[int, int, float]] = {}
        for source in sources:
            if source.problem:  # the run reports it
                whole.append(source)
                continue
            size, changed, since = self._seen.get(source.uri, (-1, -1, now_s))
            if (size, changed) != (source.size, source.mtime_ns):
                since = now_s
                if self._is_first and clock_s - source.mtime_ns / 1e9 >= self.settle_s:
                    since = now_s - self.settle_s
            seen[source.uri] = (source.size, source.mtime_ns, since)
            (whole if now_s - since >= self.settle_s else growing).append(source)
        self._seen, self._is_first = seen, False
        return whole, growing


def watch(
    look: Callable[[], Sequence[Source]],
    work: Callable[[Sequence[Source]], bool | None],
    *,
    notices: ChangeSource,
    stop: threading.Event,
    settle_s: float = SETTLE_S,
    every_s: float = EVERY_S,
    say: Callable[[str], None] = lambda _text: None,
    now: Callable[[], float] = time.monotonic,
    clock: Callable[[], float] = time.time,
    pause: Callable[[float], None] | None = None,
) -> None:
    """Scan repeatedly and pass the complete files to `work`, until `stop` is set.

    Parameters
    ----------
    look : callable
        Lists all songs; raises `MissingFileError` if a folder is missing.
    work : callable
        Processes all complete songs. Returns False to end the watch, None to be called again after
        the next scan. Called on the first scan, and then only if a song was added, changed or
        removed since the last call.
    notices : ChangeSource
    stop : threading.Event
    settle_s, every_s : float
        Seconds without a change after which a file is complete; longest time between scans.
    say : callable
        Called with a message when a folder disappears and when it is back.
    now, clock, pause : callable
        Monotonic seconds; seconds since 1970; sleeps for a number of seconds.

    Raises
    ------
    InputError
        Errors of `look` and `work` pass through, except a `MissingFileError` after the first scan
        (in the first one, the name may be mistyped).
    """
    pause = pause or Polling(stop).wait
    stillness = SettledFiles(settle_s)
    done: dict[str, tuple[int, int]] | None = None
    is_gone, is_first = False, True
    while not stop.is_set():
        growing: Sequence[Source] = ()
        try:
            sources = look()
        except MissingFileError as error:
            if is_first:
                raise
            if not is_gone:
                say(f"{error}; waiting for it, the store is not changed")
            is_gone = True
        else:
            if is_gone:
                say("the folder is back")
            is_gone = False
            whole, growing = stillness.split_complete(sources, now_s=now(), clock_s=clock())
            places = {source.uri: (source.size, source.mtime_ns) for source in whole}
            if places != done and not stop.is_set():
                answer = work(whole) if whole or done else True
                if answer is False:
                    return
                done = places if answer else done
        is_first = False
        if growing:  # nothing can be complete earlier, whatever is notified
            pause(settle_s)
        else:
            notices.wait(every_s)
            pause(min(settle_s, LEAST_GAP_S))


class Polling:
    """Fallback without notifications: every wait lasts for its full timeout."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def wait(self, timeout_s: float) -> None:
        """Wait for the timeout, or until the watch is stopped.

        Polls the event: the main thread must not block on an `Event` that its own signal handler
        sets.
        """
        until = time.monotonic() + min(timeout_s, LONGEST_WAIT_S)
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, PIECE_S))


class SystemChanges:
    """Change notifications of the system (inotify, FSEvents, ...), from ``watchfiles``.

    A thread receives them. If it ends, because a folder is missing or the system's limit of
    watches is reached, waits behave as in `Polling`, and each starts a new thread: the folder may
    be back.
    """

    def __init__(
        self, folders: Sequence[Path], stop: threading.Event, say: Callable[[str], None]
    ) -> None:
        import watchfiles

        self._watch: Callable[..., Any] = watchfiles.watch
        self._folders, self._stop, self._say = folders, stop, say
        self._changed, self._end = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._is_told = False

    def wait(self, timeout_s: float) -> None:
        """Wait for a notification."""
        self.start()
        until = time.monotonic() + min(timeout_s, LONGEST_WAIT_S)
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            if self._changed.wait(min(left, PIECE_S)):
                break
        self._changed.clear()

    def close(self) -> None:
        """Stop the thread."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(5)

    def start(self) -> None:
        """Start the thread unless it is running."""
        if self._thread is None or not self._thread.is_alive():
            there = [folder for folder in self._folders if folder.exists()]
            if there:
                self._thread = threading.Thread(target=self._listen, args=(there,), daemon=True)
                self._thread.start()

    def _listen(self, folders: Sequence[Path]) -> None:
        try:
            result = self._watch(
                *folders,
                watch_filter=None,
                step=_NOTICE_MS // 4,
                debounce=_NOTICE_MS,
                stop_event=self._end,
                raise_interrupt=False,
                ignore_permission_denied=True,
            )
            roots = {os.fspath(folder) for folder in folders}
            for changes in result:
                # A removed folder is no longer watched, even if it was recreated.
                is_gone = not all(folder.exists() for folder in folders)
                is_gone |= any(kind.name == "deleted" and path in roots for kind, path in changes)
                self._changed.set()
                if is_gone:
                    return
        except (OSError, RuntimeError) as error:  # missing folder; limit of watches reached
            if not self._is_told:
                self._say(f"no change notifications ({error}): scanning folders at intervals")
            self._is_told = True


@contextmanager
def best_change_source(
    paths: Sequence[Path], stop: threading.Event, say: Callable[[str], None]
) -> Iterator[ChangeSource]:
    """Provide the system's notifications, or polling if ``watchfiles`` is not installed."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    try:
        notices = SystemChanges(list(dict.fromkeys(folders)), stop, say)
    except ModuleNotFoundError:
        say(f"scanning folders at intervals; for notifications: {install_command('watch')}")
        yield Polling(stop)
        return
    notices.start()  # before the first scan, so that no change is missed
    try:
        yield notices
    finally:
        notices.close()
