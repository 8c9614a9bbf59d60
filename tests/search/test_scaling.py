"""`audiorec.search.scaling`: worked values, blocks, floors, refusals, JSON."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec.errors import InputError, ShapeError, StoreError
from audiorec.search.scaling import (
    DEFAULT_WEIGHTS,
    LOG_ODDS,
    LOG_ODDS_FLOOR,
    Scaling,
    Weighting,
    fit,
    fit_units,
)
from audiorec.types import STATISTICS


def weighting(weights, odds=()):
    log_odds = np.isin(np.arange(len(weights)), odds)
    weights = np.asarray(weights, np.float64)
    return Weighting(weights=weights, log_odds=log_odds)


def test_values_worked_by_hand():
    # Column 0: mean 2, deviation 1. Column 1 is left out. Column 2 enters as log-odds: with a
    # floor of 1e-6, 0.5 is 0 and 0 and 1 are -a and a, a = ln(1.000001 / 0.000001).
    vectors = np.float32([[1, 7, 0], [3, 8, 1], [3, 9, 0.5], [1, 9, 0.5]])
    scaling = fit(lambda: [vectors], weighting([1, 0, 0.5], [2]))
    a = np.log(1.000001 / 0.000001)
    assert scaling.columns.tolist() == [0, 2]
    np.testing.assert_allclose(scaling.centre, [2, 0], atol=1e-9)
    np.testing.assert_allclose(scaling.spread, [1, a / np.sqrt(2)])
    # (1 - 2) / 1 * 1 = -1, and -a / (a / sqrt 2) / 2 = -0.7071.
    length = np.sqrt(1.5)
    np.testing.assert_allclose(
        scaling.prepare(vectors),
        np.array([[-1, -(0.5**0.5)], [1, 0.5**0.5], [1, 0], [-1, 0]])
        / np.array([[length], [length], [1], [1]]),
        atol=1e-6,
    )


def test_probabilities_beyond_the_ends_count_as_the_ends():
    vectors = np.float32([[0], [1], [0.5]])
    scaling = fit(lambda: [vectors], weighting([1], [0]))
    odds = np.log((1 + LOG_ODDS_FLOOR) / LOG_ODDS_FLOOR)
    assert scaling.prepare(np.float32([[-3], [7], [0.5]])).ravel().tolist() == [-1, 1, 0]
    assert odds == pytest.approx(13.8155, abs=1e-4)


def test_log_odds_are_symmetric_and_finite():
    vectors = np.linspace(0, 1, 11, dtype=np.float32)[:, None]
    scaling = fit(lambda: [vectors], weighting([1], [0]))
    assert scaling.centre[0] == pytest.approx(0, abs=1e-6)
    assert np.isfinite(scaling.spread).all()


def test_plainly_only_the_length_changes():
    vectors = np.float32([[3, 4], [0, 0], [-6, 8]])
    scaling = Scaling.plain(2)
    np.testing.assert_allclose(scaling.prepare(vectors), [[0.6, 0.8], [0, 0], [-0.6, 0.8]])
    assert (scaling.centre.tolist(), scaling.spread.tolist()) == ([0, 0], [1, 1])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 999), st.floats(-1e6, 1e6))
def test_blocks_do_not_matter(rows, pieces, seed, offset):
    vectors = (np.random.default_rng(seed).random((rows, 3)) + offset).astype(np.float32)
    asked = weighting([1, 2, 3])
    whole = fit(lambda: [vectors], asked)
    parts = fit(lambda: np.array_split(vectors, pieces), asked)
    np.testing.assert_allclose(parts.centre, whole.centre, rtol=1e-12)
    np.testing.assert_allclose(parts.spread, whole.spread, rtol=1e-7)
    wide = vectors.astype(np.float64)
    np.testing.assert_allclose(whole.centre, wide.mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(whole.columns, parts.columns)


def test_no_rows_at_all():
    scaling = fit(list, weighting([1, 1], [1]))
    assert (scaling.centre.tolist(), scaling.spread.tolist()) == ([0, 0], [1, 1])
    assert scaling.prepare_all([], 0).shape == (0, 2)


def test_a_vector_of_rounding_noise_has_no_direction():
    vectors = np.float32([[0.1, 0.7], [0.3, 0.1]])
    scaling = fit(lambda: [vectors], weighting([1, 1]))
    assert not scaling.prepare(scaling.centre[None].astype(np.float32)).any()


def test_rounding_noise_is_not_blown_up():
    vectors = np.float32([[0.1, 1], [0.1, 2], [np.nextafter(np.float32(0.1), np.float32(1)), 3]])
    assert fit(lambda: [vectors], weighting([1, 1])).spread[0] == 1


def test_json_and_back():
    vectors = np.random.default_rng(3).random((20, 4)).astype(np.float32)
    scaling = fit(lambda: [vectors], weighting([1, 0, 0.3, 2], [2]))
    again = Scaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    np.testing.assert_array_equal(again.prepare(vectors), scaling.prepare(vectors))


@pytest.mark.parametrize(
    "change",
    [
        {"spread": [1.0, 0.0]},
        {"spread": [1.0]},
        {"columns": [0, 4]},
        {"columns": [-1, 0]},
        {"columns": []},
        {"centre": ["a", 0]},
        {"centre": [float("nan"), 0]},
        {"weights": None},
        {"width": "wide"},
    ],
)
def test_refuses_a_damaged_scaling(change):
    vectors = np.random.default_rng(3).random((20, 4)).astype(np.float32)
    good = fit(lambda: [vectors], weighting([1, 0, 0.3, 0])).to_dict()
    with pytest.raises(StoreError, match="the scaling is damaged"):
        Scaling.from_dict(good | change)
    del good["log_odds"]
    with pytest.raises(StoreError, match="the scaling is damaged"):
        Scaling.from_dict(good)


def test_refusals():
    with pytest.raises(InputError, match="one of them above 0"):
        weighting([0.0, 0.0])
    with pytest.raises(InputError, match="finite and not negative"):
        weighting([1.0, -1.0])
    with pytest.raises(ShapeError, match=r"one shape \(V,\), got \(2,\) and \(3,\)"):
        Weighting(weights=np.ones(2), log_odds=np.zeros(3, np.bool_))
    with pytest.raises(ShapeError, match=r"expected, got \(1, 3\), 2"):
        fit(lambda: [np.ones((1, 3), np.float32)], weighting([1, 1]))
    scaling = fit(lambda: [np.ones((1, 2), np.float32)], weighting([1, 1]))
    with pytest.raises(ShapeError, match=r"shape \(Q, 2\), got \(1, 3\)"):
        scaling.prepare(np.ones((1, 3), np.float32))
    with pytest.raises(InputError, match="NaN or infinite"):
        scaling.prepare(np.float32([[1, np.inf]]))


@pytest.fixture
def songs():
    """300 songs whose columns have scales from 1e-6 to 1e6."""
    rng = np.random.default_rng(4)
    return (rng.gamma(2.0, size=(300, 18)) * np.logspace(-6, 6, 18)).astype(np.float32)


def test_vectors_are_not_changed_and_columns_of_no_weight_are_left_out(songs):
    kept = songs.copy()
    assert fit_units(lambda: [songs], 300, weighting(np.ones(18)))[1].shape == (300, 18)
    np.testing.assert_array_equal(songs, kept)
    asked = weighting(np.eye(18)[3] + 2 * np.eye(18)[7])
    scaling, units = fit_units(lambda: [songs], 300, asked)
    assert scaling.columns.tolist() == [3, 7]
    np.testing.assert_array_equal(scaling.prepare(songs), units)


def test_units_of_blocks_are_the_same(songs):
    asked = weighting(np.ones(18))
    scaling, whole = fit_units(lambda: [songs], len(songs), asked)
    other, blocks = fit_units(lambda: np.array_split(songs, 7), len(songs), asked)
    np.testing.assert_allclose(blocks, whole, atol=1e-6)
    np.testing.assert_allclose(other.centre, scaling.centre, rtol=1e-12)
    np.testing.assert_allclose(other.spread, scaling.spread, rtol=1e-12)


def test_weights_are_repeated_over_the_classes(metadata):
    expected = [1, 2, 3, 4, 5, 6] * 3
    np.testing.assert_array_equal(
        Weighting.of_store(metadata, weights=[1, 2, 3, 4, 5, 6]).weights, expected
    )
    with pytest.raises(ShapeError, match="expected 6 weights, one per statistic, got 3"):
        Weighting.of_store(metadata, weights=[1, 2, 3])


def test_default_weights_know_every_statistic():
    assert tuple(DEFAULT_WEIGHTS) == STATISTICS
    assert set(LOG_ODDS) <= set(STATISTICS)


def test_default_takes_log_odds_of_max_and_min_and_the_mean_as_it_is(metadata):
    asked = Weighting.of_store(metadata)
    assert asked.weights.tolist() == [0.75, 0.75, 1, 0, 0, 0] * 3
    assert asked.log_odds.tolist() == [True, True, False, False, False, False] * 3
    assert Weighting.of_store(metadata, "mean").weights.tolist() == [0, 0, 1, 0, 0, 0] * 3


@pytest.mark.parametrize("weights", [[0.0, 0], [1, -1], [1, np.nan]])
def test_refuses_weights(weights):
    with pytest.raises(InputError, match="weights must be finite and not negative"):
        weighting(weights)


def test_refuses_weights_of_another_length():
    with pytest.raises(ShapeError, match=r"got \(2, 2\), 3"):
        fit(lambda: [np.zeros((2, 2), np.float32)], weighting(np.ones(3)))
