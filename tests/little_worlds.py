"""A little world in which taste can be heard: users and songs in a few dimensions."""

import numpy as np

from audiorec.recall.audio.data import TrainingData
from audiorec.store.features import SongSegments, join_songs
from audiorec.types import Pairs

TASTES = 4


def pairs(user, song) -> Pairs:
    user, song = np.asarray(user, np.int32), np.asarray(song, np.int32)
    return Pairs(user, song, np.ones(len(user), np.float32), np.full(len(user), np.nan))


def songs_of(features: np.ndarray, *, noise: float = 0.3, seed: int = 0) -> SongSegments:
    """Songs of two to five segments around their features."""
    rng = np.random.default_rng(seed)
    parts = []
    for number, row in enumerate(features):
        segments = row + noise * rng.standard_normal((rng.integers(2, 6), len(row)))
        parts.append((f"song {number:03}", segments.astype(np.float32)))
    return join_songs(parts)


def little_world(*, n_users=60, n_songs=40, held_out=10, seed=0):
    """Training data, and who likes which of the last `held_out` songs."""
    rng = np.random.default_rng(seed)
    users = rng.standard_normal((n_users, TASTES)).astype(np.float32)
    features = rng.standard_normal((n_songs, TASTES)).astype(np.float32)
    likes = users @ features.T + 0.5 * rng.standard_normal((n_users, n_songs)) > 1.5
    known = n_songs - held_out
    user, song = np.nonzero(likes[:, :known])
    data = TrainingData(
        songs=songs_of(features),
        groups=np.arange(n_songs) // 2,
        pool=np.arange(known),
        liked=pairs(user, song),
        disliked=pairs([0, 0], [known - 1, known - 2]),
        heard=pairs(user, song),
        anchors=users,
    )
    return data, likes[:, known:]
