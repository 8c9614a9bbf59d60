"""``audiorec classify``: what a song is, in words."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec.visible import visible
from audiorec_cli.console import Exit, out_lines, print_json, print_table, say
from audiorec_cli.head_options import HeadOption, chosen_heads

if TYPE_CHECKING:
    from audiorec.reading import Reading

COLUMNS = ("song", "version", "genres", "voiced", "segments", "remark")
TOP = 3  # genres a song


def classify(
    paths: Annotated[list[Path], typer.Argument(help="Folders, audio files or globs.")],
    head: HeadOption = None,
    form: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="What to print.")
    ] = "table",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Say of each song its version, its likeliest genres and how much of it has a voice.

    Silence, speech and songs under three segments are named as such and get no genre.
    """
    from audiorec.catalogue import find_songs
    from audiorec.errors import SongError
    from audiorec.pipeline import Extractor, ExtractorConfig
    from audiorec.reading import read_scores

    sources = find_songs([str(path) for path in paths])
    if not sources:
        say("error: no songs found: no file there looks like audio")
        raise typer.Exit(Exit.NOTHING_USABLE)
    extractor = Extractor(ExtractorConfig(heads=chosen_heads(head)))
    readings: list[tuple[str, Reading]] = []
    for source in sources:
        try:
            song = extractor.song(source.path)
        except SongError as error:
            say(f"error: {error}")
            continue
        readings.append((source.song_id, read_scores(song.series, song.info.status)))
    _print(readings, "json" if json else form)
    if len(readings) < len(sources):
        raise typer.Exit(Exit.SOME_FAILED if readings else Exit.NOTHING_USABLE)


def _print(readings: "list[tuple[str, Reading]]", form: str) -> None:
    if form == "json":
        songs = [_document(song_id, reading) for song_id, reading in readings]
        print_json({"schema": "audiorec/classify/1", "songs": songs})
    elif form == "csv":
        _print_csv(readings)
    else:
        rows = [_line(song_id, reading) for song_id, reading in readings]
        print_table(COLUMNS, rows, title="what the songs are")


def _document(song_id: str, reading: "Reading") -> dict[str, Any]:
    scores = {h: {k: round(v, 4) for k, v in s.items()} for h, s in reading.scores.items()}
    return {
        "song": song_id,
        **dict(reading.best),
        "scores": scores,
        "voiced": None if reading.voiced is None else round(reading.voiced, 4),
        "segments": reading.segments,
        "remark": reading.remark,
    }


def _line(song_id: str, reading: "Reading") -> tuple[object, ...]:
    """Version and genres with their mean scores; every head that is not version is a genre."""
    version = _best(reading, "version", 1)
    others = [_best(reading, h, TOP) for h in reading.scores if h != "version"]
    voiced = "" if reading.voiced is None else f"{100 * reading.voiced:.0f} %"
    return (
        song_id,
        version,
        "; ".join(filter(None, others)),
        voiced,
        reading.segments,
        reading.remark,
    )


def _best(reading: "Reading", head: str, count: int) -> str:
    if reading.best.get(head) is None:
        return ""
    return ", ".join(f"{k} {v:.2f}" for k, v in list(reading.scores[head].items())[:count])


def _print_csv(readings: "list[tuple[str, Reading]]") -> None:
    """One row a song, one column a class score."""
    import csv
    import io

    names = (
        [f"{h}/{k}" for h, s in readings[0][1].scores.items() for k in sorted(s)]
        if readings
        else []
    )
    heads = list(readings[0][1].best) if readings else []
    rows: list[list[object]] = [["song", *heads, "voiced", "segments", "remark", *names]]
    for song_id, reading in readings:
        values = [f"{reading.scores[n.partition('/')[0]][n.partition('/')[2]]:.4f}" for n in names]
        best = [reading.best[h] or "" for h in heads]
        rows.append([song_id, *best, reading.voiced, reading.segments, reading.remark, *values])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([visible(c) if isinstance(c, str) else c for c in row] for row in rows)
    out_lines(text.getvalue().rstrip("\n"))
