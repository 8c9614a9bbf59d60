"""Write the candidates of many users, one block of users at a time.

channel, queries ──write_candidates──▶ candidates.parquet

Blocks run in this process or on an engine (`audiorec.engines`); the file has the same bytes.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from audiorec.distribution import own_version
from audiorec.engines.blocks import block_runner
from audiorec.engines.mapped import MappedWriter
from audiorec.engines.one_thread import one_thread
from audiorec.engines.tasks import Engine
from audiorec.files.blocks import run_blocks
from audiorec.files.tables import TableFile, table_writer
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import SCHEMA
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries
from audiorec.spec import fingerprint
from audiorec.types import Int64Array, Progress

BLOCK_USERS = 10_000
Asked = tuple[Queries, Sequences | None]  # users, and the songs excluded for each


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecallCall:
    """A channel and its `Channel.recall` options; called with a block of users.

    Attributes
    ----------
    channel : Channel
    k, cold : int
    allowed : tuple of str, optional
        See `Channel.recall`.
    tables : tuple
        Id tables that the queries refer to; sent once with the channel, not with every block.
    """

    channel: Channel
    k: int
    cold: int
    allowed: tuple[str, ...] | None = None
    tables: tuple[Any, ...] = ()

    def __call__(self, asked: Asked) -> Any:
        """Return the candidates of a block of users as a table."""
        queries, hidden = asked
        with one_thread():
            found = self.channel.recall(
                queries, self.k, exclude=hidden, allowed=self.allowed, cold=self.cold
            )
        name, model_id = self.channel.name, self.channel.model_id
        return found.to_table(queries.user_ids, channel=name, model_id=model_id)

    def groups(self, asked: Asked) -> list[Any]:
        """Return the candidates of a block as its list of row groups."""
        return [self(asked)]


def write_candidates(
    path: Path,
    channel: Channel,
    queries: Queries,
    k: int,
    *,
    exclude: Sequences | None = None,
    allowed: Collection[str] | None = None,
    cold: int = 0,
    engine: Engine | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> int | None:
    """Write the candidates of all users, one block of users at a time.

    Rows are sorted by user id, so that the files of several channels can be read in parallel. The
    file is written atomically.

    Parameters
    ----------
    path : Path
    channel, queries, k, exclude, allowed, cold
        As for `Channel.recall`.
    engine : callable, optional
        Computes blocks in processes that share the channel's arrays: see
        `audiorec.engines.choice.engine_of`. Finished blocks are kept in ``<path>.run/``, from
        which the same call resumes. By default blocks are computed in this process.
    progress : callable of (done, total), optional
        Called with the number of finished blocks.
    stop : Event, optional
        Once set, no further block starts.

    Returns
    -------
    rows : int or None
        Rows in the file; None if the call was stopped.

    Raises
    ------
    LostBlocksError
        If some blocks failed on the engine; the others are kept.
    """
    order = np.array(sorted(range(len(queries)), key=queries.user_ids.__getitem__), np.int64)
    blocks = _UserBlocks(*_in_catalogue(channel, queries, exclude), order)
    only = None if allowed is None else tuple(sorted(allowed))
    asking = RecallCall(channel=channel, k=k, cold=cold, allowed=only, tables=blocks.tables)
    tell = progress or (lambda _done, _total: None)
    if engine is not None:
        about: dict[str, Any] = {
            "queries": MappedWriter((blocks.queries, blocks.exclude)).fingerprint
        }
        about |= {
            "model": channel.model_id or MappedWriter(channel).fingerprint,
            "channel": channel.name,
        }
        about |= {"k": k, "cold": cold, "allowed": MappedWriter(only).fingerprint}
        about |= {"block": BLOCK_USERS, "version": own_version()}
        done = run_blocks(
            path,
            len(blocks),
            lambda i: [asking(blocks(i))],
            schema=SCHEMA,
            fingerprint=fingerprint(about),
            progress=tell,
            stop=stop,
            elsewhere=block_runner(engine, asking.groups, blocks, SCHEMA),
            named=blocks.named,
        )
        if not done:
            return None
        with TableFile.open(path) as file:
            return len(file)
    rows = 0
    with table_writer(path, SCHEMA) as writer:
        for i in range(len(blocks)):
            table = asking(blocks(i))
            writer.write_table(table)
            rows += len(table)
            tell(i + 1, len(blocks))
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class _UserBlocks:
    """Queries sorted by user id and cut into blocks."""

    queries: Queries
    exclude: Sequences | None
    order: Int64Array

    def __len__(self) -> int:
        return max(1, -(-len(self.order) // BLOCK_USERS))

    def __call__(self, number: int) -> Asked:
        rows = self.order[number * BLOCK_USERS : (number + 1) * BLOCK_USERS]
        asked = self.queries.take(rows)
        if self.exclude is self.queries.histories:
            return asked, asked.histories
        return asked, None if self.exclude is None else self.exclude.take(rows)

    def named(self, number: int) -> str:
        """Return the first and last user of a block, for an error message."""
        rows = self.order[number * BLOCK_USERS : (number + 1) * BLOCK_USERS]
        ids = self.queries.user_ids
        return f"users {ids[rows[0]]!r} to {ids[rows[-1]]!r}" if len(rows) else "no user"

    @property
    def tables(self) -> tuple[Any, ...]:
        """Id tables that all blocks share."""
        queries = self.queries
        lists = (queries.histories, queries.follows, queries.likes, self.exclude)
        return tuple(one.song_ids for one in lists if one is not None)


def _in_catalogue(
    channel: Channel, queries: Queries, exclude: Sequences | None
) -> tuple[Queries, Sequences | None]:
    """Renumber histories and excluded songs by the channel's catalogue, once for all blocks."""
    if not channel.song_ids:  # not fitted: `recall` raises the error
        return queries, exclude
    known = replace(queries, histories=queries.histories.among(channel.song_ids))
    if exclude is queries.histories:
        return known, known.histories
    return known, None if exclude is None else exclude.among(channel.song_ids)
