"""A partner that keeps all it receives: over the network, differences tell it nothing more."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from needs import needs

needs("torch")
needs("cryptography")
needs("private_set_intersection")

SPEC = importlib.util.spec_from_file_location(
    "federated_curious", Path(__file__).parents[3] / "benchmarks/federated_curious.py"
)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)
# Far enough out that chance does not get there in a thousand runs of this test.
DEVIATIONS = 4


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    world = bench.made_up(320, silent=0.5)
    return bench.curious(tmp_path_factory.mktemp("curious"), world, "max_epochs = 2, passes = 10")


def within_chance(figures, chance):
    """Whether an interval, widened from 95 % to `DEVIATIONS`, holds what chance gives."""
    value, low, high = figures[:3]
    reach = (high - low) / 2 / 1.96 * DEVIATIONS
    return value - reach <= chance <= value + reach


def test_differences_of_messages_find_nobody(found):
    print(found)
    assert found["silent_by_difference"][3] > 1_000
    assert found["same_song_by_difference"][3] > 1_000
    assert within_chance(found["silent_by_difference"], 0.5)
    assert within_chance(found["same_song_gain"], 0.0)
    assert found["shortest_difference"] > 1  # nothing cancels


def test_the_music_side_records_what_the_partner_finds(found):
    """Also what still works: the length of a user's summed gradients."""
    watched = found["watch"]
    for attack, own in (
        ("same song, by the nearest difference of two steps", "same_song_by_difference"),
        ("plays at all, by the length of summed gradients", "plays_by_summed_length"),
    ):
        assert watched[attack][0] == pytest.approx(found[own][0], abs=0.03)
    assert found["plays_by_summed_length"][0] > 0.8


def test_the_same_attacks_find_everybody_if_noise_is_reused():
    """As it was: one seed in both phases."""
    rng = np.random.default_rng(0)
    songs = np.array([-1] * 40 + list(range(5)) * 12)
    ids = tuple(f"user-{n}" for n in range(100))
    plays = {u: [f"song-{s}"] for u, s in zip(ids, songs, strict=True) if s >= 0}
    towards = np.vstack([np.eye(5, 16), np.zeros((1, 16))])
    steps = {}
    for number in range(30):
        noise = rng.normal(size=(100, 16))
        for phase in ("choose", "refit"):
            rows = rng.permutation(100)
            steps[phase, 1, number] = (rows, towards[songs[rows]] + noise)
    found = bench.attack(steps, bench.truth((plays,), ids))
    assert found["silent_by_difference"][0] == 1.0
    assert found["same_song_gain"][1] > 0.3
    assert found["shortest_difference"] == 0
