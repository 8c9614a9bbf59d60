"""Fuse tables of candidates, of any number of users, in flat memory.

a.parquet, b.parquet, ... ──fuse_files──▶ fused.parquet, whole or not at all
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from audiorec.errors import InputError
from audiorec.files.tables import table_writer
from audiorec.recall.contract.candidates import SCHEMA
from audiorec.recall.serving.fuse import NO_FACTS, NOTHING, fuse
from audiorec.recall.serving.rules import Closed, FusionRecipe, SongTraits
from audiorec.recall.serving.tables import user_blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedReport:
    """What a fusion wrote: users, rows, and rows by the channel that they are of."""

    users: int
    rows: int
    channels: dict[str, int]
    cold: int


def fuse_files(
    paths: Sequence[Path],
    out: Path,
    recipe: FusionRecipe,
    *,
    facts: SongTraits = NO_FACTS,
    closed: Closed = NOTHING,
) -> FusedReport:
    """Fuse files and write one list a user.

    Parameters
    ----------
    paths : sequence of path
        See `user_blocks`; weights of the recipe are in their order.
    out : path
        Has the columns of candidates, sorted by user and rank.
    recipe : FusionRecipe
    facts : SongTraits
    closed : Closed

    Raises
    ------
    InputError
        If there is no file, not one weight a file, or a file cannot be read.
    """
    if not paths:
        raise InputError("no table of candidates to fuse; audiorec recall candidates writes one")
    recipe.weights_of(len(paths))
    users = rows = cold = 0
    channels: dict[str, int] = {}
    with table_writer(out, SCHEMA) as writer:
        for block in user_blocks(paths):
            found = fuse(block, recipe, facts, closed)
            writer.write_table(found)
            users += len(np.unique(found.column("user_id").to_numpy()))
            rows += len(found)
            cold += int(pc.sum(found.column("cold")).as_py() or 0)
            for entry in pc.value_counts(found.column("channel").combine_chunks()).to_pylist():
                channels[entry["values"]] = channels.get(entry["values"], 0) + entry["counts"]
    return FusedReport(users=users, rows=rows, channels=dict(sorted(channels.items())), cold=cold)
