"""OpenSubsonic's extension ``sonicSimilarity``, and the endpoints that clients call before it.

==============================  ================================================================
``ping``, ``getLicense``        check the connection and the password
``getOpenSubsonicExtensions``   supported extensions; needs no password
``tokenInfo``                   owner of the API key
``getSonicSimilarTracks``       ``id``, ``count``: similar songs, similarity from 0 to 1 (the same)
``findSonicPath``               ``startSongId``, ``endSongId``, ``count``: includes both ends
==============================  ================================================================

The password is the server's token: either ``p``, plain or as ``enc:`` and hexadecimal digits, or
``t``, the MD5 of the token followed by the salt ``s``, each with any user ``u``; or ``apiKey``
alone. Responses are XML, or JSON or JSONP according to ``f``. An error is a code within a response
of status 200, as clients expect.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

from audiorec.distribution import own_version
from audiorec.errors import InputError, UnknownSongError
from audiorec.search.questions import SimilarQuestion
from audiorec.web.apis.messages import ApiReply, ApiRequest, FoundSongs, near, way
from audiorec.web.apis.snapshot import NamedSong, Snapshot

PREFIX = "/rest/"
API_VERSION = "1.16.1"
NAMESPACE = "http://subsonic.org/restapi"
EXTENSIONS = {"apiKeyAuthentication": [1], "formPost": [1], "sonicSimilarity": [1]}
OPEN = ("getOpenSubsonicExtensions",)  # needs no password, as the specification requires
GENERIC, MISSING, WRONG_PASSWORD, CONFLICTING, WRONG_KEY, NOT_FOUND = 0, 10, 40, 43, 44, 70
SIMILAR_COUNT, PATH_COUNT = 10, 25
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CALLBACK = re.compile(r"[A-Za-z_$][\w$.]{0,127}", re.ASCII)


class SubsonicError(Exception):
    """An error that is answered with one of the protocol's codes.

    Attributes
    ----------
    code : int
    reason : str
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason

    def __str__(self) -> str:
        """Return the reason."""
        return self.reason


def check_password(asked: ApiRequest, token: str) -> None:
    """Authenticate a request; raise the `SubsonicError` that the specification prescribes.

    Parameters
    ----------
    asked : ApiRequest
    token : str
        The server's token; if empty, every request passes.
    """
    user, key = asked.query.get("u"), asked.query.get("apiKey")
    plain, digest, salt = (asked.query.get(name) for name in ("p", "t", "s"))
    if key is not None and (user or plain or digest or salt):
        raise SubsonicError(CONFLICTING, "Multiple conflicting authentication mechanisms provided")
    if not token:
        return
    if key is not None:
        if not _same(key[0], token):
            raise SubsonicError(WRONG_KEY, "Invalid API key")
        return
    if not user:
        raise SubsonicError(MISSING, "Required parameter is missing: u, or apiKey")
    if plain and digest:
        raise SubsonicError(CONFLICTING, "Multiple conflicting authentication mechanisms provided")
    if plain:
        fits = _same(_decoded(plain[0]), token)
    elif digest and salt:
        made = hashlib.md5((token + salt[0]).encode(), usedforsecurity=False).hexdigest()
        fits = _same(digest[0].lower(), made)
    else:
        raise SubsonicError(MISSING, "Required parameter is missing: p, or t and s")
    if not fits:
        raise SubsonicError(WRONG_PASSWORD, "Wrong username or password")


def answer(snapshot: Snapshot, asked: ApiRequest) -> ApiReply:
    """Answer a request that has passed `check_password`, or whose endpoint is in `OPEN`."""
    name = endpoint(asked.path)
    handler = HANDLERS.get(name)
    if handler is None:
        return rendered(
            asked, error=SubsonicError(GENERIC, f"{name}: endpoint not supported"), status=404
        )
    try:
        return rendered(asked, handler(snapshot, asked))
    except UnknownSongError as error:
        return rendered(asked, error=SubsonicError(NOT_FOUND, str(error)))
    except SubsonicError as error:
        return rendered(asked, error=error)
    except InputError as error:
        return rendered(asked, error=SubsonicError(GENERIC, str(error)))


def endpoint(path: str) -> str:
    """Return the name of an endpoint.

    Examples
    --------
    >>> endpoint("/rest/ping.view"), endpoint("/rest/findSonicPath")
    ('ping', 'findSonicPath')
    """
    return path.removeprefix(PREFIX).removesuffix(".view")[:100]


def rendered(
    asked: ApiRequest,
    content: Mapping[str, Any] | None = None,
    *,
    error: SubsonicError | None = None,
    status: int = 200,
) -> ApiReply:
    """Render a response in the requested format."""
    document: dict[str, Any] = {
        "status": "ok" if error is None else "failed",
        "version": API_VERSION,
        "type": "audiorec",
        "serverVersion": own_version(),
        "openSubsonic": True,
        **(content or {}),
    }
    if error is not None:
        document["error"] = {"code": error.code, "message": str(error)}
    form = asked.text("f", "xml").lower()
    if form == "json":
        return ApiReply.json({"subsonic-response": document}, status)
    callback = asked.text("callback")
    if form == "jsonp" and _CALLBACK.fullmatch(callback):
        body = ApiReply.json({"subsonic-response": document}).body
        return ApiReply(callback.encode() + b"(" + body + b");", status, "application/javascript")
    return ApiReply(_xml(document), status, "application/xml")


def _ping(_: Snapshot, __: ApiRequest) -> dict[str, Any]:
    return {}


def _license(_: Snapshot, __: ApiRequest) -> dict[str, Any]:
    return {"license": {"valid": True}}


def _extensions(_: Snapshot, __: ApiRequest) -> dict[str, Any]:
    known = [{"name": name, "versions": versions} for name, versions in EXTENSIONS.items()]
    return {"openSubsonicExtensions": known}


def _token_info(_: Snapshot, __: ApiRequest) -> dict[str, Any]:
    return {"tokenInfo": {"username": "audiorec"}}


def _similar(snapshot: Snapshot, asked: ApiRequest) -> dict[str, Any]:
    seed = snapshot.names.find(_needed(asked, "id"))
    result = near(snapshot, [seed], SimilarQuestion(k=_count(asked, SIMILAR_COUNT)))
    return {"sonicMatch": _matches(snapshot, result, seed)}


def _path(snapshot: Snapshot, asked: ApiRequest) -> dict[str, Any]:
    start, end = (snapshot.names.find(_needed(asked, n)) for n in ("startSongId", "endSongId"))
    result = way(snapshot, start, end, _count(asked, PATH_COUNT))
    return {"sonicMatch": _matches(snapshot, result, start)}


HANDLERS: dict[str, Callable[[Snapshot, ApiRequest], dict[str, Any]]] = {
    "ping": _ping,
    "getLicense": _license,
    "getOpenSubsonicExtensions": _extensions,
    "tokenInfo": _token_info,
    "getSonicSimilarTracks": _similar,
    "findSonicPath": _path,
}


def _needed(asked: ApiRequest, name: str) -> str:
    text = asked.text(name)
    if not text:
        raise SubsonicError(MISSING, f"Required parameter is missing: {name}")
    return text


def _count(asked: ApiRequest, usual: int) -> int:
    count = asked.whole("count", usual)
    if count < 1:
        raise SubsonicError(GENERIC, "count must be at least 1")
    return count


def _matches(snapshot: Snapshot, found: FoundSongs, like: NamedSong) -> list[dict[str, Any]]:
    rows = found.rows.tolist()
    called = snapshot.names.called(rows, like)
    songs, similarities = snapshot.songs(rows), found.similarities.tolist()
    return [
        {"entry": _child(name, song), "similarity": round(similarity, 6)}
        for name, song, similarity in zip(called, songs, similarities, strict=True)
        if name is not None
    ]


def _child(name: str, song: Mapping[str, Any]) -> dict[str, Any]:
    """Return a song as the protocol's ``Child``; unknown fields are omitted."""
    file = song["uri"].rpartition("/")[2]
    stem, dot, ending = file.rpartition(".")
    known = {
        "id": name,
        "isDir": False,
        "isVideo": False,
        "type": "music",
        "mediaType": "song",
        "title": song["title"] or stem or file or name,
        "album": song["album"],
        "artist": song["artist"],
        "duration": round(song["duration_s"]),
        "suffix": ending.lower() if dot and stem else None,
    }
    return {key: value for key, value in known.items() if value is not None}


def _xml(document: Mapping[str, Any]) -> bytes:
    root = ElementTree.Element("subsonic-response", {"xmlns": NAMESPACE})
    _fill(root, document)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _fill(element: ElementTree.Element, content: Mapping[str, Any]) -> None:
    """Write plain values as attributes and all others as child elements, as Subsonic does."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            _fill(ElementTree.SubElement(element, name), value)
        elif isinstance(value, list):
            for one in value:
                child = ElementTree.SubElement(element, name)
                if isinstance(one, Mapping):
                    _fill(child, one)
                else:
                    child.text = _plain(one)
        else:
            element.set(name, _plain(value))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _NO_XML.sub("\ufffd", str(value))


def _decoded(password: str) -> str:
    if not password.startswith("enc:"):
        return password
    try:
        return bytes.fromhex(password[4:]).decode()
    except ValueError:
        return ""


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
