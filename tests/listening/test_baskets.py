"""`audiorec.listening.baskets`: sessions, playlists, and who stands beside whom."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.listening.baskets import MAX_BASKET, Baskets, co_occurring, playlists, sessions


def together(baskets, window, n_songs=10):
    found = co_occurring(baskets, n_songs, window=window)
    return {(u, s): w for u, s, w in zip(found.user, found.song, found.weight, strict=True)}


def test_a_pause_or_another_user_ends_a_session():
    user = np.array([1, 0, 0, 1, 0])
    song = np.array([5, 3, 4, 6, 2])
    time = np.array([0.0, 5000.0, 100.0, 50.0, 3800.0])
    found = sessions(user, song, time, gap_s=3600)
    # user 0: 4 at 100 s, pause, 2 and 3; user 1: 5, 6
    assert found.song.tolist() == [4, 2, 3, 5, 6]
    assert found.basket.tolist() == [0, 1, 1, 2, 2]


def test_a_pause_of_just_the_gap_does_not_end_it():
    found = sessions(np.zeros(2, int), np.arange(2), np.array([0.0, 60.0]), gap_s=60)
    assert found.basket.tolist() == [0, 0]


def test_pairs_worked_by_hand():
    baskets = Baskets(np.array([1, 7, 2, 1, 7, 9]), np.array([0, 0, 0, 3, 3, 4]))
    assert together(baskets, 1) == {(1, 7): 2, (7, 1): 2, (7, 2): 1, (2, 7): 1}
    assert together(baskets, 0) == {
        (1, 7): 2,
        (7, 1): 2,
        (7, 2): 1,
        (2, 7): 1,
        (1, 2): 1,
        (2, 1): 1,
    }


def test_a_song_does_not_stand_beside_itself():
    assert together(Baskets(np.array([4, 4, 4]), np.zeros(3, int)), 2) == {}


def test_a_playlist_keeps_its_order():
    found = playlists(np.array([2, 0, 2, 0]), np.array([9, 8, 1, 2]))
    assert found.song.tolist() == [8, 2, 9, 1]


def test_a_huge_basket_counts_by_its_first_songs():
    baskets = Baskets(np.arange(MAX_BASKET + 50), np.zeros(MAX_BASKET + 50, int))
    found = co_occurring(baskets, 1000, window=1)
    assert found.song.max() == MAX_BASKET - 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=25), st.integers(0, 4))
def test_pairs_are_the_same_both_ways(rows, window):
    rows.sort(key=lambda row: row[0])
    baskets = Baskets(
        np.array([s for _, s in rows], np.int64), np.array([b for b, _ in rows], np.int64)
    )
    found = together(baskets, window)
    assert {(s, u): w for (u, s), w in found.items()} == found


def test_refuses_a_gap_of_nothing():
    with pytest.raises(InputError, match="above 0 seconds, got 0"):
        sessions(np.zeros(1, int), np.zeros(1, int), np.zeros(1), gap_s=0)
