"""Channels with several embeddings per user, and their table: one row per interest.

    histories ──user_interests──▶ `UserInterests` ──write_interests──▶ users.parquet

=========  ======================================================================
column     what
=========  ======================================================================
user_id    string; one row per interest, the heaviest first
interest   int32, as in ``candidates.parquet``
weight     float32: share of the history, newer plays counting more; sums to 1 per user
history    int32: plays of the history that were used
embedding  fixed_size_list<float32>[d], of length 1
about      string: songs and categories of the interest, on request
=========  ======================================================================

Because user ids repeat, the file has its own kind: readers of one embedding per user refuse it.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.distribution import created_by
from audiorec.files.arrow import integers
from audiorec.files.tables import write_plain
from audiorec.recall.contract.data import Queries
from audiorec.recall.contract.space import SharedSpace
from audiorec.store.schema import METADATA_KEY, vector_type
from audiorec.types import FloatArray, Int64Array, string_array

KIND, FORMAT_VERSION = "user_interests", 1


@dataclass(frozen=True, slots=True, eq=False)
class UserInterests:
    """The interests of users, one row per interest: by user, then the heaviest first.

    Attributes
    ----------
    user : ndarray, shape (n,), int64
        Row of the query.
    interest : ndarray, shape (n,), int64
        As in `Candidates.interest`.
    weight : ndarray, shape (n,), float32
        Sums to 1 per user.
    embedding : ndarray, shape (n, d), float32
        Of length 1.
    """

    user: Int64Array
    interest: Int64Array
    weight: FloatArray
    embedding: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class InterestDescription:
    """Description of an interest: the songs of the history behind it, and their categories."""

    songs: tuple[str, ...]  # ids of songs of the history, the largest share first
    values: Mapping[str, tuple[str, ...]]  # by category: "genre" → ("jazz", ...)

    def words(self) -> str:
        """Return the description as one line.

        Examples
        --------
        >>> InterestDescription(("s1", "s2"), {"genre": ("jazz",), "language": ()}).words()
        's1, s2; genre: jazz'
        """
        known = [f"{name}: {', '.join(values)}" for name, values in self.values.items() if values]
        return "; ".join([", ".join(self.songs), *known])


class InterestSpace(SharedSpace):
    """A shared space in which a user has one embedding per interest."""

    @abstractmethod
    def user_interests(self, queries: Queries) -> UserInterests:
        """Return the interests of users; a user of whom nothing is known has none."""

    @abstractmethod
    def descriptions(self, queries: Queries) -> list[dict[int, InterestDescription]]:
        """Describe the interests of each user, by the number of the interest."""


def write_interests(
    path: Path, channel: InterestSpace, queries: Queries, *, named: bool = False
) -> dict[str, int]:
    """Write the interests of users; with `named`, add a description of each.

    No file is written if no user has an interest.

    Returns
    -------
    counts : dict
        Numbers of ``users`` and ``interests`` written, and of users ``left_out``.
    """
    found, used = channel.user_interests(queries), channel.songs_used(queries)
    users = len(np.unique(found.user))
    counts = {"users": users, "interests": len(found.user), "left_out": len(queries) - users}
    if not users:
        return counts
    order = _by_id(queries.user_ids, found.user)
    user, interest = found.user[order], found.interest[order]
    columns: dict[str, Any] = {
        "user_id": string_array(queries.user_ids).take(integers(user)),
        "interest": pa.array(interest.astype(np.int32)),
        "weight": pa.array(found.weight[order]),
        "history": pa.array(used[user].astype(np.int32)),
        "embedding": _vectors(found.embedding[order]),
    }
    if named:
        names = channel.descriptions(queries)
        rows = zip(user.tolist(), interest.tolist(), strict=True)
        columns["about"] = pa.array([names[row][number].words() for row, number in rows])
    about = {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "model_id": channel.model_id,
        "space": channel.space,
        "dimension": found.embedding.shape[1],
        "created_by": created_by(),
    }
    table = pa.table(columns)
    write_plain(path, table.replace_schema_metadata({METADATA_KEY: json.dumps(about).encode()}))
    return counts


def _by_id(user_ids: tuple[str, ...], user: Int64Array) -> Int64Array:
    """Return the order of rows by user id; rows of one user keep their order."""
    place = np.empty(len(user_ids), np.int64)
    place[sorted(range(len(user_ids)), key=user_ids.__getitem__)] = np.arange(len(user_ids))
    return np.argsort(place[user], kind="stable").astype(np.int64)


def _vectors(rows: FloatArray) -> Any:
    flat = np.ascontiguousarray(rows, np.float32).reshape(-1)
    # Zero-copy: `pyarrow.array` may copy, and imports pandas.
    numbers = pa.Array.from_buffers(pa.float32(), len(flat), [None, pa.py_buffer(flat)])
    return pa.FixedSizeListArray.from_arrays(numbers, type=vector_type(rows.shape[1]))
