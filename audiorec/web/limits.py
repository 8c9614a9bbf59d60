"""Limits of both servers: on requests, wrong tokens, bodies, time, and work at once.

::

    address ──`RateLimiter`──▶ 0, or the seconds until it may send a request again
            ──`Guesses`──────▶ whether its token is looked at
    work    ──`Pool`─────────▶ its result     or `RefusedRequest`: queue full, or out of time
"""

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from audiorec.runs.timing import OverdueError, check_deadline, ending_in

WRONG_AT_ONCE = 10  # wrong tokens of an address before it has to wait
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
        Of all addresses together; one has at most half of them.
    """

    body: int = 1 << 20
    rate: float = 50.0
    burst: int = 100
    guesses: float = 1.0
    seconds: float = 10.0
    at_once: int = 4
    waiting: int = 64
    connections: int = 256


class RefusedRequest(Exception):  # noqa: N818 - not an error but a response
    """A refused request: status, reason in words, and headers of the response.

    Attributes
    ----------
    status : int
    reason : str
        For the client.
    why : str
        For log and metrics: one word; empty if the request is answered, by a status such as 404.
    headers : mapping of str to str
    """

    def __init__(self, status: int, reason: str, why: str, **headers: str) -> None:
        super().__init__(status, reason, why)
        self.status, self.reason, self.why = status, reason, why
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def too_often(reason: str, why: str, wait: float) -> RefusedRequest:
    """Return the refusal of a client that has to wait some seconds."""
    return RefusedRequest(429, reason, why, retry_after=str(int(wait) + 1))


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

    def wait(self, address: str, *, take: bool = True) -> float:
        """Take a token and return 0, or return the seconds until there is one.

        Without `take` the token stays in its bucket.
        """
        if self._rate <= 0:
            return 0.0
        now = self._clock()
        tokens, at = self._buckets.pop(address, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        short = 1.0 - tokens
        self._buckets[address] = (tokens - 1.0 if take and short <= 0 else tokens, now)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return short / self._rate if short > 0 else 0.0


class Guesses:
    """Counts wrong tokens by address; after too many, not even the right one is looked at.

    Otherwise guesses would cost nothing: the right one among thousands would be answered at once.

    Parameters
    ----------
    rate : float
        Wrong tokens that an address may send per second, on average; 0 for any number.
    """

    def __init__(self, rate: float) -> None:
        self._wrong = RateLimiter(rate, WRONG_AT_ONCE)

    def check(self, address: str) -> None:
        """Raise `RefusedRequest` if an address has to wait before its next token is compared."""
        wait = self._wrong.wait(address, take=False)
        if wait:
            raise too_often("too many wrong tokens", "guesses", wait)

    def count(self, address: str) -> None:
        """Count a wrong token."""
        self._wrong.wait(address)


class Pool:
    """Threads for requests, with a bounded queue in which addresses take turns.

    An address never takes the last thread, nor the last quarter of the queue, so that another is
    answered whatever the first one asks. Work runs under a deadline (`audiorec.runs.timing`).

    Parameters
    ----------
    limits : RequestLimits
    """

    def __init__(self, limits: RequestLimits) -> None:
        self._seconds, self._share = limits.seconds, max(1, limits.at_once - 1)
        self._room = limits.at_once + limits.waiting
        self._threads = ThreadPoolExecutor(limits.at_once, thread_name_prefix="request")
        self._free = asyncio.Semaphore(limits.at_once)
        # The threads left to each address, for as long as it has a request.
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._taken: list[str] = []  # addresses of requests in progress or waiting
        self._closed = False

    @property
    def taken(self) -> int:
        """Number of requests in progress or waiting."""
        return len(self._taken)

    async def run(self, work: Callable[[], T], address: str = "") -> T:
        """Run `work` in a thread and return its result.

        Raises
        ------
        RefusedRequest
            If the queue is full, or the work takes longer than the limit; work that was started
            keeps its thread until it looks at its deadline.
        """
        own = self._taken.count(address)
        if self.taken >= self._room or own >= self._room - self._room // 4:
            raise RefusedRequest(503, "too busy", "busy", retry_after="1")
        ends = time.monotonic() + self._seconds

        def punctually() -> T:
            with ending_in(ends - time.monotonic()):
                check_deadline()
                return work()

        def left(job: "asyncio.Task[T]") -> None:
            self._taken.remove(address)
            if not job.cancelled():
                job.exception()  # which nobody may wait for any more

        # A task, since the thread is taken until the work ends, asked for or not.
        job = asyncio.create_task(self._run(punctually, address))
        job.add_done_callback(left)
        self._taken.append(address)
        try:
            async with asyncio.timeout(self._seconds) as limit:
                return await asyncio.shield(job)
        except (OverdueError, TimeoutError) as error:
            if isinstance(error, TimeoutError) and not limit.expired():
                raise
            raise RefusedRequest(503, "the request timed out", "time", retry_after="5") from None

    async def _run(self, work: Callable[[], T], address: str) -> T:
        share = self._shares.setdefault(address, asyncio.Semaphore(self._share))
        async with share, self._free:
            if self._closed:
                raise RefusedRequest(503, "the server is ending", "ending")
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Shut the pool down without waiting for work in progress."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)


def address_of(client: Any) -> str:
    """Return the address that limits count by: host, or network of an IPv6 client.

    The client chooses the last 64 bits of an IPv6 address at will.

    Examples
    --------
    >>> address_of(("192.0.2.7", 50_000)), address_of(("2001:db8::7", 50_000)), address_of(None)
    ('192.0.2.7', '2001:db8::/64', '')
    >>> address_of(("::ffff:192.0.2.7", 50_000))
    '192.0.2.7'
    """
    host = str(client[0]) if client else ""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
