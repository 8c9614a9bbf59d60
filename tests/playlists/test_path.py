"""`audiorec.playlists.path`: monotone always, smoothest where that can be checked."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.playlists.path import find_path
from audiorec.search.choice import Limit


def units(n, seed=0, width=4):
    vectors = np.random.default_rng(seed).normal(size=(n, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def on_a_circle(*degrees):
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def smoothest(vectors, start, end, steps):
    """Try every monotone path: the smallest largest step, then the smallest sum."""
    similarities = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    position = similarities[:, end] - similarities[:, start]
    inner = [i for i in range(len(vectors)) if position[start] < position[i] < position[end]]
    best = None
    for chosen in combinations(sorted(inner, key=lambda i: position[i]), steps):
        path = [start, *chosen, end]
        costs = [1 - similarities[a, b] for a, b in pairwise(path)]
        key = (max(costs), sum(costs), path)
        best = key if best is None or key < best else best
    return best


def test_songs_in_order_of_angle():
    # 90 is passed over: through 60 and 25 the three steps are 25, 35 and 20 degrees.
    vectors = on_a_circle(80, 60, 0, 90, 25, 300)
    path = find_path(vectors, 2, 0, 2)
    assert path.rows.tolist() == [2, 4, 1, 0]
    expected = np.cos(np.deg2rad([25, 35, 20]))
    np.testing.assert_allclose(path.steps, expected, atol=1e-6)
    np.testing.assert_allclose(path.to_start, np.cos(np.deg2rad([0, 25, 60, 80])), atol=1e-6)
    np.testing.assert_allclose(path.to_end, np.cos(np.deg2rad([80, 55, 20, 0])), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_no_monotone_path_is_smoother(seed, steps):
    vectors = units(12, seed)
    best = smoothest(vectors, 0, 1, steps)
    path = find_path(vectors, 0, 1, steps)
    direct = 1 - float(vectors[0].astype(np.float64) @ vectors[1])
    if best is None or best[0] > direct:
        assert len(path.rows) < steps + 2
        assert (1 - path.steps).max() <= direct + 1e-9
        return
    costs = 1 - path.steps
    assert costs.max() == pytest.approx(best[0], abs=1e-6)
    assert costs.sum() == pytest.approx(best[1], abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.booleans())
def test_monotone_and_no_song_twice(seed, steps, small_pool):
    vectors = units(150, seed, width=3 + seed % 5)
    path = find_path(vectors, 3, 140, steps, pool=30 if small_pool else 1000)
    assert (np.diff(path.position) > 0).all()
    assert len(set(path.rows.tolist())) == len(path.rows)
    assert (path.rows[0], path.rows[-1]) == (3, 140)
    exact = np.einsum("ij,ij->i", vectors[path.rows[:-1]], vectors[path.rows[1:]])
    np.testing.assert_allclose(path.steps, exact, atol=1e-5)
    assert path.steps.min() >= float(vectors[3] @ vectors[140]) - 1e-6


def test_a_pool_finds_a_path_nearly_as_smooth():
    vectors = units(1_200, 5, width=3)
    whole = find_path(vectors, 0, 1, 6, pool=1_200)
    pool = find_path(vectors, 0, 1, 6, pool=300)
    assert whole.steps.min() >= pool.steps.min() > whole.steps.min() - 0.02


def test_limits_hold_for_the_ends_too():
    vectors = units(200, 2)
    free = find_path(vectors, 10, 47, 6).rows
    artists = np.full(200, -1, np.int32)
    artists[free[:5]] = 0  # the start and four songs after it are by one artist
    artists[free[6:]] = 1  # so are the last one between and the end
    for most in (1, 2, 3):
        path = find_path(vectors, 10, 47, 6, limits=[Limit(artists, most)])
        kinds = artists[path.rows]
        assert np.bincount(kinds[kinds >= 0]).max() <= most
        assert len(path.rows) == 8


def test_only_songs_that_are_allowed():
    vectors = units(60, 2)
    allowed = np.arange(60) % 2 == 0
    path = find_path(vectors, 1, 3, 3, allowed=allowed)
    assert (path.rows[1:-1] % 2 == 0).all()


def test_shorter_where_there_is_no_longer_one():
    path = find_path(on_a_circle(0, 60, 30, 200, 250), 0, 1, 3)
    assert path.rows.tolist() == [0, 2, 1]
    alone = find_path(on_a_circle(0, 60, 200), 0, 1, 1)
    assert alone.rows.tolist() == [0, 1]
    assert alone.steps == pytest.approx([0.5])


def test_copies_of_the_ends_are_no_steps():
    path = find_path(on_a_circle(0, 60, 0, 60, 30), 0, 1, 2)
    assert path.rows.tolist() == [0, 4, 1]


@pytest.mark.parametrize(
    ("start", "end", "steps", "message"),
    [
        (1, 1, 3, "two different songs"),
        (0, 1, 0, "at least 1 song between its ends, got 0"),
        (0, 1, 3, "needs 5 songs; the store has 4"),
        (0, 3, 1, "sound the same"),
    ],
)
def test_refusals(start, end, steps, message):
    with pytest.raises(InputError, match=message):
        find_path(on_a_circle(0, 60, 30, 0), start, end, steps)
