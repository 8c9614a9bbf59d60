"""The ``audiorec`` command: options in, one library call, data on stdout, an exit code."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.main import get_command

from audiorec.errors import AudiorecError
from audiorec_cli import (
    backbones,
    browse,
    classify,
    cold_start,
    config,
    doctor,
    duplicates,
    extract,
    federated,
    heads,
    index,
    info,
    listening,
    manifest,
    neighbours,
    path,
    playlist,
    playlists,
    plot,
    recall,
    recommend,
    retag,
    runs,
    serve,
    shards,
    similar,
    store,
    tags,
)
from audiorec_cli.shared.console import Exit, exit_code, say
from audiorec_cli.shared.pages import Contents, command, group
from audiorec_cli.shared.streams import guard_streams, lost_output

PANELS: dict[str, dict[str, Any]] = {
    "Library": {
        "extract": extract.extract,
        "info": info.info,
        "classify": classify.classify,
        "tags": tags.tags,
        "retag": retag.retag,
        "plot": plot.app,
        "duplicates": duplicates.duplicates,
        "store": store.app,
        "doctor": doctor.doctor,
    },
    "Listen": {
        "similar": similar.similar,
        "neighbours": neighbours.neighbours,
        "path": path.path,
        "playlist": playlist.playlist,
        "playlists": playlists.playlists,
        "browse": browse.browse,
        "serve": serve.serve,
    },
    "Recommend": {
        "listening": listening.app,
        "recall": recall.app,
        "recommend": recommend.recommend,
        "cold-start": cold_start.app,
        "federated": federated.app,
    },
    "Train and scale": {
        "heads": heads.app,
        "backbones": backbones.app,
        "manifest": manifest.manifest,
        "shards": shards.app,
        "index": index.app,
        "runs": runs.app,
        "config": config.app,
    },
}
# What commands were once called: the beginning of a command line, and what it is now.
MOVED = {
    ("metric", "train"): "recall train user-audio",
    ("metric", "embed"): "recall songs",
    ("metric", "evaluate"): "recall unheard",
    ("metric", "holdout"): "listening holdout",
    ("metric",): "recall train user-audio",
    ("interactions",): "listening check",
    ("analyze",): "listening correlate",
    ("simulate",): "listening simulate",
    ("similar", "--all"): "neighbours",
    ("extract", "--shard"): "shards one",
    ("extract", "--shards"): "shards all",
    ("store", "export", "--ddl"): "store sql",
    ("store", "export", "--atlas"): "store map",
    ("users", "train"): "recall train youtube-dnn --likes --interactions LOG --out model",
    ("users", "embed"): "recall users model --likes --interactions LOG --out users.parquet",
    ("users", "songs"): "recall songs model --out songs.parquet",
    ("users", "import"): "recall users --import TABLE --out users.parquet",
    ("users",): "recall",
    ("cold-start", "audience", "--features"): "cold-start audience --tastes",
    ("cold-start", "songs", "--features"): "cold-start songs --tastes",
}


class Root(Contents):
    """The table of contents; knows what commands were once called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the commands panel by panel."""
        return [name for members in PANELS.values() for name in members]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; an old name is answered with the new one."""
        given = [arg.partition("=")[0] for arg in args]
        for old, new in MOVED.items():
            words = [word for word in old if not word.startswith("-")]
            if given[: len(words)] == words and set(old) <= set(given):
                say(f"error: audiorec {' '.join(old)} is now: audiorec {new}")
                ctx.exit(Exit.USAGE)
        return super().resolve_command(ctx, args)


app = group(
    """Turn a folder of songs into vectors that a music recommender can use.

    Examples
    --------
    audiorec extract ~/Music               # a vector for every song: vecs.parquet
    audiorec similar ~/Music/song.mp3      # the songs that sound most like it
    audiorec playlist jazz-vibraphone.mp3 --m3u8 hour.m3u8
    """,
    cls=Root,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 all good, 2 usage, 3 finished but some songs failed, 4 nothing usable, "
        "5 stopped by --max-failures, 6 done but stdout could not be written, 130 interrupted."
    ),
)
for panel, members in PANELS.items():
    for name, member in members.items():
        if isinstance(member, typer.Typer):
            app.add_typer(member, name=name, rich_help_panel=panel)
        else:
            command(app, name, panel=panel)(member)


def _version(value: bool) -> None:
    if value:
        from audiorec import __version__

        typer.echo(f"audiorec {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Turn a folder of songs into vectors that a music recommender can use."""
    if debug:
        os.environ["AUDIOREC_DEBUG"] = "1"


def _defaults(arguments: list[str]) -> dict[str, Any]:
    """Return what files and the environment say of options; `config` itself looks at them."""
    if set(arguments) & {"-h", "--help", "--version"} or arguments[:1] in ([], ["config"]):
        return {}
    from audiorec_cli.shared.configured import configured, is_silent

    return {} if is_silent() else configured(get_command(app)).defaults()


def main() -> None:
    """Run the command; an error that audiorec raises on purpose is one line, no traceback."""
    guard_streams()
    code: int = Exit.OK
    try:
        app(default_map=_defaults(sys.argv[1:]))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except AudiorecError as error:
        if os.environ.get("AUDIOREC_DEBUG"):
            raise
        say(f"error: {error}")
        code = exit_code(error)
    lost = lost_output()
    if lost is not None:
        say(f"error: stdout could not be written: {lost}; the command itself is done")
        code = code or Exit.OUTPUT_LOST
    sys.exit(code)


if __name__ == "__main__":
    main()
