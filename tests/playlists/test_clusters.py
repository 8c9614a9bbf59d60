"""`audiorec.playlists.library_lists`: sizes within bounds, the same groups from night to night."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from needs import needs

from audiorec.errors import InputError, MissingExtraError
from audiorec.playlists.library_lists import (
    NEW,
    Sizes,
    bound_sizes,
    divide,
    match_earlier,
    playing_order,
    update_groups,
)

needs("sklearn")


def heaps(counts, *, seed=0, spread=0.1, width=8):
    """Units around as many directions; the number of each song's heap."""
    rng = np.random.default_rng(seed)
    middles = np.eye(width)[: len(counts)]
    heap = np.repeat(np.arange(len(counts)), counts)
    units = middles[heap] + spread * rng.normal(size=(len(heap), width))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return units.astype(np.float32), heap


def test_heaps_become_groups():
    units, heap = heaps([10, 9, 11, 10])
    groups = divide(units, Sizes(10))
    assert [len(set(groups[heap == h])) for h in range(4)] == [1] * 4
    assert len(set(groups)) == 4
    assert np.array_equal(groups, divide(units, Sizes(10)))


@limits(max_examples=12)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.integers(2, 12),
    st.integers(0, 3),
)
def test_sizes_stay_within_bounds(counts, usual, seed):
    units, _ = heaps(counts, seed=seed)
    sizes = Sizes(usual)
    found = np.bincount(divide(units, sizes))
    assert found.sum() == len(units)
    assert found.min() >= 1
    if len(units) >= 2 * sizes.most:
        assert found.min() >= sizes.least
    # Two small groups may have had to become one; songs that have no other place stay.
    assert found.max() <= sizes.most + sizes.least


def test_songs_of_one_sound_are_divided_as_they_stand():
    units = np.tile(np.eye(4, dtype=np.float32)[:1], (50, 1))
    found = np.bincount(divide(units, Sizes(10)))
    assert found.max() <= 20
    assert found.sum() == 50


def test_a_small_group_goes_to_the_nearest():
    units, heap = heaps([10, 10, 2], spread=0.01)
    units[heap == 2] = units[heap == 0][:2]
    groups = bound_sizes(units, heap.astype(np.int64), Sizes(10))
    assert set(groups[heap == 2]) == set(groups[heap == 0])


def test_new_songs_join_the_nearest_and_nobody_else_moves():
    units, heap = heaps([10, 10, 10], spread=0.02)
    before = np.array([2, 0, 1])[heap]
    before[[0, 15]] = NEW
    groups, joined = update_groups(units, before, Sizes(10), joined=3)
    assert joined == 5
    assert np.array_equal(groups, np.array([2, 0, 1])[heap])


def test_all_is_divided_anew_once_a_quarter_has_joined():
    units, _ = heaps([20, 20, 20], spread=0.02)
    before = np.zeros(60, np.int64)
    before[:5] = NEW
    before[30:] = 1
    kept, joined = update_groups(units, before, Sizes(20), joined=10)
    assert joined == 15
    assert not np.array_equal(kept, divide(units, Sizes(20)))
    anew, joined = update_groups(units, before, Sizes(20), joined=11)
    assert joined == 0
    assert np.array_equal(anew, divide(units, Sizes(20)))


def test_groups_are_matched_by_the_songs_that_they_share():
    before = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, NEW, NEW])
    groups = np.array([3, 3, 3, 0, 0, 0, 0, 0, 1, 2, 2, 1])
    assert match_earlier(groups, before) == {3: 0, 0: 1, 1: 2}
    assert match_earlier(groups, np.full(12, NEW)) == {}


def test_a_group_that_shares_little_is_another():
    before = np.repeat([0, 1, 2, 3, 4], 4)
    groups = np.tile([0, 1, 2, 3], 5)
    assert match_earlier(groups, before) == {}


def test_the_most_typical_come_first_and_artists_stand_apart():
    units = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0.1, 0.9]], np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    assert playing_order(units, np.array([-1, -1, -1, -1]), -1).tolist() == [2, 1, 0, 3]
    assert playing_order(units, np.array([5, 7, 7, 7]), -1).tolist() == [2, 0, 1, 3]


def test_a_list_of_one_song_is_none():
    with pytest.raises(InputError, match="2 songs or more"):
        Sizes(1)


def test_without_sklearn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.cluster", None)
    with pytest.raises(MissingExtraError, match=r'needs the extra "sklearn"'):
        divide(heaps([10, 10])[0], Sizes(5))
