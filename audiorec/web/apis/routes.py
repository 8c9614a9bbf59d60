"""The addresses of ``audiorec serve``, from the APIs that are registered.

    an entry point of ``audiorec.apis``  ──all_routes──▶ path → `Route`

An entry point is a function without arguments that returns the `Route` of each of its paths. Our
own are registered like those of other packages, which need the bearer token and take no address
that is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from audiorec.errors import InputError
from audiorec.files.visible import visible
from audiorec.runs.entry_points import Registry
from audiorec.web.apis import audiomuse, bliss, own, subsonic
from audiorec.web.apis.messages import ApiReply, Handler

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
        found: Mapping[str, Route] = APIS[name]()
        taken = sorted(routes.keys() & found.keys())
        if taken:
            raise InputError(
                f"the API {visible(name)!r} has {visible(taken[0])}, as another one has"
            )
        is_ours = name in APIS.own()
        # The name decides which requests need a token.
        routes |= {p: one if is_ours else replace(one, api=f"+{name}") for p, one in found.items()}
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
