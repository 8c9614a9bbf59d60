"""The gate of both servers: rate, time for a body, refusals, request log and counts.

    request ──`Gate.around`──▶ application ──▶ response     or 408, 429, 503
                 ├ .guesses    wrong tokens by address
                 └ .counts     metrics

The log has one line of JSON per request, without the query, which may contain tokens, ids and
users.
"""

import asyncio
import json
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audiorec.files.visible import visible
from audiorec.runs.prometheus import Labels, metric_text
from audiorec.web.access import Application, Message, Receive, Scope, Send, send_refusal
from audiorec.web.limits import (
    Guesses,
    RateLimiter,
    RefusedRequest,
    RequestLimits,
    address_of,
    too_often,
)

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
METRIC = "audiorec_serve_"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class RequestCounts:
    """Counts and response times of requests, by API."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._refused: Counter[str] = Counter()
        self._times: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()
        self._started = time.time()
        self.in_flight = 0

    def count(self, api: str, status: int, seconds: float, refused: str = "") -> None:
        """Count a finished request.

        Parameters
        ----------
        api : str
        status : int
        seconds : float
        refused : str
            Why it was refused; empty if it was not.
        """
        with self._lock:
            self._requests[api, status] += 1
            self._refused[refused] += bool(refused)
            buckets = self._times.setdefault(api, [0] * (len(BOUNDS) + 1))
            place = next((n for n, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))
            buckets[place] += 1
            self._seconds[api] += seconds  # type: ignore[assignment]

    def refuse(self, why: str) -> None:
        """Count a refusal without a request: a connection that was closed."""
        with self._lock:
            self._refused[why] += 1

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Return all metrics as text; `gauges` maps a name to its help text and value."""
        with self._lock:
            metrics = [*self._metrics()]
        known = {
            **gauges,
            "in_flight": ("Requests in progress.", self.in_flight),
            "start_time_seconds": ("Start of the server, in seconds since 1970.", self._started),
            "resident_memory_bytes": ("Resident memory of the process.", resident_bytes()),
        }
        for name, (meaning, value) in known.items():
            metrics.append((name, "gauge", meaning, [("", (), value)]))
        return "".join(metric_text(f"{METRIC}{name}", *about) for name, *about in metrics)

    def _metrics(self) -> Iterator[tuple[Any, ...]]:
        """Yield name, kind, meaning and samples of each metric about requests."""
        requests = [
            ("", (("api", api), ("status", str(status))), n)
            for (api, status), n in sorted(self._requests.items())
        ]
        yield "requests_total", "counter", "Requests answered, by API and status.", requests
        why = [("", (("reason", one),), n) for one, n in sorted(self._refused.items()) if n]
        yield "refused_total", "counter", "Requests and connections refused, by reason.", why
        meaning = "Time from the request's headers to the end of the response."
        yield "request_seconds", "histogram", meaning, [*self._histogram()]

    def _histogram(self) -> Iterator[tuple[str, Labels, float]]:
        for api, buckets in sorted(self._times.items()):
            total, own = 0, ("api", api)
            for bound, n in zip([*map(str, BOUNDS), "+Inf"], buckets, strict=True):
                total += n
                yield "_bucket", (own, ("le", bound)), total
            yield "_sum", (own,), float(self._seconds[api])
            yield "_count", (own,), total


def resident_bytes() -> int:
    """Return the resident memory of this process, in bytes; 0 if the system does not report it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


LOG_SCHEMA = "audiorec/serve-log/1"
TOLD = "audiorec.told"  # key of a scope: what an application says for the log
PAGE = "page"
INTERNAL = "internal error; see the log of the server"
LOG = logging.getLogger("audiorec.web")
LINES = 1.0  # per second and address: of closed connections, and all lines with `only_refused`
WHY = {  # by status of an answer: why it is a refusal
    401: "token",
    403: "site",
    405: "method",
    408: "slow",
    413: "size",
    421: "name",
    429: "guesses",
}


@dataclass(slots=True)
class Told:
    """Fields of a request's log line; filled while it is answered."""

    api: str
    status: int = 0
    size: int = 0
    edition: int = 0
    refused: str = ""


class Gate:
    """What requests pass before an application; holds what applications share.

    Parameters
    ----------
    limits : RequestLimits, optional
    write : callable, optional
        Called with each line of the log.
    only_refused : bool
        Log only refused requests, and of each address at most one a second.

    Attributes
    ----------
    limits : RequestLimits
    guesses : Guesses
    counts : RequestCounts
    """

    def __init__(
        self,
        limits: RequestLimits | None = None,
        *,
        write: Callable[[str], object] | None = None,
        only_refused: bool = False,
    ) -> None:
        self.limits = limits or RequestLimits()
        self.guesses = Guesses(self.limits.guesses)
        self.counts = RequestCounts()
        self._write, self._only_refused = write, only_refused
        self._rates = RateLimiter(self.limits.rate, self.limits.burst)
        self._lines = RateLimiter(LINES, 1)

    def around(
        self, application: Application, api_of: Callable[[str], str] = lambda _: PAGE
    ) -> Application:
        """Return an ASGI application that lets requests through to another.

        `api_of` returns the name of a path's API, for log and metrics.
        """

        async def answered(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                scope[TOLD] = Told(api_of(scope["path"]))
                await self._answered(application, scope, receive, send)

        return answered

    def dropped(self, address: str) -> None:
        """Note that a connection was closed since there were too many."""
        self.counts.refuse("connections")
        if not self._lines.wait(address):
            self._log(address, {"refused": "connections"})

    async def _answered(
        self, application: Application, scope: Scope, receive: Receive, send: Send
    ) -> None:
        told, started = scope[TOLD], time.perf_counter()
        self.counts.in_flight += 1

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                told.status = message["status"]
            elif message["type"] == "http.response.body":
                told.size += len(message.get("body", b""))
            await send(message)

        try:
            await self._let_through(application, scope, self._timed(receive), noted, told)
        finally:
            self.counts.in_flight -= 1
            seconds = time.perf_counter() - started
            told.refused = told.refused or WHY.get(told.status, "")
            self.counts.count(told.api, told.status, seconds, told.refused)
            self._log_request(scope, told, seconds)

    async def _let_through(
        self, application: Application, scope: Scope, receive: Receive, send: Send, told: Told
    ) -> None:
        try:
            wait = self._rates.wait(address_of(scope.get("client")))
            if wait:
                raise too_often("too many requests", "rate", wait)
            await application(scope, receive, send)
        except RefusedRequest as refusal:
            if told.status:  # too late for an answer: the connection is closed
                raise
            told.refused = refusal.why
            await send_refusal(send, refusal)
        except asyncio.CancelledError:  # the server ends, and has waited for a second
            if not told.status:
                told.refused = "ending"
                await send_refusal(send, RefusedRequest(503, "the server is ending", "ending"))
            raise
        except Exception:  # last resort of the server: one request fails, the others go on
            LOG.exception("a request to %s failed", told.api)
            if not told.status:
                await send_refusal(send, RefusedRequest(500, INTERNAL, ""))

    def _timed(self, receive: Receive) -> Receive:
        """Return a `receive` that raises a refusal if the body does not arrive in time."""
        ends, is_there = 0.0, False

        async def timed() -> Message:
            nonlocal ends, is_there
            if is_there:
                return await receive()
            ends = ends or time.monotonic() + self.limits.seconds
            try:
                async with asyncio.timeout(ends - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                reason = "the body did not arrive in time"
                raise RefusedRequest(408, reason, "slow", connection="close") from None
            is_there = not message.get("more_body", False)
            return message

        return timed

    def _log_request(self, scope: Scope, told: Told, seconds: float) -> None:
        client = scope.get("client")
        if self._only_refused and (not told.refused or self._lines.wait(address_of(client))):
            return
        line = {
            "api": told.api,
            "method": scope["method"][:16],
            "path": visible(scope["path"][:200]),
            "status": told.status,
            "bytes": told.size,
            "ms": round(1000 * seconds, 2),
            "edition": told.edition,
        }
        if told.refused:
            line["refused"] = told.refused
        self._log(str(client[0]) if client else "", line)

    def _log(self, client: str, fields: dict[str, Any]) -> None:
        if self._write is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"schema": LOG_SCHEMA, "time": now, "client": client, **fields}
        self._write(json.dumps(line) + "\n")
