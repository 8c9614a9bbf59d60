"""What C libraries print on file descriptor 2, kept for the error's reason.

Decoders write remarks such as "Illegal Audio-MPEG-Header" past Python, straight to the
terminal, where they tear a progress bar. A worker catches them and shows the last one
beside the song's error, where it helps.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

KEPT_BYTES = 4096  # of the end: one line is wanted, and chatter can be megabytes


class Chatter:
    """What was printed so far; remains readable after the descriptor is restored."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink: IO[bytes] | None = sink
        self._tail = ""

    @property
    def last_line(self) -> str:
        """The last line that is not blank, without control characters; "" if there is none."""
        lines = [line for line in self._read_tail().splitlines() if line.strip()]
        return "".join(c for c in lines[-1] if c.isprintable()).strip() if lines else ""

    def freeze(self) -> None:
        """Keep the end of the text and let go of the file."""
        self._tail = self._read_tail()
        self._sink = None

    def _read_tail(self) -> str:
        if self._sink is None:
            return self._tail
        # Reading moves the position that the writers share; they append, so it is theirs no more.
        size = self._sink.seek(0, os.SEEK_END)
        self._sink.seek(max(0, size - KEPT_BYTES))
        return self._sink.read().decode("utf-8", "replace")


@contextlib.contextmanager
def captured_stderr() -> Iterator[Chatter]:
    """Send file descriptor 2 to a temporary file while the block runs; gives its `Chatter`.

    Whatever is written, by Python or by a C library, goes to the file, never to a pipe that could
    fill up. The descriptor belongs to the process: use this where one thread decodes, as in a
    worker.
    """
    _flush()
    with tempfile.TemporaryFile("a+b", buffering=0) as sink:
        chatter = Chatter(sink)
        saved = os.dup(2)
        os.dup2(sink.fileno(), 2)
        try:
            yield chatter
        finally:
            _flush()
            os.dup2(saved, 2)
            os.close(saved)
            chatter.freeze()


def _flush() -> None:
    """Bring Python's own lines out on the side of the switch where they were written."""
    if sys.stderr is not None and not sys.stderr.closed:
        sys.stderr.flush()
