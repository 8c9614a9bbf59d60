"""The addresses of ``audiorec serve``, from the APIs that are registered.

    an entry point of ``audiorec.apis``  ──all_routes──▶ path → `Route`
    request ──`Gate`──▶ router ──▶ token ──▶ an API's handler in a thread, with one `Snapshot`
                          └──────▶ the page, which has its own `Guard`

An entry point is a function without arguments that returns the `Route` of each of its paths. Our
own are registered like those of other packages, which need the bearer token and take no address
that is ours. Every response names the edition that it was made from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Router
from starlette.routing import Route as Address

from audiorec.errors import InputError
from audiorec.files.visible import visible
from audiorec.runs.entry_points import Registry
from audiorec.web.apis import audiomuse, own, subsonic
from audiorec.web.apis.messages import ApiReply, ApiRequest, Handler, answered
from audiorec.web.apis.snapshot import Snapshot
from audiorec.web.editions import Editions
from audiorec.web.gate import (
    MEDIA_TYPE,
    NOTES,
    PAGE,
    AddressKeys,
    Application,
    Gate,
    Scope,
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
OPEN = ("health", "document", "opensubsonic")  # APIs that need no bearer token


class ApiServer:
    """The application of ``audiorec serve``: one router of all addresses.

    =================  ============================  ======================================
    api                addresses                     authentication
    =================  ============================  ======================================
    ``audiomuse``      ``/api/similar_tracks`` …     bearer token
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
        Empty: every local client is accepted, as by the mixer of `audiorec-bliss`.
    gate : Gate
        What every request passes first.
    page : ASGI application, optional
        For all other addresses.
    routes : mapping of str to Route, optional
        Default: all APIs.
    """

    def __init__(
        self,
        editions: Editions[Snapshot],
        token: str,
        *,
        gate: Gate,
        page: Application | None = None,
        routes: Mapping[str, Route] | None = None,
    ) -> None:
        self.editions, self.gate, self.pool = editions, gate, Pool(gate.limits)
        self._token, self._keys = token, AddressKeys(token)
        routes = all_routes() if routes is None else routes
        addresses: list[BaseRoute] = [self._address(path, one) for path, one in routes.items()]
        if own.DOCUMENT in routes:
            addresses.append(Mount(own.PREFIX, app=_not_found))
        if page is not None:
            addresses.append(Mount("", app=page))
        router = Router(addresses, redirect_slashes=False)
        self.application = gate.around(router, lambda path: _api_of(routes, path))

    def _address(self, path: str, route: Route) -> BaseRoute:
        below = f"{path}{{endpoint:path}}" if path.endswith("/") else path

        async def endpoint(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            handler = route.handlers.get(method)
            if handler is None:
                allowed = ", ".join([*route.handlers, *["HEAD"] * ("GET" in route.handlers)])
                raise RefusedRequest(405, f"allowed: {allowed}", "method", allow=allowed)
            self._check(request.scope, route.api)
            asked = await _asked(request, form=route.api == "opensubsonic")
            reply = await self._reply(request.scope, route.api, handler, asked)
            edition = request.scope[NOTES].edition
            headers = {"audiorec-edition": str(edition)} if edition else {}
            return Response(
                reply.body, reply.status, {**headers, **reply.headers}, reply.media_type
            )

        result = Address(below, endpoint)
        result.methods = None  # all: a method that has no handler is no address of the page
        return result

    def _check(self, scope: Scope, api: str) -> None:
        """Refuse requests without the token; without one, those from pages of other sites."""
        headers = headers_of(scope)
        if self._token and api not in OPEN:
            check_token(scope, self._keys, self.gate.guesses)
        elif not self._token and (
            b"origin" in headers or not is_plain_host(host_name(headers.get(b"host", "")))
        ):
            raise RefusedRequest(403, "the request comes from a page of another site", "site")

    async def _reply(self, scope: Scope, api: str, handler: Handler, asked: ApiRequest) -> ApiReply:
        address, notes = address_of(scope.get("client")), scope[NOTES]
        if api == "opensubsonic" and (refusal := self._check_subsonic(address, asked)):
            notes.refused = "token"
            return refusal
        if api == "health":
            songs, stale = len(self.editions.current.value.library), bool(self.editions.problem)
            return ApiReply.json({"status": "ok", "songs": songs, "stale": stale})
        if api == "metrics":
            return ApiReply(self.gate.counts.text(self._gauges()).encode(), media_type=MEDIA_TYPE)

        def work() -> ApiReply:
            edition = self.editions.current
            notes.edition = edition.number
            return answered(handler, edition.value, asked)

        return await self.pool.run(work, address)

    def _check_subsonic(self, address: str, asked: ApiRequest) -> ApiReply | None:
        if subsonic.endpoint(asked.path) in subsonic.OPEN:
            return None
        self.gate.guesses.check(address)
        try:
            subsonic.check_password(asked, self._token)
        except subsonic.SubsonicError as error:
            if error.code in (subsonic.WRONG_PASSWORD, subsonic.WRONG_KEY):
                self.gate.guesses.count(address)
            return subsonic.rendered(asked, error=error)
        return None

    def _gauges(self) -> dict[str, tuple[str, float]]:
        edition = self.editions.current
        stale = float(bool(self.editions.problem))
        return {
            "edition": ("Number of times the store was loaded since the start.", edition.number),
            "songs": ("Songs in the store.", len(edition.value.library)),
            "stale": ("1 if newer files exist but cannot be read.", stale),
            "working": ("Requests in progress or waiting.", self.pool.taken),
        }


def _api_of(routes: Mapping[str, Route], path: str) -> str:
    below = subsonic.PREFIX if path.startswith(subsonic.PREFIX) else path
    return routes[below].api if below in routes else PAGE


async def _not_found(*_: object) -> None:
    raise RefusedRequest(404, f"not found; what there is: {own.DOCUMENT}", "")


async def _asked(request: Request, *, form: bool) -> ApiRequest:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body, query = await request.body(), request.scope["query_string"]
    try:
        fields = _fields(query) | (_fields(body) if form and media_type == FORM else {})
    except ValueError:
        raise RefusedRequest(400, f"more than {MOST_FIELDS} parameters", "size") from None
    return ApiRequest(request.scope["path"], fields, body, media_type)


def _fields(text: bytes) -> dict[str, list[str]]:
    plain = text.decode("latin-1")
    return parse_qs(plain, keep_blank_values=True, max_num_fields=MOST_FIELDS)
