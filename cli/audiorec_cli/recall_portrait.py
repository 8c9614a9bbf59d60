"""``audiorec recall portrait``: long-term and short-term portraits of users."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import print_json, print_table, say
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.options import JsonOption, LogOption, also_known, more
from audiorec_cli.shared.stores import open_vectors

if TYPE_CHECKING:
    from audiorec.listening.sequences import Sequences
    from audiorec.listening.side import SongSide
    from audiorec.recall.serving.one_user.portrait import PortraitRecipe


def portrait(
    interactions: LogOption,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Print one user's portrait.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the portraits of all users to this file."),
    ] = None,
    side: Annotated[
        Path | None,
        also_known(metavar="FILE", help="Song metadata: artist, genre, language, version."),
    ] = None,
    vectors: Annotated[
        Path | None,
        also_known("--vectors", "-v", metavar="STORE", help="Tags, and classes of the heads."),
    ] = None,
    long_days: Annotated[float, more(min=0.01, help="Half-life of the long-term portrait.")] = 90.0,
    short_days: Annotated[
        float, more(min=0.01, help="Half-life of the short-term portrait.")
    ] = 3.0,
    json: JsonOption = False,
) -> None:
    """Show each user's shares of artists, genres, languages and voices, long-term and short-term.

    Examples
    --------
    audiorec recall portrait -i plays.parquet --vectors vecs.parquet --user u1
    audiorec recall portrait -i plays.csv -v vecs.parquet --out portraits.parquet
    audiorec recall portrait -i plays.csv -v vecs.parquet --user u1 --json
    """
    from audiorec.recall.serving.one_user.portrait import PortraitRecipe, portraits, write_portraits

    if (user is None) == (output is None):
        raise InputError(
            "give either --user USER to print one portrait, or --out FILE to write all"
        )
    recipe = PortraitRecipe(long_days=long_days, short_days=short_days)
    if user is not None:
        print_portrait(interactions, user, side, vectors, recipe, json=json)
    elif output is not None:
        plays, known = _read(interactions, side, vectors)
        table = portraits(plays, known, recipe)
        write_portraits(output, table)
        say(f"{len(table):,} rows of {len(plays):,} users: {output}")


def print_portrait(
    interactions: Path,
    user: str,
    side: Path | None,
    vectors: Path | None,
    recipe: "PortraitRecipe | None" = None,
    *,
    json: bool,
) -> None:
    """Print the portrait of one user."""
    import numpy as np

    from audiorec.recall.serving.one_user.portrait import USUAL, portraits

    recipe = recipe or USUAL
    plays, known = _read(interactions, side, vectors)
    if user not in plays.owner_ids:
        raise InputError(f"{interactions}: no user {user!r} in this log")
    plays = plays.take(np.array([plays.owner_ids.index(user)]))
    rows = portraits(plays, known, recipe).to_pylist()
    if json:
        kept = [{n: v for n, v in row.items() if n != "user_id"} for row in rows]
        lives = {"long": recipe.long_days, "short": recipe.short_days}
        document = {"schema": "audiorec/portrait/1", "user_id": user, "half_life_days": lives}
        print_json({**document, "shares": kept})
        return
    lines = [(r["horizon"], r["kind"], r["value"], r["share"], r["plays"]) for r in rows]
    half = f"{recipe.long_days:g} days (long), {recipe.short_days:g} days (short)"
    print_table(
        ("horizon", "kind", "value", "share", "plays"),
        lines,
        title=f"{user}: a play loses half its weight after {half}",
    )


def _read(
    interactions: Path, side: Path | None, vectors: Path | None
) -> "tuple[Sequences, SongSide]":
    """Read the plays and the song metadata."""
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.sequences import to_sequences
    from audiorec.listening.side import fill_missing, read_side, side_of_store

    check(interactions, InputKind.LOG)
    check(vectors, InputKind.VECTORS)
    heard = side_of_store(open_vectors(vectors)) if vectors else None
    known = read_side(side) if side else heard
    if known is None:
        raise InputError("no song metadata: give --side or --vectors")
    if side is not None and heard is not None:
        known = fill_missing(known, heard)
    return to_sequences(read_interactions(interactions)), known
