"""Standard streams that cannot end a command: closed, broken, full, or a person's terminal.

    2>&-        /dev/null stands in, so that no file of the store gets descriptor 2
    | head -1   what no one reads is dropped
    >/dev/full  dropped as well; `lost_output` says why, for the exit code

A run commits its work before it reports. So an error while reporting may not undo or hide what
was done: the streams swallow it, here, once, for whatever prints. They also make visible what
does not come from the commands themselves, such as usage errors and tracebacks with names.
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

    It stands in the place of `replaced`. `unguarded` is the same place without escaping: for
    rich and for help, which colour text on a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self.replaced = stream  # kept: it would close what it wraps
        self.sink = Sink(getattr(stream.buffer, "raw", stream.buffer))
        # stderr without a buffer: a buffer refuses a second write while it is in one, which is
        # what the line that a signal's handler prints may be.
        errors = stream is sys.stderr
        buffer: Any = self.sink if errors else io.BufferedWriter(self.sink)
        # Written through, so that texts of both layers keep their order.
        layout: dict[str, Any] = {
            "encoding": stream.encoding,
            "errors": "backslashreplace",
            "line_buffering": stream.isatty(),
            "write_through": True,
        }
        super().__init__(buffer, **layout)
        self.unguarded: TextIO = io.TextIOWrapper(buffer, **layout)

    def write(self, text: str, /) -> int:
        """Write text; returns its length."""
        super().write(visible_lines(text))
        return len(text)


class Sink(io.RawIOBase):
    """Writes bytes until that fails, and drops them from then on; `lost` says why."""

    def __init__(self, raw: IO[bytes]) -> None:
        super().__init__()
        self._raw = raw
        self.lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all bytes, or drop the rest; returns how many were given."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest and self.lost is None:
            try:
                sent: int | None = self._raw.write(rest)
            except OSError as error:
                self.lost = error
                break
            if sent is None:  # a pipe that does not block, and is full
                select.select([], [self._raw], [])
            rest = rest[sent or 0 :]
        return size

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._raw.fileno()

    def isatty(self) -> bool:
        """Whether a person looks on."""
        return self._raw.isatty()


def guard_streams() -> None:
    """Put guarded streams in the place of the standard ones; to be called before anything else.

    Streams that something else has replaced, such as a test, are left alone.
    """
    _open_missing_descriptors()
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is sys.__stdout__:
        sys.stdout = Guarded(sys.stdout or _standing_in(1))
    if sys.stderr is sys.__stderr__:
        sys.stderr = Guarded(sys.stderr or _standing_in(2))


def lost_output() -> str | None:
    """Flush stdout, and return why it could not be written.

    None also where its reader has gone away: that is no error, but how ``head`` ends.
    """
    sys.stdout.flush()
    lost = sys.stdout.sink.lost if isinstance(sys.stdout, Guarded) else None
    if lost is None or lost.errno == errno.EPIPE:
        return None
    return lost.strerror or str(lost)


def _open_missing_descriptors() -> None:
    """Open /dev/null as stdin, stdout and stderr where they are closed, for children as well."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor < STANDARD:  # the lowest one that is free
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def _standing_in(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", closefd=False)
