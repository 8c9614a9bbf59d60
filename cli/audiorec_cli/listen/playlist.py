"""``audiorec playlist SEED...``: make a playlist of given length near some songs."""

from dataclasses import replace
from typing import TYPE_CHECKING

from audiorec.search.questions import PlaylistQuestion
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
    from audiorec.playlists.answers import PlaylistOfSongs

COLUMNS = ("start", "song_id", "artist", "title", "length")


def playlist(
    songs: SeedsArgument = None,
    listed: FromOption = None,
    vectors: VectorsOption = None,
    head: StoreHeadOption = None,
    *,
    asked: PlaylistQuestion,
    form: ListForm,
) -> None:
    """Make a playlist near some songs: of a given length, with artists spread, along curves.

    It starts with the songs given, unless a --curve places them elsewhere. Its length is within
    half a minute of --minutes, or 1 % if that is more. With --words no song is needed.

    Examples
    --------
    audiorec playlist jazz-vibraphone.mp3 blues-band.mp3 --m3u8 hour.m3u8
    audiorec playlist jazz-vibraphone.mp3 --curve metal:rise --json
    audiorec playlist --words "calm piano, no drums" --minutes 45
    """
    form.check()
    store = open_vectors(vectors, empty=False, by=asked.by)
    seeds = seed_names(songs, listed)
    found = store.ask(replace(asked, seeds=seeds, heads=chosen_heads(head)))
    form.show(found, lambda: _print(found))
    hint_once(store, asked.by, silent=form.json)


def _print(found: "PlaylistOfSongs") -> None:
    at, rows = 0.0, []
    for place, row in enumerate(found.songs):
        scores = (float(scores[place]) for scores in found.curve_scores.values())
        length = float(row["duration_s"])
        song = row["song_id"], row["artist"], row["title"]
        rows.append((duration(at), *song, duration(length), *scores))
        at += length
    near = " + ".join(seed.name for seed in found.asked.seeds)
    asked = found.asked.sentence.get("words")
    told = ", ".join(filter(None, (near and f"near {near}", asked)))
    title = f"{duration(found.playlist.seconds)} {told}, by {found.by}"
    columns = (*COLUMNS, *found.curve_scores)
    why = found.asked.question.why
    print_songs(columns, rows, found.beside, why=why, title=title)
