"""The page's ASGI application: its routes and their handlers.

    /, /static/…       the page itself: files of this package, without user data
    /api/…             requests of the page, with the token: JSON, or bytes for large columns
    /audio/N, /cover/N a song, with its own key, since a player cannot send a token

An invalid request gets an error of one line; so does a bug, whose traceback goes to the log.

Row numbers refer to the store as it was opened. When a run has replaced the file, the page says so,
and ``/api/renew`` opens the new one; requests about rows of the previous edition are then refused.
"""

import json
import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from audiorec.errors import (
    AudiorecError,
    ExistingFileError,
    InputError,
    MissingSongError,
    SongError,
)
from audiorec.files.visible import visible
from audiorec.library.library import open_store
from audiorec.web import lists
from audiorec.web.access import MAX_BODY, AddressKeys, Guard
from audiorec.web.ranges import answer
from audiorec.web.recommendations import RecommendationPages
from audiorec.web.song_columns import SongColumns
from audiorec.web.song_view import SongView
from audiorec.web.sound import SoundFiles
from audiorec.web.store_state import running, store_mark, store_state

STATIC = Path(__file__).parent / "static"
ENDINGS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
STATUS = {MissingSongError: 404, ExistingFileError: 412}  # of other errors: 400
EDITION = "audiorec-edition"  # header: the mark of the store that row numbers refer to
# Requests without row numbers: a page that shows the previous edition may send them.
ROWLESS = {"/api/library", "/api/running", "/api/renew"}
REPLACED = "the library has changed since this page was opened"
LOG = logging.getLogger("audiorec.web")
Work = Callable[[], Any]
Endpoint = Callable[[Request], Awaitable[Response]]


class BrowsePage:
    """The page of one library, and of the recommendations of one run.

    Parameters
    ----------
    shelf : SongColumns
    sound : SoundFiles
    keys : AddressKeys
    proposals : RecommendationPages, optional
    names : tuple of str
        Host names that the server accepts; see `Guard`.
    """

    def __init__(
        self,
        shelf: SongColumns,
        sound: SoundFiles,
        keys: AddressKeys,
        *,
        proposals: RecommendationPages | None = None,
        names: tuple[str, ...] = (),
    ) -> None:
        self.sound, self._keys = sound, keys
        self._renewing = threading.Lock()
        self.saver = lists.Saver(shelf)
        self._take(shelf, proposals, store_mark(shelf.library.path))
        self.files = dict(_static_files())
        self.application = Guard(Starlette(routes=list(self._routes())), keys, names)

    def _take(self, shelf: SongColumns, proposals: RecommendationPages | None, mark: str) -> None:
        self.shelf, self.proposals, self.mark = shelf, proposals, mark
        self.songs = SongView(shelf, self.sound.roots, self._keys)
        self.saver.turn_to(shelf)

    def _renew(self, _: dict[str, Any]) -> dict[str, Any]:
        """Reopen the store if it was replaced; if it cannot be read, keep the current one."""
        with self._renewing:
            path = self.shelf.library.path
            mark = store_mark(path)
            if mark != self.mark:
                shelf = SongColumns(open_store(path), projection=self.shelf.projection)
                shelf.prepare()
                proposals = None if self.proposals is None else self.proposals.over(shelf)
                self._keys.renew()
                self._take(shelf, proposals, mark)
            return {"edition": self.mark}

    def _is_old(self, request: Request) -> bool:
        """Whether a request refers to rows of an edition that is no longer served."""
        edition = request.headers.get(EDITION, self.mark)
        return edition != self.mark and request.url.path not in ROWLESS

    def _running(self) -> dict[str, Any]:
        path = self.shelf.library.path
        return {"running": running(path), "store": store_mark(path)}

    def _routes(self) -> list[Route]:
        gets: dict[str, Callable[[Request], Any]] = {
            "/api/library": lambda _: self._about(),
            # Eight bytes per song, or a short JSON that says to wait.
            "/api/places": lambda _: self.shelf.better_places() or {"wait": True},
            "/api/find": lambda r: self.shelf.find(r.query_params.get("only", "")),
            "/api/song/{row:int}": lambda r: self.songs.song(self._row(r)),
            "/api/song/{row:int}/scores": lambda r: self.songs.scores(self._row(r)),
            "/api/song/{row:int}/near": lambda r: self.songs.near(
                self._row(r), _number(r, "k", 20, 200), r.query_params.get("only") or None
            ),
            "/api/song/{row:int}/numbers": lambda r: self.songs.numbers(self._row(r)),
            "/api/song/{row:int}/copies": lambda r: self.songs.copies(self._row(r)),
            "/api/song/{row:int}/wave": self._wave,
            "/api/song/{row:int}/sound": self._sound_of,
            "/api/compare/{row:int}/{other:int}": lambda r: self.songs.compare(
                self._row(r), self._row(r, "other")
            ),
            "/api/path/{row:int}/{other:int}": lambda r: lists.path_of(
                self.shelf, self._row(r), self._row(r, "other"), steps=_number(r, "steps", 8, 100)
            ),
            "/api/state": lambda _: store_state(self.shelf.library),
            "/api/running": lambda _: self._running(),
        }
        posts: dict[str, Callable[[dict[str, Any]], Any]] = {
            "/api/playlist": lambda wish: lists.playlist_of(self.shelf, wish),
            "/api/renew": self._renew,
            "/api/save": self._save,
            "/api/undo": lambda _: self.saver.undo(),
        }
        if self.proposals is not None:
            gets |= {path: self._proposed("gets", path) for path in self.proposals.gets}
            posts |= {path: self._proposed("posts", path) for path in self.proposals.posts}
        old = self._is_old
        routes = [Route(path, _got(work, old), methods=["GET"]) for path, work in gets.items()]
        routes += [
            Route(path, _posted(work, old), methods=["POST"]) for path, work in posts.items()
        ]
        return [
            *routes,
            Route("/api/texts", _zipped(lambda: self.shelf.made("texts"), "application/json")),
            Route(
                "/api/numbers",
                _zipped(lambda: self.shelf.made("numbers"), "application/octet-stream"),
            ),
            Route("/audio/{row:int}", self._audio),
            Route("/cover/{row:int}", self._cover),
            Route("/{path:path}", self._static),
        ]

    def _proposed(self, kind: str, path: str) -> Callable[[Any], Any]:
        """Return a handler that looks up the proposals of the current edition at each request."""
        return lambda given: getattr(self.proposals, kind)[path](given)

    def _about(self) -> dict[str, Any]:
        recall = None if self.proposals is None else self.proposals.about
        return {
            **self.shelf.made("about"),
            "edition": self.mark,
            "roots": list(self.sound.roots.folders),
            "recall": recall,
        }

    def _row(self, request: Request, name: str = "row") -> int:
        row: int = request.path_params[name]
        if row >= len(self.shelf.library):
            raise InputError("the library has no such song")
        return row

    def _wave(self, request: Request) -> dict[str, Any]:
        found = self.sound.wave(self.songs.uri(self._row(request)))
        columns = {"low": found.low, "high": found.high, "rms": found.rms}
        whole = {n: (v.clip(-1, 1) * 127).round().astype(int).tolist() for n, v in columns.items()}
        return {"duration_s": round(found.duration_s, 3), **whole}

    def _sound_of(self, request: Request) -> dict[str, Any]:
        found = self.sound.about(self.songs.uri(self._row(request)))
        kind = {"container": found.container.value, "codec": found.codec}
        return {**kind, "type": self.sound.media_type(found) or ""}

    def _save(self, wish: dict[str, Any]) -> dict[str, Any]:
        rows = lists.rows_in(wish.get("rows"), len(self.shelf.library))
        name = wish.get("name")
        if not rows or not isinstance(name, str):
            raise InputError("give a list of songs and a name")
        return self.saver.save(rows, name, replace=wish.get("replace") is True)

    async def _audio(self, request: Request) -> Response:
        as_wav = request.query_params.get("as") == "wav"

        def opened() -> Response:
            uri = self.songs.uri(self._row(request))
            file, media_type = self.sound.open(uri, as_wav=as_wav)
            return answer(request, file, media_type)

        return await _answered(opened)

    async def _cover(self, request: Request) -> Response:
        def found() -> Response:
            picture = self.sound.cover(self.songs.uri(self._row(request)))
            if picture is None:
                return Response(status_code=204)
            return Response(picture.data, media_type=picture.media_type)

        return await _answered(found)

    async def _static(self, request: Request) -> Response:
        data = self.files.get(request.path_params["path"] or "index.html")
        if data is None:
            return _json({"error": "not found"}, 404)
        return Response(data[0], media_type=data[1])


def _static_files() -> list[tuple[str, tuple[bytes, str]]]:
    """Return the path, content and media type of the page's files; read once, at the start."""
    found = []
    for path in sorted(STATIC.rglob("*")):
        media_type = ENDINGS.get(path.suffix)
        if path.is_file() and media_type is not None:
            name = path.relative_to(STATIC).as_posix()
            found.append((name, (path.read_bytes(), media_type)))
    return found


def _got(work: Callable[[Request], Any], is_old: Callable[[Request], bool]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        if is_old(request):
            return _json({"error": REPLACED}, 409)
        return await _answered(lambda: work(request))

    return endpoint


def _posted(work: Callable[[dict[str, Any]], Any], is_old: Callable[[Request], bool]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        if is_old(request):
            return _json({"error": REPLACED}, 409)
        body = await request.body()
        kind = request.headers.get("content-type", "").partition(";")[0]
        if kind != "application/json" or len(body) > MAX_BODY:
            return _json({"error": "the body must be JSON"}, 415)
        try:
            wish = json.loads(body)
        except (ValueError, RecursionError):
            wish = None
        if not isinstance(wish, dict):
            return _json({"error": "the body must be a JSON object"}, 400)
        return await _answered(lambda: work(wish))

    return endpoint


def _zipped(made: Work, media_type: str) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        data = await run_in_threadpool(made)
        return Response(data, media_type=media_type, headers={"content-encoding": "gzip"})

    return endpoint


async def _answered(work: Work) -> Response:
    """Run `work` in a thread, and return its result or its error as a response."""
    try:
        found = await run_in_threadpool(work)
    except AudiorecError as error:
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
        said = error.reason if isinstance(error, SongError) else str(error)
        return _json({"error": visible(said)}, status)
    except Exception:  # last resort of the server: one request fails, the others go on
        LOG.exception("a request of the page failed")
        return _json({"error": "internal error; see the log of the server"}, 500)
    if isinstance(found, Response):
        return found
    if isinstance(found, bytes):
        return Response(found, media_type="application/octet-stream")
    return _json(found)


def _json(document: Any, status: int = 200) -> Response:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return Response(text, status, media_type="application/json")


def _number(request: Request, name: str, usual: int, most: int) -> int:
    """Return a number from the query string, clipped to 0 to `most`; `usual` if it is none."""
    text = request.query_params.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else usual
    return max(0, min(number, most))
