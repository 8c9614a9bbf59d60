"""The gate of both servers, and who may pass: rates, refusals, request log and counts.

    socket ─▶ `CountedProtocol` ─▶ `Gate` ─▶ router ─▶ token, or `Guard` ─▶ `Pool` ─▶ handler
              connections, headers   rate, body,   address      401, 403, 421     503    in a thread
                                     408, 413, 429

`Gate.guesses` counts wrong tokens by address, and `Gate.counts` has the metrics. Whatever is
refused, anywhere, is answered by the gate.

The log has one line of JSON per request, without the query, which may contain tokens, ids and
users.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import logging
import os
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from audiorec.files.visible import visible
from audiorec.runs.prometheus import Labels, metric_text
from audiorec.web.limits import (
    Guesses,
    RateLimiter,
    RefusedRequest,
    RequestLimits,
    address_of,
    too_often,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PRIVATE, KEYED = "/api/", ("/audio/", "/cover/")
PARTS = ("/js/", "/css/", "/fonts/", "/vendor/")  # of the page
MAX_BODY = 1 << 20  # bytes
_HOST = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::[0-9]*)?")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
DRESS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]  # of every response


class AddressKeys:
    """The token of a server, and the address keys derived from it.

    Audio players cannot send a header, so the address of a song's audio carries a key that is valid
    for that song only.

    Parameters
    ----------
    token : str, optional
        By default a new random one.
    """

    def __init__(self, token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(24)
        self.renew()

    def renew(self) -> None:
        """Invalidate all keys given out so far.

        Those of an earlier server are invalid as well, even with the same token: its row numbers
        may have been those of another store.
        """
        self._secret = secrets.token_bytes(32)

    def fits(self, token: str) -> bool:
        """Whether this is the token; compares in constant time."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def key(self, path: str) -> str:
        """Return the key of one address, for example of a song's audio."""
        digest = hmac.digest(self._secret, path.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:18]).decode()

    def keyed(self, path: str) -> str:
        """Return an address with its key."""
        return f"{path}?key={self.key(path)}"

    def opens(self, path: str, key: str) -> bool:
        """Whether this is the key of an address."""
        return hmac.compare_digest(key.encode(), self.key(path).encode())


def is_plain_host(name: str) -> bool:
    """Whether a host name is an IP address or ``localhost``, which DNS rebinding cannot fake.

    Examples
    --------
    >>> [is_plain_host(n) for n in ("localhost", "::1", "127.0.0.1", "a.example", "")]
    [True, True, True, False, False]
    """
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def headers_of(scope: Scope) -> dict[bytes, str]:
    """Return the headers of a request by name."""
    return {name: value.decode("latin-1") for name, value in scope["headers"]}


def check_token(scope: Scope, keys: AddressKeys, guesses: Guesses) -> None:
    """Raise `RefusedRequest` if a request lacks the token, or its client guessed too often."""
    scheme, _, token = headers_of(scope).get(b"authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else ""
    address = address_of(scope.get("client"))
    guesses.check(address)
    if keys.fits(given):
        return
    if given:
        guesses.count(address)
    reason = "the token is missing or wrong"
    raise RefusedRequest(401, reason, "token", www_authenticate="Bearer")


@dataclass(frozen=True, slots=True)
class Guard:
    """What a request for the page must show: the token, a same-origin page, a known host name.

    A page of another site can make a browser send requests to this machine. It cannot read the
    token, which follows the ``#`` of the address and is never sent to a server; ``Origin`` and
    ``Sec-Fetch-Site`` reveal it; and if it made its own name resolve to this machine (DNS
    rebinding), that name is in ``Host``.

    Attributes
    ----------
    keys : AddressKeys
    guesses : Guesses
        Counts wrong tokens.
    names : tuple of str
        Host names accepted besides ``localhost`` and IP addresses, in lower case. Others are
        refused, since a foreign page may have made them resolve to this machine.
    """

    keys: AddressKeys
    guesses: Guesses
    names: tuple[str, ...] = ()

    def check(self, scope: Scope) -> None:
        """Raise `RefusedRequest` with status and reason if a request is refused."""
        headers, path = headers_of(scope), scope["path"]
        host = headers.get(b"host", "")
        name = host_name(host)
        if name not in self.names and not is_plain_host(name):
            raise RefusedRequest(421, "this server does not have that name", "name")
        if not _is_of_this_page(path, host, headers):
            raise RefusedRequest(403, "the request comes from a page of another site", "site")
        if path.startswith(KEYED):
            given = parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0]
            if not self.keys.opens(path, given):
                raise RefusedRequest(401, "the key is missing or wrong", "token")
        if path.startswith(PRIVATE):
            check_token(scope, self.keys, self.guesses)


def _is_of_this_page(path: str, host: str, headers: dict[bytes, str]) -> bool:
    origin = headers.get(b"origin")
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return False
    # A link on another site may open the page at any of its addresses: it contains no data.
    opens = headers.get(b"sec-fetch-mode") == "navigate"
    return headers.get(b"sec-fetch-site", "same-origin") in ("same-origin", "none") or (
        opens and not path.startswith((PRIVATE, *KEYED, *PARTS))
    )


def host_name(host: str) -> str:
    """Return the name in a ``Host`` header, without the port; empty if it is none.

    Examples
    --------
    >>> host_name("Localhost:8000"), host_name("[::1]:80"), host_name("127.0.0.1")
    ('localhost', '::1', '127.0.0.1')
    >>> host_name("[::1].evil.example")
    ''
    """
    result = _HOST.fullmatch(host)
    return "" if result is None else (result[1] or result[2]).lower()


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
        self._within: Counter[tuple[str, float]] = Counter()  # requests by API and bound
        self._seconds: dict[str, float] = {}
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
            self._within.update((api, bound) for bound in BOUNDS if seconds <= bound)
            self._seconds[api] = self._seconds.get(api, 0.0) + seconds

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
        metrics += [(n, "gauge", about, [("", (), v)]) for n, (about, v) in known.items()]
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
        for api, seconds in sorted(self._seconds.items()):
            own, total = ("api", api), sum(n for (of, _), n in self._requests.items() if of == api)
            for bound in BOUNDS:
                yield "_bucket", (own, ("le", str(bound))), self._within[api, bound]
            yield "_bucket", (own, ("le", "+Inf")), total
            yield "_sum", (own,), seconds
            yield "_count", (own,), total


def resident_bytes() -> int:
    """Return the resident memory of this process, in bytes; 0 if the system does not report it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


LOG_SCHEMA = "audiorec/serve-log/1"
NOTES = "audiorec.notes"  # key of a scope: what an application says for the log
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
class Notes:
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
            if scope["type"] != "http":
                return
            notes = scope[NOTES] = Notes(api_of(scope["path"]))
            started = time.perf_counter()
            self.counts.in_flight += 1

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    notes.status = message["status"]
                    headers = [*message.get("headers", ())]
                    own = {name for name, _ in headers}
                    fresh = [pair for pair in DRESS if pair[0] not in own]
                    message = {**message, "headers": headers + fresh}
                notes.size += len(message.get("body", b""))
                await send(message)

            try:
                await self._let_through(application, scope, self._limited(receive), noted)
            finally:
                self.counts.in_flight -= 1
                seconds = time.perf_counter() - started
                notes.refused = notes.refused or WHY.get(notes.status, "")
                self.counts.count(notes.api, notes.status, seconds, notes.refused)
                self._log_request(scope, notes, seconds)

        return answered

    def dropped(self, address: str) -> None:
        """Note that a connection was closed since there were too many."""
        self.counts.refuse("connections")
        if not self._lines.wait(address):
            self._log(address, {"refused": "connections"})

    async def _let_through(
        self, application: Application, scope: Scope, receive: Receive, send: Send
    ) -> None:
        notes: Notes = scope[NOTES]
        scope["app"] = self  # so that the router raises what it refuses
        try:
            self._check(scope)
            await application(scope, receive, send)
        except (Exception, asyncio.CancelledError) as error:
            refusal = _refusal_of(error)
            if refusal.status == 500:  # last resort: one request fails, the others go on
                LOG.exception("a request to %s failed", notes.api)
            if not notes.status:  # else too late for an answer: the connection is closed
                notes.refused = refusal.why
                await _send_refusal(scope, receive, send, refusal)
            if isinstance(error, asyncio.CancelledError):
                raise

    def _check(self, scope: Scope) -> None:
        wait = self._rates.wait(address_of(scope.get("client")))
        if wait:
            raise too_often("too many requests", "rate", wait)
        headers = headers_of(scope)
        length, in_parts = headers.get(b"content-length", "0"), b"transfer-encoding" in headers
        is_plain = length.isascii() and length.isdigit() and len(length) < 20
        if not is_plain or int(length) > self.limits.body or (in_parts and length != "0"):
            raise _too_large()

    def _limited(self, receive: Receive) -> Receive:
        """Return a `receive` that refuses a body that is too large, or not there in time."""
        ends, size, is_there = 0.0, 0, False

        async def limited() -> Message:
            nonlocal ends, size, is_there
            if is_there:
                return await receive()
            ends = ends or time.monotonic() + self.limits.seconds
            try:
                async with asyncio.timeout(ends - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                reason = "the body did not arrive in time"
                raise RefusedRequest(408, reason, "slow", connection="close") from None
            size += len(message.get("body", b""))
            if size > self.limits.body:
                raise _too_large()
            is_there = not message.get("more_body", False)
            return message

        return limited

    def _log_request(self, scope: Scope, notes: Notes, seconds: float) -> None:
        client = scope.get("client")
        if self._only_refused and (not notes.refused or self._lines.wait(address_of(client))):
            return
        line = {
            "api": notes.api,
            "method": scope["method"][:16],
            "path": visible(scope["path"][:200]),
            "status": notes.status,
            "bytes": notes.size,
            "ms": round(1000 * seconds, 2),
            "edition": notes.edition,
        }
        if notes.refused:
            line["refused"] = notes.refused
        self._log(str(client[0]) if client else "", line)

    def _log(self, client: str, fields: dict[str, Any]) -> None:
        if self._write is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"schema": LOG_SCHEMA, "time": now, "client": client, **fields}
        self._write(json.dumps(line) + "\n")


def _too_large() -> RefusedRequest:
    return RefusedRequest(
        413, "the body is too large, or its length is unclear", "size", connection="close"
    )


def _refusal_of(error: BaseException) -> RefusedRequest:
    """Return the answer to a request that ends by an error."""
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    if isinstance(error, RefusedRequest):
        return error
    if isinstance(error, HTTPException):  # of the router
        return RefusedRequest(error.status_code, error.detail.lower(), "", **(error.headers or {}))
    if isinstance(error, ClientDisconnect):
        return RefusedRequest(400, "the body is incomplete", "gone")
    if isinstance(error, asyncio.CancelledError):  # the server ends, and has waited for a second
        return RefusedRequest(503, "the server is ending", "ending")
    return RefusedRequest(500, INTERNAL, "")


async def _send_refusal(
    scope: Scope, receive: Receive, send: Send, refusal: RefusedRequest
) -> None:
    from starlette.responses import JSONResponse

    answer = JSONResponse({"error": refusal.reason}, refusal.status, refusal.headers)
    await answer(scope, receive, send)
