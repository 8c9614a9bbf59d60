"""`audiorec.store.features`: which rows are whose, thinned and drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import ShapeError
from audiorec.store.features import SongSegments, join_songs

COUNTS = [4, 1, 7]
SONGS = join_songs(
    [
        (str(i), np.arange(10 * i, 10 * i + n, dtype=np.float32)[:, None])
        for i, n in enumerate(COUNTS)
    ]
)


def test_means_are_of_each_song_alone():
    np.testing.assert_array_equal(SONGS.means()[:, 0], [1.5, 10.0, 23.0])


def test_rows_come_in_the_order_of_the_songs_asked_for():
    rows, owner = SONGS.rows(np.array([2, 0]))
    assert SONGS.values[rows, 0].tolist() == [20, 21, 22, 23, 24, 25, 26, 0, 1, 2, 3]
    assert owner.tolist() == [0] * 7 + [1] * 4


def test_a_long_song_is_thinned_evenly():
    rows, owner = SONGS.rows(np.array([0, 1, 2]), limit=3)
    # of seven rows the first, and then where i * 3 / 7 passes 1 and 2
    assert SONGS.values[rows, 0].tolist() == [0, 2, 3, 10, 20, 23, 25]
    assert np.bincount(owner).tolist() == [3, 1, 3]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(1, 9), st.booleans())
def test_every_song_keeps_as_many_as_it_may(counts, limit, by_chance):
    songs = join_songs([(str(i), np.zeros((n, 2), np.float32)) for i, n in enumerate(counts)])
    rng = np.random.default_rng(1) if by_chance else None
    rows, owner = songs.rows(np.arange(len(counts)), limit=limit, rng=rng)
    assert np.bincount(owner).tolist() == [min(n, limit) for n in counts]
    assert len(set(rows.tolist())) == len(rows)
    assert (np.diff(owner) >= 0).all()


def test_chance_reaches_every_segment():
    rng = np.random.default_rng(0)
    drawn = [SONGS.rows(np.array([2]), limit=2, rng=rng)[0] for _ in range(80)]
    counts = np.bincount(np.concatenate(drawn), minlength=12)[5:]
    assert counts.min() > 8
    assert counts.sum() == 160


@pytest.mark.parametrize("offsets", [[0, 2], [0, 2, 2], [1, 2, 3], [0, 1, 2]])
def test_refuses_offsets_that_do_not_cut(offsets):
    with pytest.raises(ShapeError, match="cut 3 segments into 2 songs"):
        SongSegments(("a", "b"), np.zeros((3, 1), np.float32), np.array(offsets))
