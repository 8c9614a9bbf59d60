"""Write files of candidates and fuse them, for any number of users in constant memory.

    channel, queries, log, store ──ask_candidates──▶ a.parquet, `CandidatesAnswer`
    a.parquet, b.parquet, ... ──fuse_files──▶ fused.parquet, written atomically

Users are read, and their lists written, a block at a time.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.errors import InputError
from audiorec.files.tables import table_writer
from audiorec.listening.events import Interactions
from audiorec.recall.contract.candidates import SCHEMA, DefaultList, default_users
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries
from audiorec.recall.serving.answers import CandidatesAnswer, CandidatesQuestion
from audiorec.recall.serving.exclusions import best_copies, traits_of, with_copies, write_asked
from audiorec.recall.serving.fuse import NO_FACTS, NOTHING, fuse
from audiorec.recall.serving.rules import Exclusions, FusionRecipe, SongTraits
from audiorec.recall.serving.tables import (
    CandidateRows,
    channels_of,
    key_of,
    user_blocks,
)
from audiorec.store.store import VectorStore


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedReport:
    """Counts of a fused file.

    Attributes
    ----------
    users, rows, cold : int
    channels : dict of str to int
        Rows that a channel proposed to their user: a row counts for each of its channels.
    """

    users: int
    rows: int
    channels: dict[str, int]
    cold: int


def ask_candidates(
    question: CandidatesQuestion,
    out: Path,
    channel: Channel,
    queries: Queries,
    *,
    log: Interactions | None = None,
    store: VectorStore | None = None,
    allowed: Collection[str] | None = None,
    **run: Any,
) -> CandidatesAnswer | None:
    """Write what one channel proposes to each user; return None if the call was stopped.

    Parameters
    ----------
    question : CandidatesQuestion
    out : path
    channel : Channel
    queries : Queries
    log : Interactions, optional
        Users without a history to whom the channel proposes nothing get what is popular in it.
    store : VectorStore, optional
        Knows copies: that of a heard song is heard too, and one of a recording is proposed.
    allowed : collection of str, optional
        The only songs that may be proposed.
    run
        Options of `write_candidates`.

    Raises
    ------
    InputError
        If the channel proposes no song to anybody; the message says why.
    """
    facts = NO_FACTS if store is None else traits_of(queries.histories, None, store)
    if store is not None:
        known = channel.song_ids if allowed is None else tuple(sorted(allowed))
        allowed = best_copies(facts, known)
    default = None
    if log is not None and not queries.histories.lengths.all():
        default = DefaultList.of(log, people=queries.profiles)
    heard = with_copies(queries.histories, facts)
    run |= {"allowed": allowed, "default": default, "needs_rows": True}
    rows = write_asked(out, channel, question, queries, heard, **run)
    if rows is None:
        return None
    has_cold = "cold_song" in channel.serves and not question.cold
    return CandidatesAnswer(
        channel=channel.name,
        model_id=channel.model_id,
        users=len(queries),
        default_users=default_users(out),
        rows=rows,
        out=out,
        left_out=int(channel.is_cold.sum()) if has_cold else 0,
    )


def fuse_files(
    paths: Sequence[Path],
    out: Path,
    recipe: FusionRecipe,
    *,
    facts: SongTraits = NO_FACTS,
    excluded: Exclusions = NOTHING,
) -> None:
    """Fuse files of candidates and write one list per user, a block of users at a time.

    Parameters
    ----------
    paths : sequence of path
        See `user_blocks`; the weights of the recipe are in this order.
    out : path
        The file to write, with the columns of candidates, sorted by user and rank.
    recipe : FusionRecipe
    facts : SongTraits
    excluded : Exclusions

    Raises
    ------
    InputError
        If `paths` is empty, the weights do not match it, or a file cannot be read.
    """
    if not paths:
        raise InputError("no table of candidates to fuse; write one: audiorec recall candidates")
    recipe.weights_of(len(paths))
    with table_writer(out, SCHEMA) as writer:
        for block in user_blocks(paths):
            writer.write_table(fuse(block, recipe, facts, excluded))


def count_fused(paths: Sequence[Path], out: Path) -> FusedReport:
    """Count what is in a fused file, and which tables proposed it."""
    users = rows = cold = 0
    channels = [0] * len(paths)
    for block in user_blocks([*paths, out]):
        fused = block[-1]
        users += len(fused.column(ListColumns.USER).unique())
        rows += len(fused)
        cold += int(pc.sum(fused.column("cold")).as_py() or 0)
        every = CandidateRows.of(block)
        key = key_of(every.user, every.song)
        served = np.isin(key, key[every.source == len(paths)])
        for number in range(len(paths)):
            channels[number] += int((served & (every.source == number)).sum())
    named = dict(zip(channels_of(paths), channels, strict=True))
    return FusedReport(users=users, rows=rows, channels=named, cold=cold)
