"""The gate of both servers, and who may pass: rates, refusals, request log and counts.

    request ──`Gate.around`──▶ application ──▶ response     or 408, 429, 503
                 ├ .guesses    wrong tokens by address
                 └ .counts     metrics
    request ──`Guard`──▶ the page's application     or 401, 403, 405, 413, 421 and nothing else

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
METHODS = ("GET", "HEAD", "POST")
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

API_HEADERS = {
    name: HEADERS[name]
    for name in ("cache-control", "x-content-type-options", "cross-origin-resource-policy")
}


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


class Guard:
    """ASGI middleware that checks requests and adds the security headers to every response.

    A request needs the token, a same-origin page, and a known host name. A page of another site can
    make a browser send requests to this machine. It cannot read the token, which follows the ``#``
    of the address and is never sent to a server; ``Origin`` and ``Sec-Fetch-Site`` reveal it; and
    if it made its own name resolve to this machine (DNS rebinding), that name is in ``Host``.

    Parameters
    ----------
    application : callable
        An ASGI application.
    keys : AddressKeys
    names : collection of str
        Host names accepted besides ``localhost`` and IP addresses. Others are refused, since a
        foreign page may have made them resolve to this machine.
    guesses : Guesses
        Counts wrong tokens.
    """

    def __init__(
        self,
        application: Application,
        keys: AddressKeys,
        names: tuple[str, ...] = (),
        *,
        guesses: Guesses,
    ) -> None:
        self._application = application
        self._keys, self._guesses = keys, guesses
        self._names = {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message.get("headers", ())}
                more = [(n.encode(), v.encode()) for n, v in HEADERS.items()]
                fresh = [pair for pair in more if pair[0] not in own]
                message = {**message, "headers": [*message.get("headers", ()), *fresh]}
            await send(message)

        try:
            self._check(scope)
            await self._application(scope, receive, dressed)
        except RefusedRequest as refusal:
            scope[NOTES].refused = refusal.why
            await send_refusal(scope, receive, dressed, refusal)

    def _check(self, scope: Scope) -> None:
        """Raise `RefusedRequest` with status and reason if a request is refused."""
        headers = headers_of(scope)
        host, length = headers.get(b"host", ""), headers.get(b"content-length", "0")
        name = host_name(host)
        if name not in self._names and not is_plain_host(name):
            raise RefusedRequest(421, "this server does not have that name", "name")
        if scope["method"] not in METHODS:
            raise RefusedRequest(405, "only GET, HEAD and POST are allowed", "method")
        if not self._is_of_this_page(scope["path"], host, headers):
            raise RefusedRequest(403, "the request comes from a page of another site", "site")
        plain = length.isascii() and length.isdigit() and b"transfer-encoding" not in headers
        if scope["method"] == "POST" and (not plain or int(length) > MAX_BODY):
            reason = "the body is too large, or its length is not stated"
            raise RefusedRequest(413, reason, "size")
        if scope["path"].startswith(KEYED):
            given = parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0]
            if not self._keys.opens(scope["path"], given):
                raise RefusedRequest(401, "the key is missing or wrong", "token")
        if scope["path"].startswith(PRIVATE):
            check_token(scope, self._keys, self._guesses)

    def _is_of_this_page(self, path: str, host: str, headers: dict[bytes, str]) -> bool:
        origin = headers.get(b"origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return False
        site = headers.get(b"sec-fetch-site", "same-origin")
        if site in ("same-origin", "none"):
            return True
        # A link on another site may open the page at any of its addresses: it contains no data.
        opens = headers.get(b"sec-fetch-mode") == "navigate"
        return opens and not path.startswith((PRIVATE, *KEYED, *PARTS))


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


async def send_refusal(scope: Scope, receive: Receive, send: Send, refusal: RefusedRequest) -> None:
    """Send the response of a refused request: JSON with the reason."""
    from starlette.responses import JSONResponse

    headers = {**API_HEADERS, **refusal.headers}
    answer = JSONResponse({"error": refusal.reason}, refusal.status, headers)
    await answer(scope, receive, send)


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
            if scope["type"] == "http":
                scope[NOTES] = Notes(api_of(scope["path"]))
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
        notes, started = scope[NOTES], time.perf_counter()
        self.counts.in_flight += 1

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                notes.status = message["status"]
            elif message["type"] == "http.response.body":
                notes.size += len(message.get("body", b""))
            await send(message)

        try:
            await self._let_through(application, scope, self._timed(receive), noted, notes)
        finally:
            self.counts.in_flight -= 1
            seconds = time.perf_counter() - started
            notes.refused = notes.refused or WHY.get(notes.status, "")
            self.counts.count(notes.api, notes.status, seconds, notes.refused)
            self._log_request(scope, notes, seconds)

    async def _let_through(
        self,
        application: Application,
        scope: Scope,
        receive: Receive,
        send: Send,
        notes: Notes,
    ) -> None:
        try:
            wait = self._rates.wait(address_of(scope.get("client")))
            if wait:
                raise too_often("too many requests", "rate", wait)
            await application(scope, receive, send)
        except RefusedRequest as refusal:
            if notes.status:  # too late for an answer: the connection is closed
                raise
            notes.refused = refusal.why
            await send_refusal(scope, receive, send, refusal)
        except asyncio.CancelledError:  # the server ends, and has waited for a second
            if not notes.status:
                notes.refused = "ending"
                await send_refusal(
                    scope, receive, send, RefusedRequest(503, "the server is ending", "ending")
                )
            raise
        except Exception:  # last resort of the server: one request fails, the others go on
            LOG.exception("a request to %s failed", notes.api)
            if not notes.status:
                await send_refusal(scope, receive, send, RefusedRequest(500, INTERNAL, ""))

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
