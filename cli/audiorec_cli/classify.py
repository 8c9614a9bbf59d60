"""``audiorec classify``: what a song is, in words."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec.files.visible import visible
from audiorec_cli.extract import no_songs
from audiorec_cli.shared.console import Exit, flush, out_lines, print_json, print_table, say
from audiorec_cli.shared.heads import HeadOption, chosen_heads
from audiorec_cli.shared.options import JsonOption

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source
    from audiorec.extraction.pipeline import Song
    from audiorec.extraction.reader import Reader
    from audiorec.tagger.reading import Reading

COLUMNS = ("song", "version", "genres", "voiced", "segments", "remark")
TOP = 3  # genres a song


def classify(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Folders, audio files or globs.")
    ],
    head: HeadOption = None,
    form: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="What to print.")
    ] = "table",
    json: JsonOption = False,
) -> None:
    """Say of each song its version, its likeliest genres and how much of it has a voice.

    Silence, speech and songs under three segments are named as such and get no genre.

    Examples
    --------
    audiorec classify fixtures/audio/jazz-vibraphone.mp3
    audiorec classify fixtures/audio --format csv
    audiorec classify ~/Music --json
    """
    from audiorec.extraction.catalogue import find_songs
    from audiorec.extraction.pipeline import ExtractorConfig
    from audiorec.extraction.reader import song_reader

    sources = find_songs([str(path) for path in paths])
    if not sources:
        raise no_songs()
    failed: list[str] = []
    with song_reader(ExtractorConfig(heads=chosen_heads(head))) as reader:
        _print(_read(sources, reader, failed), "json" if json else form)
    if failed:
        some = len(failed) < len(sources)
        raise typer.Exit(Exit.SOME_FAILED if some else Exit.NOTHING_USABLE)


def _read(
    sources: "Sequence[Source]", reader: "Reader[Song]", failed: list[str]
) -> "Iterator[tuple[str, Reading]]":
    """Yield what each song is, in order; say why one cannot be used, and add it to `failed`."""
    from audiorec.errors import SongError
    from audiorec.tagger.reading import read_scores

    songs = reader.read_each(source.path for source in sources)
    for source, song in zip(sources, songs, strict=True):
        if isinstance(song, SongError):
            say(f"error: {song}")
            failed.append(source.song_id)
            continue
        yield source.song_id, read_scores(song.series, song.info.status)
        flush()  # a song takes seconds: the next program in a pipe need not wait for the last


def _print(readings: "Iterator[tuple[str, Reading]]", form: str) -> None:
    """Print songs as they come; JSON is one document at the end."""
    first = list(islice(readings, 1))  # before any header: the heads may yet be refused
    songs = chain(first, readings)
    if form == "json":
        documents = [_document(song_id, reading) for song_id, reading in songs]
        print_json({"schema": "audiorec/classify/1", "songs": documents})
    elif form == "csv":
        _print_csv(songs, first[0][1] if first else None)
    else:
        rows = (_line(song_id, reading) for song_id, reading in songs)
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


def _print_csv(readings: "Iterable[tuple[str, Reading]]", first: "Reading | None") -> None:
    """One row a song, one column a class score; the first song says which there are."""
    heads = list(first.best) if first else []
    names = [f"{h}/{k}" for h, s in first.scores.items() for k in sorted(s)] if first else []
    out_lines(_csv_line(["song", *heads, "voiced", "segments", "remark", *names]))
    for song_id, reading in readings:
        values = [f"{reading.scores[n.partition('/')[0]][n.partition('/')[2]]:.4f}" for n in names]
        best = [reading.best[h] or "" for h in heads]
        row = [song_id, *best, reading.voiced, reading.segments, reading.remark, *values]
        out_lines(_csv_line(row))


def _csv_line(values: Sequence[object]) -> str:
    import csv
    import io

    line = io.StringIO()
    shown = [visible(value) if isinstance(value, str) else value for value in values]
    csv.writer(line, lineterminator="").writerow(shown)
    return line.getvalue()
