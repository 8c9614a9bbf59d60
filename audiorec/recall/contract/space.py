"""Channels that put users and songs into one space, whose embeddings other tools can take.

histories ──embed_users──▶ (Q, E)      songs of the catalogue ──song_embeddings──▶ (S, E)
                                       any sound              ──embed_sound──────▶ (n, E)
"""

from abc import abstractmethod
from pathlib import Path

import numpy as np
import pyarrow as pa

from audiorec.errors import InputError
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries, Sound
from audiorec.store.embeddings import write_embeddings
from audiorec.types import FloatArray, Int64Array


class SharedSpace(Channel):
    """A channel whose users and songs are comparable by their dot products.

    Attributes
    ----------
    space : str
        The model of the users whose space it is; empty where the channel made its own.
    """

    serves = frozenset({"history", "cold_song"})
    reason = ReasonKind.TASTE
    space: str = ""

    @abstractmethod
    def embed_users(self, queries: Queries) -> FloatArray:
        """Return an embedding of each history, (Q, E) float32; zeros where nothing is known."""

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
