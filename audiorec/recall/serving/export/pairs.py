"""Merge the lists of all channels for a block of users into one row per user and song.

tables (one per channel and the fused one) ──merge_candidates──▶ `CandidatePairs`
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.files.arrow import encoded, integers
from audiorec.types import BoolArray, FloatArray, Int64Array

LAST = np.iinfo(np.int64).max
KEPT = ("channel", "reason", "evidence", "interest", "cold")


@dataclass(frozen=True, slots=True, eq=False)
class CandidatePairs:
    """n pairs of a user and a song, sorted by user, fused songs first in their order.

    Attributes
    ----------
    user, song : ndarray, shape (n,), int64
        Positions in `user_ids` and `song_ids`, both sorted.
    user_ids, song_ids : pyarrow.StringArray
    rank, similarity : ndarray, shape (n, C)
        By table, the fused one last; rank 0 if the table does not contain the pair.
    rows : pyarrow.Table
        `KEPT` columns of one row per pair: the fused one, else that of the best rank.
    """

    user: Int64Array
    song: Int64Array
    user_ids: Any
    song_ids: Any
    rank: Int64Array
    similarity: FloatArray
    rows: Any

    def columns(self, slugs: Sequence[str]) -> Mapping[str, Any]:
        """Return ranks, similarities and the number of channels of each pair as Arrow arrays."""
        *_, fused = range(self.rank.shape[1])
        found = {
            "fused_rank": _known(self.rank[:, fused], self.rank[:, fused] > 0, pa.int32()),
            "fused_weight": _known(
                self.similarity[:, fused], self.rank[:, fused] > 0, pa.float32()
            ),
            "channels": pa.array((self.rank[:, :fused] > 0).sum(axis=1).astype(np.int32)),
        }
        for number, slug in enumerate(slugs):
            there, similar = self.rank[:, number] > 0, self.similarity[:, number]
            found[f"{slug}_rank"] = _known(self.rank[:, number], there, pa.int32())
            found[f"{slug}_similarity"] = _known(similar, there & ~np.isnan(similar), pa.float32())
        return found


def merge_candidates(tables: Sequence[Any], fused: Any) -> CandidatePairs:
    """Merge the candidates of a block of users.

    Parameters
    ----------
    tables : sequence of pyarrow.Table
        Candidates, one table per channel. If a pair occurs twice in one, the best rank counts.
    fused : pyarrow.Table
        The fused list of each user; may be empty.
    """
    every = [*tables, fused]
    table = pa.concat_tables(every).combine_chunks()
    source = np.repeat(np.arange(len(every)), [len(one) for one in every])
    user, user_ids = encoded(table.column("user_id"))
    song, song_ids = encoded(table.column("song_id"))
    rank = table.column("rank").to_numpy().astype(np.int64)
    pairs, pair = np.unique(user * max(1, len(song_ids)) + song, return_inverse=True)
    ranks = np.zeros((len(pairs), len(every)), np.int64)
    similar = np.zeros((len(pairs), len(every)), np.float32)
    worst_first = np.lexsort((-rank, source))  # the best row is assigned last
    at = (pair[worst_first], source[worst_first])
    ranks[at] = rank[worst_first]
    similar[at] = table.column("similarity").to_numpy()[worst_first]
    last = len(every) - 1
    best = np.lexsort((source, rank, source != last, pair))
    best = best[np.unique(pair[best], return_index=True)[1]]
    own = np.where(ranks[:, last] > 0, ranks[:, last], LAST)
    order = np.lexsort((song[best], rank[best], own, user[best]))
    best = best[order]
    return CandidatePairs(
        user[best],
        song[best],
        user_ids,
        song_ids,
        ranks[order],
        similar[order],
        table.select(list(KEPT)).take(integers(best)),
    )


def _known(values: Any, there: BoolArray, kind: Any) -> Any:
    return pa.array(values, mask=~there).cast(kind)
