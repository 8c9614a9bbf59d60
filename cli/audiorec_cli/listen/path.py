"""``audiorec path A B``: find a smooth path from one song to another."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from audiorec.options import argument
from audiorec.search.questions import PathQuestion
from audiorec_cli.shared.console import duration
from audiorec_cli.shared.inputs import VectorsOption, open_vectors
from audiorec_cli.shared.song_lists import ListForm, hint_once, print_songs

if TYPE_CHECKING:
    from audiorec.playlists.answers import PathOfSongs

COLUMNS = ("place", "position", "song_id", "artist", "title", "length")


def path(
    start: Annotated[str, argument(help="First song: an id or a unique part of one.")],
    end: Annotated[str, argument(help="Last song: an id or a unique part of one.")],
    vectors: VectorsOption = None,
    *,
    asked: PathQuestion,
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
    form.check()
    store = open_vectors(vectors, empty=False, by=asked.by)
    found = store.ask(replace(asked, seeds=(start, end)))
    form.show(found, lambda: _print(found))
    hint_once(store, asked.by, silent=form.json)


def _print(found: "PathOfSongs") -> None:
    rows = [
        (
            *(place, float(found.path.position[place])),
            *(row["song_id"], row["artist"], row["title"], duration(float(row["duration_s"]))),
        )
        for place, row in enumerate(found.songs)
    ]
    start, end = (seed.name for seed in found.asked.seeds)
    title = f"from {start} to {end}, by {found.by}"
    print_songs(COLUMNS, rows, found.beside, why=found.asked.question.why, title=title)
