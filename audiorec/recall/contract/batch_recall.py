"""Write the candidates of many users, one block of users at a time.

channel, queries ──write_candidates──▶ candidates.parquet

Blocks run in this process or on an engine (`audiorec.runs`); the file has the same bytes.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.distribution import own_version
from audiorec.errors import InputError
from audiorec.files.arrow import integers
from audiorec.files.tables import TableFile, run_blocks, table_writer
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import DEFAULT, SCHEMA, DefaultList
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries
from audiorec.runs.blocks import MappedWriter, block_runner, one_thread
from audiorec.runs.tasks import Engine
from audiorec.spec import fingerprint
from audiorec.types import IdMap, Int64Array, Progress, string_array

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
    default : DefaultList, optional
        Songs for users without a history, to whom the channel proposes none.
    """

    channel: Channel
    k: int
    cold: int
    allowed: tuple[str, ...] | None = None
    tables: tuple[Any, ...] = ()
    default: DefaultList | None = None

    def __call__(self, asked: Asked) -> Any:
        """Return the candidates of a block of users as a table."""
        queries, hidden = asked
        with one_thread():
            result = self.channel.recall(
                queries, self.k, exclude=hidden, allowed=self.allowed, cold=self.cold
            )
        name, model_id = self.channel.name, self.channel.model_id
        table = result.to_table(queries.user_ids, channel=name, model_id=model_id)
        if self.default is None or queries.histories.lengths.all():
            return table
        needing = (result.song < 0).all(axis=1) & (queries.histories.lengths == 0)
        users = [queries.user_ids[row] for row in np.flatnonzero(needing).tolist()]
        both = pa.concat_tables([table, self.default.rows(users, self.k)])
        at = IdMap(string_array(queries.user_ids)).rows(
            both.column(ListColumns.USER).combine_chunks()
        )
        return both.take(integers(np.argsort(at, kind="stable")))

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
    default: DefaultList | None = None,
    needs_rows: bool = False,
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
    default : DefaultList, optional
        What users without a history get if the channel proposes no song to them; by default they
        have no row.
    needs_rows : bool
        Write nothing, and raise an error, if the channel proposes no song to anybody.
    engine : callable, optional
        Computes blocks in processes that share the channel's arrays: see
        `audiorec.runs.tasks.engine_of`. Finished blocks are kept in ``<path>.run/``, from
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
    InputError
        With `needs_rows`; the message says why there is no candidate.
    LostBlocksError
        If some blocks failed on the engine; the others are kept.
    """
    order = np.array(sorted(range(len(queries)), key=queries.user_ids.__getitem__), np.int64)
    blocks = _UserBlocks(*_in_catalogue(channel, queries, exclude), order)
    only = None if allowed is None else tuple(sorted(allowed))
    rest = default if default is None or allowed is None else default.among(allowed)
    options: dict[str, Any] = {"allowed": only, "tables": blocks.tables, "default": rest}
    asking = RecallCall(channel=channel, k=k, cold=cold, **options)
    tell = progress or (lambda _done, _total: None)

    def check_own(counts: Iterable[int]) -> None:
        if needs_rows and not sum(counts):
            raise InputError(
                f"{channel.name}: no candidates: {why_nothing(channel, queries, allowed)}"
            )

    if engine is not None:
        done = run_blocks(
            path,
            len(blocks),
            lambda i: [asking(blocks(i))],
            schema=SCHEMA,
            fingerprint=blocks.fingerprint_with(asking),
            progress=tell,
            stop=stop,
            elsewhere=block_runner(engine, asking.groups, blocks, SCHEMA),
            named=blocks.named,
            check=lambda parts: check_own(map(_own_rows, parts)),
        )
        if not done:
            return None
        with TableFile.open(path) as file:
            return len(file)
    rows, own = 0, 0
    with table_writer(path, SCHEMA) as writer:
        for i in range(len(blocks)):
            table = asking(blocks(i))
            writer.write_table(table)
            rows, own = rows + len(table), own + _own(table)
            tell(i + 1, len(blocks))
        check_own([own])
    return rows


def why_nothing(channel: Channel, queries: Queries, allowed: Collection[str] | None) -> str:
    """Return why a channel proposes no song to any of the users, in words."""
    histories = queries.histories
    if not len(histories.song):
        return f"no history has a song; the model was trained by {channel.by} (`by`)"
    if not len(histories.among(channel.song_ids).song):
        song = histories.song_ids[int(histories.song[0])]
        return f"it knows no song of the histories, such as {song!r}"
    if allowed is not None:
        return "it proposes no allowed song"
    return "it proposes nothing but heard songs"


def _own_rows(path: Path) -> int:
    with TableFile.open(path) as file:
        return _own(file.read(["channel"]))


def _own(table: Any) -> int:
    """Return the number of rows that the channel itself proposes."""
    return int(pc.sum(pc.not_equal(table.column("channel"), DEFAULT)).as_py() or 0)


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

    def fingerprint_with(self, asking: RecallCall) -> str:
        """Return a fingerprint of everything that determines the rows."""
        channel = asking.channel
        about = {
            "queries": MappedWriter((self.queries, self.exclude)).fingerprint,
            "model": channel.model_id or MappedWriter(channel).fingerprint,
            "channel": channel.name,
            "k": asking.k,
            "cold": asking.cold,
            "allowed": MappedWriter(asking.allowed).fingerprint,
            "default": MappedWriter(asking.default).fingerprint,
            "block": BLOCK_USERS,
            "version": own_version(),
        }
        return fingerprint(about)

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
