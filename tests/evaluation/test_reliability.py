"""`audiorec.evaluation.reliability`: hand-worked values and invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.evaluation.reliability import expected_calibration_error, reliability


def test_calibration_error_worked_by_hand():
    # Confidence 0.9: 2 of 3 right; confidence 0.6: 0 of 1 right.
    scores = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.4, 0.6]])
    labels = np.array([0, 1, 1, 0])
    expected = (abs(2 - 2.7) + abs(0 - 0.6)) / 4
    assert expected_calibration_error(scores, labels) == pytest.approx(expected)
    bins = reliability(scores, labels)
    assert [count for *_, count in bins] == [1, 3]
    assert bins[1][:2] == pytest.approx((0.9, 2 / 3))


def test_opposite_gaps_in_different_bins_do_not_cancel():
    scores = np.array([[0.55, 0.45]] * 2 + [[0.95, 0.05]] * 2)
    labels = np.array([0, 0, 1, 0])  # too modest below, too sure above
    expected = (2 * 0.45 + abs(1 - 1.9)) / 4
    assert expected_calibration_error(scores, labels) == pytest.approx(expected)


def test_certain_and_right_is_perfectly_calibrated():
    labels = np.array([0, 2, 1])
    assert expected_calibration_error(np.eye(3)[labels], labels) == 0


@given(st.integers(0, 2**31), st.integers(1, 40))
def test_order_of_rows_does_not_matter(seed, n):
    rng = np.random.default_rng(seed)
    scores, labels = rng.dirichlet(np.ones(3), n), rng.integers(0, 3, n)
    order = rng.permutation(n)
    assert expected_calibration_error(scores, labels) == pytest.approx(
        expected_calibration_error(scores[order], labels[order])
    )
    assert 0 <= expected_calibration_error(scores, labels) <= 1
