"""ASGI application with all APIs: authentication, limits, routing and the request log.

    request ──rate, size, token──▶ an API's handler in a thread, with one `Snapshot` ──▶ response
                              └──▶ the page, which has its own `Guard`

=================  ============================  ======================================
api               addresses                     authentication
=================  ============================  ======================================
``audiomuse``      ``/api/similar_tracks`` …     bearer token
``bliss``          ``/api/mix`` …                bearer token; none for `bliss-mixer`
``opensubsonic``   ``/rest/…``                   the protocol's own methods
``audiorec``       ``/v1/…``                     bearer token
``+NAME``          those of another package      bearer token
``metrics``        ``/metrics``                  bearer token
``health``         ``/healthz``                  none
``page``           everything else               as in `audiorec browse`
=================  ============================  ======================================

Every response names the edition that it was made from. The log has one line of JSON per request,
without the query, which may contain tokens, ids and users.
"""

import asyncio
import hmac
import ipaddress
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from audiorec.errors import AudiorecError
from audiorec.files.visible import visible
from audiorec.web.access import Application, Receive, Scope, Send, host_name
from audiorec.web.apis import subsonic
from audiorec.web.apis.limits import BusyError, Pool, RateLimiter, RequestLimits, TooLongError
from audiorec.web.apis.messages import ApiReply, ApiRequest, Handler
from audiorec.web.apis.request_counts import MEDIA_TYPE, RequestCounts
from audiorec.web.apis.routes import Route, all_routes
from audiorec.web.apis.snapshot import Snapshot, StaleSnapshotError
from audiorec.web.editions import Editions

LOG = logging.getLogger("audiorec.web")
LOG_SCHEMA = "audiorec/serve-log/1"
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 200  # parameters of a query or a form
TRIES = 3  # attempts at a request whose models are replaced meanwhile
HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(slots=True)
class _Told:
    """Fields of a request's log line; filled while it is answered."""

    api: str = ""
    status: int = 0
    size: int = 0
    edition: int = 0
    refused: str = ""


class RefusedRequest(Exception):  # noqa: N818 - not an error but a response
    """A refused request; carries the response."""

    def __init__(self, status: int, reason: str, why: str, **headers: str) -> None:
        super().__init__(status, reason, why)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.reply = replace(ApiReply.json({"error": reason}, status), headers=names)
        self.why = why


class ApiServer:
    """The application of ``audiorec serve``.

    Parameters
    ----------
    editions : Editions of Snapshot
    token : str
        Empty: every local client is accepted, as Lyrion's mixer does.
    limits : RequestLimits
    page : callable, optional
        Returns an ASGI application for all other addresses; called on first use.
    write : callable, optional
        Called with each line of the log.
    routes : mapping of str to Route, optional
        Default: all APIs.
    """

    def __init__(
        self,
        editions: Editions[Snapshot],
        token: str,
        *,
        limits: RequestLimits | None = None,
        page: Callable[[], Application] | None = None,
        write: Callable[[str], object] | None = None,
        routes: Mapping[str, Route] | None = None,
    ) -> None:
        self.editions, self._token = editions, token
        self.limits = limits or RequestLimits()
        self.tally = RequestCounts()
        self.pool = Pool(self.limits)
        self._page, self._write = page, write
        self._made_page: Application | None = None
        self._routes = all_routes() if routes is None else routes
        self._rates = RateLimiter(self.limits.rate, self.limits.burst)
        self._guesses = RateLimiter(self.limits.guesses, 10)
        self._page_lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await self._answered(scope, receive, send)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        told, started = _Told(), time.perf_counter()
        self.tally.in_flight += 1

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                told.status = message["status"]
            elif message["type"] == "http.response.body":
                told.size += len(message.get("body", b""))
            await send(message)

        try:
            await self._through(scope, receive, noted, told)
        finally:
            self.tally.in_flight -= 1
            seconds = time.perf_counter() - started
            self.tally.count(told.api, told.status, seconds, told.refused)
            self._log(scope, told, seconds)

    async def _through(self, scope: Scope, receive: Receive, send: Send, told: _Told) -> None:
        route = self._route(scope["path"])
        told.api = "page" if route is None else route.api
        try:
            self._check_rate(scope)
            self._check_site(scope)
            if route is None:
                page = await self._page_application()
                if page is not None:
                    await page(scope, receive, send)
                    return
                raise RefusedRequest(404, "not found", "")
            reply = await self._reply(scope, receive, route, told)
        except RefusedRequest as refusal:
            reply, told.refused = refusal.reply, refusal.why
        await asyncio.wait_for(
            _send(send, scope, reply, told.edition), self.limits.seconds * 3
        )  # drops a client that does not read

    def _route(self, path: str) -> Route | None:
        if path.startswith(subsonic.PREFIX):
            return self._routes.get(subsonic.PREFIX)
        return self._routes.get(path)

    def _check_rate(self, scope: Scope) -> None:
        wait = self._rates.wait(_peer(scope))
        if wait:
            raise RefusedRequest(429, "too many requests", "rate", retry_after=str(int(wait) + 1))

    def _check_site(self, scope: Scope) -> None:
        """Refuse requests from pages of other sites if there is no token to keep them out."""
        if self._token:
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if b"origin" in headers or not is_plain_host(headers.get(b"host", "")):
            raise RefusedRequest(403, "the request comes from a page of another site", "site")

    async def _page_application(self) -> Application | None:
        if self._page is None:
            return None
        async with self._page_lock:
            if self._made_page is None:
                self._made_page = await asyncio.to_thread(self._page)
        return self._made_page

    async def _reply(self, scope: Scope, receive: Receive, route: Route, told: _Told) -> ApiReply:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        handler = route.handlers.get(method)
        if handler is None:
            allowed = ", ".join([*route.handlers, *["HEAD"] * ("GET" in route.handlers)])
            raise RefusedRequest(405, f"allowed: {allowed}", "method", allow=allowed)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if route.api not in ("health", "document", "opensubsonic"):
            self._check_bearer(scope, headers)
        body = await self._body(receive, headers)
        asked = _asked(scope, headers, body, form=route.api == "opensubsonic")
        if route.api == "opensubsonic":
            refusal = self._check_subsonic(scope, asked)
            if refusal is not None:
                told.refused = "token"
                return refusal
        if route.api == "metrics":
            return ApiReply(self.tally.text(self._gauges()).encode(), media_type=MEDIA_TYPE)
        return await self._worked(handler, asked, told)

    def _check_bearer(self, scope: Scope, headers: Mapping[bytes, str]) -> None:
        if not self._token:
            return
        scheme, _, given = headers.get(b"authorization", "").partition(" ")
        fits = hmac.compare_digest(given.strip().encode(), self._token.encode())
        if scheme.lower() == "bearer" and fits:
            return
        self._guessed(scope)
        raise RefusedRequest(
            401, "the token is missing or wrong", "token", www_authenticate="Bearer"
        )

    def _check_subsonic(self, scope: Scope, asked: ApiRequest) -> ApiReply | None:
        if subsonic.endpoint(asked.path) in subsonic.OPEN:
            return None
        try:
            subsonic.check_password(asked, self._token)
        except subsonic.SubsonicError as error:
            if error.code in (subsonic.WRONG_PASSWORD, subsonic.WRONG_KEY):
                self._guessed(scope)
            return subsonic.rendered(asked, error=error)
        return None

    def _guessed(self, scope: Scope) -> None:
        """Count a wrong token; refuse an address that has sent too many."""
        wait = self._guesses.wait(_peer(scope))
        if wait:
            raise RefusedRequest(
                429, "too many wrong tokens", "guesses", retry_after=str(int(wait) + 1)
            )

    async def _body(self, receive: Receive, headers: Mapping[bytes, str]) -> bytes:
        length = headers.get(b"content-length", "0")
        if length.isascii() and length.isdigit() and int(length) > self.limits.body:
            raise RefusedRequest(413, "the body is too large", "size", connection="close")
        try:
            return await asyncio.wait_for(self._read(receive), self.limits.seconds)
        except TimeoutError:
            raise RefusedRequest(
                408, "the body did not arrive in time", "slow", connection="close"
            ) from None

    async def _read(self, receive: Receive) -> bytes:
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise RefusedRequest(400, "the body is incomplete", "gone")
            piece: bytes = message.get("body", b"")
            body += piece
            if len(body) > self.limits.body:
                raise RefusedRequest(413, "the body is too large", "size", connection="close")
            if not message.get("more_body"):
                return body

    async def _worked(self, handler: Handler, asked: ApiRequest, told: _Told) -> ApiReply:
        def work() -> ApiReply:
            for _ in range(TRIES):
                edition = self.editions.current
                told.edition = edition.number
                try:
                    return handler(edition.value, asked)
                except StaleSnapshotError:
                    self.editions.look(settled=True)
                except AudiorecError as error:
                    return ApiReply.json({"error": visible(str(error))}, 400)
            return ApiReply.json({"error": "the models are being replaced"}, 503)

        try:
            return await self.pool.run(work)
        except BusyError:
            raise RefusedRequest(503, "too busy", "busy", retry_after="1") from None
        except TooLongError:
            raise RefusedRequest(503, "the request timed out", "time", retry_after="5") from None
        except Exception:  # last resort of the server: one request fails, the others go on
            LOG.exception("a request to %s failed", told.api)
            return ApiReply.json({"error": "internal error; see the log of the server"}, 500)

    def _gauges(self) -> dict[str, tuple[str, float]]:
        edition = self.editions.current
        stale = float(bool(self.editions.problem))
        return {
            "edition": ("Number of times the store was loaded since the start.", edition.number),
            "songs": ("Songs in the store.", len(edition.value.library)),
            "stale": ("1 if newer files exist but cannot be read.", stale),
            "working": ("Requests in progress or waiting.", self.pool.taken),
        }

    def _log(self, scope: Scope, told: _Told, seconds: float) -> None:
        if self._write is None:
            return
        line = {
            "schema": LOG_SCHEMA,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": _peer(scope),
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
        self._write(json.dumps(line) + "\n")


def _asked(scope: Scope, headers: Mapping[bytes, str], body: bytes, *, form: bool) -> ApiRequest:
    media_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    try:
        query = _fields(scope["query_string"])
        if form and media_type == FORM:
            query = {**query, **_fields(body)}
    except ValueError:
        raise RefusedRequest(400, f"more than {MOST_FIELDS} parameters", "size") from None
    return ApiRequest(scope["path"], query, body, media_type)


def _fields(text: bytes) -> dict[str, list[str]]:
    plain = text.decode("latin-1")
    return parse_qs(plain, keep_blank_values=True, max_num_fields=MOST_FIELDS)


async def _send(send: Send, scope: Scope, reply: ApiReply, edition: int) -> None:
    headers = {
        "content-type": reply.media_type,
        "content-length": str(len(reply.body)),
        **HEADERS,
        **reply.headers,
    }
    if edition:
        headers["audiorec-edition"] = str(edition)
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": pairs})
    body = b"" if scope["method"] == "HEAD" else reply.body
    await send({"type": "http.response.body", "body": body})


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def is_plain_host(host: str) -> bool:
    """Whether a ``Host`` header is an IP address or ``localhost``, safe from DNS rebinding.

    Examples
    --------
    >>> [is_plain_host(h) for h in ("localhost:12000", "[::1]:80", "127.0.0.1", "a.example")]
    [True, True, True, False]
    """
    name = host_name(host)
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
