"""The page's server: listens on a free local port and reports the address to open.

    library, roots, a run's folder ──serve──▶ serves until it is stopped

The port is bound before the server starts, so that two servers never compete for it, and the
address is reported once requests are answered.
"""

import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiorec.errors import InputError, MissingExtraError
from audiorec.library.library import Library
from audiorec.search.atlas import MapKind, project
from audiorec.web.roots import Roots

if TYPE_CHECKING:
    from audiorec.listening.events import Interactions

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
    ready: Callable[[str], None] = print,
) -> None:
    """Serve the page of a library until the process is stopped.

    Parameters
    ----------
    library : Library
    roots : sequence of Path
        Folders below which songs may be played.
    recall : Path, optional
        Folder that ``recall run`` wrote.
    log : Interactions, optional
        The listening log of that run.
    host : str
        Local address to listen on.
    port : int
        0 for any free one.
    names : sequence of str
        Host names that browsers may use for the server, for example behind a reverse proxy.
    projection : {"pca", "tsne", "umap"}
        Projection of the map.
    token : str, optional
        By default a new random one.
    ready : callable
        Called with the address, including the token, once requests are answered.

    Raises
    ------
    MissingExtraError
        Without Starlette or uvicorn, or the extra that the projection needs.
    InputError
        If the server cannot listen on the port, or `recall` has no candidate lists.
    """
    try:
        import uvicorn

        from audiorec.web.access import AddressKeys
        from audiorec.web.application import BrowsePage
        from audiorec.web.recommendations import RecommendationPages
        from audiorec.web.song_columns import SongColumns
        from audiorec.web.sound import SoundFiles
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio"):
            raise
        raise MissingExtraError("the page", "web", str(error)) from error

    if projection != "pca":  # fail now, not while the page waits, if its extra is missing
        project(np.zeros((1, 2), np.float32), projection)
    keys = AddressKeys(token)
    shelf = SongColumns(library, projection=projection)
    sound = SoundFiles(Roots(roots))
    proposals = None if recall is None else RecommendationPages(recall, shelf, log)
    listener = listening(host, port)
    named = f"[{host}]" if ":" in host else host
    address = f"http://{named}:{listener.getsockname()[1]}/#token={keys.token}"
    page = BrowsePage(shelf, sound, keys, proposals=proposals, names=(host, *names))

    class Told(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready(address)

    config = uvicorn.Config(
        page.application,
        lifespan="off",
        log_level="critical",  # bugs are logged by the page itself
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    threading.Thread(target=shelf.prepare, daemon=True).start()
    try:
        with ended_by(signal.SIGINT, signal.SIGTERM):
            Told(config).run([listener])
    except KeyboardInterrupt:
        pass
    finally:
        sound.close()
        listener.close()


@contextmanager
def ended_by(*signals: int) -> Iterator[None]:
    """Turn signals into `KeyboardInterrupt`, so that temporary files are removed.

    uvicorn handles them while it serves, and then re-raises them for the previous handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = {one: signal.signal(one, end) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def listening(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise `InputError` if that fails."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # TCP by name: asyncio sets TCP_NODELAY only on sockets that it knows to be TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, TypeError, UnicodeError) as error:  # the last two: an invalid host name
        listener.close()
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError(f"cannot listen on {host}, port {port}: {reason}") from error
    return listener
