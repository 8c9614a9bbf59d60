"""Standard streams whose errors do not end a command: closed, broken pipe, full disk.

    2>&-        replaced by /dev/null, so that no file of the store gets descriptor 2
    | head -1   output that nobody reads is dropped
    >/dev/full  dropped as well; `lost_output` returns the reason, for the exit code

A run commits its work before it reports, so an error in reporting must not undo or hide the work:
the streams swallow it, once, for everything that prints. They also escape text that does not come
from the commands themselves, such as usage errors and tracebacks with file names.
"""

import errno
import io
import os
import select
import sys
from typing import IO, Any, TextIO

from audiorec.files.visible import visible_lines

STANDARD = 3  # descriptors: stdin, stdout, stderr


class Guarded(io.TextIOWrapper):
    """A text stream that escapes control and bidirectional characters, and never fails.

    It writes to the file of `replaced`. `unguarded` writes there without escaping, for rich and
    help pages, which colour text on a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self.replaced = stream  # kept alive: its destructor would close the file
        self.sink = Sink(getattr(stream.buffer, "raw", stream.buffer))
        # stderr is unbuffered: a buffered writer refuses reentrant writes, and a signal handler
        # may print during one.
        errors = stream is sys.stderr
        buffer: Any = self.sink if errors else io.BufferedWriter(self.sink)
        # Write-through, so that text of both wrappers stays in order.
        layout: dict[str, Any] = {
            "encoding": stream.encoding,
            "errors": "backslashreplace",
            "line_buffering": stream.isatty(),
            "write_through": True,
        }
        super().__init__(buffer, **layout)
        self.unguarded: TextIO = io.TextIOWrapper(buffer, **layout)

    def write(self, text: str, /) -> int:
        """Write text; return its length."""
        super().write(visible_lines(text))
        return len(text)


class Sink(io.RawIOBase):
    """Raw stream that drops all bytes after the first failed write; `lost` has the error."""

    def __init__(self, raw: IO[bytes]) -> None:
        super().__init__()
        self._raw = raw
        self.lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all bytes or drop the rest; return the number of bytes given."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest and self.lost is None:
            try:
                sent: int | None = self._raw.write(rest)
            except OSError as error:
                self.lost = error
                break
            if sent is None:  # a full non-blocking pipe
                select.select([], [self._raw], [])
            rest = rest[sent or 0 :]
        return size

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._raw.fileno()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._raw.isatty()


def guard_streams() -> None:
    """Replace the standard streams by guarded ones; call this before anything else.

    Streams that are already replaced, for example by a test, are left alone.
    """
    _open_missing_descriptors()
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is sys.__stdout__:
        sys.stdout = Guarded(sys.stdout or _standing_in(1))
    if sys.stderr is sys.__stderr__:
        sys.stderr = Guarded(sys.stderr or _standing_in(2))


def lost_output() -> str | None:
    """Flush stdout; return why it could not be written, None if it was.

    A closed pipe also returns None: it is no error, since ``head`` ends this way.
    """
    sys.stdout.flush()
    lost = sys.stdout.sink.lost if isinstance(sys.stdout, Guarded) else None
    if lost is None or lost.errno == errno.EPIPE:
        return None
    return lost.strerror or str(lost)


def _open_missing_descriptors() -> None:
    """Open /dev/null for closed standard descriptors; child processes inherit it."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor < STANDARD:  # the lowest free descriptor
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def _standing_in(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", closefd=False)
