"""What a user model is trained on, as arrays."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from audiorec.errors import ShapeError
from audiorec.listening.history import Likes
from audiorec.recall.sequence.youtube_dnn.profiles import Profiles
from audiorec.types import BoolArray, FloatArray

MIN_SCALE = 1e-6  # a column of vectors that does not vary is not blown up


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UsersData:
    """What a user model is trained on.

    Attributes
    ----------
    likes : Likes
        Of U users; songs are rows of the tables below.
    song_ids : tuple of str, length S
    vectors : ndarray, shape (S, V), float32
        Any vector or embedding of each song; V is 0 where ids alone are used.
    has_vector : ndarray, shape (S,), bool
    profiles : Profiles
        Of the U users, in their order.
    info : mapping
        Where the data comes from, to keep in the model.
    """

    likes: Likes
    song_ids: tuple[str, ...]
    vectors: FloatArray
    has_vector: BoolArray
    profiles: Profiles
    info: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not len(self.song_ids) == len(self.vectors) == len(self.has_vector):
            raise ShapeError("song_ids, vectors and has_vector must agree in S")
        if len(self.likes) != len(self.profiles):
            raise ShapeError("likes and profiles must agree in U")
        if len(self.likes.song) and self.likes.song.max() >= len(self.song_ids):
            raise ShapeError("a like names a song that is not there")

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits of everything that is learnt from."""
        data = sha256()
        for array in (self.likes.starts, self.likes.song, self.likes.weight, self.likes.time):
            data.update(np.ascontiguousarray(array).tobytes())
        data.update(np.ascontiguousarray(self.vectors * self.has_vector[:, None]).tobytes())
        texts = [self.song_ids, self.profiles.user_ids, self.profiles.categories]
        data.update(json.dumps(texts).encode())
        for name, numbers in self.profiles.numbers.items():
            data.update(name.encode() + np.ascontiguousarray(numbers).tobytes())
        return data.hexdigest()[:16]


def standardisation(data: UsersData) -> tuple[FloatArray, FloatArray]:
    """Return mean and scale of each column over the songs with a vector: (V,), float32."""
    rows = data.vectors[data.has_vector].astype(np.float64)
    if not len(rows):
        width = data.vectors.shape[1]
        return np.zeros(width, np.float32), np.ones(width, np.float32)
    spread = rows.std(axis=0)
    small = spread <= MIN_SCALE * np.abs(rows).max(axis=0)
    return rows.mean(axis=0).astype(np.float32), np.where(small, 1.0, spread).astype(np.float32)
