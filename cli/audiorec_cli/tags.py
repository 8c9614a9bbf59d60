"""``audiorec tags SONG``: print the top tags of each segment."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from audiorec_cli.shared.console import duration, print_json, print_table, say
from audiorec_cli.shared.extraction import MemoryLimitOption, TimeoutOption, limits_of
from audiorec_cli.shared.known import find_one
from audiorec_cli.shared.options import JsonOption, QuietOption
from audiorec_cli.shared.progress import working
from audiorec_cli.shared.stores import VectorsOption

if TYPE_CHECKING:
    from audiorec.extraction.reader import Reader
    from audiorec.library.library import Library
    from audiorec.types import FloatArray, ScoreSeries
    from audiorec_cli.shared.known import GivenSong


MODEL = "musicnn_msd"


def tags(
    song: Annotated[
        str, typer.Argument(help="An audio file, an id of the store, or a unique part of one.")
    ],
    vectors: VectorsOption = None,
    top: Annotated[int, typer.Option(min=1, max=50, help="Tags per segment.")] = 3,
    quiet: QuietOption = False,
    json: JsonOption = False,
    timeout: TimeoutOption = 900,
    memory_limit: MemoryLimitOption = 4096,
) -> None:
    """Print the top tags of a song, segment by segment (musicnn's taggram).

    A song with features beside the store (extract --features) is not decoded.

    Examples
    --------
    audiorec tags fixtures/audio/blues-band.mp3
    audiorec tags blues-band.mp3 --top 5
    audiorec tags fixtures/audio/blues-band.mp3 --json
    """
    from audiorec.extraction.reader import taggram_reader

    store, found = find_one(song, vectors)
    with taggram_reader(limits=limits_of(timeout, memory_limit)) as reader:
        series = _taggram(store, found, reader, quiet=quiet)
    best = [_top(row, series.classes, top) for row in series.scores]
    overall = _top(series.scores.mean(axis=0), series.classes, top)
    if json:
        segments = [
            {"start_s": float(s), "tags": dict(row)}
            for s, row in zip(series.start_s, best, strict=True)
        ]
        print_json(
            {
                "schema": "audiorec/tags/1",
                "song": song,
                "model": MODEL,
                "song_tags": dict(overall),
                "segments": segments,
            }
        )
        return
    _print(series.start_s, best, f"{found.name}: {MODEL}")
    say(f"whole song: {_words(overall)}")


def _taggram(
    store: "Library | None",
    found: "GivenSong",
    reader: "Reader[ScoreSeries]",
    *,
    quiet: bool,
) -> "ScoreSeries":
    """Return the tags stored beside the store, else those of the decoded file."""
    from audiorec.library.readings import stored_tags

    path = found.source.path if found.source is not None else ""
    if store is not None and found.row is not None:
        series, why = stored_tags(store, found.name)
        if series is not None:
            return series
        path = path or store.row(found.name)["uri"]
        if why and not quiet:
            say(f"note: the song is decoded: {why}")
    with working(f"decoding {found.name}", quiet=quiet):
        return reader.read(path)


def _print(start_s: "FloatArray", best: Sequence[Sequence[tuple[str, float]]], title: str) -> None:
    """Print one line per segment: as text for a terminal, one value per column for a pipe."""
    if sys.stdout.isatty():
        rows = [(duration(float(s)), _words(row)) for s, row in zip(start_s, best, strict=True)]
        print_table(("start", "tags"), rows, title=title)
        return
    names = ["start_s", "tag", "score"]
    names += [f"{name}_{n}" for n in range(2, len(best[0]) + 1) for name in ("tag", "score")]
    values = [
        (float(s), *(value for pair in row for value in pair))
        for s, row in zip(start_s, best, strict=True)
    ]
    print_table(names, values, title=title)


def _words(tags: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{tag} {value:.2f}" for tag, value in tags)


def _top(values: "FloatArray", names: Sequence[str], count: int) -> list[tuple[str, float]]:
    import numpy as np

    order = np.argsort(-values, kind="stable")[:count]
    return [(names[i], float(values[i])) for i in order]
