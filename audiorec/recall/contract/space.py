"""Channels that embed users and songs in one space; other tools can read the embeddings.

    histories ──embed_users──▶ (Q, E)      songs of the catalogue ──song_embeddings──▶ (S, E)
                                           any sound              ──embed_sound──────▶ (n, E)
    histories ──user_interests──▶ `UserInterests` ──write_interests──▶ users.parquet

A channel has one embedding per user (`SharedSpace`) or several (`InterestSpace`).
"""

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from audiorec.columns import ListColumns
from audiorec.distribution import created_by
from audiorec.errors import InputError
from audiorec.files.arrow import integers
from audiorec.files.tables import write_plain
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries, Sound
from audiorec.store.embeddings import EmbeddingMetadata, EmbeddingTable, write_embeddings
from audiorec.store.schema import METADATA_KEY, vector_array
from audiorec.types import FloatArray, Int64Array, string_array


class SharedSpace(Channel):
    """A channel whose users and songs can be compared by dot product.

    Attributes
    ----------
    space : str
        The user model that defines the space; empty if it is the channel's own.
    hears : {"vectors", "features", "audio", "nothing"}
        What songs are embedded from: one vector each, segments, or audio.
    made_by : str
        `Sound.made_by` of the training; empty if unknown.
    audio_spec : mapping
        `FeatureSpec` by which files become that sound; empty: audiorec's default.
    """

    serves = frozenset({"history", "cold_song"})
    reason = ReasonKind.TASTE
    space: str = ""
    hears: Literal["vectors", "features", "audio", "nothing"] = "vectors"
    made_by: str = ""
    audio_spec: Mapping[str, Any] = MappingProxyType({})
    _looked_at: tuple[FloatArray, Int64Array] | None = None

    @abstractmethod
    def embed_users(self, queries: Queries) -> FloatArray:
        """Return an embedding for each query, (Q, E) float32; zeros where nothing is known."""

    def similarities(self, users: FloatArray) -> FloatArray:
        """Return the similarities of user embeddings (Q, E) with the catalogue, (Q, S) float32.

        -inf where nothing is known of the user, or the song has no embedding.
        """
        songs = self.song_embeddings()
        result = (users @ songs.T).astype(np.float32, copy=False)
        result[~users.any(axis=1)] = -np.inf
        result[:, self._without_place(songs)] = -np.inf
        return result

    def _without_place(self, songs: FloatArray) -> Int64Array:
        """Return the songs without an embedding, cached between blocks of users."""
        if self._looked_at is None or self._looked_at[0] is not songs:
            self._looked_at = songs, np.flatnonzero(~songs.any(axis=1))
        return self._looked_at[1]

    def _similarities(self, queries: Queries) -> FloatArray:
        return self.similarities(self.embed_users(queries))

    def _answers(self, queries: Queries) -> FloatArray:
        if queries.embedded is None:
            return self._similarities(queries)
        return self.similarities(queries.embedded)

    def songs_used(self, queries: Queries) -> Int64Array:
        """Return the number of plays that each user's embedding is based on: (Q,), int64."""
        return queries.histories.among(self.song_ids).lengths

    @abstractmethod
    def song_embeddings(self) -> FloatArray:
        """Return the embeddings of the catalogue, (S, E) float32; zeros for songs without one."""

    @abstractmethod
    def embed_sound(self, sound: Sound) -> FloatArray:
        """Return the embeddings of any songs, (n, E) float32; zeros for songs without sound.

        Raises
        ------
        InputError
            If the channel was trained on another kind of sound, or on none.
        """

    def refuse_sound(self, width: int, got: int) -> None:
        """Raise `InputError` unless the sound has the width that the channel was trained on."""
        if not width:
            raise InputError(
                f"{self.name}: trained without `vectors`, so it cannot embed songs by sound"
            )
        if got != width:
            raise InputError(
                f"{self.name}: trained on {width} numbers per song, got {got}; give the kind of "
                "file that it was trained on"
            )


def users_in(channel: Channel, path: Path) -> tuple[tuple[str, ...], FloatArray]:
    """Read user ids and embeddings in the space of a channel.

    Raises
    ------
    InputError
        If the channel is not a `SharedSpace`.
    SpecMismatchError
        If the embeddings belong to another space.
    StoreError
        If the file is missing or damaged.
    """
    if not isinstance(channel, SharedSpace):
        raise InputError(f"{channel.name} has no user embeddings; give the users' plays instead")
    table = EmbeddingTable.open(path, kind="users")
    width = channel.song_embeddings().shape[1]
    own = EmbeddingMetadata(
        kind="song_embeddings",
        model_id=channel.model_id,
        extractor_id="",
        dimension=width,
        space=channel.space,
    )
    own.check_same_space(table.metadata, f"{path} and {channel.name}")
    return table.ids, table.embeddings


def write_users(path: Path, channel: SharedSpace, queries: Queries) -> dict[str, int]:
    """Write the embeddings of all users of whom something is known, as ``users.parquet``.

    Columns are ``user_id``, ``embedding``, ``history`` (plays that were used) and
    ``profile_only``. No file is written if no user is known.

    Returns
    -------
    counts : dict
        Numbers of ``users`` written, of those with a profile only, and of users ``left_out``.
    """
    embedded, used = channel.embed_users(queries), channel.songs_used(queries)
    known = np.asarray(embedded.any(axis=1))
    ids = [user for user, has in zip(queries.user_ids, known.tolist(), strict=True) if has]
    used = used[known]
    if ids:
        columns = {"history": pa.array(used.astype(np.int32)), "profile_only": pa.array(used == 0)}
        made = {"model_id": channel.model_id, "space": channel.space}
        write_embeddings(path, ids, embedded[known], kind="users", columns=columns, **made)
    left_out = len(queries) - len(ids)
    return {"users": len(ids), "profile_only": int((used == 0).sum()), "left_out": left_out}


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
    No file is written if no user has an interest.

    Returns
    -------
    counts : dict
        Numbers of ``users`` and ``interests`` written, and of users ``left_out``.
    """
    result, used = channel.user_interests(queries), channel.songs_used(queries)
    users = len(np.unique(result.user))
    counts = {"users": users, "interests": len(result.user), "left_out": len(queries) - users}
    if not users:
        return counts
    order = _by_id(queries.user_ids, result.user)
    user, interest = result.user[order], result.interest[order]
    columns: dict[str, Any] = {
        ListColumns.USER: string_array(queries.user_ids).take(integers(user)),
        "interest": pa.array(interest.astype(np.int32)),
        "weight": pa.array(result.weight[order]),
        "history": pa.array(used[user].astype(np.int32)),
        "embedding": vector_array(result.embedding[order]),
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
        "dimension": result.embedding.shape[1],
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
