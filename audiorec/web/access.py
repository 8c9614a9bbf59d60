"""Access control: a request needs the token, a same-origin page, and a known host name.

    request ──`Guard`──▶ the page's application     or 401, 403, 405, 413, 421 and nothing else

A page of another site can make a browser send requests to this machine. It cannot read the token,
which follows the ``#`` of the address and is never sent to a server; ``Origin`` and
``Sec-Fetch-Site`` reveal it; and if it made its own name resolve to this machine (DNS rebinding),
that name is in ``Host``. Audio players cannot send a header, so the address of a song's audio
carries a key that is valid for that song only.
"""

import base64
import hashlib
import hmac
import ipaddress
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from audiorec.web.limits import Guesses, RefusedRequest, address_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PRIVATE, KEYED = "/api/", ("/audio/", "/cover/")
METHODS = ("GET", "HEAD", "POST")
MAX_BODY = 1 << 20  # bytes
_HOST = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::[0-9]*)?")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
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
        except RefusedRequest as refusal:
            await send_refusal(dressed, refusal)
            return
        await self._application(scope, receive, dressed)

    def _check(self, scope: Scope) -> None:
        """Raise `RefusedRequest` with status and reason if a request is refused."""
        headers = headers_of(scope)
        host, length = headers.get(b"host", ""), headers.get(b"content-length", "0")
        if not self._is_own(host):
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

    def _is_own(self, host: str) -> bool:
        name = host_name(host)
        return name in self._names or is_plain_host(name)

    def _is_of_this_page(self, path: str, host: str, headers: dict[bytes, str]) -> bool:
        origin = headers.get(b"origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return False
        site = headers.get(b"sec-fetch-site", "same-origin")
        if site in ("same-origin", "none"):
            return True
        # A link on another site may open the page itself, which contains no data.
        opens = headers.get(b"sec-fetch-mode") == "navigate"
        return opens and path == "/"


def host_name(host: str) -> str:
    """Return the name in a ``Host`` header, without the port; empty if it is none.

    Examples
    --------
    >>> host_name("Localhost:8000"), host_name("[::1]:80"), host_name("127.0.0.1")
    ('localhost', '::1', '127.0.0.1')
    >>> host_name("[::1].evil.example")
    ''
    """
    found = _HOST.fullmatch(host)
    return "" if found is None else (found[1] or found[2]).lower()


async def send_whole(
    send: Send, status: int, body: bytes, headers: Mapping[str, str], *, is_head: bool = False
) -> None:
    """Send a response with its length; without the body if the request was a HEAD."""
    whole = {"content-length": str(len(body)), **headers}
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in whole.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": b"" if is_head else body})


async def send_refusal(send: Send, refusal: RefusedRequest) -> None:
    """Send the response of a refused request: JSON with the reason."""
    headers = {"content-type": "application/json", **API_HEADERS, **refusal.headers}
    await send_whole(send, refusal.status, json.dumps({"error": refusal.reason}).encode(), headers)
