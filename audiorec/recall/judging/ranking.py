"""Rank the wanted songs among all songs of a channel, one block of queries at a time.

channel, queries, wanted songs ──rank_queries──▶ `Ranked`

Blocks run in this process or on an engine (`audiorec.engines`). They are cut where `Channel.blocks`
cuts, so that all matrix products have the same shapes and ranks are bit-identical.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from audiorec.engines.blocks import map_blocks, one_thread
from audiorec.engines.tasks import Engine
from audiorec.evaluation.full_rank import mean_ranks
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.channel import Channel, block_rows, top_songs
from audiorec.recall.contract.data import Queries
from audiorec.types import Float64Array, IdMap, Int64Array

Repeats = Literal["kept", "left_out"]  # treatment of songs in the history
WAYS: tuple[Repeats, ...] = ("kept", "left_out")
BLOCK_QUERIES = 2_000  # minimum queries per block of an engine


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranked:
    """Ranks of the wanted songs, and the top-k lists.

    Attributes
    ----------
    ranks : mapping of {"kept", "left_out"} to ndarray, float64
        One rank per wanted song, ordered by query, for both treatments of songs in the history.
    lists : ndarray, shape (Q, k), int64
        The best songs of each query; -1 where a list is shorter.
    cpu_s : float
        CPU seconds of other processes.
    other_s : float
        CPU seconds, in all processes, for the treatment that was not requested.
    """

    ranks: Mapping[Repeats, Float64Array]
    lists: Int64Array
    cpu_s: float = 0.0
    other_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class QueryBlock:
    """Queries with their wanted songs, numbered by the channel's catalogue."""

    queries: Queries
    owner: Mapping[Repeats, Int64Array]  # query of each wanted song, ascending
    song: Mapping[Repeats, Int64Array]  # negative for a song that the channel does not know

    def take(self, first: int, end: int) -> "QueryBlock":
        """Return the queries in ``first:end``."""
        owner, song = {}, {}
        for way in WAYS:
            low, high = np.searchsorted(self.owner[way], [first, end])
            owner[way], song[way] = self.owner[way][low:high] - first, self.song[way][low:high]
        return QueryBlock(self.queries.take(np.arange(first, end)), owner, song)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RankingTask:
    """A channel and the ranking options; called with a block of queries.

    Attributes
    ----------
    channel : Channel
    repeats : {"kept", "left_out"}
        Treatment of songs in the history for the lists.
    k : int
        Length of the lists.
    tables : tuple
        Id tables that the queries refer to; sent once with the channel, not with every block.
    """

    channel: Channel
    repeats: Repeats
    k: int
    tables: tuple[Any, ...] = ()

    def __call__(self, wanted: QueryBlock) -> Ranked:
        """Rank the catalogue for a block, with and without songs of the histories."""
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
                    best, _ = top_songs(block, every, self.k)
                    padding = ((0, 0), (0, self.k - best.shape[1]))
                    lists.append(np.pad(best, padding, constant_values=-1))
                else:
                    other_s += time.process_time() - began
            first += len(block)
        joined = {way: np.concatenate(found) for way, found in ranks.items()}
        spent = time.process_time() - started
        return Ranked(ranks=joined, lists=np.concatenate(lists), cpu_s=spent, other_s=other_s)


def rank_queries(
    ranking: RankingTask,
    queries: Queries,
    wanted: Mapping[Repeats, Sequences],
    engine: Engine | None = None,
) -> Ranked:
    """Rank the wanted songs of each query among all songs.

    Parameters
    ----------
    ranking : RankingTask
    queries : Queries
    wanted : mapping of {"kept", "left_out"} to Sequences
        The wanted songs of each query.
    engine : callable, optional
        Ranks blocks of queries; by default this process does.

    Raises
    ------
    LostBlocksError
        If some blocks failed on the engine.
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
    """Concatenate the results of all blocks, in order."""
    return Ranked(
        ranks={way: np.concatenate([part.ranks[way] for part in parts]) for way in WAYS},
        lists=np.concatenate([part.lists for part in parts]),
        cpu_s=sum(part.cpu_s for part in parts),
        other_s=sum(part.other_s for part in parts),
    )
