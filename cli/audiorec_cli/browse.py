"""``audiorec browse``: a library and its recommendations as a page in the browser."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from audiorec_cli.shared.console import flush, out, say
from audiorec_cli.shared.inputs import Wanted, check
from audiorec_cli.shared.options import more
from audiorec_cli.shared.stores import VectorsOption, open_vectors


def browse(
    vectors: VectorsOption = None,
    recall: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Recommendations: the folder that recall run wrote."),
    ] = None,
    interactions: Annotated[
        Path | None,
        typer.Option(
            "--interactions", "-i", metavar="LOG", help="Their listening log: shows histories."
        ),
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Songs below it can be heard; several times for several "
            "[default: the folder of the store].",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65_535, help="0: any free port.")
    ] = 0,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the address, and open no browser.")
    ] = False,
    projection: Annotated[
        Literal["pca", "tsne", "umap"], more(help="How the map is made.")
    ] = "pca",
    host: Annotated[
        str | None,
        more(help="Listen on this address, for other machines; TLS is a proxy's task."),
    ] = None,
    name: Annotated[
        list[str] | None, more(metavar="NAME", help="What a proxy in front calls this server.")
    ] = None,
) -> None:
    """See and hear a library in the browser: map, scores, lists, recommendations.

    Prints the address on the first line of stdout as soon as it answers. Whoever has the address
    can ask; nobody else can. Nothing is fetched from elsewhere, and nothing is written but the
    lists that you save. Ctrl-C ends it. Needs the extra web.

    Examples
    --------
    audiorec browse
    audiorec browse --vectors vecs.parquet --root ~/Music
    audiorec browse --recall serving/ --interactions plays.csv --no-open
    """
    from audiorec.web.server import LOOPBACK, serve

    if interactions is not None:
        check(interactions, Wanted.LOG)
    store = open_vectors(vectors, empty=False)
    log = None
    if interactions is not None:
        from audiorec.listening.interactions import read_interactions

        log = read_interactions(interactions)
    roots = root or [store.path.resolve().parent]
    if host is not None:
        say("note: other machines can reach this page; whoever has the address can use it")

    def ready(address: str) -> None:
        out(address)
        flush()
        if not no_open:
            import webbrowser

            webbrowser.open(address)

    serve(
        store,
        roots,
        recall=recall,
        log=log,
        host=host or LOOPBACK,
        port=port,
        names=name or (),
        projection=projection,
        ready=ready,
    )
