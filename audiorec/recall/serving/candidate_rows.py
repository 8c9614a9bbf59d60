"""The candidates of a block of users as arrays, from all channels together.

tables (one per channel) ──CandidateRows.of──▶ `CandidateRows`: user, song, source as numbers
`CandidateRows`                   ──places──▶ the place of each row in its list
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.files.arrow import encoded
from audiorec.recall.serving.rules import UNKNOWN, ExcludedLists
from audiorec.types import BoolArray, Float64Array, Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class CandidateRows:
    """n candidates of a block of users, from all channels."""

    table: Any  # as `SCHEMA`: all rows of the block
    at: Int64Array  # (n,): rows of the table
    user: Int64Array  # (n,): positions in `user_ids`
    song: Int64Array  # (n,): positions in `song_ids`
    source: Int64Array  # (n,): number of the channel's table
    user_ids: Any  # a `pyarrow.StringArray`, sorted
    song_ids: Any

    @classmethod
    def of(cls, tables: Sequence[Any]) -> "CandidateRows":
        """Build from tables of `SCHEMA`, one per channel."""
        table = pa.concat_tables(tables).combine_chunks()
        source = np.repeat(np.arange(len(tables)), [len(t) for t in tables])
        user, user_ids = encoded(table.column(ListColumns.USER))
        song, song_ids = encoded(table.column(ListColumns.SONG))
        return cls(table, np.arange(len(table)), user, song, source, user_ids, song_ids)

    def take(self, rows: Any) -> "CandidateRows":
        """Return the rows at an index array or a mask, in that order."""
        columns = (self.at[rows], self.user[rows], self.song[rows], self.source[rows])
        return CandidateRows(self.table, *columns, self.user_ids, self.song_ids)

    def numbers(self, name: str) -> Any:
        """Return a column of integers or flags; null becomes `UNKNOWN`."""
        column = self.table.column(name).cast(pa.int64())
        return pc.fill_null(column, UNKNOWN).to_numpy()[self.at]

    def are_of(self, channel: str) -> BoolArray:
        """Return which rows come from a channel."""
        found = pc.equal(self.table.column("channel"), channel).to_numpy().astype(np.bool_)
        return np.asarray(found[self.at], np.bool_)

    def places(self, *, by_interest: bool = False) -> Float64Array:
        """Return the place of each row in its list, from 0; cold songs are counted separately.

        There is a list for each user and table; with `by_interest`, for each interest as well.
        Adjacent rows of equal similarity share the mean of their places, since their order is
        arbitrary.
        """
        rank = self.numbers("rank")
        split = self.numbers("interest") if by_interest else np.zeros_like(rank)
        lists = key_of(self.source, self.user, self.numbers("cold"), split)
        by_rank = None if _ascends(lists, rank) else np.lexsort((self.song, rank, lists))
        similarity = self.table.column("similarity").to_numpy()[self.at]
        if by_rank is not None:
            lists, similarity = lists[by_rank], similarity[by_rank]
        alike = np.ones(len(rank), np.bool_)
        alike[1:] = (lists[1:] != lists[:-1]) | (similarity[1:] != similarity[:-1])
        run = np.cumsum(alike) - 1
        mean = np.bincount(run, nth(lists)) / np.bincount(run) if len(run) else np.empty(0)
        if by_rank is None:
            return np.asarray(mean[run], np.float64)
        place = np.empty(len(rank))
        place[by_rank] = mean[run]
        return place

    def is_among(self, excluded: ExcludedLists | None, names: Any = None) -> BoolArray:
        """Return which rows are in the excluded list of their user.

        Songs are looked up by `names`, a `pyarrow.StringArray`; by default by their ids.
        """
        if excluded is None or not len(self.user):
            return np.zeros(len(self.user), np.bool_)
        user, number = excluded.pairs_of(self.user_ids)
        song = excluded.numbers_of(self.song_ids if names is None else names)[self.song]
        width = excluded.width + 1
        return np.isin(self.user * width + song, user * width + number) & (song >= 0)


def nth(key: Int64Array) -> Int64Array:
    """Return the number of earlier occurrences of each key: (n,), from 0."""
    if (key[1:] >= key[:-1]).all():
        return _nth_of_sorted(key)
    order = np.argsort(key, kind="stable")
    found = np.empty(len(key), np.int64)
    found[order] = _nth_of_sorted(key[order])
    return found


def _nth_of_sorted(key: Int64Array) -> Int64Array:
    first = np.ones(len(key), np.bool_)
    first[1:] = key[1:] != key[:-1]
    places = np.arange(len(key))
    return places - np.maximum.accumulate(np.where(first, places, 0))


def _ascends(lists: Int64Array, rank: Int64Array) -> bool:
    """Return whether rows are sorted by list and, within a list, by strictly ascending rank."""
    same = lists[1:] == lists[:-1]
    return bool(((lists[1:] > lists[:-1]) | (same & (rank[1:] > rank[:-1]))).all())


def key_of(*columns: Any) -> Int64Array:
    """Encode each row of integer columns as one number, preserving lexicographic order."""
    found = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
        found = found * (high - low + 1) + (column.astype(np.int64) - low)
    return found
