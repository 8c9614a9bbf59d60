"""Shared by the readers: their contract, the hash of packets, and what C libraries print.

    codec, rate, channels, packets  ──PacketHash──▶ 32 hex digits, part of `content_hash`
    a ``with`` block  ──captured_stderr──▶ what was printed to file descriptor 2

Decoders write warnings such as "Illegal Audio-MPEG-Header" straight to the terminal, bypassing
Python, where they garble a progress bar. A worker captures them and adds the last one to the song's
error.
"""

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, NamedTuple

from audiorec.errors import Failure
from audiorec.types import FloatArray

BLOCK_FRAMES = 1 << 16  # 0.5 MB of stereo: stays in the cache until mixed down
MAX_CHANNELS = 8
MAX_BLOCK_S = 10  # seconds, at low sample rates


class RawBlock(NamedTuple):
    """One block of decoded samples."""

    samples: FloatArray  # (n, channels), full scale 1; valid until the next block is requested
    sample_rate: int  # hertz


class DecoderError(Exception):
    """A decoder cannot start or cannot continue; another decoder may.

    `damaged`: the file itself is at fault, since decoding failed midway. `failure`: the song's
    failure if no other decoder can read it.
    """

    def __init__(
        self,
        reason: str,
        decoder: str,
        damaged: bool = False,
        failure: Failure = Failure.UNDECODABLE,
    ) -> None:
        super().__init__(reason, decoder, damaged, failure)
        self.reason = reason
        self.decoder = decoder
        self.damaged = damaged
        self.failure = failure


DIGEST_BYTES = 16


class PacketHash:
    """128-bit blake2b over the codec, the sample rate, the channels and all packets of a stream."""

    def __init__(self, codec: str, sample_rate: int, channels: int) -> None:
        self._digest = new_hash("packets", codec, str(sample_rate), str(channels))
        self._of_nothing = self._digest.hexdigest()
        self.add = self._digest.update  # the next packet, or several at once

    def hexdigest(self) -> str:
        """Return the hash; empty if the packets hold no bytes."""
        digest = self._digest.hexdigest()
        return "" if digest == self._of_nothing else digest


def new_hash(*prefix: str) -> "hashlib.blake2b":
    """Return a hash that has begun with some texts, each followed by a zero byte."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update("\0".join((*prefix, "")).encode())
    return digest


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


# If more bytes than both are left unread, the header claimed too few samples, or the MP3 decoder
# stopped silently at a damaged frame, as it does at one in five.
