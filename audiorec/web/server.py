"""The servers: the page of ``audiorec browse``, and all APIs of ``audiorec serve`` with it.

    library, roots ──serve──────▶ `BrowsePage` ──`Gate`──▶ one port, until the process is stopped
    files          ──serve_apis─▶ `ApiServer`  ──`Gate`──▶ the same, and reloads when they change
    address ──`Opener.open`──▶ a private file that leads there ──▶ browser      removed soon after

Every user of a machine can list the command lines of all processes, so a browser gets the name of
a file that only its own user can read.
"""

import hashlib
import html
import os
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiorec.errors import InputError, import_extra
from audiorec.library.library import Library, open_store
from audiorec.search.atlas import MapKind, project
from audiorec.web.apis.snapshot import Snapshot, SnapshotSources, check_sources
from audiorec.web.editions import Editions
from audiorec.web.gate import Gate
from audiorec.web.limits import RequestLimits
from audiorec.web.recommendations import followed_nights
from audiorec.web.song_columns import SongColumns

if TYPE_CHECKING:
    from audiorec.listening.events import Interactions
    from audiorec.web.apis.routes import Route
    from audiorec.web.application import BrowsePage


LOOPBACK = "127.0.0.1"
LEAST_TOKEN = 16  # characters: a token is a password that machines may try to guess
KEPT_S = 60.0  # a browser has read the file by then
PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={0}">
<title>audiorec</title>
<p><a href="{0}">Open the page</a></p>
"""


@contextmanager
def private_page(address: str) -> Iterator[Path]:
    """Yield a file that leads to an address, in a folder that only this user can read."""
    with tempfile.TemporaryDirectory(prefix="audiorec-") as folder:
        path = Path(folder) / "open.html"
        path.write_text(PAGE.format(html.escape(address)), encoding="utf-8")
        yield path


class Opener:
    """Opens addresses in a background thread, since some browsers return only when they end."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, address: str) -> None:
        """Open an address in the user's browser."""
        self._thread = threading.Thread(target=self._open, args=(address,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Remove the file, if it is still there."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=0.5)

    def _open(self, address: str) -> None:
        with private_page(address) as path:
            webbrowser.open(path.as_uri())
            self._ended.wait(KEPT_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """Settings of the page.

    Attributes
    ----------
    roots : sequence of Path
        Folders below which songs may be played; default: the store's folder.
    names : sequence of str
        Host names that browsers may use for the server.
    """

    roots: Sequence[Path] = ()
    names: Sequence[str] = ()


def serve(
    library: Library,
    roots: Sequence[Path],
    *,
    recall: Path | None = None,
    log: "Interactions | None" = None,
    host: str = LOOPBACK,
    port: int = 0,
    names: Sequence[str] = (),
    projection: MapKind = "pca",
    token: str | None = None,
    growing: Callable[[], Mapping[str, Any] | None] | None = None,
    player: tuple[str, str] | None = None,
    ready: Callable[[str], None] = print,
    close: Callable[[], object] = lambda: None,
    ends_process: bool = False,
) -> None:
    """Serve the page of a library until the process is stopped.

    Parameters
    ----------
    library : Library
    roots : sequence of Path
        Folders below which songs may be played.
    recall : Path, optional
        Folder that ``recall run`` wrote; a night that it promotes later is shown as well.
    log : Interactions, optional
        The listening log of that run.
    host : str
        Local address to listen on.
    port : int
        0 for that of the library (`usual_port`) if it is free, else any.
    names : sequence of str
        Host names that browsers may use for the server, for example behind a reverse proxy.
    projection : {"pca", "tsne", "umap"}
        Projection of the map.
    token : str, optional
        By default a new random one.
    growing : callable, optional
        Returns the songs ``done`` and ``total``, the one heard ``now`` and the seconds ``left_s``
        while the library grows, else None. The page then shows new songs by itself.
    player : (str, str), optional
        A music server in the user's settings, and the command that brings lists there: shown only.
    ready : callable
        Called with the address, including the token, once requests are answered.
    close : callable
        Called at the end.
    ends_process : bool
        End the process within two seconds of a signal, even if threads still work.

    Raises
    ------
    MissingExtraError
        Without Starlette or uvicorn, or the extra that the projection needs.
    InputError
        If the server cannot listen on the port, or `recall` has no candidate lists.
    """
    _check_installed("the page")
    from audiorec.web.listener import address_of_listener, serve_until_ended

    if projection != "pca":  # fail now, not while the page waits, if its extra is missing
        project(np.zeros((1, 2), np.float32), projection)
    gate = Gate(RequestLimits(rate=0.0), write=to_stderr, only_refused=True)
    shelf = SongColumns(library, projection=projection, keeps_map=True)
    nights = None if recall is None else followed_nights(recall)
    with _listening(host, port, library.path) as listener, ExitStack() as ending:
        ending.callback(close)
        page = _page(
            shelf,
            gate,
            token,
            PageSettings(roots=roots, names=(host, *names)),
            nights=lambda: None if nights is None else nights.current.value,
            log=log,
            growing=growing,
            player=player,
        )
        ending.callback(page.close)
        if nights is not None:
            ending.enter_context(nights.watched())
        address = f"{address_of_listener(host, listener)}#token={page.keys.token}"
        threading.Thread(target=page.prepare, daemon=True).start()
        serve_until_ended(
            gate.around(page.application),
            listener,
            gate,
            ready=lambda: ready(address),
            close=ending.close,
            ends_process=ends_process,
        )


def serve_apis(
    sources: SnapshotSources,
    token: str,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    page: PageSettings | None = None,
    limits: RequestLimits | None = None,
    routes: "Mapping[str, Route] | None" = None,
    write: Callable[[str], object] | None = None,
    ready: Callable[[str], None] = print,
    ends_process: bool = False,
) -> None:
    """Serve all APIs until the process is stopped.

    Parameters
    ----------
    sources : SnapshotSources
    token : str
        Empty only with `routes`.
    host, port : str, int
        Address to listen on; port 0 for any free one.
    page : PageSettings, optional
        Serve the page as well.
    limits : RequestLimits, optional
    routes : mapping of str to Route, optional
        Serve these addresses alone; by default those of all APIs.
    write : callable, optional
        Called with each line of the log; by default it goes to stderr.
    ready : callable
        Called with the address once requests are answered.
    ends_process : bool
        End the process within two seconds of a signal, even if threads still work.

    Raises
    ------
    MissingExtraError
        Without Starlette or uvicorn.
    StoreError, InputError
        If the first snapshot cannot be loaded, or the server cannot listen on the port.
    """
    _check_installed("audiorec serve")
    from audiorec.web.apis.routes import ApiServer
    from audiorec.web.listener import address_of_listener, listening, serve_until_ended

    check_sources(sources)
    gate = Gate(limits, write=write or to_stderr)
    with listening(host, port) as listener, ExitStack() as ending:
        editions = Editions(sources.paths, lambda: Snapshot(sources))
        shown = None
        if page is not None:
            shown = _page(
                SongColumns(open_store(sources.vectors)),
                gate,
                token,
                PageSettings(roots=page.roots, names=(host, *page.names)),
                nights=lambda: editions.current.value.night,  # of the newest edition
            )
            ending.callback(shown.close)
        apis = ApiServer(
            editions,
            token,
            gate=gate,
            page=None if shown is None else shown.application,
            routes=routes,
        )
        ending.callback(apis.pool.close)
        ending.enter_context(editions.watched())
        address = address_of_listener(host, listener)
        serve_until_ended(
            apis.application,
            listener,
            gate,
            ready=lambda: ready(address),
            close=ending.close,
            ends_process=ends_process,
        )


def _page(
    shelf: SongColumns, gate: Gate, token: str | None, wish: PageSettings, **more: Any
) -> "BrowsePage":
    """Return the page of a library, for both servers; its songs lie below the store by default."""
    from audiorec.web.application import BrowsePage
    from audiorec.web.gate import AddressKeys
    from audiorec.web.sound import Roots, SoundFiles

    roots = wish.roots or [shelf.library.path.resolve().parent]
    return BrowsePage(
        shelf,
        SoundFiles(Roots(roots)),
        AddressKeys(token),
        guesses=gate.guesses,
        names=tuple(wish.names),
        **more,
    )


def _check_installed(what: str) -> None:
    """Raise `MissingExtraError` now if what serves is missing."""
    for module in ("h11", "starlette.applications", "uvicorn"):
        import_extra(module, what, "web")


def read_token(path: Path) -> str:
    """Read a token: the first line of a file.

    Raises
    ------
    InputError
        If it is missing, or too short to be one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot read a token: {reason}") from error
    return check_token(text.partition("\n")[0].strip(), str(path))


def check_token(token: str, where: str) -> str:
    """Validate a token and return it; raise `InputError` if it is too short or not plain ASCII."""
    good = token.isascii() and token.isprintable() and " " not in token
    if not good or len(token) < LEAST_TOKEN:
        raise InputError(
            f"{where}: a token needs at least {LEAST_TOKEN} ASCII characters without spaces; to "
            "make one: openssl rand -hex 32"
        )
    return token


PORTS = range(20_000, 32_000)  # below those that systems give to other programs


def usual_port(store: Path) -> int:
    """Return the port of a store's page: a browser remembers what one chose by address.

    Examples
    --------
    >>> usual_port(Path("/music/vecs.parquet"))
    31080
    """
    digest = hashlib.sha256(os.fsencode(store.resolve())).digest()
    return PORTS[int.from_bytes(digest[:4], "big") % len(PORTS)]


def _listening(host: str, port: int, store: Path) -> socket.socket:
    """Listen on a port; for 0 on the store's own, or on any free one if that is taken."""
    from audiorec.web.listener import listening

    if port == 0:
        with suppress(InputError):
            return listening(host, usual_port(store))
    return listening(host, port)


def to_stderr(line: str) -> None:
    """Write a line of the log."""
    sys.stderr.write(line)
    sys.stderr.flush()
