"""Capture what C libraries print to file descriptor 2, for error messages.

Decoders write warnings such as "Illegal Audio-MPEG-Header" straight to the terminal, bypassing
Python, where they garble a progress bar. A worker captures them and adds the last one to the
song's error.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

KEPT_BYTES = 4096  # from the end: one line is needed, and the output can be megabytes


class CapturedOutput:
    """Captured output, which remains readable after the descriptor is restored."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink: IO[bytes] | None = sink
        self._tail = ""

    @property
    def last_line(self) -> str:
        """Last non-blank line, without control characters; "" if there is none."""
        lines = [line for line in self._read_tail().splitlines() if line.strip()]
        return "".join(c for c in lines[-1] if c.isprintable()).strip() if lines else ""

    def freeze(self) -> None:
        """Keep the end of the output and release the file."""
        self._tail = self._read_tail()
        self._sink = None

    def _read_tail(self) -> str:
        if self._sink is None:
            return self._tail
        # Reading moves the position shared with the writers; they append, so it does not matter.
        size = self._sink.seek(0, os.SEEK_END)
        self._sink.seek(max(0, size - KEPT_BYTES))
        return self._sink.read().decode("utf-8", "replace")


@contextlib.contextmanager
def captured_stderr() -> Iterator[CapturedOutput]:
    """Redirect file descriptor 2 to a temporary file in a ``with`` block; see `CapturedOutput`.

    Output of Python and C libraries goes to the file, not to a pipe, which could fill up. The
    descriptor belongs to the whole process: use this where a single thread decodes, as in a
    worker.
    """
    _flush()
    with tempfile.TemporaryFile("a+b", buffering=0) as sink:
        chatter = CapturedOutput(sink)
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
    """Flush Python's own output before the descriptor is switched."""
    if sys.stderr is not None and not sys.stderr.closed:
        sys.stderr.flush()
