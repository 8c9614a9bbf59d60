"""What one account of a server may cost in one run, whatever the server sends.

    a socket, `Bounds` ──Line──▶ the same socket, with a deadline and a limit on bytes
    texts of songs ──Held──▶ a limit on the memory that they take

A server is chosen by the user, but its answers are not: they may drip, never end, or fill memory.
So a deadline holds for a request and its answer as a whole, from the first byte that is sent: a
status line, a header, the size of a chunk, a trailer and ``100 Continue`` count as well. A client
such as httpx or python-mpd2 limits only each read, and the latter reads lines of any length. So
the standard library's HTTP and lines of MPD go over a socket that keeps the limits itself.
"""

import io
import sys
import time
from typing import Any

from audiorec.errors import PlayerError

SILENCE_S = 30.0  # of a server, between two bytes
ANSWER_S = 120.0  # from the first byte of a request to the last of its answer, all tries together
ANSWER_BYTES = 4 << 20  # 500 songs take 1 MB; parsed as JSON, bytes may take forty times as much
LONG_BYTES = 64 << 20  # of a song's file
RUN_S = 3600.0  # of waiting for all answers of a run
RUN_BYTES = 2 << 30  # of all answers of a run, but for audio
RUN_ANSWERS = 100_000
HELD_BYTES = 160 << 20  # of what a run keeps of a server's songs: some 150,000 of them
OWN_SONG_BYTES = 2048  # more of it for each song of the store
ENTRY_BYTES = 100  # of a dictionary or set


class Bounds:
    """The limits of one account in one run.

    Every method raises `PlayerError` for what is over a limit; `wait_s` raises `TimeoutError` if
    the time of an answer is over.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._answers = self._bytes = self._left = 0
        self._waited_s = self._ends = 0.0
        self._is_long = False

    def begin(self, *, is_long: bool = False) -> None:
        """Begin the time and the bytes of a request and its answer."""
        self._answers += 1
        if self._answers > RUN_ANSWERS:
            raise PlayerError(f"{self.url}: a sync asks for at most {RUN_ANSWERS:,} answers")
        self._ends, self._is_long = time.monotonic() + ANSWER_S, is_long
        self._left = LONG_BYTES if is_long else ANSWER_BYTES

    @property
    def left_s(self) -> float:
        """The time that is left for the answer."""
        return self._ends - time.monotonic()

    def wait_s(self) -> float:
        """Return how long to wait for the next bytes."""
        if (left_s := self.left_s) <= 0:
            raise TimeoutError(f"an answer took over {ANSWER_S:g} s")
        return min(SILENCE_S, left_s)

    def waited(self, seconds: float) -> None:
        """Count time that was spent on waiting."""
        self._waited_s += seconds
        if self._waited_s > RUN_S:
            raise PlayerError(f"{self.url}: its answers took over {RUN_S:g} s together")

    def received(self, n: int) -> None:
        """Count bytes of an answer."""
        self._left -= n
        if self._left < 0:
            most = LONG_BYTES if self._is_long else ANSWER_BYTES
            raise PlayerError(f"{self.url}: an answer has over {most} bytes")
        self._bytes += 0 if self._is_long else n
        if self._bytes > RUN_BYTES:
            raise PlayerError(f"{self.url}: its answers have over {RUN_BYTES} bytes together")


class Line:
    """A connected socket that keeps `Bounds`; as much of a socket as its users need."""

    def __init__(self, connected: Any, bounds: Bounds) -> None:
        self._socket, self._bounds = connected, bounds

    def sendall(self, content: Any) -> None:
        """Send bytes; the time of the answer runs already."""
        left = memoryview(content)
        while left:
            began = time.monotonic()
            self._socket.settimeout(self._bounds.wait_s())
            left = left[self._socket.send(left) :]
            self._bounds.waited(time.monotonic() - began)

    def makefile(self, mode: str = "rb") -> io.BufferedReader:
        """Return a file to read the answers from."""
        return io.BufferedReader(_Bytes(self._socket, self._socket.makefile(mode, 0), self._bounds))

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


class _Bytes(io.RawIOBase):
    """What a socket receives, read piece by piece."""

    def __init__(self, connected: Any, raw: Any, bounds: Bounds) -> None:
        self._socket, self._raw, self._bounds = connected, raw, bounds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what has come; raise `TimeoutError` or `PlayerError` beyond a limit."""
        began = time.monotonic()
        self._socket.settimeout(self._bounds.wait_s())
        try:
            n = int(self._raw.readinto(buffer))
        except TimeoutError:
            self._bounds.wait_s()  # the time of the answer is over, or else:
            raise TimeoutError(f"it was silent for {SILENCE_S:g} s") from None
        finally:
            self._bounds.waited(time.monotonic() - began)
        self._bounds.received(n)
        return n

    def close(self) -> None:
        self._raw.close()
        super().close()


class Held:
    """The memory that the songs of a server take."""

    def __init__(self, url: str, more: int = 0) -> None:
        self._url, self._most, self._bytes = url, HELD_BYTES + more, 0

    def keep(self, *values: object) -> None:
        """Count what is kept of a song; raise `PlayerError` if all of it takes too much."""
        self._bytes += ENTRY_BYTES + sum(map(sys.getsizeof, values))
        if self._bytes > self._most:
            raise PlayerError(f"{self._url}: its songs take over {self._most >> 20} MB of memory")
