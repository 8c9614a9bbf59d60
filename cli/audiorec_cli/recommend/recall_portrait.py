"""The portraits of users: ``audiorec recall users --portrait``."""

from pathlib import Path
from typing import TYPE_CHECKING

from audiorec.errors import InputError
from audiorec_cli.shared.console import print_json, print_table, say
from audiorec_cli.shared.inputs import InputKind, check, open_vectors
from audiorec_cli.shared.listening import ListeningOptions

if TYPE_CHECKING:
    from audiorec.listening.sequences import Sequences
    from audiorec.listening.side import SongSide
    from audiorec.recall.serving.one_user.portrait import PortraitRecipe

ALL = "all"


def show_portraits(
    listening: ListeningOptions,
    log: Path,
    user: str,
    output: Path | None,
    metadata: tuple[Path | None, Path | None],
    recipe: "PortraitRecipe",
    *,
    json: bool,
) -> None:
    """Print the portrait of one user, or write those of all; `metadata` are a table and a store."""
    from audiorec.recall.serving.one_user.portrait import portraits, write_portraits

    if (user == ALL) != (output is not None):
        raise InputError("--portrait USER prints one; --portrait all --out FILE writes all")
    check(log, InputKind.LOG)
    known = _side(*metadata)
    plays = listening.of(log)
    if output is None:
        _print_portrait(_of_user(plays, user, log), known, recipe, json=json)
        return
    table = portraits(plays, known, recipe)
    write_portraits(output, table)
    say(f"{len(table):,} rows of {len(plays):,} users: {output}")


def _of_user(plays: "Sequences", user: str, log: Path) -> "Sequences":
    import numpy as np

    if user not in plays.owner_ids:
        raise InputError(f"{log}: no user {user!r} in this log")
    return plays.take(np.array([plays.owner_ids.index(user)]))


def _print_portrait(
    plays: "Sequences", known: "SongSide", recipe: "PortraitRecipe", *, json: bool
) -> None:
    from audiorec.recall.serving.one_user.portrait import portraits

    user = plays.owner_ids[0]
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


def _side(side: Path | None, vectors: Path | None) -> "SongSide":
    """Read the song metadata."""
    from audiorec.listening.side import known_side

    check(vectors, InputKind.VECTORS)
    known = known_side(side, open_vectors(vectors) if vectors else None)
    if known is None:
        raise InputError("no song metadata: give --side or --vectors")
    return known
