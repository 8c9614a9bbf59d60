"""Channels that put users and songs into one space, whose embeddings other tools can take.

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
    """A channel whose users and songs are comparable by their dot products.

    Attributes
    ----------
    space : str
        The model of the users whose space it is; empty where the channel made its own.
    hears : {"vectors", "features", "audio", "nothing"}
        What it places songs by: one vector each, segments, or the audio itself.
    made_by : str
        What made the sound that it learnt from, as `Sound.made_by`; empty: unknown.
    audio_spec : mapping
        How files become that sound (`FeatureSpec`); empty: as audiorec does by default.
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
        """Return an embedding of each history, (Q, E) float32; zeros where nothing is known."""

    def near(self, users: FloatArray) -> FloatArray:
        """Return the similarities of users (Q, E) with the catalogue: (Q, S) float32.

        -inf where nothing is known of the user, or the song has no embedding.
        """
        songs = self.song_embeddings()
        found = (users @ songs.T).astype(np.float32, copy=False)
        found[~users.any(axis=1)] = -np.inf
        found[:, self._without_place(songs)] = -np.inf
        return found

    def _without_place(self, songs: FloatArray) -> Int64Array:
        """Return the songs whose embedding is 0: looked for once, not for each block of users."""
        if self._looked_at is None or self._looked_at[0] is not songs:
            self._looked_at = songs, np.flatnonzero(~songs.any(axis=1))
        return self._looked_at[1]

    def _similarities(self, queries: Queries) -> FloatArray:
        return self.near(self.embed_users(queries))

    def _answers(self, queries: Queries) -> FloatArray:
        if queries.embedded is None:
            return self._similarities(queries)
        return self.near(queries.embedded)

    def songs_used(self, queries: Queries) -> Int64Array:
        """Return how many entries of each history its embedding is made of: (Q,), int64."""
        return queries.histories.among(self.song_ids).lengths

    @abstractmethod
    def song_embeddings(self) -> FloatArray:
        """Return the embeddings of the catalogue, (S, E) float32; zeros for songs without one."""

    @abstractmethod
    def embed_sound(self, sound: Sound) -> FloatArray:
        """Return the embeddings of any songs, (n, E) float32; zeros for songs that cannot be heard.

        Raises
        ------
        InputError
            If the channel has learnt from another kind of sound, or from none.
        """

    def refuse_sound(self, width: int, got: int) -> None:
        """Refuse songs of another width than those that the channel learnt from."""
        if not width:
            raise InputError(f"{self.name}: was trained without --vectors: it knows no sound")
        if got != width:
            raise InputError(
                f"{self.name}: learnt from {width} numbers a song, got {got}: give the kind of "
                "file that it was trained on"
            )


def users_in(channel: Channel, path: Path) -> tuple[tuple[str, ...], FloatArray]:
    """Read users, and their embeddings, that lie in the space of a channel.

    Raises
    ------
    InputError
        If the channel has no space.
    SpecMismatchError
        If the embeddings are of another one.
    StoreError
        If the file is missing or damaged.
    """
    if not isinstance(channel, SharedSpace):
        raise InputError(f"{channel.name} has no embeddings of users: give their listening")
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
    """Write the embeddings of users as ``users.parquet``, of those of whom anything is known.

    Columns are ``user_id``, ``embedding``, ``history`` (entries of it that were used) and
    ``profile_only``. Nothing is written where nobody is known.

    Returns
    -------
    counts : dict
        ``users`` that were written, those of them by ``profile_only``, and who is ``left_out``.
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
