"""``audiorec similar --all``: the nearest songs of every song, as a resumable job."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import Exit, print_json, say
from audiorec_cli.shared.lines import progress_lines
from audiorec_cli.shared.spaces import By
from audiorec_cli.shared.stopping import graceful_stop

if TYPE_CHECKING:
    from audiorec.search.library import Library

DEFAULT_K = 20


def check(all_songs: bool, output: Path | None, refused: Mapping[str, object]) -> Path:
    """Return the file to write; options that are for one list of songs are refused.

    Raises
    ------
    InputError
    """
    if not all_songs:
        raise InputError("--out goes with --all; for a playlist use --m3u8 FILE")
    if output is None:
        raise InputError("--all needs --out FILE.parquet")
    for option, value in refused.items():
        if value:
            raise InputError(f"{option} does not go with --all, which is for every song")
    if output.is_dir() or not output.parent.is_dir():
        raise InputError(f"{output}: name a file in a folder that is there")
    return output


def write_neighbours(
    store: "Library",
    output: Path,
    k: int | None,
    by: By,
    table: Path | None,
    *,
    quiet: bool,
    json: bool,
) -> None:
    """Run the job; Ctrl-C keeps what is done."""
    from audiorec.search.all_pairs import all_pairs

    k = k or DEFAULT_K
    progress = partial(progress_lines(quiet=quiet), "blocks of 4,096 songs")
    with graceful_stop("this block is", quiet=quiet) as stop:
        finished = all_pairs(store, output, k=k, by=by, table=table, progress=progress, stop=stop)
    if not finished:
        say("stopped; finished blocks are kept, the same command goes on from there")
        raise typer.Exit(Exit.INTERRUPTED)
    songs = len(store.space(by, table=table, use_index=False))
    if json:
        summary = {"out": str(output), "songs": songs, "k": k, "by": by, "exact": True}
        print_json({"schema": "audiorec/neighbours/1", **summary})
    say(f"{songs} songs, up to {k} nearest each: {output}")
