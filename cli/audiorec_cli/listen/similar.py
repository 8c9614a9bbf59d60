"""``audiorec similar SONG...``: list the songs that sound most like some songs."""

from dataclasses import replace
from typing import TYPE_CHECKING

from audiorec.search.questions import SimilarQuestion
from audiorec_cli.shared.console import duration
from audiorec_cli.shared.heads import StoreHeadOption, chosen_heads
from audiorec_cli.shared.inputs import VectorsOption, open_vectors
from audiorec_cli.shared.song_lists import (
    FromOption,
    ListForm,
    SeedsArgument,
    hint_once,
    print_songs,
    seed_names,
)

if TYPE_CHECKING:
    from audiorec.playlists.answers import SimilarSongs

COLUMNS = ("rank", "song_id", "artist", "title", "length")


def similar(
    songs: SeedsArgument = None,
    listed: FromOption = None,
    vectors: VectorsOption = None,
    head: StoreHeadOption = None,
    *,
    asked: SimilarQuestion,
    form: ListForm,
) -> None:
    """List the songs nearest to one or several songs of the store, or to any audio files.

    How close a song is to the nearest seed is told by the pairs of songs of this store that are
    less similar. Several seeds vote, and each of their tastes gets its share. They are not listed,
    but come first in a playlist, and count towards the limits per artist and album. For all songs
    of the store at once, see audiorec neighbours.

    Examples
    --------
    audiorec similar jazz-vibraphone.mp3
    audiorec similar fixtures/audio/birds.ogg --max-per-artist 2 --m3u8 like.m3u8
    audiorec similar jazz-vibraphone.mp3 --words "but calmer, without drums" --why
    """
    form.check()
    store = open_vectors(vectors, empty=False, by=asked.by)
    seeds = seed_names(songs, listed)
    found = store.ask(replace(asked, seeds=seeds, heads=chosen_heads(head)))
    form.show(found, lambda: _print(found))
    hint_once(store, asked.by, silent=form.json)


def _print(found: "SimilarSongs") -> None:
    rows = [
        (
            *(rank, one.song_id, one.row["artist"], one.row["title"]),
            duration(float(one.row["duration_s"])),
        )
        for rank, one in enumerate(found, start=1)
    ]
    seeds, away = (
        " + ".join(seed.name for seed in named)
        for named in (found.asked.seeds, found.asked.less_like)
    )
    but = f", {found.question.words}" if found.question.words else ""
    title = f"similar to {seeds}{f', less like {away}' if away else ''}{but}, by {found.by}"
    print_songs(COLUMNS, rows, found.beside, why=found.question.why, title=title)
