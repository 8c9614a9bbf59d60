"""Channels that embed users and songs in one space; other tools can read the embeddings.

histories ──embed_users──▶ (Q, E)      songs of the catalogue ──song_embeddings──▶ (S, E)
                                       any sound              ──embed_sound──────▶ (n, E)
"""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from audiorec.errors import InputError
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries, Sound
from audiorec.store.embeddings import EmbeddingMetadata, EmbeddingTable, write_embeddings
from audiorec.types import FloatArray, Int64Array


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
        found = (users @ songs.T).astype(np.float32, copy=False)
        found[~users.any(axis=1)] = -np.inf
        found[:, self._without_place(songs)] = -np.inf
        return found

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
                f"{self.name}: trained without --vectors, so it cannot embed songs by sound"
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
