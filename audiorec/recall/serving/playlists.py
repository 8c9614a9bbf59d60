"""Rank playlists that people made, for one user or for all.

    playlists ──`ListRanking`──best──▶ the lists that suit each user, from proposed and played songs
    fused.parquet, plays ──write_lists──▶ lists.parquet

A list is worth the sum over its songs, divided by the square root of its length: a proposed song
by its rank, a played one about half as much as the first proposed one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.columns import ListColumns
from audiorec.errors import InputError
from audiorec.files.arrow import integers
from audiorec.files.tables import table_writer
from audiorec.listening.events import Interactions
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.recall.serving.tables import BATCH_ROWS, candidates_by_user
from audiorec.types import Float64Array, IdMap, Int64Array, string_array

FLATNESS = 20.0  # of the reciprocal rank of a proposed song
KNOWN = 0.5 / FLATNESS  # value of a played song
FEWEST = 10  # added to the length of a list, so that very short lists do not win
MOST_LISTS = 10  # of a user, in a nightly run
BLOCK_USERS = 200
DIGITS = 12  # values are rounded, so that sums do not depend on the order of addition
LISTS = pa.schema(
    [
        pa.field(ListColumns.USER, pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("list_id", pa.string(), nullable=False),
        pa.field("songs", pa.int32(), nullable=False),
        pa.field("known", pa.int32(), nullable=False),  # played by the user
        pa.field("proposed", pa.int32(), nullable=False),  # to the user, and not played
    ]
)


@dataclass(frozen=True, eq=False)
class ListRanking:
    """Playlists, and who made them.

    Attributes
    ----------
    lists : Sequences
        Songs of L lists.
    makers : sequence of str, length L, optional
        The user who made each list, to whom it is not recommended.
    """

    lists: Sequences
    makers: Sequence[str] = ()

    @classmethod
    def of_log(cls, log: Interactions) -> "ListRanking":
        """Build from the ``playlist`` events of a log; raise `InputError` if it has none."""
        lists = to_sequences(log, by="list")
        if not len(lists.song):
            raise InputError("no playlists; the log needs rows with event playlist and a list_id")
        return cls(lists, makers_of(lists, log))

    def best(
        self, proposed: Any, known: Any, k: int, user_ids: Sequence[str] = ()
    ) -> tuple[Int64Array, Float64Array]:
        """Return the numbers of the best lists of U users, (U, k) and -1, and their values.

        Parameters
        ----------
        proposed : scipy.sparse.csr_array, shape (U, S)
            ``1 / (FLATNESS + rank)`` of each proposed song.
        known : scipy.sparse.csr_array, shape (U, S)
            1 for each played song.
        k : int
        user_ids : sequence of str
            Their own lists are left out.
        """
        worth = proposed - proposed.multiply(known) + KNOWN * known
        value = np.round((worth @ self.holds).toarray() / np.sqrt(self.sizes + FEWEST), DIGITS)
        makers = np.asarray(self.makers)
        for row, user in enumerate(user_ids if len(makers) else ()):
            value[row, makers == user] = 0
        result = np.argsort(-value, axis=1, kind="stable")[:, :k]
        values = np.take_along_axis(value, result, axis=1)
        return np.where(values > 0, result, -1), values

    @cached_property
    def holds(self) -> Any:
        """Whether each song is in each list: shape (S, L), 1 or 0, sparse."""
        from scipy.sparse import csr_array

        owner, song, _ = self.lists.distinct()
        shape = (len(self.lists.song_ids), len(self.lists))
        return csr_array((np.ones(len(owner)), (song, owner)), shape=shape)

    @cached_property
    def sizes(self) -> Int64Array:
        """Number of different songs of each list: shape (L,)."""
        return np.asarray(self.holds.sum(axis=0), np.int64).reshape(-1)

    def songs_of(self, owner: Int64Array, song_ids: Any, values: Any, users: int) -> Any:
        """Return values by user and song, (U, S) sparse; songs in no list are left out."""
        from scipy.sparse import csr_array

        song = IdMap(self.lists.song_ids).rows(song_ids)
        there = song >= 0
        table = (values[there], (owner[there], song[there]))
        return csr_array(table, shape=(users, len(self.lists.song_ids)))


def makers_of(lists: Sequences, log: Interactions) -> Sequence[str]:
    """Return the user who made each list, as a log says; without such a column, its own id."""
    label = log.labels.get("list_id")
    if label is None:
        return lists.owner_ids
    rows = np.flatnonzero(label.number >= 0)
    makers = {label.texts[label.number[n]]: log.user_ids[log.user[n]] for n in rows.tolist()}
    return [makers.get(name, "") for name in lists.owner_ids]


def write_lists(out: Path, fused: Path, ranking: ListRanking, plays: Sequences) -> None:
    """Write the best playlists of every user with a fused list, atomically."""
    songs = string_array(plays.song_ids)
    with table_writer(out, LISTS) as writer:
        for table in candidates_by_user(fused, BATCH_ROWS):
            owner = table.column(ListColumns.USER).combine_chunks().dictionary_encode()
            names = owner.dictionary.to_pylist()
            number = np.asarray(owner.indices, np.int64)
            place = 1 / (FLATNESS + np.asarray(table.column("rank"), np.float64))
            song_ids = table.column(ListColumns.SONG).combine_chunks()
            proposed = ranking.songs_of(number, song_ids, place, len(names))
            whose, song, _ = plays.of_owners(names).distinct()
            heard = songs.take(integers(song))
            known = ranking.songs_of(whose, heard, np.ones(len(whose)), len(names))
            for at in range(0, len(names), BLOCK_USERS):
                block = slice(at, at + BLOCK_USERS)
                writer.write_table(_rows(ranking, names[block], proposed[block], known[block]))


def _rows(ranking: ListRanking, names: list[str], proposed: Any, known: Any) -> Any:
    """Return the best lists of some users as a table of `LISTS`."""
    result, _ = ranking.best(proposed, known, MOST_LISTS, names)
    user, rank = np.nonzero(result >= 0)
    of = result[user, rank]
    new = (proposed > 0).astype(np.float64)
    new = new - new.multiply(known)
    shared = [np.asarray((one @ ranking.holds).toarray()[user, of]) for one in (known, new)]
    columns = [
        string_array(names).take(integers(user)),
        integers(rank + 1),
        string_array(ranking.lists.owner_ids).take(integers(of)),
        integers(ranking.sizes[of]),
        *(integers(np.rint(counts).astype(np.int64)) for counts in shared),
    ]
    arrays = [column.cast(field.type) for column, field in zip(columns, LISTS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=LISTS)
