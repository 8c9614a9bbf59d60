"""Side information of songs as numeric features, and embeddings from it alone.

    codes (S, C), dense (S, V) ──side_embeddings, with learnt weights──▶ (S, d)

`audiorec.learning.next_model.SongTable` is trained on `SongFeatures`; `side_embeddings` computes
its projection in numpy, without torch, for songs added later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiorec.errors import ShapeError
from audiorec.types import BoolArray, FloatArray, Int64Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SongFeatures:
    """Side information of S songs as numeric features."""

    codes: Int64Array  # (S, C): value code of each category; 0 means unknown
    sizes: tuple[int, ...]  # length C: number of values of each category, including the unknown one
    # (S, V): standardised numbers and audio features, 0 if unknown, and flags of known values
    dense: FloatArray

    def __post_init__(self) -> None:
        if len(self.codes) != len(self.dense) or self.codes.shape[1] != len(self.sizes):
            raise ShapeError(f"codes (S, C), C sizes, dense (S, V) expected: {self.codes.shape}")

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def known(self) -> BoolArray:
        """Whether each song has any side information: shape (S,), bool."""
        any_known: BoolArray = (self.codes > 0).any(axis=1) | (self.dense != 0).any(axis=1)
        return any_known

    @property
    def rows(self) -> Int64Array:
        """Codes as row numbers of one table with the values of all categories: (S, C), int64."""
        first = np.cumsum([0, *self.sizes])[:-1].astype(np.int64)
        return self.codes + first

    @property
    def width(self) -> int:
        """Number of categories and dense columns; 0 if there are ids only."""
        return int(self.codes.shape[1] + self.dense.shape[1])


def no_features(n_songs: int) -> SongFeatures:
    """Return empty features of songs that have ids only."""
    nothing = np.zeros((n_songs, 0))
    return SongFeatures(codes=nothing.astype(np.int64), sizes=(), dense=nothing.astype(np.float32))


def side_embeddings(features: SongFeatures, weights: Mapping[str, Any]) -> FloatArray:
    """Return embeddings of songs by side information alone, in numpy: (n, d) float32.

    Parameters
    ----------
    features : SongFeatures
        Encoded in the same way as those that the table was trained on.
    weights : mapping of str to ndarray
        Weights of `SongTable`: ``values`` (sum of sizes, w), ``project.weight`` (d, C w + V).
        Without them, as for a table of ids, the result has shape (n, 0).
    """
    if "project.weight" not in weights:
        return np.zeros((len(features), 0), np.float32)
    parts = [features.dense]
    if features.sizes:
        values = weights["values"][features.rows]
        parts.insert(0, values.reshape(len(features), -1))
    joined = np.concatenate(parts, axis=1).astype(np.float32)
    found = joined @ weights["project.weight"].T
    return np.where(features.known[:, None], found, 0).astype(np.float32)
