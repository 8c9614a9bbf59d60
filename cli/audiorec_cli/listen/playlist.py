"""``audiorec playlist SEED...``: make a playlist near some songs, or a path from one to another."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from audiorec.errors import InputError
from audiorec.options import chooses
from audiorec.search.questions import STEPS, Order, PathQuestion, PlaylistQuestion
from audiorec_cli.shared.console import duration
from audiorec_cli.shared.inputs import VectorsOption, open_vectors, say_basis
from audiorec_cli.shared.options import StoreHeadOption, chosen_heads
from audiorec_cli.shared.song_lists import (
    FromOption,
    ListForm,
    SeedsArgument,
    print_songs,
    seed_names,
)

if TYPE_CHECKING:
    from audiorec.playlists.answers import PathOfSongs, PlaylistOfSongs

COLUMNS = ("start", "song_id", "artist", "title", "length")
PATH_COLUMNS = ("place", "position", "song_id", "artist", "title", "length")


def playlist(
    songs: SeedsArgument = None,
    to: Annotated[
        str | None, chooses(metavar="SONG", help="End at this song: a smooth path.")
    ] = None,
    steps: Annotated[int | None, STEPS] = None,
    listed: FromOption = None,
    order: Annotated[
        Order | None,
        chooses("--order", help="Only put the songs given in order: each fits the one before it."),
    ] = None,
    vectors: VectorsOption = None,
    head: StoreHeadOption = None,
    *,
    asked: PlaylistQuestion,
    form: ListForm,
) -> None:
    """Make a playlist near some songs: of a given length, with artists spread, along curves.

    It starts with the songs given, unless a --curve places them elsewhere. Its length is within
    half a minute of --minutes, or 1 % if that is more. With --words no song is needed.

    With --to it is a path from the one song given to another, of 8 songs between them unless
    --steps says otherwise. The position, which is the similarity to the last song minus that to the
    first, rises with every step. Among such paths, the one with the smallest largest step is
    chosen.

    With --order the songs given, or those of --from, are put in an order and nothing is added: by
    sound (flow), tempo, key or loudness (energy). Up to ten songs get the best order of all.

    Examples
    --------
    audiorec playlist jazz-vibraphone.mp3 blues-band.mp3 --m3u8 hour.m3u8
    audiorec playlist --words "calm piano" --minutes 45 --curve metal:rise
    audiorec playlist jazz-vibraphone.mp3 --to death-metal-band.ogg --steps 4
    """
    form.check()
    seeds = seed_names(songs, listed)
    if order is not None:
        _show_ordered(seeds, order, asked, to, vectors, form)
        return
    if to is None and steps is not None:
        raise InputError("--steps is for a path: name its last song by --to")
    question = replace(asked, seeds=seeds, heads=chosen_heads(head))
    way = None if to is None else _way(question, seeds, to, steps)
    store = open_vectors(vectors, empty=False, by=asked.by)
    if way is None:
        result = store.ask(question)
        form.show(result, lambda: _print(result))
    else:
        path = store.ask(way)
        form.show(path, lambda: _print_path(path))
    say_basis(store, asked.by)


def _show_ordered(
    seeds: Sequence[str],
    order: Order,
    asked: PlaylistQuestion,
    to: str | None,
    vectors: Path | None,
    form: ListForm,
) -> None:
    """Order songs; refuse what only a playlist or a path has."""
    from audiorec.playlists.order import ordered

    if to is not None or replace(asked, by="auto", why=False) != PlaylistQuestion():
        raise InputError("--order adds no songs: it goes with SONG, --from, --by and --why alone")
    store = open_vectors(vectors, empty=False, by=asked.by)
    found = ordered(store, seeds, order, by=asked.by)
    rows = [
        (n, row["song_id"], row["artist"], row["title"], duration(float(row["duration_s"])))
        for n, row in enumerate(found.songs, start=1)
    ]
    columns = ("place", *COLUMNS[1:])
    title = f"{len(rows)} songs in order of {order}"
    form.show(found, lambda: print_songs(columns, rows, found.beside, why=asked.why, title=title))


def _way(asked: PlaylistQuestion, seeds: Sequence[str], to: str, steps: int | None) -> PathQuestion:
    """Return the question for a path; refuse what only a playlist without an end has."""
    path = PathQuestion(
        seeds=(*seeds, to), by=asked.by, choice=asked.choice, heads=asked.heads, why=asked.why
    )
    if len(seeds) != 1:
        raise InputError(f"--to makes a path from one song to another: name one, got {len(seeds)}")
    plain = PlaylistQuestion()
    for name in ("minutes", "curve", "words"):
        if getattr(asked, name) != getattr(plain, name):
            raise InputError(f"--to makes a path, which has no --{name}; its length is --steps")
    return path if steps is None else replace(path, steps=steps)


def _print(found: "PlaylistOfSongs") -> None:
    at, rows = 0.0, []
    for index, row in enumerate(found.songs):
        scores = (float(scores[index]) for scores in found.curve_scores.values())
        length = float(row["duration_s"])
        song = row["song_id"], row["artist"], row["title"]
        rows.append((duration(at), *song, duration(length), *scores))
        at += length
    near = " + ".join(seed.name for seed in found.asked.seeds)
    asked = found.asked.sentence.get("words")
    about = ", ".join(filter(None, (near and f"near {near}", asked)))
    title = f"{duration(found.playlist.seconds)} {about}, by {found.by}"
    columns = (*COLUMNS, *found.curve_scores)
    why = found.asked.question.why
    print_songs(columns, rows, found.beside, why=why, title=title)


def _print_path(found: "PathOfSongs") -> None:
    rows = [
        (
            *(index, float(found.path.position[index])),
            *(row["song_id"], row["artist"], row["title"], duration(float(row["duration_s"]))),
        )
        for index, row in enumerate(found.songs)
    ]
    start, end = (seed.name for seed in found.asked.seeds)
    title = f"from {start} to {end}, by {found.by}"
    print_songs(PATH_COLUMNS, rows, found.beside, why=found.asked.question.why, title=title)
