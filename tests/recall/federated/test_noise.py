"""What is done to the numbers that cross, and how it is accounted for: by hand."""

import math

import numpy as np
import pytest
from needs import needs

from audiorec.errors import InputError
from audiorec.recall.federated.accounting import account, gradients_of_a_user
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.recipe import MmoeRecipe, TwoTowerRecipe, recipe_of


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_gradient_is_clipped_by_its_length_and_keeps_its_direction():
    rows = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], np.float32)
    found = Defence(clip=1.0, noise=0.0).gradients(rows, rng())
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.3, 0.4], [0, 0]], atol=1e-7)
    assert found.dtype == np.float32
    assert NOTHING.gradients(rows, rng()) is rows
    assert not NOTHING.guards_gradients


@pytest.mark.parametrize(("clip", "noise", "width"), [(1.0, 3.0, 64), (0.5, 8.0, 16)])
def test_the_norm_of_the_noise_is_so_many_clips(clip, noise, width):
    rows = np.zeros((4_000, width), np.float32)
    found = Defence(clip=clip, noise=noise).gradients(rows, rng())
    # In one coordinate n C / sqrt(d): 0.375 for the first.
    np.testing.assert_allclose(found.std(), noise * clip / math.sqrt(width), rtol=0.01)
    squared = (found.astype(np.float64) ** 2).sum(axis=1).mean()
    np.testing.assert_allclose(math.sqrt(squared), noise * clip, rtol=0.01)


def test_vectors_are_rounded_to_what_float16_can_say():
    rows = rng().normal(size=(5, 8)).astype(np.float32)
    found = Defence(rounding="float16").vectors(rows, rng())
    assert found.dtype == np.float32
    assert np.array_equal(found, rows.astype(np.float16).astype(np.float32))
    assert not np.array_equal(found, rows)
    noised = Defence(vector_noise=0.5).vectors(np.zeros((4_000, 8), np.float32), rng())
    np.testing.assert_allclose(np.sqrt((noised**2).sum(axis=1).mean()), 0.5, rtol=0.02)
    assert Defence().vectors(rows, rng()) is rows


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"clip": 0.0}, "clip must be above 0"),
        ({"noise": -1.0}, "must be 0 or more"),
        ({"noise": float("nan")}, "must be 0 or more"),
        ({"clip": None}, "noise is a multiple of clip"),
        ({"rounding": "float8"}, "float32 or float16"),
    ],
)
def test_a_defence_that_makes_no_sense_is_refused(settings, reason):
    with pytest.raises(InputError, match=reason):
        Defence(**settings)


def test_epsilon_is_that_of_one_gaussian_mechanism_over_the_root_of_the_steps():
    needs("dp_accounting")
    recipe = TwoTowerRecipe(songs="given", dimension=64)
    # Moved by 2 C at most, noise of 8 C / 8 a coordinate: a multiplier of 1/2; of 100 steps, 1/20.
    found = account(recipe, Defence(noise=8.0), 100, delta=1e-5)
    assert found.multiplier == 0.5
    # Balle & Wang 2018, the exact condition of a Gaussian mechanism of sigma 1/20.
    sigma, eps = 0.05, found.epsilon

    def phi(x):
        return math.erfc(-x / math.sqrt(2)) / 2

    delta = phi(1 / (2 * sigma) - eps * sigma) - math.exp(eps) * phi(-1 / (2 * sigma) - eps * sigma)
    assert delta == pytest.approx(1e-5, rel=1e-3)
    assert "says next to nothing" in found.words()
    assert "private" not in found.words()
    one = account(recipe, Defence(noise=8.0), 1)
    assert one.epsilon < found.epsilon
    assert account(recipe, Defence(noise=3.0), 100).epsilon > found.epsilon


@pytest.mark.parametrize(
    ("settings", "defence", "reason"),
    [
        ({"songs": "given", "negative_source": "in-batch"}, Defence(), "songs of the batch"),
        ({}, Defence(), "the song tower learns from the same plays"),
        ({"songs": "given"}, Defence(noise=0.0), "there is no noise"),
        ({"songs": "given"}, NOTHING, "there is no noise"),
    ],
)
def test_no_epsilon_is_printed_where_none_would_be_true(settings, defence, reason):
    found = account(TwoTowerRecipe(**settings), defence, 50)
    assert found.epsilon is None
    assert reason in found.words()


def test_steps_of_a_user_are_counted_in_both_phases():
    assert gradients_of_a_user(TwoTowerRecipe(passes=8), chosen=10, refitted=6) == 8 * 16
    with pytest.raises(InputError, match="delta in"):
        account(TwoTowerRecipe(), Defence(), 3, delta=0.0)


def test_recipes_are_told_apart_by_every_setting():
    made = [
        TwoTowerRecipe(),
        TwoTowerRecipe(seed=1),
        TwoTowerRecipe(songs="given"),
        MmoeRecipe(),
        MmoeRecipe(item_weights=(1.0, 1.0)),
    ]
    assert len({recipe.fingerprint for recipe in made}) == len(made)
    for recipe in made:
        assert recipe_of(recipe.to_json(), type(recipe)) == recipe
    with pytest.raises(InputError, match="item_weights must be above 0"):
        MmoeRecipe(item_weights=())
    with pytest.raises(InputError, match="negative_source must be"):
        TwoTowerRecipe(negative_source="none")
