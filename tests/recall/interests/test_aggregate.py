"""Interests that are alike become one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audiorec.recall.interests.channel import merged_interests


@given(st.integers(0, 10_000), st.integers(2, 6), st.floats(-0.5, 0.95))
def test_what_is_joined_is_apart_and_stands_for_the_same_songs(seed, k, above):
    rng = np.random.default_rng(seed)
    interests = rng.normal(size=(5, k, 3)).astype(np.float32)
    interests[rng.random((5, k)) < 0.3] = 0
    shares = rng.random((5, 4, k)).astype(np.float32) * interests.any(axis=2)[:, None]
    found, moved = merged_interests(interests, shares, above=above)
    unit = found / np.maximum(np.linalg.norm(found, axis=2, keepdims=True), 1e-9)
    there = found.any(axis=2)
    pairs = there[:, :, None] & there[:, None] & (np.arange(k)[:, None] < np.arange(k))
    assert not ((unit @ unit.transpose(0, 2, 1) > above + 1e-5) & pairs).any()
    assert np.array_equal(there.any(axis=1), interests.any(axis=(1, 2)))
    np.testing.assert_allclose(moved.sum(axis=2), shares.sum(axis=2), atol=1e-5)
    assert not moved.transpose(0, 2, 1)[~there].any()
    # One history alone and among others, and nothing is joined at 1.
    alone, _ = merged_interests(interests[2:3], shares[2:3], above=above)
    np.testing.assert_allclose(alone[0], found[2], atol=1e-6)
    assert merged_interests(interests, shares, above=1)[0] is interests


def test_the_nearest_two_are_joined_first():
    """b lies between a and c, nearer to a: a and b become one, which is too far from c."""
    angles = np.deg2rad([0, 20, 45])
    three = np.stack([np.cos(angles), np.sin(angles)], axis=1)[None].astype(np.float32)
    found, _ = merged_interests(three, np.ones((1, 1, 3), np.float32), above=np.cos(np.deg2rad(30)))
    assert found[0].any(axis=1).tolist() == [True, False, True]
    assert np.allclose(found[0, 0], [np.cos(np.deg2rad(10)), np.sin(np.deg2rad(10))], atol=1e-6)
