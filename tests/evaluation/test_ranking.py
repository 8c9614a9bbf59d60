"""`audiorec.evaluation.ranking`: values worked by hand, ties, masks, intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audiorec.errors import InputError, ShapeError
from audiorec.evaluation.classification import Interval
from audiorec.evaluation.ranking import (
    auc_per_user,
    coverage,
    mean_interval,
    paired_difference,
    popularity_bias,
    top_measures,
)

NEAR = np.array([[0.9, 0.2, 0.7, 0.7, 0.1], [0.0, -0.5, 0.3, 0.3, 0.9]])
LIKED = np.array([[0, 1, 1, 0, 0], [1, 0, 0, 1, 0]], bool)
ALL = np.ones((2, 5), bool)


def test_auc_worked_by_hand():
    # row 0: liked 0.2 beats 0.1; liked 0.7 beats 0.1 and ties with 0.7: 2.5 of 6
    # row 1: liked 0.0 beats -0.5; liked 0.3 beats -0.5 and ties with 0.3: 2.5 of 6
    np.testing.assert_allclose(auc_per_user(NEAR, LIKED, ALL), [2.5 / 6, 2.5 / 6])


def test_auc_by_weights_worked_by_hand():
    weights = np.array([4.0, 1, 1, 2, 3])
    # row 0: others weigh 4, 2, 3; 0.2 passes 3 of 9, 0.7 passes 3 and half of 2: (3 + 4) / 18
    # row 1: others weigh 1 (-0.5), 1 (0.3), 3 (0.9): 0.0 passes 1, 0.3 passes 1.5: 2.5 / 10
    found = auc_per_user(NEAR, LIKED, ALL, weights=weights)
    np.testing.assert_allclose(found, [7 / 18, 2.5 / 10])


def test_songs_outside_the_candidates_do_not_count():
    candidates = np.array([[1, 1, 0, 1, 1], [1, 1, 1, 0, 1]], bool)
    # row 0: liked 0.2 against 0.9, 0.7, 0.1; row 1: liked 0.0 against -0.5, 0.3, 0.9
    np.testing.assert_allclose(auc_per_user(NEAR, LIKED, candidates), [1 / 3, 1 / 3])
    absurd = np.where(candidates, NEAR, np.nan)
    np.testing.assert_allclose(auc_per_user(absurd, LIKED, candidates), [1 / 3, 1 / 3])


def test_auc_is_nan_where_nothing_can_be_compared():
    assert np.isnan(auc_per_user(NEAR, np.zeros_like(LIKED), ALL)).all()
    assert np.isnan(auc_per_user(NEAR, ALL, ALL)).all()


@given(
    arrays(np.float32, (3, 6), elements=st.floats(-1, 1, width=16)),
    arrays(np.bool_, (3, 6)),
    arrays(np.bool_, (3, 6)),
)
def test_auc_of_the_opposite_is_the_complement(near, liked, candidates):
    straight, turned = (auc_per_user(s * near, liked, candidates) for s in (1, -1))
    np.testing.assert_allclose(straight + turned, np.where(np.isnan(straight), np.nan, 1))


def test_top_measures_worked_by_hand():
    found = top_measures(NEAR, LIKED, ALL, 3)
    assert found.top.tolist() == [[0, 2, 3], [4, 2, 3]]  # equals by the song's number
    np.testing.assert_allclose(found.precision, [1 / 3, 1 / 3])
    np.testing.assert_allclose(found.recall, [1 / 2, 1 / 2])
    ideal = 1 + 1 / np.log2(3)
    np.testing.assert_allclose(found.ndcg, [1 / np.log2(3) / ideal, 0.5 / ideal])


def test_fewer_candidates_than_k():
    candidates = np.array([[0, 1, 0, 0, 1], [0, 0, 0, 0, 0]], bool)
    found = top_measures(NEAR, LIKED, candidates, 4)
    assert found.top.tolist() == [[1, 4, -1, -1], [-1, -1, -1, -1]]
    assert found.precision[0] == 0.5
    assert found.recall[0] == 1
    assert found.ndcg[0] == 1
    assert np.isnan([found.precision[1], found.recall[1], found.ndcg[1]]).all()


def test_a_perfect_order_has_ndcg_1():
    assert top_measures(LIKED.astype(float), LIKED, ALL, 5).ndcg.tolist() == [1, 1]


def test_the_interval_shrinks_with_the_users_and_covers():
    rng = np.random.default_rng(0)
    few, many = (mean_interval(rng.normal(0.6, 0.2, n), rng) for n in (50, 5000))
    assert few.low < 0.6 < few.high
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(10, rel=0.3)


def test_a_paired_interval_is_of_the_differences():
    rng = np.random.default_rng(1)
    users = rng.random(300)
    better = users + rng.normal(0.01, 0.02, 300)
    found = paired_difference(better, users, rng)
    assert 0 < found.low < 0.01 < found.high < 0.02
    assert paired_difference(users, better, rng).high < 0


def test_coverage_and_bias_worked_by_hand():
    top = np.array([[3, 1], [3, -1]])
    assert coverage(top, 5) == 2 / 5
    assert popularity_bias(top, np.array([1, 2, 0, 7, 0])) == pytest.approx((7 + 2 + 7) / 3 / 2)
    assert np.isnan(popularity_bias(top, np.zeros(5)))


def test_refusals():
    with pytest.raises(ShapeError, match=r"the same shape \(Q, S\), got \(2, 5\), \(1, 5\)"):
        auc_per_user(NEAR, LIKED[:1], ALL)
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        top_measures(NEAR, LIKED, ALL, 0)
    with pytest.raises(InputError, match="similarity of a candidate is NaN"):
        auc_per_user(np.where(LIKED, np.nan, NEAR), LIKED, ALL)
    with pytest.raises(InputError, match="finite values of at least one user"):
        mean_interval(np.array([0.1, np.nan]), np.random.default_rng(0))
    with pytest.raises(ShapeError, match="both methods need the same users"):
        paired_difference(np.zeros(2), np.zeros(3), np.random.default_rng(0))


def test_the_bootstrap_covers_and_narrows():
    rng = np.random.default_rng(0)
    values = rng.normal(2.0, 1.0, 400)
    found = mean_interval(values, np.random.default_rng(1), samples=2000)
    half = 1.96 * values.std() / 20
    assert (found.low, found.high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.015
    )
    assert mean_interval(np.full(3, 0.25), rng) == Interval(0.25, 0.25, 0.25)
