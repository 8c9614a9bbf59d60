"""What is known of songs beside their ids, as numbers, and embeddings by that alone.

    codes (S, C), dense (S, V) ──side_embeddings, with learnt weights──▶ (S, d)

`SongFeatures` is what `audiorec.learning.song_table.SongTable` learns from; `side_embeddings` is
its projection in numpy, for songs that come later, without torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiorec.errors import ShapeError
from audiorec.types import BoolArray, FloatArray, Int64Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SongFeatures:
    """What is known of S songs beside their ids, as numbers.

    Attributes
    ----------
    codes : ndarray, shape (S, C), int64
        The value of each category; 0 is "unknown".
    sizes : tuple of int, length C
        Values of each category, the unknown one included.
    dense : ndarray, shape (S, V), float32
        Standardised numbers and sound, 0 where unknown, and flags that say what is known.
    """

    codes: Int64Array
    sizes: tuple[int, ...]
    dense: FloatArray

    def __post_init__(self) -> None:
        if len(self.codes) != len(self.dense) or self.codes.shape[1] != len(self.sizes):
            raise ShapeError(f"codes (S, C), C sizes, dense (S, V) expected: {self.codes.shape}")

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def known(self) -> BoolArray:
        """Of which songs anything is known: shape (S,), bool."""
        any_known: BoolArray = (self.codes > 0).any(axis=1) | (self.dense != 0).any(axis=1)
        return any_known

    @property
    def rows(self) -> Int64Array:
        """The codes as rows of one table of the values of all categories: (S, C), int64."""
        first = np.cumsum([0, *self.sizes])[:-1].astype(np.int64)
        return self.codes + first

    @property
    def width(self) -> int:
        """Categories and dense columns; 0: there are ids alone."""
        return int(self.codes.shape[1] + self.dense.shape[1])


def no_features(n_songs: int) -> SongFeatures:
    """Return the features of songs of which nothing is known but their ids."""
    nothing = np.zeros((n_songs, 0))
    return SongFeatures(codes=nothing.astype(np.int64), sizes=(), dense=nothing.astype(np.float32))


def side_embeddings(features: SongFeatures, weights: Mapping[str, Any]) -> FloatArray:
    """Return the embeddings of songs by their side alone, in numpy: (n, d) float32.

    Parameters
    ----------
    features : SongFeatures
        Encoded as those that the table was learnt with.
    weights : mapping of str to ndarray
        ``values`` (sum of sizes, w), ``project.weight`` (d, C w + V): of `SongTable`. Without
        them, as of a table of ids, every embedding is 0 (n, 0).
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
