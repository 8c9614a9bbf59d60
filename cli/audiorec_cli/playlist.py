"""``audiorec playlist SEED...``: make a playlist of given length near some songs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiorec_cli.shared.choosing import ChoiceOptions
from audiorec_cli.shared.console import duration, print_json, print_table, say
from audiorec_cli.shared.heads import StoreHeadOption, chosen_heads
from audiorec_cli.shared.m3u8 import ListForm
from audiorec_cli.shared.options import more
from audiorec_cli.shared.seeds import (
    FromOption,
    MeanOption,
    Seed,
    SeedsArgument,
    read_seeds,
    say_non_music_seeds,
)
from audiorec_cli.shared.stores import SpaceOptions, VectorsOption, open_vectors, say_basis

if TYPE_CHECKING:
    from audiorec.playlists.of_store import PlaylistOfSongs

COLUMNS = ("start", "similarity", "song_id", "artist", "title", "length")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadOptions(ChoiceOptions):
    """The usual options, but with at most two songs per artist by default."""

    per_artist: Annotated[
        int | None,
        typer.Option("--max-per-artist", min=0, help="Maximum songs per artist; 0: no limit."),
    ] = 2


def playlist(
    songs: SeedsArgument = None,
    listed: FromOption = None,
    vectors: VectorsOption = None,
    minutes: Annotated[
        float, typer.Option("--minutes", "-m", min=0.1, help="Playlist length.")
    ] = 60.0,
    curve: Annotated[
        list[str] | None,
        typer.Option(
            "--curve",
            metavar="CLASS:SHAPE",
            help="How a class's score changes: metal:rise (or fall, arc, dip), vocal:0.1..0.9..0.1;"
            " or the tempo: bpm:90..140.",
        ),
    ] = None,
    artist_gap: Annotated[
        int, more("--artist-gap", min=0, help="Songs between two songs of one artist.")
    ] = 3,
    mean: MeanOption = False,
    head: StoreHeadOption = None,
    *,
    compared: SpaceOptions,
    choice: SpreadOptions,
    form: ListForm,
) -> None:
    """Make a playlist near some songs: of a given length, with artists spread, along curves.

    It starts with the songs given, unless a --curve places them elsewhere. Its length is within
    half a minute of --minutes, or 1 % if that is more.

    Examples
    --------
    audiorec playlist jazz-vibraphone.mp3 --minutes 30
    audiorec playlist jazz-vibraphone.mp3 blues-band.mp3 --m3u8 hour.m3u8
    audiorec playlist jazz-vibraphone.mp3 --curve metal:rise --json
    """
    import numpy as np

    from audiorec.playlists.of_store import playlist_near

    form.check()
    store = open_vectors(vectors, empty=False)
    basis = compared.default_space(store)
    space = store.space(basis.by, table=basis.table, use_index=False)
    seeds = read_seeds(store, space, songs, listed, chosen_heads(head))
    others = [seed.unit for seed in seeds if seed.row is None]
    found = playlist_near(
        store,
        [seed.name for seed in seeds if seed.row is not None],
        minutes=minutes,
        curves=curve or (),
        artist_gap=artist_gap,
        by=basis.by,
        table=basis.table,
        choice=choice.choice,
        others=np.stack(others) if others else None,
        mean=mean,
    )
    if form.json:
        print_json(_document(found, seeds))
    elif form.is_table:
        length = duration(found.playlist.seconds)
        title = f"{length} near {' + '.join(seed.name for seed in seeds)}, by {found.by}"
        print_table((*COLUMNS, *found.curve_scores), _lines(found), title=title)
    form.write(found.songs)
    say_basis(basis)
    say_non_music_seeds(seeds, asked_for=choice.include_non_music)
    choice.say_left_out(store, store.chosen(choice.choice), found.rows.tolist())
    for note in found.notes:
        say(f"note: {note}")


def _lines(found: "PlaylistOfSongs") -> list[tuple[object, ...]]:
    at, lines = 0.0, []
    for place, row in enumerate(found.songs):
        scores = (float(scores[place]) for scores in found.curve_scores.values())
        length = float(row["duration_s"])
        similarity = float(found.similarities[place])
        song = row["song_id"], row["artist"], row["title"]
        lines.append((duration(at), similarity, *song, duration(length), *scores))
        at += length
    return lines


def _document(found: "PlaylistOfSongs", seeds: Sequence[Seed]) -> dict[str, Any]:
    fields = ("song_id", "uri", "artist", "title", "album", "duration_s")
    songs = []
    for place, row in enumerate(found.songs):
        scores = [round(float(scores[place]), 6) for scores in found.curve_scores.values()]
        similarity = round(float(found.similarities[place]), 6)
        song = {f: row[f] for f in fields} | {"similarity": similarity}
        songs.append({"place": place + 1, **song, "curve_scores": scores})
    distance = found.curve_distance
    return {
        "schema": "audiorec/playlist/1",
        "vectors": str(found.store.path),
        "by": found.by,
        "extractor_id": found.store.metadata.extractor_id,
        "seeds": [seed.name for seed in seeds],
        "seconds_asked": found.wish.seconds,
        "seconds": round(found.playlist.seconds, 3),
        "tolerance_s": found.wish.tolerance_s,
        "within_tolerance": found.playlist.within_tolerance,
        "left_out": [found.store.ids[row] for row in found.playlist.left_out],
        "curve_distance": None if distance is None else round(distance, 6),
        "notes": list(found.notes),
        "songs": songs,
    }
