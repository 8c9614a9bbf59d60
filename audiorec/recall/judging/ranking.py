"""Where wanted songs stand among all songs of a channel, a block of queries at a time.

channel, queries, wanted songs ──rank_queries──▶ `Ranked`

In one process, or by an engine (`audiorec.engines`). Blocks are cut where `Channel.blocks` cuts, so
that every product of matrices has the same shape, and the ranks are the same to the last bit.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from audiorec.engines.blocks import map_blocks
from audiorec.engines.one_thread import one_thread
from audiorec.engines.tasks import Engine
from audiorec.evaluation.full_rank import mean_ranks
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.channel import Channel, best_of, block_rows
from audiorec.recall.contract.data import Queries
from audiorec.types import Float64Array, IdMap, Int64Array

Repeats = Literal["kept", "left_out"]  # songs of the history
WAYS: tuple[Repeats, ...] = ("kept", "left_out")
BLOCK_QUERIES = 2_000  # at least, that an engine ranks at a time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranked:
    """Where wanted songs stand.

    Attributes
    ----------
    ranks : mapping of {"kept", "left_out"} to ndarray, shape (T,), float64
        By how songs of the history are treated; wanted songs in the order of their queries.
    lists : ndarray, shape (Q, k), int64
        The best songs of each query; -1 where a list is shorter.
    cpu_s : float
        CPU seconds of other processes.
    other_s : float
        CPU seconds, wherever, for the ranks that were not asked for.
    """

    ranks: Mapping[Repeats, Float64Array]
    lists: Int64Array
    cpu_s: float = 0.0
    other_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class QueryBlock:
    """Queries with the songs that each should get, in numbers of the channel's songs."""

    queries: Queries
    owner: Mapping[Repeats, Int64Array]  # (T,): the query of each, ascending
    song: Mapping[Repeats, Int64Array]  # (T,); below 0 for a song that the channel does not know

    def take(self, first: int, end: int) -> "QueryBlock":
        """Return the queries from `first` to before `end`."""
        owner, song = {}, {}
        for way in WAYS:
            low, high = np.searchsorted(self.owner[way], [first, end])
            owner[way], song[way] = self.owner[way][low:high] - first, self.song[way][low:high]
        return QueryBlock(self.queries.take(np.arange(first, end)), owner, song)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """What is asked of a channel, whatever the queries are.

    Attributes
    ----------
    channel : Channel
    repeats : {"kept", "left_out"}
        Whose lists are wanted.
    k : int
        Their length.
    tables : tuple
        Tables of ids that the queries are in: they travel with the channel, once for all blocks.
    """

    channel: Channel
    repeats: Repeats
    k: int
    tables: tuple[Any, ...] = ()

    def __call__(self, wanted: QueryBlock) -> Ranked:
        """Rank the catalogue once, with songs of the histories and without."""
        with one_thread():
            return self._ranked(wanted)

    def _ranked(self, wanted: QueryBlock) -> Ranked:
        started, other_s, first = time.process_time(), 0.0, 0
        n_songs = len(self.channel.song_ids)
        every = np.ones(n_songs, np.bool_)
        heard = wanted.queries.histories.among(self.channel.song_ids)
        ranks: dict[Repeats, list[Float64Array]] = {way: [np.empty(0)] for way in WAYS}
        lists = [np.empty((0, self.k), np.int64)]
        for block in self.channel.blocks(wanted.queries):
            part = heard.take(np.arange(first, first + len(block)))
            for way in WAYS:
                began = time.process_time()
                if way == "left_out":
                    block[part.owner, part.song] = -np.inf
                owner = wanted.owner[way]
                low, high = np.searchsorted(owner, [first, first + len(block)])
                found = mean_ranks(block, owner[low:high] - first, wanted.song[way][low:high])
                ranks[way].append(found)
                if way == self.repeats:
                    best, _ = best_of(block, every, self.k)
                    padding = ((0, 0), (0, self.k - best.shape[1]))
                    lists.append(np.pad(best, padding, constant_values=-1))
                else:
                    other_s += time.process_time() - began
            first += len(block)
        joined = {way: np.concatenate(found) for way, found in ranks.items()}
        spent = time.process_time() - started
        return Ranked(ranks=joined, lists=np.concatenate(lists), cpu_s=spent, other_s=other_s)


def rank_queries(
    ranking: Ranking,
    queries: Queries,
    wanted: Mapping[Repeats, Sequences],
    engine: Engine | None = None,
) -> Ranked:
    """Rank all songs for queries.

    Parameters
    ----------
    ranking : Ranking
    queries : Queries
    wanted : mapping of {"kept", "left_out"} to Sequences
        The songs that each query should get.
    engine : callable, optional
        Ranks blocks of them; by default they are ranked here.

    Raises
    ------
    LostBlocksError
        If the engine could not rank some.
    """
    song_ids = ranking.channel.song_ids
    rows = IdMap(song_ids)
    song = {way: rows.rows(of.song_ids)[of.song] for way, of in wanted.items()}
    known = replace(queries, histories=queries.histories.among(song_ids))
    asked = QueryBlock(known, {way: of.owner for way, of in wanted.items()}, song)
    if engine is None:
        return replace(ranking(asked), cpu_s=0.0)
    inner = block_rows(len(song_ids))
    size = inner * -(-BLOCK_QUERIES // inner)
    cuts = [*range(0, len(queries), size), len(queries)]
    ids, lists = queries.user_ids, (queries.follows, queries.likes)
    tables = tuple(one.song_ids for one in lists if one is not None)
    parts = map_blocks(
        engine,
        replace(ranking, tables=tables),
        lambda i: asked.take(cuts[i], cuts[i + 1]),
        len(cuts) - 1,
        what=ranking.channel.name,
        named=lambda i: f"users {ids[cuts[i]]!r} to {ids[cuts[i + 1] - 1]!r}",
    )
    return joined_ranks(parts)


def joined_ranks(parts: Sequence[Ranked]) -> Ranked:
    """Return the ranks of all blocks, in their order."""
    return Ranked(
        ranks={way: np.concatenate([part.ranks[way] for part in parts]) for way in WAYS},
        lists=np.concatenate([part.lists for part in parts]),
        cpu_s=sum(part.cpu_s for part in parts),
        other_s=sum(part.other_s for part in parts),
    )
