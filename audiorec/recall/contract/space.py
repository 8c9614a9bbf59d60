"""Channels that put users and songs into one space, whose embeddings other tools can take.

histories ──embed_users──▶ (Q, E)      songs of the catalogue ──song_embeddings──▶ (S, E)
                                       any sound              ──embed_sound──────▶ (n, E)
"""

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from audiorec.errors import InputError
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries, Sound
from audiorec.types import FloatArray


class SharedSpace(Channel):
    """A channel whose users and songs are comparable by their dot products.

    Attributes
    ----------
    space : str
        The model of the users whose space it is; empty where the channel made its own.
    hears : {"vectors", "features", "audio"}
        What it places songs by: one vector each, segments, or the audio itself.
    made_by : str
        What made the sound that it learnt from, as `Sound.made_by`; empty: unknown.
    audio_spec : mapping
        How files become that sound (`FeatureSpec`); empty: as audiorec does by default.
    """

    serves = frozenset({"history", "cold_song"})
    reason = ReasonKind.TASTE
    space: str = ""
    hears: Literal["vectors", "features", "audio"] = "vectors"
    made_by: str = ""
    audio_spec: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def embed_users(self, queries: Queries) -> FloatArray:
        """Return an embedding of each history, (Q, E) float32; zeros where nothing is known."""

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
