"""``audiorec serve``: answer music servers and other programs."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from audiorec.errors import InputError, MissingFileError
from audiorec_cli.shared.console import flush, out, say
from audiorec_cli.shared.options import more
from audiorec_cli.shared.stores import VectorsOption, vectors_path

TOKEN_BYTES = 24


def serve(
    vectors: VectorsOption = None,
    recall: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Recommendations: the folder that recall run wrote."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65_535, help="0: any free port.")
    ] = 0,
    host: Annotated[
        str | None, typer.Option(help="Listen on this address; by default this machine's alone.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="T", help="What programs must know; others can see it.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file whose first line is the token: better."),
    ] = None,
    artists: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="What a server calls artists: artist_id,artist."),
    ] = None,
    no_page: Annotated[
        bool, typer.Option("--no-page", help="Programs only: no page for browsers.")
    ] = False,
    root: Annotated[
        list[Path] | None,
        more(metavar="FOLDER", help="Of the page: songs below it can be heard."),
    ] = None,
    name: Annotated[
        list[str] | None, more(metavar="NAME", help="Of the page: what a proxy calls this server.")
    ] = None,
    rate: Annotated[
        float, more(min=0, help="Requests a second of one address; 0: any number.")
    ] = 50.0,
    seconds: Annotated[float, more(min=0.1, help="For an answer, and for a request.")] = 10.0,
    body: Annotated[int, more(min=1024, help="Bytes of a request's body.")] = 1 << 20,
    threads: Annotated[int, more(min=1, max=64, help="Questions worked on at once.")] = 4,
) -> None:
    """Answer music servers and other programs: AudioMuse, OpenSubsonic, bliss, JSON.

    Prints the address on the first line of stdout as soon as it answers, with the token if it made
    one; each request is a line of JSON on stderr. A store that is replaced is served from then on,
    and no request is dropped. Ctrl-C or SIGTERM ends it. Needs the extra web.

    Examples
    --------
    audiorec serve
    audiorec serve --vectors vecs.parquet --port 8095 --token-file token.txt
    audiorec serve --recall serving/ --host 0.0.0.0 --no-page
    """
    from audiorec.web.doors.threads import one_thread_each

    one_thread_each()
    from audiorec.web.doors.limits import DoorLimits
    from audiorec.web.doors.server import (
        LOOPBACK,
        PageWish,
        check_token,
        read_token,
        serve_doors,
    )
    from audiorec.web.doors.snapshot import SnapshotSources

    if token is not None and token_file is not None:
        raise InputError("give one of --token and --token-file")
    given = read_token(token_file) if token_file is not None else token
    known = secrets.token_urlsafe(TOKEN_BYTES) if given is None else check_token(given, "--token")
    for folder in root or ():
        if not folder.is_dir():
            raise MissingFileError(f"{folder}: no such folder")
    if host is not None:
        say("note: other machines can reach this; there is no TLS: put a proxy in front")

    def ready(address: str) -> None:
        out(address if given is not None else f"{address}#token={known}")
        flush()

    serve_doors(
        SnapshotSources(vectors_path(vectors), recall, artists),
        known,
        host=host or LOOPBACK,
        port=port,
        page=None if no_page else PageWish(roots=root or (), names=name or ()),
        limits=DoorLimits(rate=rate, burst=max(1, int(2 * rate)), seconds=seconds, body=body,
                          at_once=threads),
        ready=ready,
    )  # fmt: skip
