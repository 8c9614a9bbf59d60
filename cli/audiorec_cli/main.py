"""The ``audiorec`` command: options in, one library call, data on stdout, an exit code."""

import os
import sys
from typing import Annotated

import typer

from audiorec.errors import AudiorecError, SongError, StoreError, WeightsError
from audiorec_cli import (
    analyze,
    classify,
    cold_start,
    doctor,
    duplicates,
    extract,
    heads,
    index,
    info,
    interactions,
    manifest,
    metric,
    path,
    playlist,
    similar,
    simulate,
    store,
    tags,
    users,
)
from audiorec_cli.shared.console import Exit, say
from audiorec_cli.shared.streams import guard_streams, lost_output

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: half of its time went into drawing boxes
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 all good, 2 usage, 3 finished but some songs failed, 4 nothing usable, "
        "5 stopped by --max-failures, 6 done but stdout could not be written, 130 interrupted."
    ),
)
app.command()(extract.extract)
app.command()(manifest.manifest)
app.command()(similar.similar)
app.command()(path.path)
app.command()(playlist.playlist)
app.command()(duplicates.duplicates)
app.command()(classify.classify)
app.command()(tags.tags)
app.command()(info.info)
app.add_typer(store.app, name="store")
app.add_typer(heads.app, name="heads")
app.add_typer(index.app, name="index")
app.add_typer(interactions.app, name="interactions")
app.add_typer(analyze.app, name="analyze")
app.command()(simulate.simulate)
app.add_typer(users.app, name="users")
app.add_typer(cold_start.app, name="cold-start")
app.add_typer(metric.app, name="metric")
app.command()(doctor.doctor)


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


def main() -> None:
    """Run the command; an error that audiorec raises on purpose is one line, no traceback."""
    guard_streams()
    code: int = Exit.OK
    try:
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except AudiorecError as error:
        if os.environ.get("AUDIOREC_DEBUG"):
            raise
        say(f"error: {error}")
        code = _exit_code(error)
    lost = lost_output()
    if lost is not None:
        say(f"error: stdout could not be written: {lost}; the command itself is done")
        code = code or Exit.OUTPUT_LOST
    sys.exit(code)


def _exit_code(error: AudiorecError) -> Exit:
    unusable = isinstance(error, (SongError, StoreError, WeightsError))
    return Exit.NOTHING_USABLE if unusable else Exit.USAGE


if __name__ == "__main__":
    main()
