"""Baselines for similarity models: the centroid of a user's liked songs, and artist popularity.

A user's taste is the mean of the liked songs' unit features, and its similarity to a song is their
cosine. This works for the 84-d vector, mean backbone features, and their principal components.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.errors import ShapeError
from audiorec.types import Float64Array, FloatArray, Pairs

MIN_SCALE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Map from features to unit vectors: standardisation, optionally principal components."""

    mean: Float64Array  # (D,)
    scale: Float64Array  # (D,)
    components: Float64Array | None = None  # (D, K)

    def __call__(self, features: npt.NDArray[np.floating]) -> FloatArray:
        """Return unit vectors, (n, D) to (n, D) or (n, K), float32; rows of zeros stay zero."""
        standard = (features - self.mean) / self.scale
        return unit(standard if self.components is None else standard @ self.components)


def fit_projection(
    features: npt.NDArray[np.floating], *, components: int | None = None
) -> Projection:
    """Fit a projection to the features (n, D) of training songs.

    `components` is the number of principal components to keep, at most as many as there are.
    """
    if features.ndim != 2 or not len(features):
        raise ShapeError(f"features must have shape (n >= 1, D), got {features.shape}")
    wide = features.astype(np.float64)
    mean, scale = wide.mean(0), np.maximum(wide.std(0), MIN_SCALE)
    if components is None:
        return Projection(mean, scale)
    _, _, rows = np.linalg.svd((wide - mean) / scale, full_matrices=False)
    return Projection(mean, scale, rows[:components].T)


def unit(vectors: npt.NDArray[np.floating]) -> FloatArray:
    """Normalise rows to length 1, float32; rows of zeros stay zero.

    Examples
    --------
    >>> unit(np.array([[3.0, -4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, -0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def centroids(songs: FloatArray, liked: Pairs, n_users: int) -> FloatArray:
    """Return each user's taste: the weighted mean of the liked songs' unit vectors (S, K).

    Shape (n_users, K), float32, normalised to length 1; zeros for a user without a pair.

    Examples
    --------
    >>> user, song = np.array([1], np.int32), np.array([0], np.int32)
    >>> pairs = Pairs(user, song, np.array([2], np.float32), np.zeros(1))
    >>> centroids(np.array([[0.6, 0.8]], np.float32), pairs, 2).round(1).tolist()
    [[0.0, 0.0], [0.6000000238418579, 0.800000011920929]]
    """
    sums = np.zeros((n_users, songs.shape[1]))
    np.add.at(sums, liked.user, songs[liked.song].astype(np.float64) * liked.weight[:, None])
    return unit(sums)


def artist_likes(
    song_groups: npt.NDArray[np.integer], liked: Pairs, wanted: npt.NDArray[np.integer]
) -> Float64Array:
    """Return the number of likes of each artist in `wanted` (n,): float64, shape (n,).

    `song_groups` (S,) has the artist of each song in `liked`.
    """
    size = int(max(song_groups.max(initial=0), wanted.max(initial=0))) + 1
    counts = np.bincount(song_groups[liked.song], minlength=size)
    found: Float64Array = counts[wanted].astype(np.float64)
    return found
