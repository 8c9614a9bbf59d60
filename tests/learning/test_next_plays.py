"""`audiorec.learning.next_plays`: every step once, the newest held out, nothing of it learnt."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.learning.next_plays import NextPlays, histories, hold_out, training_windows, windows


def made(lists, times=None, n_songs=100):
    starts = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    song = np.array([s for songs in lists for s in songs], np.int64)
    time = np.full(len(song), np.nan) if times is None else np.array(times, np.float64)
    nothing = np.zeros((len(lists), 0), np.float32)
    return NextPlays(starts=starts, song=song, time=time, n_songs=n_songs, profile=nothing)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(1, 9), st.integers(0, 5))
def test_each_step_is_in_one_stretch(lengths, longest, seed):
    starts = np.cumsum([0, *lengths]).astype(np.int64)
    first, stop = windows(starts, longest, np.random.default_rng(seed))
    assert ((stop - first >= 2) & (stop - first <= longest + 1)).all()
    cut = zip(first.tolist(), stop.tolist(), strict=True)
    steps = [place for a, b in cut for place in range(a + 1, b)]
    expected = [place for a, b in pairwise(starts.tolist()) for place in range(a + 1, b)]
    assert steps == expected


def test_another_epoch_cuts_elsewhere():
    starts = np.array([0, 100])
    cuts = {tuple(windows(starts, 10, np.random.default_rng(s))[0].tolist()) for s in range(20)}
    assert len(cuts) > 5


def test_the_newest_owners_are_held_out_by_time():
    lists = [[1, 2, 3], [4, 5], [6], [7, 8, 9]]
    # Owner 1 is the newest, although it stands in the middle.
    plays = made(lists, [1, 2, 3, 80, 90, 100, 7, 8, 9])
    held = hold_out(plays, 0.4, "sequences")
    assert held.learnt.tolist() == [True] * 3 + [False] * 2 + [True] * 4
    assert np.flatnonzero(held.judged).tolist() == [4]


def test_without_times_the_last_owners_are_the_newest():
    held = hold_out(made([[1, 2], [3, 4], [5, 6]]), 0.34, "sequences")
    assert np.flatnonzero(~held.learnt).tolist() == [4, 5]


def test_the_end_of_each_owners_plays():
    held = hold_out(made([[1, 2, 3, 4, 5, 6], [7, 8]]), 0.3, "plays")
    assert np.flatnonzero(~held.learnt).tolist() == [4, 5]
    assert (held.judged == ~held.learnt).all()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.floats(0.01, 0.9))
def test_what_is_judged_has_a_play_before_it(lengths, share):
    plays = made([[1] * n for n in lengths])
    if max(lengths) < 2:
        with pytest.raises(InputError, match="no user or session has two plays"):
            hold_out(plays, share)
        return
    for how in ("plays", "sequences") if sum(n > 1 for n in lengths) > 1 else ("plays",):
        held = hold_out(plays, share, how)
        firsts = plays.starts[:-1][plays.lengths > 0]
        assert held.judged.any()
        assert not held.judged[firsts].any()
        if how == "sequences" or max(lengths) > 2:
            assert not (held.judged & held.learnt).any()
            assert held.learnt.any()


def test_many_owners_are_held_out_whole():
    few, many = (made([[1, 2, 3, 4]] * n) for n in (10, 200))
    assert (hold_out(few, 0.25).learnt.reshape(-1, 4) == [True, True, True, False]).all()
    by_owner = hold_out(many, 0.25).learnt.reshape(-1, 4)
    assert (by_owner == by_owner[:, :1]).all()
    assert (~by_owner[:, 0]).sum() == 50


def test_a_stretch_has_the_next_play_as_its_target():
    plays = made([[5, 6, 7], [8, 9]])
    rng = np.random.default_rng(0)
    batch = training_windows(plays, np.array([0, 3]), np.array([3, 5]), np.array([0, 1]), rng)
    assert batch.songs.tolist() == [[5, 6], [8, 9]]
    assert batch.lengths.tolist() == [2, 1]
    assert batch.targets.tolist() == [[6, 7], [9, -1]]
    second = batch.part(slice(1, 2))
    assert (len(second), second.songs.tolist()) == (1, [[8, 9]])


def test_a_history_ends_before_the_play_that_is_asked_for():
    plays = made([[5, 6, 7], [8, 9]], [1, 2, 3, 4, 5])
    batch = histories(plays, np.array([0, 1, 0]), np.array([2, 4, 3]), 2)
    assert batch.songs.tolist() == [[5, 6], [8, 0], [6, 7]]
    assert batch.lengths.tolist() == [2, 1, 2]
    assert batch.time[0].tolist() == [1, 2]
    assert (batch.targets == -1).all()


def test_digest_changes_with_a_play():
    one, other = made([[1, 2], [3]]), made([[1, 2], [4]])
    assert one.digest == made([[1, 2], [3]]).digest != other.digest
    assert one.digest != made([[1], [2, 3]]).digest


def test_refusals():
    with pytest.raises(InputError, match="between 0 and 1"):
        hold_out(made([[1, 2]]), 1.0)
    with pytest.raises(InputError, match="a single user or session"):
        hold_out(made([[1, 2]]), 0.5, "sequences")
