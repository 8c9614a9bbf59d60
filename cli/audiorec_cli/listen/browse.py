"""``audiorec browse``: show a library and its recommendations in the browser."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal

from audiorec.options import chooses
from audiorec_cli.shared.console import flush, out, say
from audiorec_cli.shared.inputs import VectorsOption, open_vectors, plays_file
from audiorec_cli.shared.options import (
    ADVANCED,
    HostNameOption,
    NoOpenOption,
    PortOption,
    RecallOption,
)

if TYPE_CHECKING:
    from audiorec.library.library import Library


def browse(
    vectors: VectorsOption = None,
    recall: RecallOption = None,
    interactions: Annotated[
        Path | None,
        plays_file(help="Listening log: shows users' histories."),
    ] = None,
    root: Annotated[
        list[Path] | None,
        chooses(
            metavar="FOLDER",
            help="Folder whose songs may be played; may be repeated [default: that of audiorec "
            "start, else the store's].",
        ),
    ] = None,
    port: PortOption = 0,
    no_open: NoOpenOption = False,
    projection: Annotated[
        Literal["pca", "tsne", "umap"], chooses(help="Projection of the map.", panel=ADVANCED)
    ] = "pca",
    host: Annotated[
        str | None,
        chooses(
            help="Address to listen on, to allow other machines; use a proxy for TLS.",
            panel=ADVANCED,
        ),
    ] = None,
    host_name: HostNameOption = None,
) -> None:
    """Browse and play a library in the browser: map, scores, lists, recommendations.

    Prints the address on the first line of stdout once the server is ready. The address contains
    the access token: only those who have it can use the page; the browser is opened by a private
    file that leads there. Loads nothing from the internet, and writes only the lists that you save
    and, beside the store, where songs stand on the map. Ctrl-C stops it. Needs the extra web.

    Examples
    --------
    audiorec browse
    audiorec browse --vectors vecs.parquet --root ~/Music
    audiorec browse --recall serving/ --interactions plays.csv --no-open
    """
    from audiorec.listening.interactions import read_interactions
    from audiorec_cli.shared.libraries import folders_of

    store = open_vectors(vectors, empty=False)
    log = None
    if interactions is not None:
        log = read_interactions(interactions)
    if host is not None:
        say("note: other machines can reach this page; whoever has the address can use it")
    settings: dict[str, Any] = {"host": host} if host else {}
    settings |= {"recall": recall, "log": log, "names": host_name or (), "projection": projection}
    show(store, root or folders_of(store.path), port=port, no_open=no_open, **settings)


def player_of(store: Path) -> tuple[str, str] | None:
    """Return the first music server of the user's own settings, and the command for its lists."""
    from audiorec.players.settings import server_names

    if not (names := server_names()):
        return None
    return names[0], f"audiorec sync {quote(names[0])} --vectors {quote(str(store.resolve()))}"


def show(
    store: "Library", roots: Sequence[Path], *, port: int, no_open: bool, **settings: Any
) -> None:
    """Serve the page until Ctrl-C; print its address, and open it in the browser."""
    from audiorec.web.server import Opener, serve

    opener = Opener()
    settings["player"] = player_of(store.path)

    def ready(address: str) -> None:
        out(address)
        flush()
        if not no_open:
            opener.open(address)

    serve(store, roots, port=port, ready=ready, close=opener.close, ends_process=True, **settings)
