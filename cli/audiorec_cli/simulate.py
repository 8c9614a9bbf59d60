"""``audiorec simulate``: a world of made-up listening over the songs of a store."""

from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli.shared.console import print_json, print_table, say
from audiorec_cli.shared.stores import VectorsOption, open_vectors

FEW_SONGS = 200  # below, a user meets too few new songs for a correlation


def simulate(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    vectors: VectorsOption = None,
    users: Annotated[int, typer.Option(min=1, help="How many users.")] = 1000,
    days: Annotated[int, typer.Option(min=10, help="How many days.")] = 90,
    signal: Annotated[
        float, typer.Option(min=0, max=1, help="How much of a taste can be heard: 0 to 1.")
    ] = 0.8,
    sensitive: Annotated[
        float, typer.Option(min=0, max=1, help="Share of users whose taste can be heard at all.")
    ] = 0.5,
    cold_songs: Annotated[
        float, typer.Option(min=0, max=1, help="Share of songs that come out late.")
    ] = 0.3,
    cold_users: Annotated[
        float, typer.Option(min=0, max=1, help="Share of users who join late.")
    ] = 0.1,
    sessions: Annotated[float, typer.Option(help="Mean sessions a user and day.")] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and songs, same world.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print world.json.")] = False,
) -> None:
    """Make users, profiles and listening over the songs of a store, to try commands on.

    The data is made up and says so in every file. truth.parquet holds what was planted.
    """
    from audiorec.simulation.world import NOTE, WorldSpec, simulate_world
    from audiorec_cli.shared.lines import progress_lines

    spec = WorldSpec(
        users=users,
        days=days,
        signal=signal,
        sensitive_share=sensitive,
        cold_songs=cold_songs,
        cold_users=cold_users,
        sessions_per_day=sessions,
        seed=seed,
    )
    store = open_vectors(vectors)
    lines = progress_lines(quiet=quiet)
    document = simulate_world(
        store, out, spec, progress=lambda done, total: lines("users", done, total)
    )
    if json:
        print_json(document)
    else:
        names = ("songs", "cold_songs", "users", "sensitive_users", "cold_users", "events")
        print_table(("what", "count"), [(n, document[n]) for n in names], title=str(out))
    if len(store) < FEW_SONGS:
        say(
            f"note: {len(store)} songs are few; an analysis of single users needs about {FEW_SONGS}"
        )
    say(f"{NOTE} World: {out}")
