"""Folders that are kept up to date: what is new is extracted once it is whole.

    look() ──still──▶ files that are whole ──work──▶ one ordinary run, again and again

A look lists the songs, as every run does. It is taken when the system says that something
changed (`notices`), and every so often in any case: a share of another machine says nothing, and
a system may lose what it had to say. A file is **whole** once its size and its time of change have
stayed as they were for some seconds; on the first look, a file that was last changed before that
counts at once. Files that still grow wait, and are looked at again. A burst of thousands of files
is therefore one batch, or a few.

While a folder is gone, nothing runs and nothing is taken out of the store: it may be a disk that
is unplugged. When it is back, all goes on.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from audiorec.errors import MissingFileError
from audiorec.extraction.catalogue import Source

SETTLE_S = 10.0  # a copy over a network writes in bursts; NFS tells sizes three seconds late
EVERY_S = 60.0
LONGEST_WAIT_S = 3600.0
LEAST_GAP_S = 1.0  # between two looks, however much the system has to say
PIECE_S = 0.2
_NOTICE_MS = 400  # how long changes are gathered before they are told


class Notices(Protocol):
    """Says when something may have changed."""

    def wait(self, timeout_s: float) -> None:
        """Return when something changed, when waiting is to end, or after `timeout_s` seconds."""


@dataclass(slots=True)
class Stillness:
    """Remembers when each file was last seen to change.

    Attributes
    ----------
    settle_s : float
        Seconds that a file has to stay as it is.
    """

    settle_s: float
    _seen: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    _is_first: bool = True

    def parted(
        self, sources: Sequence[Source], *, now_s: float, clock_s: float
    ) -> tuple[list[Source], list[Source]]:
        """Return the files that are whole, and those that may still grow.

        Parameters
        ----------
        sources : sequence of Source
            All songs of one look.
        now_s : float
            Of a clock that only goes forward, in seconds.
        clock_s : float
            Seconds since 1970, which files' times of change are compared with on the first look.
        """
        whole: list[Source] = []
        growing: list[Source] = []
        seen: dict[str, tuple[int, int, float]] = {}
        for source in sources:
            if source.problem:  # the run says what is wrong with it
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
    notices: Notices,
    stop: threading.Event,
    settle_s: float = SETTLE_S,
    every_s: float = EVERY_S,
    say: Callable[[str], None] = lambda _text: None,
    now: Callable[[], float] = time.monotonic,
    clock: Callable[[], float] = time.time,
    pause: Callable[[float], None] | None = None,
) -> None:
    """Look again and again, and give what is whole to `work`, until `stop` is set.

    Parameters
    ----------
    look : callable
        Lists all songs; a `MissingFileError` says that a folder is gone.
    work : callable
        Runs over all songs that are whole; False ends the watch, None asks to be called again
        after the next look. It is called on the first look, and then only if something is new,
        has changed or is gone since it last was.
    notices : Notices
    stop : threading.Event
    settle_s, every_s : float
        How long a file has to stay as it is; how long to wait for a notice at most.
    say : callable
        Gets a line when a folder goes and when it is back.
    now, clock, pause : callable
        Seconds of a clock that only goes forward, and since 1970; waits so many seconds.

    Raises
    ------
    InputError
        What `look` raises, and what `work` raises; not that a folder is gone, but for the first
        look, which may be at a name that was typed wrongly.
    """
    pause = pause or Polling(stop).wait
    stillness = Stillness(settle_s)
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
                say(f"{error}; waiting for it, and the store stays as it is")
            is_gone = True
        else:
            if is_gone:
                say("the folder is back")
            is_gone = False
            whole, growing = stillness.parted(sources, now_s=now(), clock_s=clock())
            places = {source.uri: (source.size, source.mtime_ns) for source in whole}
            if places != done and not stop.is_set():
                answer = work(whole) if whole or done else True
                if answer is False:
                    return
                done = places if answer else done
        is_first = False
        if growing:  # nothing can be whole before, whatever the system has to say
            pause(settle_s)
        else:
            notices.wait(every_s)
            pause(min(settle_s, LEAST_GAP_S))


class Polling:
    """No notices: every wait is as long as it may be."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def wait(self, timeout_s: float) -> None:
        """Wait out the time, or until the watch is stopped.

        In pieces: a thread that waits for an `Event` must not be the one whose signals set it.
        """
        until = time.monotonic() + min(timeout_s, LONGEST_WAIT_S)
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, PIECE_S))


class SystemNotices:
    """The system's own notices (inotify, FSEvents, ...), by the package ``watchfiles``.

    They come from a thread. If it ends, because a folder is gone or the system has no more
    watches to give, waits become those of `Polling`, and a new thread is started with the next
    one: the folder may be back.
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
        """Wait for a notice."""
        self.start()
        until = time.monotonic() + min(timeout_s, LONGEST_WAIT_S)
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            if self._changed.wait(min(left, PIECE_S)):
                break
        self._changed.clear()

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(5)

    def start(self) -> None:
        """Listen, if nothing does."""
        if self._thread is None or not self._thread.is_alive():
            there = [folder for folder in self._folders if folder.exists()]
            if there:
                self._thread = threading.Thread(target=self._listen, args=(there,), daemon=True)
                self._thread.start()

    def _listen(self, folders: Sequence[Path]) -> None:
        try:
            found = self._watch(
                *folders,
                watch_filter=None,
                step=_NOTICE_MS // 4,
                debounce=_NOTICE_MS,
                stop_event=self._end,
                raise_interrupt=False,
                ignore_permission_denied=True,
            )
            roots = {os.fspath(folder) for folder in folders}
            for changes in found:
                # A folder that was removed is not watched any more, whatever came in its place.
                is_gone = not all(folder.exists() for folder in folders)
                is_gone |= any(kind.name == "deleted" and path in roots for kind, path in changes)
                self._changed.set()
                if is_gone:
                    return
        except (OSError, RuntimeError) as error:  # no such folder; no more watches
            if not self._is_told:
                self._say(f"the system gives no notices ({error}): folders are looked at instead")
            self._is_told = True


@contextmanager
def best_notices(
    paths: Sequence[Path], stop: threading.Event, say: Callable[[str], None]
) -> Iterator[Notices]:
    """Give the system's notices of some paths, or none where ``watchfiles`` is not installed."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    try:
        notices = SystemNotices(list(dict.fromkeys(folders)), stop, say)
    except ModuleNotFoundError:
        say('folders are looked at every so often; for notices: pip install "audiorec[watch]"')
        yield Polling(stop)
        return
    notices.start()  # before the first look, so that nothing falls between the two
    try:
        yield notices
    finally:
        notices.close()
