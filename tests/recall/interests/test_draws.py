"""Normal numbers that follow from a seed alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audiorec.recall.interests.forward import history_seeds, normals, place_seeds


def test_they_are_normal_and_independent():
    found = normals(np.arange(4_000), 50).astype(np.float64)
    assert abs(found.mean()) < 0.01
    assert abs(found.std() - 1) < 0.01
    assert abs((found**4).mean() - 3) < 0.1
    assert abs((np.abs(found) > 1.96).mean() - 0.05) < 0.002
    near = np.corrcoef(found[:, :8].T) - np.eye(8)
    assert np.abs(near).max() < 0.06
    assert abs(np.corrcoef(found[:-1, 0], found[1:, 0])[0, 1]) < 0.06


@given(st.lists(st.integers(0, 2**62 - 1), min_size=1, max_size=5), st.integers(1, 9))
def test_numbers_depend_on_their_seed_alone(seeds, m):
    whole = normals(np.array(seeds), m + 4)
    assert np.isfinite(whole).all()
    for row, seed in enumerate(seeds):
        np.testing.assert_array_equal(normals(np.array([seed]), m)[0], whole[row, :m])


def test_a_history_has_its_seed_whatever_it_is_padded_with():
    songs = np.array([[3, 1, 0, 0], [3, 1, 7, 0], [1, 3, 0, 0], [3, 1, 9, 9]])
    found = history_seeds(songs, np.array([2, 3, 2, 2]), 0)
    assert found[0] == found[3] == history_seeds(songs[:1, :2], np.array([2]), 0)[0]
    assert len(set(found.tolist())) == 3
    assert found[0] != history_seeds(songs[:1], np.array([2]), 1)[0]  # another model
    assert found.min() >= 0


def test_places_of_rows_have_seeds_of_their_own():
    found = place_seeds(np.array([1, 2]), 5)
    assert len(set(found.ravel().tolist())) == 10
    np.testing.assert_array_equal(found[:, :3], place_seeds(np.array([1, 2]), 3))
