"""The page's server: a free port of this machine, and the address that opens it.

    library, roots, a run's folder ──serve──▶ answers until it is stopped

The port is taken before anything else, so that two servers never wait for each other, and the
address is told when the first request would be answered.
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
    """Serve the page of a library until the process is told to stop.

    Parameters
    ----------
    library : Library
    roots : sequence of Path
        Folders below which songs may be heard.
    recall : Path, optional
        What ``recall run`` wrote.
    log : Interactions, optional
        The listening log that it was made of.
    host : str
        The address of this machine that is listened on.
    port : int
        0 for any free one.
    names : sequence of str
        Names that browsers may call the server by, where it stands behind another.
    projection : {"pca", "tsne", "umap"}
        How the map is made.
    token : str, optional
        A new one by default.
    ready : callable
        Called with the address, token included, as soon as it answers.

    Raises
    ------
    MissingExtraError
        Without Starlette or uvicorn, or what the projection needs.
    InputError
        If the port cannot be taken, or `recall` holds no lists.
    """
    try:
        import uvicorn

        from audiorec.web.access import AddressKeys
        from audiorec.web.application import BrowsePage
        from audiorec.web.proposals import Proposals
        from audiorec.web.shelf import Shelf
        from audiorec.web.sound import SoundFiles
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio"):
            raise
        raise MissingExtraError("the page", "web", str(error)) from error

    if projection != "pca":  # what it needs is missed now, and not when the page waits for it
        project(np.zeros((1, 2), np.float32), projection)
    keys = AddressKeys(token)
    shelf = Shelf(library, projection=projection)
    sound = SoundFiles(Roots(roots))
    proposals = None if recall is None else Proposals(recall, shelf, log)
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
    """Let signals end the block by a `KeyboardInterrupt`, so that what was decoded is removed.

    uvicorn handles them while it serves, and hands them on to whom they were for before.
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
    """Return a socket that takes connections."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # TCP by name: asyncio sends small answers at once only where it knows that it is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, TypeError, UnicodeError) as error:  # the last two: a host that is no name
        listener.close()
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError(f"cannot listen on {host}, port {port}: {reason}") from error
    return listener
