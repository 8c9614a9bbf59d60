"""Candidates and targets as tables: ours, and anybody's.

channel, queries    ──write_candidates─▶ candidates.parquet
candidates.parquet  ──read_candidates──▶ `Lists`: ranked songs of each user
targets.parquet     ──read_targets─────▶ `Sequences` of wanted songs, and groups of queries
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from audiorec.errors import InputError
from audiorec.files.tables import table_writer
from audiorec.files.user_files import column_names, read_table
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import SCHEMA
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries
from audiorec.types import Int64Array

BLOCK_USERS = 10_000
FAILURE = "cannot be read as a table"


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Ranked songs of U users, by whatever made them."""

    ranked: Sequences  # the best first
    channel: str  # what made them, or the name of the file

    @classmethod
    def of_table(cls, table: Any, channel: str) -> "Lists":
        """Take the rows of a `pyarrow.Table` of candidates, which stand by user and rank."""
        users, songs = (
            table.column(name).combine_chunks().dictionary_encode()
            for name in ("user_id", "song_id")
        )
        ids = (tuple(column.dictionary.to_pylist()) for column in (users, songs))
        ranked = Sequences.from_pairs(users.indices.to_numpy(), songs.indices.to_numpy(), *ids)
        return cls(ranked, channel)


def write_candidates(
    path: Path,
    channel: Channel,
    queries: Queries,
    k: int,
    *,
    exclude: Sequences | None = None,
    allowed: Collection[str] | None = None,
    cold: int = 0,
) -> int:
    """Write what a channel proposes, a block of users at a time; return the number of rows.

    Arguments are those of `Channel.recall`. The rows are in the order of the users' ids, so that
    files of several channels can be read side by side; the file appears whole or not at all.
    """
    rows = 0
    order = np.array(sorted(range(len(queries)), key=queries.user_ids.__getitem__), np.int64)
    with table_writer(path, SCHEMA) as writer:
        for first in range(0, max(1, len(queries)), BLOCK_USERS):
            part = order[first : first + BLOCK_USERS]
            asked = queries.take(part)
            hidden = None if exclude is None else exclude.take(part)
            found = channel.recall(asked, k, exclude=hidden, allowed=allowed, cold=cold)
            table = found.to_table(asked.user_ids, channel=channel.name, model_id=channel.model_id)
            writer.write_table(table)
            rows += len(table)
    return rows


def read_candidates(path: Path) -> Lists:
    """Read a table with ``user_id``, ``song_id`` and ``rank``, or in the order of its rows.

    Raises
    ------
    InputError
        If it lacks a column, or a user has a song twice.
    """
    names = column_names(path, FAILURE)
    optional = [name for name in ("rank", "channel", "cold") if name in names]
    table = read_table(path, FAILURE, needed=("user_id", "song_id", *optional))
    if "cold" in optional:  # ranked by themselves, behind the others
        cold = pc.cast(table.column("cold"), "int32")
        table = table.append_column("behind", cold).sort_by([("behind", "ascending")])
    if "rank" in optional:
        keys = [("behind", "ascending")] if "cold" in optional else []
        table = table.sort_by([*keys, ("rank", "ascending")])
    users, songs = (table.column(n).cast("string").to_pylist() for n in ("user_id", "song_id"))
    ranked = _grouped(users, songs)
    pair = ranked.owner * max(1, len(ranked.song_ids)) + ranked.song
    if len(np.unique(pair)) < len(pair):
        raise InputError(f"{path}: a user has the same song twice")
    channels = set(table.column("channel").to_pylist()) if "channel" in optional else set()
    return Lists(ranked, channels.pop() if len(channels) == 1 else path.name)


def read_targets(path: Path) -> tuple[Sequences, Int64Array]:
    """Read ``user_id`` and ``song_id``, and where it is there ``group_id``.

    Queries of one group (the prefixes of one session) are not independent: intervals draw
    groups. Returns the wanted songs of each user, and the number of each user's group.
    """
    has_group = "group_id" in column_names(path, FAILURE)
    needed = ("user_id", "song_id", *(("group_id",) if has_group else ()))
    table = read_table(path, FAILURE, needed=needed, texts=True)
    users, songs = (table.column(n).to_pylist() for n in ("user_id", "song_id"))
    wanted = _grouped(users, songs)
    if not has_group:
        return wanted, np.arange(len(wanted))
    group_of = dict(zip(users, table.column("group_id").to_pylist(), strict=True))
    _, groups = np.unique([str(group_of[user]) for user in wanted.owner_ids], return_inverse=True)
    return wanted, groups.astype(np.int64)


def _grouped(users: list[str], songs: list[str]) -> Sequences:
    """Collect the songs of each user, users in the order in which they first come."""
    number: dict[str, int] = {}
    owner = np.array([number.setdefault(user, len(number)) for user in users], np.int64)
    order = np.argsort(owner, kind="stable")
    song_ids, song = np.unique(np.array(songs, object).astype(str), return_inverse=True)
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(number)))])
    return Sequences(
        tuple(number),
        tuple(song_ids.tolist()),
        starts.astype(np.int64),
        song[order].astype(np.int32),
        np.full(len(song), np.nan),
    )
