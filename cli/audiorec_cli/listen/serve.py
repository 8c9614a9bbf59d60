"""``audiorec serve``: HTTP APIs for music servers and other programs."""

import secrets
from pathlib import Path
from typing import Annotated

from audiorec.errors import MissingFileError
from audiorec.options import chooses, reads
from audiorec_cli.shared.console import flush, out, say
from audiorec_cli.shared.inputs import VectorsOption, vectors_path
from audiorec_cli.shared.options import ADVANCED, HostNameOption, PortOption, RecallOption

TOKEN_BYTES = 24


def serve(
    vectors: VectorsOption = None,
    recall: RecallOption = None,
    port: PortOption = 0,
    host: Annotated[
        str | None, chooses(help="Address to listen on; by default only this machine.")
    ] = None,
    token_file: Annotated[
        Path | None,
        chooses(
            metavar="FILE",
            help="File with the access token on its first line [default: a new one each time].",
        ),
    ] = None,
    artists: Annotated[
        Path | None,
        reads(metavar="CSV", help="A server's ids of artists: artist_id,artist."),
    ] = None,
    no_page: Annotated[
        bool, chooses("--no-page", help="Serve the APIs only, without the page.")
    ] = False,
    root: Annotated[
        list[Path] | None,
        chooses(metavar="FOLDER", help="Folder whose songs the page may play.", panel=ADVANCED),
    ] = None,
    host_name: HostNameOption = None,
    rate: Annotated[
        float,
        chooses(
            min=0,
            help="Requests per second and address; 0: neither they nor wrong tokens are limited.",
            panel=ADVANCED,
        ),
    ] = 50.0,
    seconds: Annotated[
        float, chooses(min=0.1, help="Timeout of requests and responses.", panel=ADVANCED)
    ] = 10.0,
) -> None:
    """Serve APIs for music servers and other programs: AudioMuse, OpenSubsonic, JSON.

    Prints the address on the first line of stdout once the server is ready, with the token if it
    generated one; logs each request as a line of JSON on stderr. When the store is replaced, the
    new one is served without dropping requests. Ctrl-C or SIGTERM stops it. Needs the extra web.

    Examples
    --------
    audiorec serve
    audiorec serve --vectors vecs.parquet --port 8095 --token-file token.txt
    audiorec serve --recall serving/ --host 0.0.0.0 --no-page
    """
    from audiorec.runs.workers import one_thread_each
    from audiorec.web.apis.snapshot import SnapshotSources
    from audiorec.web.limits import RequestLimits
    from audiorec.web.server import LOOPBACK, PageSettings, read_token, serve_apis
    from audiorec_cli.shared.libraries import folders_of

    one_thread_each()

    given = read_token(token_file) if token_file is not None else None
    known = given or secrets.token_urlsafe(TOKEN_BYTES)
    for folder in root or ():
        if not folder.is_dir():
            raise MissingFileError(f"{folder}: no such folder")
    if host is not None:
        say("note: other machines can reach this server, without TLS; put a proxy in front")

    limits = RequestLimits(
        rate=rate,
        burst=max(1, int(2 * rate)),
        guesses=RequestLimits().guesses if rate else 0,
        seconds=seconds,
    )

    def ready(address: str) -> None:
        out(address if given is not None else f"{address}#token={known}")
        flush()

    store = vectors_path(vectors)
    serve_apis(
        SnapshotSources(store, recall, artists),
        known,
        host=host or LOOPBACK,
        port=port,
        page=None
        if no_page
        else PageSettings(roots=root or folders_of(store), names=host_name or ()),
        limits=limits,
        ready=ready,
        ends_process=True,
    )
