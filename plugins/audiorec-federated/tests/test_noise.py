"""What is done to the numbers that cross, and where its noise comes from: by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec_federated.noise import NOTHING, Defence, normals
from audiorec_federated.recipe import MmoeRecipe, TwoTowerRecipe, recipe_of


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_gradient_is_clipped_by_its_length_and_keeps_its_direction():
    rows = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], np.float32)
    found = Defence(clip=1.0, noise=0.0).gradients(rows)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.3, 0.4], [0, 0]], atol=1e-7)
    assert found.dtype == np.float32
    assert NOTHING.gradients(rows) is rows


@pytest.mark.parametrize(("clip", "noise", "width"), [(1.0, 3.0, 64), (0.5, 8.0, 16)])
def test_the_norm_of_the_noise_is_so_many_clips(clip, noise, width):
    rows = np.zeros((4_000, width), np.float32)
    found = Defence(clip=clip, noise=noise).gradients(rows)
    # In one coordinate n C / sqrt(d): 0.375 for the first.
    np.testing.assert_allclose(found.std(), noise * clip / math.sqrt(width), rtol=0.02)
    squared = (found.astype(np.float64) ** 2).sum(axis=1).mean()
    np.testing.assert_allclose(math.sqrt(squared), noise * clip, rtol=0.02)


def test_noise_is_normal_and_no_two_draws_are_alike():
    from scipy.stats import kstest

    first, second = normals((2_000, 64)), normals((2_000, 64))
    assert kstest(first.ravel(), "norm").pvalue > 1e-6
    # Of 128,000 pairs, the correlation has a deviation of .0028.
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.016
    assert abs(np.corrcoef(first[:-1].ravel(), first[1:].ravel())[0, 1]) < 0.016
    assert len(np.unique(np.concatenate([first, second]))) == 2 * first.size


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_the_outermost_draws_are_finite_and_lie_symmetrically(byte, monkeypatch):
    monkeypatch.setattr("audiorec_federated.noise.os.urandom", lambda n: byte * n)
    found = normals((1, 2))
    assert np.all(np.abs(found) == pytest.approx(8.2095, abs=1e-3))
    assert (found > 0).all() == (byte == b"\xff")


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_seed_gives_the_same_numbers_and_another_seed_others(one, other):
    assert np.array_equal(normals((2, 5), one), normals((2, 5), one))
    assert np.array_equal(normals((2, 5), one), normals((2, 5), other)) == (one == other)


def test_vectors_are_rounded_to_what_float16_can_say():
    rows = rng().normal(size=(5, 8)).astype(np.float32)
    found = Defence(rounding="float16").vectors(rows)
    assert found.dtype == np.float32
    assert np.array_equal(found, rows.astype(np.float16).astype(np.float32))
    assert not np.array_equal(found, rows)
    noised = Defence(vector_noise=0.5).vectors(np.zeros((4_000, 8), np.float32))
    np.testing.assert_allclose(np.sqrt((noised**2).sum(axis=1).mean()), 0.5, rtol=0.02)
    assert Defence().vectors(rows) is rows


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"clip": 0.0}, "clip must be above 0"),
        ({"noise": -1.0}, "noise must be at least 0"),
        ({"noise": float("nan")}, "noise must be at least 0"),
        ({"clip": None}, "noise is a multiple of clip"),
        ({"rounding": "float8"}, "one of float32, float16"),
    ],
)
def test_a_defence_that_makes_no_sense_is_refused(settings, reason):
    with pytest.raises(InputError, match=reason):
        Defence(**settings)


def test_recipes_are_told_apart_by_every_setting():
    made = [
        TwoTowerRecipe(),
        TwoTowerRecipe(seed=1),
        MmoeRecipe(),
        MmoeRecipe(experts=2),
    ]
    assert len({recipe.fingerprint for recipe in made}) == len(made)
    for recipe in made:
        assert recipe_of(recipe.to_json(), type(recipe)) == recipe
    former = {**TwoTowerRecipe().to_json(), "positives": 1, "songs": "learnt"}
    assert recipe_of(former, TwoTowerRecipe) == TwoTowerRecipe()  # are constants now
    with pytest.raises(TypeError, match="songs"):
        recipe_of({**former, "songs": "given"}, TwoTowerRecipe)
