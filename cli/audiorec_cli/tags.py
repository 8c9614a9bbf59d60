"""``audiorec tags SONG``: the taggram's top tags, a line a segment."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from audiorec_cli.shared.console import duration, print_json, print_table, say
from audiorec_cli.shared.options import JsonOption


def tags(
    song: Annotated[Path, typer.Argument(help="An audio file.")],
    model: Annotated[
        Literal["msd", "mtt"],
        typer.Option(help="Backbone: msd (genres, moods, decades) or mtt (instruments, voices)."),
    ] = "msd",
    top: Annotated[int, typer.Option(min=1, max=50, help="Tags a segment.")] = 3,
    json: JsonOption = False,
) -> None:
    """Print the top tags of a song, segment by segment, as musicnn's users know them.

    Examples
    --------
    audiorec tags fixtures/audio/blues-band.mp3
    audiorec tags fixtures/audio/blues-band.mp3 --model mtt --top 5
    audiorec tags fixtures/audio/blues-band.mp3 --json
    """
    import audiorec

    series = audiorec.taggram(song, model)
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
                "song": str(song),
                "model": f"musicnn_{model}",
                "song_tags": dict(overall),
                "segments": segments,
            }
        )
        return
    rows = [
        (duration(float(s)), ", ".join(f"{tag} {value:.2f}" for tag, value in row))
        for s, row in zip(series.start_s, best, strict=True)
    ]
    print_table(("start", "tags"), rows, title=f"{song.name}: musicnn_{model}")
    say("whole song: " + ", ".join(f"{tag} {value:.2f}" for tag, value in overall))


def _top(
    values: "list[float] | object", names: tuple[str, ...], count: int
) -> list[tuple[str, float]]:
    import numpy as np

    array = np.asarray(values, float)
    order = np.argsort(-array, kind="stable")[:count]
    return [(names[i], round(float(array[i]), 4)) for i in order]
