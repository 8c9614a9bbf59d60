"""How much a client may ask: size, rate and time, and how many questions are worked on at once.

address ──`Buckets`──▶ 0, or the seconds until it may ask again
work    ──`Pool`─────▶ its result; `BusyError` where too many wait, `TooLongError` where it takes
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

MOST_ADDRESSES = 10_000  # whose rate is kept; the ones seen longest ago are forgotten
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """What one client may ask, and what all of them may.

    Attributes
    ----------
    body : int
        Bytes of a request's body.
    rate : float
        Requests a second of one address, on average; 0: any number.
    burst : int
        Requests of one address at once.
    guesses : float
        Wrong tokens a second of one address, on average.
    seconds : float
        For an answer; and for a request to arrive, headers and body each.
    at_once : int
        Questions that are worked on at the same time.
    waiting : int
        Questions that may wait for that.
    connections : int
    """

    body: int = 1 << 20
    rate: float = 50.0
    burst: int = 100
    guesses: float = 1.0
    seconds: float = 10.0
    at_once: int = 4
    waiting: int = 64
    connections: int = 256


class BusyError(Exception):
    """Too many questions wait already."""


class TooLongError(Exception):
    """The answer did not come in time."""


class Buckets:
    """A bucket of tokens for each address: one is taken a request, and they fill up again.

    Parameters
    ----------
    rate : float
        Tokens a second; 0: never empty.
    burst : float
        Tokens that a bucket holds.
    clock : callable
        Seconds.
    """

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, max(1.0, burst), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str, cost: float = 1.0) -> float:
        """Take tokens; return 0, or the seconds until there are enough, and then take none."""
        if self._rate <= 0:
            return 0.0
        now = self._clock()
        tokens, at = self._buckets.pop(address, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        short = cost - tokens
        self._buckets[address] = (tokens if short > 0 else tokens - cost, now)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return short / self._rate if short > 0 else 0.0


class Pool:
    """Threads that answer questions, with room for a few more to wait.

    Parameters
    ----------
    limits : DoorLimits
    """

    def __init__(self, limits: DoorLimits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.at_once, thread_name_prefix="door")
        self.taken = 0  # questions that are worked on or wait

    async def run(self, work: Callable[[], T]) -> T:
        """Do some work in a thread.

        Raises
        ------
        BusyError
            If too many wait.
        TooLongError
            If it takes longer than the limit; what has begun goes on, and keeps its place.
        """
        if self.taken >= self._limits.at_once + self._limits.waiting:
            raise BusyError
        self.taken += 1
        loop = asyncio.get_running_loop()
        future: Future[T] = self._threads.submit(work)
        future.add_done_callback(lambda _: _told(loop, self._freed))
        waited = asyncio.wrap_future(future)
        done, _ = await asyncio.wait({waited}, timeout=self._limits.seconds)
        if not done:
            future.cancel()  # where it has not begun
            waited.add_done_callback(lambda f: f.cancelled() or f.exception())
            raise TooLongError
        return waited.result()

    def close(self) -> None:
        """Let the threads end, without waiting for what they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _freed(self) -> None:
        self.taken -= 1


def _told(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)
