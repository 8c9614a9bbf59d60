"""Fuse files of candidates, for any number of users in constant memory.

a.parquet, b.parquet, ... ──fuse_files──▶ fused.parquet, written atomically
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow.compute as pc

from audiorec.engines.blocks import block_runner
from audiorec.engines.tasks import Engine
from audiorec.errors import InputError
from audiorec.files.tables import TableFile, run_blocks, table_writer
from audiorec.recall.contract.candidates import SCHEMA
from audiorec.recall.serving.fuse import NO_FACTS, NOTHING, fuse
from audiorec.recall.serving.parts import SplitFusion
from audiorec.recall.serving.rules import Exclusions, FusionRecipe, SongTraits
from audiorec.recall.serving.tables import user_blocks
from audiorec.types import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedReport:
    """Counts of a fused file: users, rows, rows by channel, and cold songs."""

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
    excluded: Exclusions = NOTHING,
    engine: Engine | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> FusedReport | None:
    """Fuse files of candidates and write one list per user.

    Parameters
    ----------
    paths : sequence of path
        See `user_blocks`; the weights of the recipe are in this order.
    out : path
        The file to write, with the columns of candidates, sorted by user and rank.
    recipe : FusionRecipe
    facts : SongTraits
    excluded : Exclusions
    engine : callable, optional
        Fuses blocks of users (`audiorec.engines.tasks.engine_of`), with the same bytes; finished
        blocks are kept in ``<out>.run/``. By default this process fuses all.
    progress : callable of (done, total), optional
        Called with the number of blocks that the engine has finished.
    stop : Event, optional
        Once set, an engine starts no further block.

    Returns
    -------
    report : FusedReport or None
        None if the call was stopped.

    Raises
    ------
    InputError
        If `paths` is empty, the weights do not match it, or a file cannot be read.
    LostBlocksError
        If some blocks failed on the engine; the others are kept.
    """
    if not paths:
        raise InputError("no table of candidates to fuse; write one: audiorec recall candidates")
    recipe.weights_of(len(paths))
    counts = _Counts()
    if engine is None:
        with table_writer(out, SCHEMA) as writer:
            for block in user_blocks(paths):
                found = fuse(block, recipe, facts, excluded)
                writer.write_table(found)
                counts.add(found)
        return counts.report()
    fusion = SplitFusion.of(paths, recipe, facts, excluded)
    done = run_blocks(
        out,
        len(fusion.parts),
        lambda i: fusion.making(fusion(i)),
        schema=SCHEMA,
        fingerprint=fusion.fingerprint,
        progress=progress,
        stop=stop,
        elsewhere=block_runner(engine, fusion.making, fusion, SCHEMA),
        named=fusion.named,
    )
    if not done:
        return None
    with TableFile.open(out) as file:
        for group in range(file.file.num_row_groups):
            counts.add(file.read_group(group, ["user_id", "channel", "cold"]))
    return counts.report()


@dataclass(slots=True)
class _Counts:
    """Counter of written rows, fed block by block."""

    users: int = 0
    rows: int = 0
    cold: int = 0
    channels: dict[str, int] = field(default_factory=dict)

    def add(self, found: Any) -> None:
        """Count the rows of a block of users."""
        self.users += len(found.column("user_id").unique())
        self.rows += len(found)
        self.cold += int(pc.sum(found.column("cold")).as_py() or 0)
        for entry in pc.value_counts(found.column("channel").combine_chunks()).to_pylist():
            name = entry["values"]
            self.channels[name] = self.channels.get(name, 0) + entry["counts"]

    def report(self) -> FusedReport:
        """Return the total counts."""
        channels = dict(sorted(self.channels.items()))
        return FusedReport(users=self.users, rows=self.rows, channels=channels, cold=self.cold)
