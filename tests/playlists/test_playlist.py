"""`audiorec.playlists.playlist`: the length is right, artists are spread, curves are followed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.playlists.curves import Curve
from audiorec.playlists.playlist import PlaylistRequest, make_playlist
from audiorec.search.choice import Limit


def library(n, seed=0):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 5))
    units = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return units, rng.uniform(120, 360, n), rng.integers(-1, n // 5, n).astype(np.int32)


def make(units, durations, wish, **options):
    return make_playlist(units, units[0], durations, wish, **options)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(12, 90), st.integers(0, 4), st.integers(1, 3))
def test_length_limits_and_spread(seed, minutes, gap, most):
    units, durations, artists = library(200, seed)
    wish = PlaylistRequest(
        seconds=60 * minutes, artists=artists, gap=gap, limits=[Limit(artists, most)]
    )
    found = make(units, durations, wish, seeds=[0])
    assert found.seconds == pytest.approx(durations[found.rows].sum())
    assert found.within_tolerance
    assert abs(found.seconds - wish.seconds) <= max(30, 0.6 * minutes)
    assert len(set(found.rows.tolist())) == len(found.rows)
    assert found.rows[0] == 0
    kinds = artists[found.rows]
    assert np.bincount(kinds[kinds >= 0], minlength=1).max() <= most
    for place, kind in enumerate(kinds):
        assert kind == -1 or kind not in kinds[max(0, place - gap) : place]


def test_the_nearest_songs_come_without_other_wishes():
    units, _durations, _ = library(100)
    found = make(units, np.full(100, 200.0), PlaylistRequest(seconds=2_000), seeds=[0])
    nearest = np.argsort(-(units @ units[0]))[:10]
    assert len(found.rows) == 10
    assert len(set(found.rows.tolist()) & set(nearest.tolist())) >= 7


def test_each_song_goes_with_the_one_before():
    units, _, _ = library(400)
    found = make(units, np.full(400, 200.0), PlaylistRequest(seconds=4_000), seeds=[0])
    steps = np.einsum("ij,ij->i", units[found.rows[:-1]], units[found.rows[1:]])
    shuffled = np.random.default_rng(0).permutation(found.rows)
    others = np.einsum("ij,ij->i", units[shuffled[:-1]], units[shuffled[1:]])
    assert steps.mean() > others.mean() + 0.05


@pytest.mark.parametrize("points", [(0.1, 0.9), (0.9, 0.1), (0.2, 0.8, 0.2), (0.5,)])
def test_a_curve_is_followed(points):
    units, durations, _ = library(500)
    scores = np.random.default_rng(1).random(500)
    wish = PlaylistRequest(seconds=3_600, curves=[Curve(scores, points)])
    found = make(units, durations, wish)
    middle = (np.cumsum(durations[found.rows]) - durations[found.rows] / 2) / found.seconds
    places = np.linspace(0, 1, len(points)) if len(points) > 1 else [0.0]
    wanted = np.interp(middle, places, points)
    assert np.abs(scores[found.rows] - wanted).mean() < 0.06
    assert found.within_tolerance


def test_two_curves_at_once():
    units, durations, _ = library(2_000)
    scores = np.random.default_rng(1).random((2, 2_000))
    curves = [Curve(scores[0], (0.1, 0.9)), Curve(scores[1], (0.9, 0.1))]
    found = make(units, durations, PlaylistRequest(seconds=3_600, curves=curves))
    for own, sign in zip(scores, (1, -1), strict=True):
        assert sign * np.corrcoef(own[found.rows], np.arange(len(found.rows)))[0, 1] > 0.8


def test_a_large_library_is_pruned_to_what_the_curve_needs():
    rng = np.random.default_rng(0)
    units = np.tile(np.float32([[1, 0]]), (12_000, 1))
    units[-40:] = [0, 1]  # the only songs with a high score are far from the seed
    scores = rng.uniform(0, 0.2, 12_000)
    scores[-40:] = 0.9
    wish = PlaylistRequest(seconds=3_600, curves=[Curve(scores, (0.1, 0.9))])
    found = make(units, np.full(12_000, 200.0), wish)
    assert scores[found.rows[-1]] == 0.9
    assert scores[found.rows[0]] < 0.2


def test_seeds_come_first_as_far_as_the_gap_lets_them():
    units, durations, _ = library(60)
    artists = np.full(60, -1, np.int32)
    artists[[7, 9]] = 3
    wish = PlaylistRequest(seconds=3_600, artists=artists, gap=2)
    found = make(units, durations, wish, seeds=[7, 9, 11, 7])
    assert found.rows[:2].tolist() == [7, 11]
    assert found.rows[3] == 9
    assert found.left_out == ()


def test_a_seed_without_a_place_is_named():
    units, durations, artists = library(60)
    artists[:3] = 1
    found = make(
        units,
        durations,
        PlaylistRequest(seconds=1_800, limits=[Limit(artists, 1)]),
        seeds=[0, 1, 2],
    )
    assert found.left_out == (1, 2)


def test_too_few_songs_give_what_there_is_and_say_so():
    units, durations, _ = library(5)
    found = make(units, durations, PlaylistRequest(seconds=36_000), seeds=[0])
    assert sorted(found.rows.tolist()) == [0, 1, 2, 3, 4]
    assert not found.within_tolerance
    allowed = np.arange(5) == 3
    found = make(units, durations, PlaylistRequest(seconds=36_000), seeds=[0], allowed=allowed)
    assert sorted(found.rows.tolist()) == [0, 3]


def test_a_seed_longer_than_the_wish_stays():
    units, _, _ = library(5)
    found = make(units, np.full(5, 600.0), PlaylistRequest(seconds=120), seeds=[2])
    assert found.rows.tolist() == [2]
    assert not found.within_tolerance


def test_a_very_long_song_does_not_spoil_the_length():
    units, durations, _ = library(50)
    durations[1], units[1] = 5_400, units[0]  # the nearest of all, an hour and a half
    found = make(units, durations, PlaylistRequest(seconds=3_600), seeds=[0])
    assert 1 not in found.rows
    assert found.within_tolerance


def test_nothing_is_nothing():
    units, durations, _ = library(5)
    found = make(units, durations, PlaylistRequest(seconds=600), allowed=np.zeros(5, np.bool_))
    assert (found.rows.tolist(), found.seconds) == ([], 0.0)


@pytest.mark.parametrize(
    "wish", [{"seconds": 0.0}, {"seconds": float("nan")}, {"seconds": 9, "gap": -1}]
)
def test_refusals(wish):
    units, durations, _ = library(5)
    with pytest.raises(InputError, match="a playlist needs a length above 0 s"):
        make(units, durations, PlaylistRequest(**wish))


def test_two_long_songs_are_no_end():
    # Of two songs the longest list is a minute short; of three there is one that fits.
    units, durations, artists = library(200, 2313)
    wish = PlaylistRequest(seconds=720, artists=artists, limits=[Limit(artists, 1)])
    found = make(units, durations, wish, seeds=[0])
    assert found.within_tolerance
    assert len(found.rows) == 3
