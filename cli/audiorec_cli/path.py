"""``audiorec path A B``: find a smooth path from one song to another."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiorec_cli.shared.choosing import ChoiceOptions
from audiorec_cli.shared.console import duration, print_json, print_table, say
from audiorec_cli.shared.m3u8 import ListForm
from audiorec_cli.shared.seeds import song_row
from audiorec_cli.shared.stores import SpaceOptions, VectorsOption, open_vectors, say_basis

if TYPE_CHECKING:
    from audiorec.playlists.of_store import PathOfSongs
    from audiorec.playlists.path import Path as SongPath

COLUMNS = ("place", "step", "position", "song_id", "artist", "title", "length")


def path(
    start: Annotated[str, typer.Argument(help="First song: an id or a unique part of one.")],
    end: Annotated[str, typer.Argument(help="Last song: an id or a unique part of one.")],
    vectors: VectorsOption = None,
    steps: Annotated[int, typer.Option("--steps", "-n", min=1, help="Songs between the two.")] = 8,
    *,
    compared: SpaceOptions,
    choice: ChoiceOptions,
    form: ListForm,
) -> None:
    """Find a smooth path from one song to another through songs of the store.

    The position, which is the similarity to the last song minus that to the first, rises with
    every step. Among such paths, the one with the smallest largest step is chosen.

    Examples
    --------
    audiorec path jazz-vibraphone.mp3 death-metal-band.ogg
    audiorec path jazz-vibraphone.mp3 blues-band.mp3 --steps 4 --m3u8 way.m3u8
    audiorec path jazz-vibraphone.mp3 blues-band.mp3 --max-per-artist 1 --json
    """
    from audiorec.playlists.of_store import path_between

    form.check()
    store = open_vectors(vectors, empty=False)
    ends = [store.ids[song_row(store, name)] for name in (start, end)]
    basis = compared.default_space(store)
    found = path_between(
        store, *ends, steps=steps, by=basis.by, table=basis.table, choice=choice.choice
    )
    rows = found.songs
    if form.json:
        print_json(_document(found, steps))
    elif form.is_table:
        lines = [_line(place, found.path, row) for place, row in enumerate(rows)]
        print_table(COLUMNS, lines, title=f"from {ends[0]} to {ends[1]}, by {found.by}")
    form.write(rows)
    say_basis(basis)
    choice.say_left_out(store, store.chosen(choice.choice), found.rows.tolist())
    for note in found.notes:
        say(note)


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


def _document(found: "PathOfSongs", asked: int) -> dict[str, Any]:
    fields = ("song_id", "uri", "artist", "title", "album", "duration_s")
    path = found.path
    songs = [
        {
            "place": place,
            **{f: row[f] for f in fields},
            "step": round(float(path.steps[place - 1]), 6) if place else None,
            "to_start": round(float(path.to_start[place]), 6),
            "to_end": round(float(path.to_end[place]), 6),
            "position": round(float(path.position[place]), 6),
        }
        for place, row in enumerate(found.songs)
    ]
    return {
        "schema": "audiorec/path/1",
        "vectors": str(found.store.path),
        "by": found.by,
        "extractor_id": found.store.metadata.extractor_id,
        "steps_asked": asked,
        "steps": len(songs) - 2,
        "songs": songs,
    }
