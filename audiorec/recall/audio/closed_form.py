"""Initialise a tower with the linear map from audio to the users' space that best fits the likes.

    likes (U, G) ≈ users (U, E) · weights (E, D) · artists' mean features (D, G)

solved in one step, with a ridge on both sides. There is one row per artist, not per song, so that
an artist with thirty songs carries no more weight than one with three. On small catalogues no
model trained by gradient steps beats this map (docs/decisions/0014), so training starts from it
and continues only while held-out artists improve.
"""

from dataclasses import dataclass

import numpy as np

from audiorec.types import Float64Array, FloatArray, Int64Array, Pairs

# The longer of two sums has more listeners, not better ones: a sum of n users is divided by n to
# this power.
BALANCE = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Ridge:
    """Regularisation of the map, as multiples of the mean eigenvalue of each side."""

    users: float = 1.0
    songs: float = 8.0
    balance: float = BALANCE


def fit_map(
    users: FloatArray,
    liked: Pairs,
    features: FloatArray,
    groups: Int64Array,
    ridge: Ridge = Ridge(),
) -> FloatArray:
    """Fit the linear map, (E, D) float32.

    It is scaled so that embeddings of the training songs have a mean length of 1.

    `features` (S, D) are the standardised means of the songs, `groups` (S,) their artists. Only
    songs in `liked` are used.
    """
    artists, artist_of = np.unique(groups[liked.song], return_inverse=True)
    pairs = np.unique(
        np.stack([liked.user.astype(np.int64), artist_of.astype(np.int64)], 1), axis=0
    )
    listeners = np.bincount(pairs[:, 1], minlength=len(artists))
    sums = np.zeros((len(artists), users.shape[1]))
    np.add.at(sums, pairs[:, 1], users[pairs[:, 0]].astype(np.float64))
    target = sums / (listeners**ridge.balance)[:, None]
    songs = np.unique(liked.song)
    place = np.searchsorted(artists, groups[songs])
    totals = np.zeros((len(artists), features.shape[1]))
    np.add.at(totals, place, features[songs].astype(np.float64))
    audio = totals / np.bincount(place, minlength=len(artists))[:, None]
    own = users[np.unique(liked.user)].astype(np.float64)
    left = _damped(own.T @ own, ridge.users)
    right = _damped(audio.T @ audio, ridge.songs)
    weights = np.linalg.solve(left, target.T @ audio)
    weights = np.linalg.solve(right, weights.T).T
    lengths = np.linalg.norm(features[songs] @ weights.T, axis=1)
    return (weights / max(float(lengths.mean()), 1e-12)).astype(np.float32)


def _damped(gram: Float64Array, ridge: float) -> Float64Array:
    mean = max(np.trace(gram) / len(gram), 1e-12)
    damped: Float64Array = gram + ridge * mean * np.eye(len(gram))
    return damped
