"""`audiorec.evaluation.classification`: hand-worked values, edges, refusals."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError, ShapeError
from audiorec.evaluation.classification import (
    Interval,
    accuracy,
    balanced_macro_f1,
    by_song,
    expected_calibration_error,
    macro_f1,
    per_class,
    reliability,
    report,
)

# Rows are the truth: 5 of class 0, 3 of class 1, 2 of class 2.
CONFUSION = np.array([[4, 1, 0], [2, 1, 0], [1, 0, 1]])


def one_hot(answers, n_classes, confidence=1.0):
    rest = (1 - confidence) / (n_classes - 1)
    scores = np.full((len(answers), n_classes), rest)
    scores[np.arange(len(answers)), answers] = confidence
    return scores


def test_an_interval_has_three_decimals_and_a_difference_its_signs():
    assert str(Interval(0.91234, 0.5, 1.0)) == "0.912 [0.500, 1.000]"
    assert f"{Interval(0.0123, -0.0004, -0.028):+}" == "+0.012 [+0.000, -0.028]"


def test_figures_worked_by_hand():
    precision, recall, f1 = per_class(CONFUSION)
    np.testing.assert_allclose(precision, [4 / 7, 1 / 2, 1])
    np.testing.assert_allclose(recall, [4 / 5, 1 / 3, 1 / 2])
    np.testing.assert_allclose(f1, [2 / 3, 2 / 5, 2 / 3])
    assert accuracy(CONFUSION) == pytest.approx(0.6)
    assert macro_f1(CONFUSION) == pytest.approx((2 / 3 + 2 / 5 + 2 / 3) / 3)


def test_class_without_rows_is_left_out_and_one_never_answered_counts_zero():
    confusion = np.array([[3, 0, 1], [2, 0, 0], [0, 0, 0]])
    precision, recall, f1 = per_class(confusion)
    assert math.isnan(precision[1])
    assert f1[1] == 0
    assert math.isnan(recall[2])
    assert math.isnan(f1[2])
    assert macro_f1(confusion) == pytest.approx((2 * 3 / 9 + 0) / 2)


def test_classes_of_equal_size_worked_by_hand():
    # Rows as shares: [4/5, 1/5, 0], [2/3, 1/3, 0], [1/2, 0, 1/2].
    answered = np.array([4 / 5 + 2 / 3 + 1 / 2, 1 / 5 + 1 / 3, 1 / 2])
    f1 = 2 * np.array([4 / 5, 1 / 3, 1 / 2]) / (1 + answered)
    assert balanced_macro_f1(CONFUSION) == pytest.approx(f1.mean())


def test_classes_of_equal_size_do_not_depend_on_how_many_rows_a_class_has():
    more = CONFUSION * np.array([[1], [100], [7]])
    assert balanced_macro_f1(more) == pytest.approx(balanced_macro_f1(CONFUSION))
    assert macro_f1(more) != pytest.approx(macro_f1(CONFUSION))
    without = np.array([[3, 0, 1], [2, 0, 0], [0, 0, 0]])
    assert balanced_macro_f1(without) == pytest.approx((2 * 0.75 / (1 + 1.75) + 0) / 2)


def test_by_track_averages_scores_not_answers():
    scores = np.array([[0.6, 0.4], [0.6, 0.4], [0.0, 1.0], [0.3, 0.7]])
    mean, labels, tracks = by_song(scores, np.array([1, 1, 1, 0]), ["b", "b", "b", "a"])
    np.testing.assert_allclose(mean, [[0.3, 0.7], [0.4, 0.6]])
    np.testing.assert_array_equal(labels, [0, 1])
    assert tracks.tolist() == ["a", "b"]


def test_by_track_refuses_two_labels():
    with pytest.raises(InputError, match=r"'b' has segments of more than one class"):
        by_song(np.ones((3, 2)), np.array([0, 0, 1]), ["a", "b", "b"])


def test_report_holds_the_hand_worked_figures():
    labels = np.repeat([0, 1, 2], [5, 3, 2])
    answers = np.concatenate([np.repeat(np.arange(3), row) for row in CONFUSION])
    found = report(
        one_hot(answers, 3, 0.8),
        labels,
        [f"t{i}" for i in range(10)],
        classes=("x", "y", "z"),
        rng=np.random.default_rng(1),
        samples=200,
    )
    np.testing.assert_array_equal(found.confusion, CONFUSION)
    assert found.accuracy.value == pytest.approx(0.6)
    assert found.ece == pytest.approx(0.2)
    assert found.recall_intervals[1].value == pytest.approx(1 / 3)
    assert found.macro_f1.low < found.macro_f1.value < found.macro_f1.high
    assert json.loads(json.dumps(found.to_dict()))["classes"]["y"]["precision"] == 0.5
    assert "recall 0.333" in found.table()


def test_bootstrap_draws_tracks_whole():
    # Two tracks of 50 segments, one all right, one all wrong: over segments the interval
    # would be about 0.4 to 0.6; over tracks it must reach both ends.
    labels = np.zeros(100, np.int64)
    answers = np.repeat([0, 1], 50)
    found = report(
        one_hot(answers, 2),
        labels,
        ["right"] * 50 + ["wrong"] * 50,
        classes=("x", "y"),
        rng=np.random.default_rng(0),
    )
    assert (found.accuracy.low, found.accuracy.value, found.accuracy.high) == (0, 0.5, 1)
    assert found.n_songs == 2


def test_undefined_figures_are_null_in_json():
    found = report(
        one_hot(np.array([0, 0]), 2),
        np.array([0, 0]),
        ["a", "b"],
        classes=("x", "y"),
        rng=np.random.default_rng(0),
        samples=10,
    )
    y = found.to_dict()["classes"]["y"]
    assert y["recall"] is None
    assert y["recall_interval"] == [None, None]


@pytest.mark.parametrize(
    ("scores", "labels", "tracks", "error", "match"),
    [
        (np.ones((2, 3)), [0, 1], ["a", "b"], ShapeError, r"\(2, 2\) and songs length 2"),
        (np.ones((2, 2)), [0, 1], ["a"], ShapeError, "got .* and 1"),
        (np.ones((0, 2)), [], [], InputError, "no rows"),
        (np.ones((2, 2)), [0, 2], ["a", "b"], InputError, r"from 0 to 1"),
        (np.ones((2, 2)), [-1, 1], ["a", "b"], InputError, r"from 0 to 1"),
    ],
)
def test_refuses(scores, labels, tracks, error, match):
    with pytest.raises(error, match=match):
        report(
            scores,
            np.array(labels, np.int64),
            tracks,
            classes=("x", "y"),
            rng=np.random.default_rng(0),
        )


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


def test_the_reliability_points_are_in_the_report():
    # Three rows at 0.95 (two right), one at 0.5 (wrong).
    scores = np.array([[0.95, 0.05], [0.95, 0.05], [0.05, 0.95], [0.5, 0.5]])
    found = report(
        scores, np.array([0, 1, 1, 1]), list("abcd"), classes="xy", rng=np.random.default_rng(0)
    )
    assert [point[2] for point in found.reliability] == [1, 3]
    assert found.reliability[0][:2] == pytest.approx((0.5, 0.0))
    assert found.reliability[1][:2] == pytest.approx((0.95, 2 / 3))
    assert found.to_dict()["reliability"][1] == pytest.approx([0.95, 2 / 3, 3])
