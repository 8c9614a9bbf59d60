"""`audiorec.analysis.correlation`: the formula by hand, planted truth, and controls."""

from dataclasses import replace

import numpy as np
import pytest
from made_logs import log_of

from audiorec.analysis import correlation as module
from audiorec.analysis.correlation import (
    CorrelationSpec,
    correlate,
)
from audiorec.errors import InputError, ShapeError
from audiorec.listening.rule import Rule
from audiorec.simulation.world import WorldSpec, simulate

DAY = 86_400.0
QUICK = CorrelationSpec(draws=30, song_draws=30, min_songs=8)
ANGLES = {"f": 0, "g": 90, "a": 30, "b": 60, "c": 150, "d": -20, "e": 80}


def at_angles(names):
    radians = np.radians([ANGLES[n] for n in names])
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


HAND = (
    ("u", "f", 0, "finish", 1.0, 3.0),
    ("u", "g", 10 * DAY, "finish", 1.0),
    ("u", "a", 20 * DAY, "play", 0.9),
    ("u", "b", 21 * DAY, "play", 0.3),
    ("u", "c", 22 * DAY, "play", 0.2),
    ("u", "d", 23 * DAY, "play", 0.7),
)


def test_one_user_by_hand():
    """Weights 3 * 2**-2 and 2**-1 (half-life 10, split at 20): f counts 0.6 and g 0.4."""
    spec = CorrelationSpec(since=20 * DAY, half_life_days=10, min_songs=4, draws=5, song_draws=3)
    found = correlate(log_of(*HAND), list(ANGLES), at_angles(ANGLES), spec)
    angles = np.radians([30, 60, 150, -20])
    similarity = 0.6 * np.cos(angles) + 0.4 * np.sin(angles)
    expected = np.corrcoef(similarity, [0.9, 0.3, 0.2, 0.7])[0, 1]
    assert found.r.tolist() == pytest.approx([expected], abs=1e-6)
    assert found.z.tolist() == pytest.approx([np.arctanh(expected)], abs=1e-6)
    assert (found.user_ids, found.n.tolist(), found.favourites.tolist()) == (("u",), [4], [2])
    assert found.since == 20 * DAY


def test_a_favourite_that_is_heard_again_is_not_a_new_song():
    """Were it one, it would stand beside its own vector."""
    again = (*HAND, ("u", "f", 24 * DAY, "finish", 1.0), ("u", "g", 25 * DAY, "finish", 1.0))
    spec = CorrelationSpec(since=20 * DAY, half_life_days=10, min_songs=4, draws=5, song_draws=3)
    plain = correlate(log_of(*HAND), list(ANGLES), at_angles(ANGLES), spec)
    found = correlate(log_of(*again), list(ANGLES), at_angles(ANGLES), spec)
    assert found.r.tolist() == plain.r.tolist()


def test_who_is_left_out_and_why():
    rows = [
        *HAND,
        *(("new", name, 20 * DAY, "play", 0.1 * i) for i, name in enumerate("abcd")),
        ("few", "f", 0, "like"),
        *(("few", name, 20 * DAY, "play", 0.1 * i) for i, name in enumerate("abc")),
        ("flat", "f", 0, "like"),
        *(("flat", name, 20 * DAY, "play", 0.5) for name in "abcd"),
    ]
    spec = CorrelationSpec(since=20 * DAY, min_songs=4, draws=5, song_draws=3)
    found = correlate(log_of(*rows), list(ANGLES), at_angles(ANGLES), spec)
    assert found.user_ids == ("u",)
    assert found.left_out == {
        "no favourite before the split": 1,
        "fewer than 4 new songs": 1,
        "all completions or similarities equal": 1,
    }
    with pytest.raises(InputError, match=r"no user has a correlation .*fewer than 9 new songs: 3"):
        correlate(log_of(*rows), list(ANGLES), at_angles(ANGLES), replace(spec, min_songs=9))


def test_songs_without_a_vector_are_passed_over():
    spec = CorrelationSpec(since=20 * DAY, half_life_days=10, min_songs=4, draws=5, song_draws=3)
    more = (*HAND, ("u", "no vector", 1, "like"), ("u", "nor this", 21 * DAY, "play", 1.0))
    found = correlate(log_of(*more), list(ANGLES), at_angles(ANGLES), spec)
    assert (
        found.r.tolist()
        == correlate(log_of(*HAND), list(ANGLES), at_angles(ANGLES), spec).r.tolist()
    )
    with pytest.raises(InputError, match="that the log has the store's song ids"):
        correlate(log_of(*HAND), ["x", "y"], at_angles("fg"), spec)


def test_the_rule_decides_what_is_a_favourite():
    rows = (*HAND, ("u", "e", 19 * DAY, "playlist"))
    spec = CorrelationSpec(since=20 * DAY, min_songs=4, draws=5, song_draws=3)
    units = at_angles(ANGLES)
    later = replace(spec, rule=Rule(since=15 * DAY))
    assert correlate(log_of(*rows), list(ANGLES), units, later).favourites.tolist() == [1]
    assert correlate(log_of(*rows), list(ANGLES), units, spec).favourites.tolist() == [3]


@pytest.fixture(scope="module")
def songs():
    rng = np.random.default_rng(1)
    kinds = rng.normal(size=(6, 12))
    features = kinds[rng.integers(0, 6, 160)] + rng.normal(size=(160, 12))
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    return [f"s{i:03}" for i in range(160)], features, units.astype(np.float32)


def planted(songs, signal, share=0.5):
    ids, features, units = songs
    spec = WorldSpec(users=400, days=60, signal=signal, sensitive_share=share, seed=2)
    world = simulate(ids, features, spec)
    found = correlate(world.interactions, ids, units, QUICK)
    truth = dict(
        zip(
            world.truth_users["user_id"].to_pylist(),
            world.truth_users["sensitive"].to_pylist(),
            strict=True,
        )
    )
    return found, np.array([truth[user_id] for user_id in found.user_ids])


@pytest.mark.parametrize("signal", [0.4, 1.0])
def test_a_planted_taste_is_found(songs, signal):
    found, sensitive = planted(songs, signal)
    assert len(found.r) > 250
    assert found.control.p < 0.05
    assert found.r[sensitive].mean() > found.r[~sensitive].mean() + 0.1
    assert abs(found.null.share_positive.mean() - 0.5) < 0.04


def test_no_signal_is_none(songs):
    found, _ = planted(songs, 0.0)
    assert found.control.p > 0.05
    assert abs(found.r.mean()) < 0.04


def test_a_stronger_signal_correlates_more(songs):
    means = [planted(songs, signal)[0].r.mean() for signal in (0.0, 0.4, 1.0)]
    assert means == sorted(means)


def test_shuffled_vectors_find_nothing_even_at_full_signal(songs):
    ids, features, units = songs
    world = simulate(ids, features, WorldSpec(users=400, days=60, signal=1.0, seed=2))
    exchanged = units[np.random.default_rng(9).permutation(len(units))]
    assert correlate(world.interactions, ids, exchanged, QUICK).control.p > 0.05


def test_people_who_skip_what_sounds_alike_do_not_listen_by_ear(songs):
    ids, features, units = songs
    log = simulate(ids, features, WorldSpec(users=400, days=60, signal=1.0, seed=2)).interactions
    contrary = replace(log, played_ratio=1 - log.played_ratio)
    since = log.timestamp[0] + 36 * DAY
    after = log.timestamp >= since
    contrary = replace(log, played_ratio=np.where(after, contrary.played_ratio, log.played_ratio))
    found = correlate(contrary, ids, units, replace(QUICK, since=since))
    assert found.r.mean() < -0.1
    assert found.control.p > 0.9


def test_the_same_seed_gives_the_same_figures(songs):
    (first, _), (second, _) = planted(songs, 0.4), planted(songs, 0.4)
    np.testing.assert_array_equal(first.null.quantile, second.null.quantile)
    np.testing.assert_array_equal(first.control.mean_z, second.control.mean_z)


def test_a_sample_of_users_is_enough_for_the_control(songs, monkeypatch):
    whole, _ = planted(songs, 0.4)
    monkeypatch.setattr(module, "CONTROL_USERS", 150)
    sample, _ = planted(songs, 0.4)
    np.testing.assert_array_equal(whole.r, sample.r)
    assert sample.control.p == pytest.approx(whole.control.p, abs=0.1)


def test_progress_is_told(songs):
    ids, features, units = songs
    world = simulate(ids, features, WorldSpec(users=100, days=60, seed=2))
    calls = []
    correlate(world.interactions, ids, units, QUICK, progress=lambda *step: calls.append(step))
    assert calls[0] == ("shuffled completions", 0, 30)
    assert calls[-1] == ("shuffled songs", 30, 30)


def test_what_is_refused(songs):
    ids, _, units = songs
    with pytest.raises(ShapeError, match=r"\(160, W\)"):
        correlate(log_of(*HAND), ids, units[:-1])
    for changes, message in (
        ({"min_songs": 3}, "min_songs must be at least 4"),
        ({"draws": 0}, "draws must be at least 1"),
        ({"song_draws": 1}, "song_draws must be at least 2"),
        ({"seed": -1}, "seed must be at least 0"),
    ):
        with pytest.raises(InputError, match=message):
            replace(QUICK, **changes)
