"""``audiorec serve``: run all APIs on one port, and reload the store when it changes.

    files ──`Editions`──▶ `Snapshot` ──`ApiServer`──▶ uvicorn on one port, until it is stopped

The limits and the end are those of the page's server: `audiorec.web.gate`, `audiorec.web.listener`.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audiorec.errors import InputError, MissingExtraError
from audiorec.web.apis.snapshot import SnapshotSources
from audiorec.web.limits import Guesses, RequestLimits
from audiorec.web.server import to_stderr

if TYPE_CHECKING:
    from audiorec.web.access import Application
    from audiorec.web.apis.snapshot import Snapshot
    from audiorec.web.editions import Editions

LOOPBACK = "127.0.0.1"
LEAST_TOKEN = 16  # characters: a token is a password that machines may try to guess
MAX_TOKEN_BYTES = 4096


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


def serve_apis(
    sources: SnapshotSources,
    token: str,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    page: PageSettings | None = None,
    limits: RequestLimits | None = None,
    only_bliss: bool = False,
    write: Callable[[str], object] | None = None,
    ready: Callable[[str], None] = print,
    every_s: float = 1.0,
    ends_process: bool = False,
) -> None:
    """Serve until the process is stopped.

    Parameters
    ----------
    sources : SnapshotSources
    token : str
        Empty only with `only_bliss`.
    host, port : str, int
        Address to listen on; port 0 for any free one.
    page : PageSettings, optional
        Serve the page as well.
    limits : RequestLimits, optional
    only_bliss : bool
        Serve only the API of Lyrion's plugin.
    write : callable, optional
        Called with each line of the log; by default it goes to stderr.
    ready : callable
        Called with the address once requests are answered.
    every_s : float
        Seconds between checks of the files.
    ends_process : bool
        End the process within two seconds of a signal, even if threads still work.

    Raises
    ------
    MissingExtraError
        Without Starlette or uvicorn.
    StoreError, InputError
        If the first snapshot cannot be loaded, or the server cannot listen on the port.
    """
    try:
        import uvicorn  # noqa: F401 - fail now if it is missing

        from audiorec.web.apis.application import ApiServer
        from audiorec.web.apis.routes import all_routes, bliss_routes
        from audiorec.web.apis.snapshot import Snapshot, check_sources
        from audiorec.web.editions import Editions
        from audiorec.web.gate import Gate
        from audiorec.web.listener import address_of_listener, listening, serve_until_ended
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio", "h11"):
            raise
        raise MissingExtraError("audiorec serve", "web", str(error)) from error

    check_sources(sources)
    gate = Gate(limits, write=write or to_stderr)
    with listening(host, port) as listener, ExitStack() as ending:
        editions = Editions(sources.paths, lambda: Snapshot(sources))
        made = None
        if page is not None:
            made = _page(editions, sources, token, host, page, gate.guesses, ending)
        apis = ApiServer(
            editions,
            token,
            gate=gate,
            page=made,
            routes=bliss_routes() if only_bliss else all_routes(),
        )
        ending.callback(apis.pool.close)
        ending.enter_context(editions.watched(every_s))
        address = address_of_listener(host, listener)
        serve_until_ended(
            apis,
            listener,
            gate,
            ready=lambda: ready(address),
            close=ending.close,
            ends_process=ends_process,
        )


def read_token(path: Path) -> str:
    """Read a token: the first line of a file.

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


def _page(
    editions: "Editions[Snapshot]",
    sources: SnapshotSources,
    token: str,
    host: str,
    wish: PageSettings,
    guesses: Guesses,
    ending: ExitStack,
) -> "Callable[[], Application]":
    """Return a factory of the page, which shows the store as of its first request.

    Its recommendations are those of the newest edition, as in the APIs. `ending` then closes the
    page with the server.
    """

    def made() -> "Application":
        from audiorec.library.library import open_store
        from audiorec.web.access import AddressKeys
        from audiorec.web.application import BrowsePage
        from audiorec.web.song_columns import SongColumns
        from audiorec.web.sound import Roots, SoundFiles

        shelf = SongColumns(open_store(sources.vectors))
        roots = wish.roots or [sources.vectors.resolve().parent]
        page = BrowsePage(
            shelf,
            SoundFiles(Roots(roots)),
            AddressKeys(token),
            guesses=guesses,
            nights=lambda: editions.current.value.proposals,
            names=(host, *wish.names),
        )
        ending.callback(page.close)
        return page.application

    return made
