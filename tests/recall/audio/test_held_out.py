"""`audiorec.recall.audio.held_out`: artists are never cut, and stay where they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.recall.audio.held_out import Split, SplitPart, artist_groups, assign_parts

SPLIT = Split(valid=0.2, test=0.3, new_songs=0.25, seed=4)


def test_parts_have_the_sizes_asked_for():
    names = [str(i) for i in range(20_000)]
    found = np.bincount(assign_parts(names, artist_groups(names, [None] * len(names)), SPLIT)) / 2e4
    np.testing.assert_allclose(found, [0.5 * 0.75, 0.2, 0.3, 0.5 * 0.25], atol=0.012)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30), st.integers(0, 9))
def test_an_artist_is_never_cut(artists, seed):
    names = [str(i) for i in range(len(artists))]
    split = Split(valid=0.3, test=0.3, seed=seed)
    parts = assign_parts(names, artist_groups(names, artists), split)
    for artist in set(artists):
        assert len({p for p, a in zip(parts, artists, strict=True) if a == artist}) == 1


def test_a_song_stays_in_its_part_as_the_catalogue_grows():
    few = assign_parts(["x", "y"], ["artist a", "artist b"], SPLIT)
    many = assign_parts(["w", "x", "z", "y"], ["artist c", "artist a", "song z", "artist b"], SPLIT)
    assert many[[1, 3]].tolist() == few.tolist()


def test_new_songs_are_only_of_artists_that_are_learnt_from():
    names = [str(i) for i in range(3_000)]
    groups = [f"artist {i % 50}" for i in range(3_000)]
    parts = assign_parts(names, groups, SPLIT)
    whole = assign_parts(names, groups, Split(valid=0.2, test=0.3, seed=4))
    assert set(whole[parts == SplitPart.NEW_SONG]) == {SplitPart.TRAIN}
    assert (parts[whole != SplitPart.TRAIN] == whole[whole != SplitPart.TRAIN]).all()


def test_another_seed_holds_others_out():
    names = [str(i) for i in range(200)]
    groups = [f"song {n}" for n in names]
    a, b = (assign_parts(names, groups, Split(valid=0.5, seed=s)) for s in (0, 1))
    assert 60 < (a != b).sum() < 140


def test_blank_artists_do_not_hold_songs_together():
    assert len(set(artist_groups(["a", "b", "c"], [None, "", "  "]))) == 3
    assert len(set(artist_groups(["a", "b"], ["Nina", " nina"]))) == 1
    assert artist_groups(["x"], ["song x"]) != artist_groups(["x"], [None])


@pytest.mark.parametrize(
    "wrong", [{"valid": 0.5, "test": 0.5}, {"valid": -0.1}, {"new_songs": 1.0}]
)
def test_refuses_to_leave_nothing(wrong):
    with pytest.raises(InputError, match="leave artists and songs to train on"):
        Split(**wrong)
