"""The page's server: listens on a free local port and reports the address to open.

library, roots, a run's folder ──serve──▶ serves until it is stopped

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
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiorec.errors import InputError, MissingExtraError
from audiorec.library.library import Library
from audiorec.search.atlas import MapKind, project

if TYPE_CHECKING:
    from audiorec.listening.events import Interactions

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


LOOPBACK = "127.0.0.1"


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
    growing: Callable[[], Mapping[str, int] | None] | None = None,
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
        Returns the songs ``done`` and ``total`` while the library grows, else None. The page then
        shows new songs by itself, instead of asking first.
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
    try:
        import uvicorn  # noqa: F401 - fail now if it is missing

        from audiorec.web.access import AddressKeys
        from audiorec.web.application import BrowsePage
        from audiorec.web.gate import Gate
        from audiorec.web.limits import RequestLimits
        from audiorec.web.listener import address_of_listener, serve_until_ended
        from audiorec.web.recommendations import followed_nights
        from audiorec.web.song_columns import SongColumns
        from audiorec.web.sound import Roots, SoundFiles
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio"):
            raise
        raise MissingExtraError("the page", "web", str(error)) from error

    if projection != "pca":  # fail now, not while the page waits, if its extra is missing
        project(np.zeros((1, 2), np.float32), projection)
    keys = AddressKeys(token)
    gate = Gate(RequestLimits(rate=0.0), write=to_stderr, only_refused=True)
    shelf = SongColumns(library, projection=projection, keeps_map=True)
    sound = SoundFiles(Roots(roots))
    nights = None if recall is None else followed_nights(recall, shelf, log)
    with _listening(host, port, library.path) as listener, ExitStack() as ending:
        ending.callback(close)
        page = BrowsePage(
            shelf,
            sound,
            keys,
            guesses=gate.guesses,
            nights=lambda: None if nights is None else nights.current.value,
            names=(host, *names),
            growing=growing,
            player=player,
        )
        ending.callback(page.close)
        if nights is not None:
            ending.enter_context(nights.watched())
        address = f"{address_of_listener(host, listener)}#token={keys.token}"
        threading.Thread(target=shelf.prepare, daemon=True).start()
        serve_until_ended(
            gate.around(page.application),
            listener,
            gate,
            ready=lambda: ready(address),
            close=ending.close,
            ends_process=ends_process,
        )


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
