"""``audiorec path A B``: a smooth way from one song to another."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiorec_cli.shared.choosing import Choice
from audiorec_cli.shared.console import duration, print_json, print_table, say
from audiorec_cli.shared.m3u8 import ListForm
from audiorec_cli.shared.seeds import song_row
from audiorec_cli.shared.stores import Compared, VectorsOption, open_vectors

if TYPE_CHECKING:
    from audiorec.playlists.path import Path as SongPath
    from audiorec.search.space import Space

COLUMNS = ("place", "step", "position", "song_id", "artist", "title", "length")


def path(
    start: Annotated[str, typer.Argument(help="A song id or a unique part of one.")],
    end: Annotated[str, typer.Argument(help="Another one.")],
    vectors: VectorsOption = None,
    steps: Annotated[int, typer.Option("--steps", "-n", min=1, help="Songs between the two.")] = 8,
    *,
    compared: Compared,
    choice: Choice,
    form: ListForm,
) -> None:
    """Find a smooth way from one song to another through songs of the store.

    The position, which is the similarity to the last song minus that to the first, rises with
    every step; of all such ways the one whose largest step is smallest is taken.

    Examples
    --------
    audiorec path jazz-vibraphone.mp3 death-metal-band.ogg
    audiorec path jazz-vibraphone.mp3 blues-band.mp3 --steps 4 --m3u8 way.m3u8
    audiorec path jazz-vibraphone.mp3 blues-band.mp3 --max-per-artist 1 --json
    """
    from audiorec.playlists.path import find_path

    form.check()
    store = open_vectors(vectors, empty=False)
    space = compared.space(store, use_index=False)
    ends = song_row(store, start), song_row(store, end)
    space.units(ends)  # refuses a song that the space does not have
    allowed, limits = choice.of(store)
    units, there = space.units_by_row()
    found = find_path(units, *ends, steps, allowed=allowed & there, limits=limits)
    rows = store.rows(found.rows.tolist())
    if form.json:
        print_json(_document(space, found, rows, steps))
    elif form.is_table:
        lines = [_line(place, found, row) for place, row in enumerate(rows)]
        print_table(COLUMNS, lines, title=f"from {rows[0]['song_id']} to {rows[-1]['song_id']}")
    form.write(rows)
    if len(rows) - 2 < steps:
        say(f"{len(rows) - 2} songs between, not {steps}: no more lie on a way between the two")


def _line(place: int, found: "SongPath", row: dict[str, Any]) -> tuple[object, ...]:
    return (
        place,
        float(found.steps[place - 1]) if place else None,
        float(found.position[place]),
        row["song_id"],
        row["artist"],
        row["title"],
        duration(float(row["duration_s"])),
    )


def _document(
    space: "Space", found: "SongPath", rows: list[dict[str, Any]], asked: int
) -> dict[str, Any]:
    fields = ("song_id", "uri", "artist", "title", "album", "duration_s")
    songs = [
        {
            "place": place,
            **{f: row[f] for f in fields},
            "step": round(float(found.steps[place - 1]), 6) if place else None,
            "to_start": round(float(found.to_start[place]), 6),
            "to_end": round(float(found.to_end[place]), 6),
            "position": round(float(found.position[place]), 6),
        }
        for place, row in enumerate(rows)
    ]
    return {
        "schema": "audiorec/path/1",
        "vectors": str(space.store.path),
        "by": space.by,
        "extractor_id": space.store.metadata.extractor_id,
        "steps_asked": asked,
        "steps": len(rows) - 2,
        "songs": songs,
    }
