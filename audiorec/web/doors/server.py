"""``audiorec serve``: a port, the doors behind it, and a store that is watched while it is served.

    files ──`Editions`──▶ `Snapshot` ──`Doors`──▶ uvicorn on one port, until it is told to stop

A client that sends its headers slowly is let go after a while; what is being answered when the
server is told to stop is answered first.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiorec.errors import InputError, MissingExtraError
from audiorec.web.doors.limits import DoorLimits
from audiorec.web.doors.snapshot import SnapshotSources

if TYPE_CHECKING:
    from audiorec.web.access import Application
    from audiorec.web.doors.application import Doors

LOOPBACK = "127.0.0.1"
LEAST_TOKEN = 16  # characters: a token is a password that machines guess at
MAX_TOKEN_BYTES = 4096
STOP_S = 10  # for what is being answered when the server is told to stop
SWITCH_S = 0.0005  # so that who takes and sends requests never waits long for who computes
KEEP_ALIVE_S = 75  # longer than what proxies keep a connection open


@dataclass(frozen=True, slots=True, kw_only=True)
class PageWish:
    """What the page needs besides the store.

    Attributes
    ----------
    roots : sequence of Path
        Folders below which songs may be heard.
    names : sequence of str
        Names that browsers may call the server by.
    """

    roots: Sequence[Path] = ()
    names: Sequence[str] = ()


def serve_doors(
    sources: SnapshotSources,
    token: str,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    page: PageWish | None = None,
    limits: DoorLimits | None = None,
    only_bliss: bool = False,
    write: Callable[[str], object] | None = None,
    ready: Callable[[str], None] = print,
    every_s: float = 1.0,
) -> None:
    """Serve until the process is told to stop.

    Parameters
    ----------
    sources : SnapshotSources
    token : str
        Empty only with `only_bliss`.
    host, port : str, int
        What is listened on; port 0 is any free one.
    page : PageWish, optional
        Serve the page as well.
    limits : DoorLimits, optional
    only_bliss : bool
        Only what Lyrion's plugin asks.
    write : callable, optional
        Takes each line of the log; stderr by default.
    ready : callable
        Called with the address as soon as it answers.
    every_s : float
        Seconds between two looks at the files.

    Raises
    ------
    MissingExtraError
        Without Starlette or uvicorn.
    StoreError, InputError
        If the first snapshot cannot be made, or the port cannot be taken.
    """
    try:
        import uvicorn

        from audiorec.web.doors.application import Doors, all_routes, bliss_routes
        from audiorec.web.doors.connection import patient_protocol
        from audiorec.web.doors.snapshot import Snapshot, check_sources
        from audiorec.web.editions import Editions
        from audiorec.web.server import ended_by, listening
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio", "h11"):
            raise
        raise MissingExtraError("audiorec serve", "web", str(error)) from error

    check_sources(sources)
    listener = listening(host, port)
    try:
        editions = Editions(sources.paths, lambda: Snapshot(sources))
        doors = Doors(
            editions,
            token,
            limits=limits,
            page=None if page is None else _page(sources, token, host, page),
            write=write or _to_stderr,
            routes=bliss_routes() if only_bliss else all_routes(),
        )
        named = f"[{host}]" if ":" in host else host
        address = f"http://{named}:{listener.getsockname()[1]}/"

        class Told(uvicorn.Server):
            async def startup(self, sockets: Any = None) -> None:
                await super().startup(sockets)
                if self.started:
                    await asyncio.to_thread(ready, address)

        config = uvicorn.Config(
            doors,
            http=patient_protocol(doors.limits.seconds),
            lifespan="off",
            log_level="critical",  # bugs are logged by the doors themselves
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=doors.limits.connections,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_S,
        )
        with ended_by(signal.SIGINT, signal.SIGTERM), editions.watched(every_s):
            _run(Told(config), listener, doors)
    finally:
        listener.close()


def read_token(path: Path) -> str:
    """Return the token that a file holds: its first line.

    Raises
    ------
    InputError
        If it is missing, or too short to be one.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_TOKEN_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: no token can be read: {reason}") from error
    return check_token(text.partition("\n")[0].strip(), str(path))


def check_token(token: str, where: str) -> str:
    """Return a token, or raise an `InputError` that says what is wrong with it."""
    good = token.isascii() and token.isprintable() and " " not in token
    if not good or len(token) < LEAST_TOKEN:
        raise InputError(
            f"{where}: a token has at least {LEAST_TOKEN} plain characters; one is made by: "
            "openssl rand -hex 32"
        )
    return token


def _run(server: Any, listener: Any, doors: "Doors") -> None:
    sys.setswitchinterval(SWITCH_S)
    try:
        server.run([listener])
    except KeyboardInterrupt:
        pass
    finally:
        doors.pool.close()


def _page(
    sources: SnapshotSources, token: str, host: str, wish: PageWish
) -> "Callable[[], Application]":
    """Return what makes the page: it shows the store as it is when it is first asked for."""

    def made() -> "Application":
        from audiorec.library.library import open_store
        from audiorec.web.access import AddressKeys
        from audiorec.web.application import BrowsePage
        from audiorec.web.proposals import Proposals
        from audiorec.web.roots import Roots
        from audiorec.web.shelf import Shelf
        from audiorec.web.sound import SoundFiles

        shelf = Shelf(open_store(sources.vectors))
        proposals = None if sources.recall is None else Proposals(sources.recall, shelf)
        roots = wish.roots or [sources.vectors.resolve().parent]
        page = BrowsePage(
            shelf,
            SoundFiles(Roots(roots)),
            AddressKeys(token),
            proposals=proposals,
            names=(host, *wish.names),
        )
        return page.application

    return made


def _to_stderr(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()
