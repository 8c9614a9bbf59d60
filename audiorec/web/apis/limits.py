"""Limits on request size, rate and time, and on the number of concurrent requests.

address ──`RateLimiter`──▶ 0, or the seconds until it may send a request again
work    ──`Pool`─────▶ its result; `BusyError` if the queue is full, `TooLongError` on timeout
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

MOST_ADDRESSES = 10_000  # whose rate is tracked; the least recently seen are dropped
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """Limits per client, and over all clients.

    Attributes
    ----------
    body : int
        Bytes of a request's body.
    rate : float
        Requests per second and address, on average; 0 for no limit.
    burst : int
        Requests of one address at once.
    guesses : float
        Wrong tokens per second and address, on average.
    seconds : float
        Time limit for the response; also for receiving the headers, and for receiving the body.
    at_once : int
        Requests processed concurrently.
    waiting : int
        Further requests that may wait.
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
    """Too many requests are waiting already."""


class TooLongError(Exception):
    """The response took longer than the time limit."""


class RateLimiter:
    """Token-bucket rate limiter, one bucket per address.

    Parameters
    ----------
    rate : float
        Tokens added per second; 0 for no limit.
    burst : float
        Capacity of a bucket.
    clock : callable
        Returns seconds.
    """

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, max(1.0, burst), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str, cost: float = 1.0) -> float:
        """Take `cost` tokens and return 0, or take none and return the seconds until possible."""
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
    """Thread pool for requests, with a bounded queue.

    Parameters
    ----------
    limits : RequestLimits
    """

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.at_once, thread_name_prefix="api")
        self.taken = 0  # requests in progress or waiting

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread and return its result.

        Raises
        ------
        BusyError
            If the queue is full.
        TooLongError
            If it takes longer than the limit; work already started runs on and keeps its slot.
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
            future.cancel()  # succeeds only if it has not started
            waited.add_done_callback(lambda f: f.cancelled() or f.exception())
            raise TooLongError
        return waited.result()

    def close(self) -> None:
        """Shut the pool down without waiting for work in progress."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _freed(self) -> None:
        self.taken -= 1


def _told(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)
