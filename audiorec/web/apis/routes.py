"""The addresses of ``audiorec serve``, from the APIs that are registered.

    an entry point of ``audiorec.apis``  ──all_routes──▶ path → `Route`
    request ──`Gate`──▶ size, token ──▶ an API's handler in a thread, with one `Snapshot`
                              └───────▶ the page, which has its own `Guard`

An entry point is a function without arguments that returns the `Route` of each of its paths. Our
own are registered like those of other packages, which need the bearer token and take no address
that is ours. Every response names the edition that it was made from.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

from starlette.responses import Response

from audiorec.errors import AudiorecError, InputError
from audiorec.files.visible import visible
from audiorec.runs.entry_points import Registry
from audiorec.web.apis import audiomuse, bliss, own, subsonic
from audiorec.web.apis.messages import ApiReply, ApiRequest, Handler
from audiorec.web.apis.snapshot import Snapshot
from audiorec.web.editions import Editions
from audiorec.web.gate import (
    API_HEADERS,
    MEDIA_TYPE,
    NOTES,
    PAGE,
    AddressKeys,
    Application,
    Gate,
    Notes,
    Receive,
    Scope,
    Send,
    check_token,
    headers_of,
    host_name,
    is_plain_host,
)
from audiorec.web.limits import Pool, RefusedRequest, address_of

APIS = Registry("audiorec.apis", "API")


@dataclass(frozen=True, slots=True)
class Route:
    """The handlers of an address.

    Attributes
    ----------
    api : str
    handlers : mapping of str to handler
        Handler by HTTP method.
    """

    api: str
    handlers: Mapping[str, Handler]


def all_routes() -> dict[str, Route]:
    """Return the routes of all APIs by path.

    Raises
    ------
    InputError
        If an API of another package cannot be imported, or has a path of another one.
    """
    routes = {
        "/metrics": Route("metrics", {"GET": _by_the_server}),
        "/healthz": Route("health", {"GET": _by_the_server}),
    }
    for name in APIS:
        result: Mapping[str, Route] = APIS[name]()
        taken = sorted(routes.keys() & result.keys())
        if taken:
            raise InputError(
                f"the API {visible(name)!r} has {visible(taken[0])}, as another one has"
            )
        is_ours = name in APIS.own()
        # The name decides which requests need a token.
        routes |= {p: one if is_ours else replace(one, api=f"+{name}") for p, one in result.items()}
    return routes


def audiomuse_routes() -> dict[str, Route]:
    """Return the routes of AudioMuse-AI's plugins by path."""
    routes = {path: Route("audiomuse", {"GET": one}) for path, one in audiomuse.HANDLERS.items()}
    posts = audiomuse.POSTS.items()
    return routes | {path: Route("audiomuse", {"POST": one}) for path, one in posts}


def bliss_routes() -> dict[str, Route]:
    """Return the routes of Lyrion's plugin by path."""
    routes = {path: Route("bliss", {"GET": one}) for path, one in bliss.GETS.items()}
    return routes | {path: Route("bliss", {"POST": one}) for path, one in bliss.POSTS.items()}


def subsonic_routes() -> dict[str, Route]:
    """Return the route of OpenSubsonic, which serves all paths below it."""
    return {subsonic.PREFIX: Route("opensubsonic", dict.fromkeys(("GET", "POST"), subsonic.answer))}


def own_routes() -> dict[str, Route]:
    """Return the routes of audiorec's own API by path."""
    by_path: dict[str, dict[str, Handler]] = {}
    for operation in own.OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method.upper()] = operation.reply
    routes = {path: Route("audiorec", handlers) for path, handlers in by_path.items()}
    document = {"GET": lambda *_: ApiReply.json(own.document())}
    return routes | {own.DOCUMENT: Route("document", document)}


def _by_the_server(*_: object) -> ApiReply:
    """Declare the method of an address that `ApiServer` answers itself."""
    return ApiReply(b"")


FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 200  # parameters of a query or a form


class ApiServer:
    """The application of ``audiorec serve``.

    =================  ============================  ======================================
    api                addresses                     authentication
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

    Parameters
    ----------
    editions : Editions of Snapshot
    token : str
        Empty: every local client is accepted, as Lyrion's mixer does.
    gate : Gate
        What every request passes first.
    page : callable, optional
        Returns an ASGI application for all other addresses; called on first use.
    routes : mapping of str to Route, optional
        Default: all APIs.
    """

    def __init__(
        self,
        editions: Editions[Snapshot],
        token: str,
        *,
        gate: Gate,
        page: Callable[[], Application] | None = None,
        routes: Mapping[str, Route] | None = None,
    ) -> None:
        self.editions, self._token, self._keys = editions, token, AddressKeys(token)
        self.gate, self.limits = gate, gate.limits
        self.pool = Pool(gate.limits)
        self._page = page
        self._made_page: Application | None = None
        self._routes = all_routes() if routes is None else routes
        self._page_lock = asyncio.Lock()
        self._gated = gate.around(self._answered, self._api_of)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._gated(scope, receive, send)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        notes: Notes = scope[NOTES]
        self._check_site(scope)
        route = self._route(scope["path"])
        if route is not None:
            reply = await self._reply(scope, receive, route, notes)
            await _send(scope, receive, send, reply, notes.edition)
            return
        if own.DOCUMENT in self._routes and scope["path"].startswith(own.PREFIX):
            raise RefusedRequest(404, f"not found; what there is: {own.DOCUMENT}", "")
        page = await self._page_application()
        if page is None:
            raise RefusedRequest(404, "not found", "")
        await page(scope, receive, send)

    def _api_of(self, path: str) -> str:
        route = self._route(path)
        return PAGE if route is None else route.api

    def _route(self, path: str) -> Route | None:
        if path.startswith(subsonic.PREFIX):
            return self._routes.get(subsonic.PREFIX)
        return self._routes.get(path)

    def _check_site(self, scope: Scope) -> None:
        """Refuse requests from pages of other sites if there is no token to keep them out."""
        if self._token:
            return
        headers = headers_of(scope)
        if b"origin" in headers or not is_plain_host(host_name(headers.get(b"host", ""))):
            raise RefusedRequest(403, "the request comes from a page of another site", "site")

    async def _page_application(self) -> Application | None:
        if self._page is None:
            return None
        async with self._page_lock:
            if self._made_page is None:
                self._made_page = await asyncio.to_thread(self._page)
        return self._made_page

    async def _reply(self, scope: Scope, receive: Receive, route: Route, notes: Notes) -> ApiReply:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        handler = route.handlers.get(method)
        if handler is None:
            allowed = ", ".join([*route.handlers, *["HEAD"] * ("GET" in route.handlers)])
            raise RefusedRequest(405, f"allowed: {allowed}", "method", allow=allowed)
        headers = headers_of(scope)
        if self._token and route.api not in ("health", "document", "opensubsonic"):
            check_token(scope, self._keys, self.gate.guesses)
        body = await self._body(receive, headers)
        asked = _asked(scope, headers, body, form=route.api == "opensubsonic")
        if route.api == "opensubsonic":
            refusal = self._check_subsonic(scope, asked)
            if refusal is not None:
                notes.refused = "token"
                return refusal
        if route.api == "health":
            songs, stale = len(self.editions.current.value.library), bool(self.editions.problem)
            return ApiReply.json({"status": "ok", "songs": songs, "stale": stale})
        if route.api == "metrics":
            return ApiReply(self.gate.counts.text(self._gauges()).encode(), media_type=MEDIA_TYPE)
        return await self._worked(handler, asked, notes, address_of(scope.get("client")))

    def _check_subsonic(self, scope: Scope, asked: ApiRequest) -> ApiReply | None:
        if subsonic.endpoint(asked.path) in subsonic.OPEN:
            return None
        address = address_of(scope.get("client"))
        self.gate.guesses.check(address)
        try:
            subsonic.check_password(asked, self._token)
        except subsonic.SubsonicError as error:
            if error.code in (subsonic.WRONG_PASSWORD, subsonic.WRONG_KEY):
                self.gate.guesses.count(address)
            return subsonic.rendered(asked, error=error)
        return None

    async def _body(self, receive: Receive, headers: Mapping[bytes, str]) -> bytes:
        length = headers.get(b"content-length", "0")
        if length.isascii() and length.isdigit() and int(length) > self.limits.body:
            raise RefusedRequest(413, "the body is too large", "size", connection="close")
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

    async def _worked(
        self, handler: Handler, asked: ApiRequest, notes: Notes, address: str
    ) -> ApiReply:
        def work() -> ApiReply:
            edition = self.editions.current
            notes.edition = edition.number
            try:
                return handler(edition.value, asked)
            except AudiorecError as error:
                return ApiReply.json({"error": visible(str(error))}, 400)

        return await self.pool.run(work, address)

    def _gauges(self) -> dict[str, tuple[str, float]]:
        edition = self.editions.current
        stale = float(bool(self.editions.problem))
        return {
            "edition": ("Number of times the store was loaded since the start.", edition.number),
            "songs": ("Songs in the store.", len(edition.value.library)),
            "stale": ("1 if newer files exist but cannot be read.", stale),
            "working": ("Requests in progress or waiting.", self.pool.taken),
        }


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


async def _send(scope: Scope, receive: Receive, send: Send, reply: ApiReply, edition: int) -> None:
    headers = {"content-type": reply.media_type, **API_HEADERS, **reply.headers}
    if edition:
        headers["audiorec-edition"] = str(edition)
    await Response(reply.body, reply.status, headers)(scope, receive, send)
