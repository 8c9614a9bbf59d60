"""``audiorec recommend USER``: songs for one user, each with a reason."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiorec_cli.shared.console import print_json_lines, print_table, say
from audiorec_cli.shared.inputs import Wanted, check
from audiorec_cli.shared.m3u8 import ListForm
from audiorec_cli.shared.options import LogOption
from audiorec_cli.shared.stores import open_vectors, usual_vectors

if TYPE_CHECKING:
    from audiorec.recall.serving.recommend import Proposal


def recommend(
    user: Annotated[str, typer.Argument(metavar="USER", help="Whom: a user of the log.")],
    interactions: LogOption,
    vectors: Annotated[
        Path | None,
        typer.Option("--vectors", "-v", metavar="STORE", help="How songs sound, and their titles."),
    ] = None,
    side: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of songs: title, artist, album, genre.")
    ] = None,
    models: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Trained models: a folder of them.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many songs.")] = 30,
    entry: Annotated[
        Literal["daily", "radio", "discover", "new"], typer.Option(help="What the list is for.")
    ] = "daily",
    why: Annotated[
        str | None, typer.Option(metavar="SONG", help="Say what each channel says of one song.")
    ] = None,
    *,
    form: ListForm,
) -> None:
    """Recommend songs to one user of a log, and say why.

    It works from the log alone; with a store it knows how songs sound, and with trained models it
    asks them as well.

    Examples
    --------
    audiorec recommend u1 --interactions plays.parquet --vectors vecs.parquet
    audiorec recommend u1 -i plays.parquet --entry radio --m3u8 radio.m3u8
    audiorec recommend u1 -i plays.parquet --why jazz-vibraphone.mp3
    """
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.side import read_side
    from audiorec.recall.serving.recommend import ENTRIES, Recommender

    form.check()
    check(interactions, Wanted.LOG)
    found = vectors or usual_vectors("titles and sound are those of")
    check(found, Wanted.VECTORS)
    recommender = Recommender(
        log=read_interactions(interactions),
        store=open_vectors(found) if found else None,
        known=read_side(side) if side else None,
        models=models,
    )
    if why is not None:
        _explain(recommender.why(user, why), user, why, json=form.json)
        return
    songs = recommender.recommend(user, k, entry=entry)
    if form.json:
        print_json_lines(asdict(song) for song in songs)
    elif form.is_table:
        rows = [(s.rank, s.title or s.song_id, s.artist, s.reason) for s in songs]
        title = f"{user}: {entry}, {ENTRIES[entry].about}"
        print_table(("rank", "song", "artist", "reason"), rows, title=title)
    form.write(asdict(song) for song in songs)
    asked = ", ".join(channel.name for channel in recommender.channels)
    say(f"{len(songs)} songs for {user}, by {asked}")
    for note in recommender.notes:
        say(f"note: {note}")
    if models is None:
        say("no trained model was asked: audiorec recall train writes one, --models reads them")


def _explain(found: "list[Proposal]", user: str, song: str, *, json: bool) -> None:
    """Say what each channel says of a song."""
    if json:
        print_json_lines(asdict(proposal) for proposal in found)
    elif found:
        rows = [(one.channel, one.rank, one.reason) for one in found]
        print_table(("channel", "rank", "reason"), rows, title=f"{song} for {user}")
    if not found:
        say(f"no channel proposes {song} to {user}")
