"""The page's ASGI application: its routes and their handlers.

    /, /static/…       the page itself: files of this package, without user data
    /api/…             requests of the page, with the token: JSON, or bytes for large columns
    /audio/N, /cover/N a song, with its own key, since a player cannot send a token

An invalid request gets an error of one line.

Row numbers refer to the store as it was opened. When a run has replaced the file, the page says so,
and ``/api/renew`` opens the new one; requests about rows of the previous edition are then refused.

    Library ──`store_state`──▶ what it holds, which songs failed and why, the run in progress
    path    ──`store_mark`──▶ a mark that changes when the store is replaced
"""

import gzip
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from audiorec.columns import StoreColumns
from audiorec.errors import (
    AudiorecError,
    ExistingFileError,
    InputError,
    MissingSongError,
    SongError,
    StoreError,
)
from audiorec.files.own_files import read_object, run_folder_path, unfinished_files
from audiorec.files.tables import TableFile
from audiorec.files.visible import visible
from audiorec.library.library import Library, open_store
from audiorec.listening.events import Interactions
from audiorec.search.questions import PathQuestion, PlaylistQuestion, SimilarQuestion
from audiorec.store.corrections import CORRECTIONS_FILE
from audiorec.store.inventory import inventory, read_failures
from audiorec.web import lists
from audiorec.web.editions import stamp_of
from audiorec.web.faces import Faces
from audiorec.web.forms import inputs
from audiorec.web.gate import AddressKeys, Guard, Receive, Scope, Send
from audiorec.web.glance import glance_of
from audiorec.web.home import home_of
from audiorec.web.limits import Guesses, Pool, RequestLimits, address_of
from audiorec.web.nights import ServedNight
from audiorec.web.recommendations import RecommendationPages
from audiorec.web.song_columns import SongColumns
from audiorec.web.song_view import SongView
from audiorec.web.sound import LIMITS, OpenFileResponse, SoundFiles

MOST_FAILURES = 2_000  # shown on the page
WORKING_S = 60.0  # a run that wrote nothing for this long has stopped, or is at a very long song
Document = dict[str, Any]


def store_state(library: Library, notes: Sequence[str] = ()) -> Document:
    """Return the state of a store in values that JSON can hold.

    Damaged files beside the store do not raise; they are reported in ``notes``, after those given.
    """
    path, notes = library.path, [*notes]
    about = inventory(path)
    document: Document = {
        "path": str(path),
        "songs": about["rows"],
        "seconds": about["duration_s"]["total"],
        "statuses": about["statuses"],
        "failures": [],
        "failures_total": 0,
        "run": None,
        "running": None,
        "notes": notes,
    }
    try:
        document |= _failures(path)
    except StoreError as error:
        notes.append(str(error))
    document["run"] = _last_run(path)
    try:
        document["running"] = running(path)
    except (StoreError, OSError) as error:
        notes.append(str(error))
    return document


def running(path: Path) -> Document | None:
    """Return the progress of an unfinished run of a store; None if there is none.

    Raises
    ------
    StoreError
        If something other than a run's folder exists in its place.
    """
    folder = run_folder_path(path)
    done: dict[str, int] = {"vectors": 0, "errors": 0}
    try:
        names = unfinished_files(path, ".*")
        newest = folder.stat().st_mtime
        for name in names:
            kind = name.partition("-")[0]
            if kind in done:
                newest = max(newest, (folder / name).stat().st_mtime)
                with TableFile.open(folder / name) as part:
                    done[kind] += len(part)
    except FileNotFoundError:  # there is none, or it ended meanwhile
        return None
    silent_s = max(0.0, time.time() - newest)
    return {
        "done": done["vectors"],
        "failed": done["errors"],
        "silent_s": round(silent_s, 1),
        "working": silent_s < WORKING_S,
    }


def store_mark(path: Path) -> str:
    """Return a mark of a store and its corrections, which changes with them; empty without a store.

    Examples
    --------
    >>> store_mark(Path("fixtures/no-such-store"))
    ''
    """
    (_, store), (_, corrected) = stamp_of([path, path.with_name(CORRECTIONS_FILE)])
    numbers = (*store, *(corrected or ())) if store else ()
    return "-".join(f"{number:x}" for number in numbers)


def _failures(path: Path) -> Document:
    table = read_failures(path)
    if table is None:
        return {}
    wanted = [StoreColumns.ID, "uri", "status", "message"]
    rows = table.select(wanted).slice(0, MOST_FAILURES).to_pylist()
    return {"failures": rows, "failures_total": len(table)}


def _last_run(path: Path) -> Document | None:
    """Return a summary of the last run; None if its record cannot be read."""
    try:
        record = read_object(path.with_name(f"{path.name}.run.json"))
        report = record["report"]
        return {
            "ended_at": str(record["ended_at"]),
            "audio_s": float(report["audio_s"]),
            "wall_s": float(report["wall_s"]),
        }
    except (OSError, StoreError, ValueError, KeyError, TypeError):
        return None


STATIC = Path(__file__).parent / "static"
ENDINGS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
# The first words of the page's own addresses: the page reads the rest.
VIEWS = frozenset(
    "map songs song find albums album artists artist tidy library list recommend".split()
)
STATUS = {MissingSongError: 404, ExistingFileError: 412}  # of other errors: 400
FORMS = {
    "similar": inputs(lists.FORMS[SimilarQuestion]),
    "path": inputs(lists.FORMS[PathQuestion]),
    "playlist": inputs(lists.FORMS[PlaylistQuestion]),
}
EDITION = "audiorec-edition"  # header: the mark of the store that row numbers refer to
# Requests without row numbers: a page that shows the previous edition may send them.
ROWLESS = {"/api/library", "/api/running", "/api/renew"}
REPLACED = "the library has changed since this page was opened"
WORK = RequestLimits(seconds=60.0)  # of requests that read the store
# Of requests that wait for a worker, which decodes one song at a time, or open another store.
PATIENT = RequestLimits(seconds=LIMITS.timeout_s, at_once=8)
Work = Callable[[], Any]
Endpoint = Callable[[Request], Awaitable[Response]]


class BrowsePage:
    """The page of one library, and of the recommendations of one run.

    Parameters
    ----------
    shelf : SongColumns
    sound : SoundFiles
    keys : AddressKeys
    nights : callable, optional
        Returns the night that is served: another object when it changes.
    log : Interactions, optional
        See `RecommendationPages`.
    guesses : Guesses
        Counts wrong tokens.
    names : tuple of str
        Host names that the server accepts; see `Guard`.
    growing, player
        See `audiorec.web.server.serve`.
    """

    def __init__(
        self,
        shelf: SongColumns,
        sound: SoundFiles,
        keys: AddressKeys,
        *,
        guesses: Guesses,
        nights: Callable[[], ServedNight | None] = lambda: None,
        log: Interactions | None = None,
        names: tuple[str, ...] = (),
        growing: Callable[[], Mapping[str, Any] | None] | None = None,
        player: tuple[str, str] | None = None,
    ) -> None:
        self.sound, self.keys = sound, keys
        self._growing, self._player = growing, player
        self._nights, self._log = nights, log
        self._pool, self._patient_pool = Pool(WORK), Pool(PATIENT)
        self._renewing = threading.Lock()
        self._shown: RecommendationPages | None = None
        self.saver = lists.Saver(shelf)
        self._take(shelf, store_mark(shelf.library.path))
        self.files = dict(_static_files())
        self._router = Router(self._routes())  # the gate answers what it refuses, and what fails
        self._guard = Guard(keys, guesses, tuple(name.lower() for name in names))

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request that has passed the gate."""
        self._guard.check(scope)
        await self._router(scope, receive, send)

    def prepare(self) -> None:
        """Compute in advance what a page requests first."""
        self.shelf.prepare()
        home_of(self.shelf)

    def close(self) -> None:
        """Stop the workers, remove what they decoded, and start no more work."""
        self._pool.close()
        self._patient_pool.close()
        self.sound.close()

    def _take(self, shelf: SongColumns, mark: str) -> None:
        self.shelf, self.mark = shelf, mark
        self.songs = SongView(shelf, self.sound.roots, self.keys)
        self.copies = lists.CopiesView(shelf)
        self.faces = Faces(shelf, self.sound, self.keys)
        self.saver.turn_to(shelf)

    def _renew(self, _: dict[str, Any]) -> dict[str, Any]:
        """Reopen the store if it was replaced; if it cannot be read, keep the current one."""
        with self._renewing:
            path = self.shelf.library.path
            mark = store_mark(path)
            if mark != self.mark:
                shelf = SongColumns(
                    open_store(path),
                    projection=self.shelf.projection,
                    before=self.shelf,
                    keeps_map=self.shelf.keeps_map,
                )
                shelf.prepare()
                self.keys.renew()
                self._take(shelf, mark)
            return {"edition": self.mark}

    @property
    def proposals(self) -> RecommendationPages | None:
        """The recommendations of the night that is served now, over the songs that are shown."""
        night, known = self._nights(), self._shown
        if night is None:
            return None
        if known is None or known.night is not night or known.shelf is not self.shelf:
            self._shown = known = RecommendationPages(night, self.shelf, self._log)
        return known

    def _pages(self) -> RecommendationPages:
        """Return the recommendations; raise `InputError` if there are none."""
        if (result := self.proposals) is None:
            raise InputError("there are no recommendations: audiorec serve --recall DIR")
        return result

    def _is_old(self, request: Request) -> bool:
        """Whether a request refers to rows of an edition that is no longer served."""
        edition = request.headers.get(EDITION, self.mark)
        return edition != self.mark and request.url.path not in ROWLESS

    def _running(self) -> dict[str, Any]:
        path, night = self.shelf.library.path, self.proposals
        return {
            "running": running(path),
            "store": store_mark(path),
            "growing": self._growing() if self._growing else None,
            "night": night and night.night.run_id,
        }

    def _routes(self) -> list[Route]:
        gets, posts = self._gets(), self._posts()
        patient: dict[str, Callable[[Request], Any]] = {
            "/api/copies": lambda _: self.copies.all(),
            "/api/home": lambda _: home_of(self.shelf),
            "/api/glance": lambda _: glance_of(self.shelf),
            "/api/song/{row}/wave": self._wave,
            "/api/song/{row}/sound": self._sound_of,
            "/api/texts": lambda _: self._zipped("texts", "application/json"),
            "/api/numbers": lambda _: self._zipped("numbers", "application/octet-stream"),
        }
        patient_posts: dict[str, Callable[[dict[str, Any]], Any]] = {
            "/api/copies": lambda wish: self.copies.given(wish),
            "/api/faces": lambda wish: self.faces.of(wish),
            "/api/renew": self._renew,
            "/api/song/{row}/correct": self._correct,
        }
        shut = {"/audio/{row}": self._audio, "/cover/{row}": self._cover}  # with keys
        both = ((gets, posts, self._pool), (patient, patient_posts, self._patient_pool))
        return [
            *(Route(p, self._answer(w, pool)) for got, _, pool in both for p, w in got.items()),
            *(
                Route(p, self._answer(w, pool), methods=["POST"])
                for _, posted, pool in both
                for p, w in posted.items()
            ),
            *(Route(path, self._opened(work)) for path, work in shut.items()),
            Route("/{path:path}", self._static),
        ]

    def _gets(self) -> dict[str, Callable[[Request], Any]]:
        return {
            "/api/library": lambda _: self._about(),
            # Eight bytes per song, or a short JSON that says to wait.
            "/api/places": lambda _: self.shelf.better_places() or {"wait": True},
            "/api/find": lambda r: self.shelf.find(r.query_params.get("only", "")),
            "/api/song/{row}": lambda r: self.songs.song(self._row(r)),
            "/api/song/{row}/scores": lambda r: self.songs.scores(self._row(r)),
            "/api/song/{row}/near": lambda r: lists.similar_to(
                self.shelf, _question(SimilarQuestion, r, self._row(r))
            ),
            "/api/song/{row}/copies": lambda r: self.songs.copies(self._row(r)),
            "/api/path/{row}/{other}": lambda r: lists.path_of(
                self.shelf, _question(PathQuestion, r, self._row(r), self._row(r, "other"))
            ),
            "/api/state": lambda _: store_state(self.shelf.library, self.shelf.notes),
            "/api/running": lambda _: self._running(),
            "/api/users": lambda r: self._pages().users(r.query_params.get("find", "")),
            "/api/user": lambda r: self._pages().user(r.query_params.get("id", "")),
        }

    def _posts(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        return {
            "/api/playlist": lambda wish: lists.playlist_of(self.shelf, wish),
            "/api/given": lambda wish: lists.songs_given(self.shelf, wish),
            "/api/words": lambda wish: lists.described_by(self.shelf, wish),
            "/api/radio": lambda wish: lists.radio_of(self.shelf, wish),
            "/api/download": lambda wish: lists.songs_as(
                self.shelf,
                lists.rows_in(wish.get("rows"), len(self.shelf.library)),
                wish.get("as"),
            ),
            "/api/ask": lambda wish: self._pages().ask(wish),
            "/api/save": self._save,
            "/api/undo": lambda _: self.saver.undo(),
        }

    def _answer(self, work: Callable[[Any], Any], pool: Pool) -> Endpoint:
        """Return the endpoint of a GET request for JSON or columns, or of a POST with JSON."""

        async def endpoint(request: Request) -> Response:
            if self._is_old(request):
                return _json({"error": REPLACED}, 409)
            if request.method != "POST":
                return await _answered(lambda: work(request), request, pool)
            body = await request.body()
            kind = request.headers.get("content-type", "").partition(";")[0]
            if kind != "application/json":
                return _json({"error": "the body must be JSON"}, 415)
            try:
                wish = json.loads(body)
                json.dumps(wish, ensure_ascii=False).encode()  # no half of a surrogate pair
            except (ValueError, RecursionError):
                wish = None
            if not isinstance(wish, dict):
                return _json({"error": "the body must be a JSON object"}, 400)
            wish |= request.path_params
            return await _answered(lambda: work(wish), request, pool)

        return endpoint

    def _opened(self, work: Callable[[Request], Response]) -> Endpoint:
        """Return the endpoint of a song's audio or cover."""

        async def endpoint(request: Request) -> Response:
            return await _answered(lambda: work(request), request, self._patient_pool)

        return endpoint

    def _zipped(self, name: str, media_type: str) -> Response:
        data = self.shelf.made(name)
        return Response(data, media_type=media_type, headers={"content-encoding": "gzip"})

    def _about(self) -> dict[str, Any]:
        """Return what a page that opens asks first: it sees the store as it is now."""
        with suppress(StoreError, OSError):  # one that cannot be read leaves the last one
            self._renew({})
        night = self.proposals
        return {
            **self.shelf.made("about"),
            "edition": self.mark,
            "forms": FORMS,
            "player": self._player,
            "roots": list(self.sound.roots.folders),
            "recall": None if night is None else night.about,
        }

    def _correct(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Write what the owner says of a song, and answer as all of the page does from now on."""
        row = self._row_in(wish["row"])
        song_id = self.shelf.library.ids[row]
        said = self.songs.correct(row, wish)
        edition = self._renew({})
        return {
            "song": self.songs.song(self.shelf.library.row_number(song_id)),
            "said": said,
            **edition,
        }

    def _row(self, request: Request, name: str = "row") -> int:
        return self._row_in(request.path_params[name])

    def _row_in(self, text: str) -> int:
        row = _whole(text)
        if row is None or row >= len(self.shelf.library):
            raise InputError("the library has no such song")
        return row

    def _wave(self, request: Request) -> dict[str, Any]:
        result = self.sound.wave(self.songs.uri(self._row(request)))
        columns = {"low": result.low, "high": result.high, "rms": result.rms}
        whole = {n: (v.clip(-1, 1) * 127).round().astype(int).tolist() for n, v in columns.items()}
        return {"duration_s": round(result.duration_s, 3), **whole}

    def _sound_of(self, request: Request) -> dict[str, Any]:
        result = self.sound.about(self.songs.uri(self._row(request)))
        kind = {"container": result.container.value, "codec": result.codec}
        return {**kind, "type": self.sound.media_type(result) or ""}

    def _save(self, wish: dict[str, Any]) -> dict[str, Any]:
        rows = lists.rows_in(wish.get("rows"), len(self.shelf.library))
        name = wish.get("name")
        if not rows or not isinstance(name, str):
            raise InputError("give a list of songs and a name")
        return self.saver.save(rows, name, replace=wish.get("replace") is True)

    def _audio(self, request: Request) -> Response:
        as_wav = request.query_params.get("as") == "wav"
        uri = self.songs.uri(self._row(request))
        file, media_type = self.sound.open(uri, as_wav=as_wav)
        return OpenFileResponse(uri, file, media_type)

    def _cover(self, request: Request) -> Response:
        picture = self.sound.cover(self.songs.uri(self._row(request)))
        if picture is None:
            return Response(status_code=204)
        return Response(picture.data, media_type=picture.media_type)

    async def _static(self, request: Request) -> Response:
        path = request.path_params["path"]
        is_view = not path or path.partition("/")[0] in VIEWS
        data = self.files.get("index.html" if is_view else path)
        if data is None:
            return _json({"error": "not found"}, 404)
        takes_gzip = "gzip" in request.headers.get("accept-encoding", "")
        if not takes_gzip or data[1].startswith("font/"):
            return Response(data[0], media_type=data[1])
        return Response(data[2], media_type=data[1], headers={"content-encoding": "gzip"})


def _static_files() -> list[tuple[str, tuple[bytes, str, bytes]]]:
    """Return path, content, media type and gzipped content of the page's files; read once."""
    files = []
    for path in sorted(STATIC.rglob("*")):
        media_type = ENDINGS.get(path.suffix)
        if path.is_file() and media_type is not None:
            name = path.relative_to(STATIC).as_posix()
            content = path.read_bytes()
            files.append((name, (content, media_type, gzip.compress(content, mtime=0))))
    return files


async def _answered(work: Work, request: Request, pool: Pool) -> Response:
    """Run `work` in a thread, and return its result or its error as a response."""
    try:
        found = await pool.run(work, address_of(request.scope.get("client")))
    except AudiorecError as error:
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
        said = error.reason if isinstance(error, SongError) else str(error)
        return _json({"error": visible(said)}, status)
    if isinstance(found, Response):
        return found
    if isinstance(found, bytes):
        return Response(found, media_type="application/octet-stream")
    return _json(found)


def _json(document: Any, status: int = 200) -> Response:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return Response(text, status, media_type="application/json")


def _question(kind: type[lists.Q], request: Request, *seeds: int) -> lists.Q:
    """Return a question about some rows, with the options of the query string."""
    query = {name: request.query_params.getlist(name) for name in request.query_params}
    return lists.question_of(kind, query, is_query=True, seeds=seeds)


def _whole(text: str) -> int | None:
    """Return a number from an address; None if it is none, or has more than nine digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
