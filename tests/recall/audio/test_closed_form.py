"""`audiorec.recall.audio.model`: the map that fits, and what an artist counts."""

import numpy as np
from little_worlds import little_world, pairs

from audiorec.recall.audio.model import Ridge, fit_map


def fitted(users, liked, features, groups, ridge=None):
    return fit_map(users, liked, features, np.asarray(groups), ridge or Ridge())


def test_one_dimension_worked_by_hand():
    users = np.array([[1.0], [2.0], [5.0]], np.float32)
    features = np.array([[3.0, 4.0], [0.0, 5.0]], np.float32)
    liked = pairs([0, 1], [0, 0])  # song 1 and user 2 take no part
    found = fitted(users, liked, features, [7, 8], Ridge(users=0.5, songs=2.0))
    # any map is a multiple of (X'X + damping)^-1 x = x / (25 + 25), scaled to length 1 on song 0
    np.testing.assert_allclose(found, [[0.12, 0.16]], atol=1e-6)


def test_an_artist_counts_by_listeners_to_a_power():
    users = np.ones((9, 1), np.float32)
    features = np.eye(2, dtype=np.float32)
    liked = pairs(range(9), [0] * 8 + [1])  # eight listeners and one
    for balance, ratio in ((0.0, 8.0), (0.75, 8**0.25), (1.0, 1.0)):
        found = fitted(users, liked, features, [0, 1], Ridge(balance=balance))
        np.testing.assert_allclose(found[0, 0] / found[0, 1], ratio, rtol=1e-5)


def test_recovers_the_planted_map_without_damping():
    rng = np.random.default_rng(3)
    users = rng.standard_normal((4000, 3)).astype(np.float32)
    features = rng.standard_normal((60, 5)).astype(np.float32)
    planted = rng.standard_normal((3, 5))
    likes = users @ planted @ features.T > 2.0
    found = fitted(
        users, pairs(*np.nonzero(likes)), features, np.arange(60), Ridge(users=1e-6, songs=1e-3)
    )
    cosine = (found * planted).sum() / np.linalg.norm(found) / np.linalg.norm(planted)
    assert cosine > 0.95


def test_another_track_of_an_artist_is_no_further_witness():
    rng = np.random.default_rng(0)
    users = rng.standard_normal((30, 4)).astype(np.float32)
    features = rng.standard_normal((6, 3)).astype(np.float32)
    user, song = np.nonzero(rng.random((30, 6)) < 0.4)
    twice = np.concatenate([features, features])
    both = pairs(np.tile(user, 2), np.concatenate([song, song + 6]))
    once = fitted(users, pairs(user, song), features, np.arange(6))
    doubled = fitted(users, both, twice, np.tile(np.arange(6), 2))
    np.testing.assert_allclose(doubled, once, atol=1e-5)


def test_songs_that_were_learnt_from_have_length_one_on_average():
    data, _ = little_world()
    found = fit_map(data.anchors, data.liked, data.songs.means(), data.groups)
    learnt = np.unique(data.liked.song)
    lengths = np.linalg.norm(data.songs.means()[learnt] @ found.T, axis=1)
    assert abs(lengths.mean() - 1) < 1e-5


def test_a_liked_songs_direction_is_nearer_than_another():
    data, held = little_world(n_users=200, n_songs=60, held_out=20, seed=1)
    weights = fit_map(data.anchors, data.liked, data.songs.means(), data.groups)
    near = data.anchors @ (data.songs.means()[40:] @ weights.T).T
    auc = np.mean(
        [(n[h][:, None] > n[~h]).mean() for n, h in zip(near, held, strict=True) if h.any()]
    )
    assert auc > 0.8
