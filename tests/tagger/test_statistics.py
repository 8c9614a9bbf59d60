"""`audiorec.tagger.vectors`: hand-worked values, scipy, the traps, properties."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from audiorec.errors import InputError, ShapeError
from audiorec.tagger.vectors import moments, summarise
from audiorec.types import STATISTICS

MAX, MIN, MEAN, VARIANCE, KURTOSIS, SKEWNESS = range(6)

# Scores are between 0 and 1, but nothing may break on other finite numbers.
ANY_SCORES = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.tuples(st.integers(1, 12), st.integers(1, 4)),
    elements=st.floats(-(2.0**59), 2.0**59, width=32),
)
PLAIN_SCORES = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 30), st.integers(1, 3)), elements=st.floats(0, 1, width=32)
)


def test_order_of_the_statistics_is_the_stored_one():
    assert STATISTICS == ("max", "min", "mean", "variance", "kurtosis", "skewness")


def test_values_worked_by_hand():
    # 0, 1, 5, 2, 2: mean 2; deviations -2, -1, 3, 0, 0; squares sum 14, cubes 18, fourths 98.
    m2, m3, m4 = 14 / 5, 18 / 5, 98 / 5
    expected = [5, 0, 2, 2.8, m4 / m2**2 - 3, m3 / m2**1.5]
    np.testing.assert_allclose(moments(np.array([[0.0], [1], [5], [2], [2]]))[0], expected)


@pytest.mark.parametrize("n_segments", [4, 5, 80, 400])
@pytest.mark.parametrize("offset", [0.0, 10.0])
def test_agrees_with_scipy_on_ordinary_series(n_segments, offset):
    scores = np.random.default_rng(n_segments).beta(0.6, 2.0, (n_segments, 14)) + offset
    expected = [
        scores.max(0),
        scores.min(0),
        scores.mean(0),
        scores.var(0),
        stats.kurtosis(scores, axis=0),
        stats.skew(scores, axis=0),
    ]
    np.testing.assert_allclose(moments(scores), np.stack(expected, axis=1), rtol=1e-9, atol=1e-12)


def test_layout_is_class_major():
    scores = np.random.default_rng(7).random((50, 14))
    whole = summarise(scores).reshape(14, 6)
    for column in range(14):
        np.testing.assert_array_equal(whole[column], summarise(scores[:, [column]]))


def test_summarize_is_moments_in_float32():
    scores = np.random.default_rng(8).random((9, 3), np.float32)
    vector = summarise(scores)
    assert vector.dtype == np.float32
    assert vector.shape == (18,)
    np.testing.assert_array_equal(vector, moments(scores).astype(np.float32).ravel())


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([0.25], [0.25, 0.25, 0.25, 0, 0, 0]),
        ([0.5, 0.0], [0.5, 0.0, 0.25, 0.0625, 0, 0]),  # scipy: kurtosis -2, always
        # scipy: kurtosis -1.5, always. Deviations 2, -1, -1 (halves): m2 2, m3 2.
        ([1.5, 0.0, 0.0], [1.5, 0, 0.5, 0.5, 0, 2 / 2**1.5]),
    ],
)
def test_short_series(series, expected):
    np.testing.assert_allclose(moments(np.array(series)[:, None])[0], expected, rtol=1e-14)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1.0, -2.7, 1e-30, 1e17])
@pytest.mark.parametrize("n_segments", [1, 2, 7, 10_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_series(value, n_segments, dtype):
    constant = dtype(value)
    got = moments(np.full((n_segments, 1), constant))[0]
    np.testing.assert_array_equal(got, [constant, constant, constant, 0, 0, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_change_of_one_digit_is_not_the_largest_possible_kurtosis(dtype):
    series = np.full((80, 1), dtype(0.7))
    series[33] = np.nextafter(dtype(0.7), dtype(1))
    got = moments(series)[0]
    assert got[MAX] > got[MIN]
    np.testing.assert_array_equal(got[[VARIANCE, KURTOSIS, SKEWNESS]], 0)


def test_rule_for_constants_is_relative():
    series = np.full((80, 1), 0.5)
    series[3] += 5.2e-7  # just above a millionth of the largest value, after the mean's share
    assert moments(series)[0, KURTOSIS] > 70
    np.testing.assert_allclose(moments(series * 1e-9)[0, KURTOSIS], moments(series)[0, KURTOSIS])
    series[3] = 0.5 + 4.8e-7
    assert moments(series)[0, KURTOSIS] == 0


def test_spike_of_1e_12_in_float32_keeps_its_shape():
    series = np.zeros((80, 1), np.float32)
    series[10] = 1e-12
    got = moments(series)[0]
    # One of T values apart: the bounds of both moments are reached.
    assert got[SKEWNESS] == pytest.approx(78 / np.sqrt(79), rel=1e-12)
    assert got[KURTOSIS] == pytest.approx(80 - 2 + 1 / 79 - 3, rel=1e-12)
    assert summarise(series)[KURTOSIS] == np.float32(got[KURTOSIS])


def test_spike_whose_variance_underflows():
    series = np.zeros((8, 1))
    series[1] = 1e-170
    got = moments(series)[0]
    assert got[VARIANCE] == 0
    assert got[SKEWNESS] == pytest.approx(6 / np.sqrt(7))


@given(ANY_SCORES)
def test_never_nan_and_never_a_warning(scores):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(summarise(scores)).all()


@given(PLAIN_SCORES, st.randoms(use_true_random=False))
def test_order_of_segments_does_not_matter_to_the_last_bit(scores, random):
    order = list(range(len(scores)))
    random.shuffle(order)
    np.testing.assert_array_equal(summarise(scores), summarise(scores[order]))


@given(PLAIN_SCORES)
def test_bounds(scores):
    n = len(scores)
    values = moments(scores)
    assert (values[:, MIN] <= values[:, MEAN]).all()
    assert (values[:, MEAN] <= values[:, MAX]).all()
    spread = values[:, MAX] - values[:, MIN]
    assert (values[:, VARIANCE] >= 0).all()
    assert (values[:, VARIANCE] <= spread**2 / 4 * (1 + 1e-9)).all()
    varied = values[(values[:, MAX] - values[:, MIN]) > 1e-5 * values[:, MAX]]
    if n >= 3:
        assert (np.abs(varied[:, SKEWNESS]) <= (n - 2) / np.sqrt(n - 1) * (1 + 1e-9)).all()
    if n >= 4:
        assert (varied[:, KURTOSIS] <= (n - 5 + 1 / (n - 1)) + 1e-9 * n).all()
        assert (varied[:, KURTOSIS] >= varied[:, SKEWNESS] ** 2 - 2 - 1e-9).all()


@given(PLAIN_SCORES, st.floats(0.1, 8))
def test_shape_statistics_do_not_depend_on_scale(scores, factor):
    wide = scores.astype(np.float64)
    shape = [KURTOSIS, SKEWNESS]
    got, scaled = moments(wide)[:, shape], moments(wide * factor)[:, shape]
    undecided = (got == 0) != (scaled == 0)  # a spread at the very border of the rule
    np.testing.assert_allclose(got[~undecided], scaled[~undecided], rtol=1e-6, atol=1e-9)


def test_input_is_not_changed():
    scores = np.random.default_rng(1).random((5, 2))
    before = scores.copy()
    summarise(scores)
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize("shape", [(0, 14), (14,), (2, 3, 14), (3, 0), ()])
def test_refuses_other_shapes(shape):
    with pytest.raises(ShapeError, match=r"\(T >= 1, H >= 1\), got \("):
        summarise(np.zeros(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e18])
def test_refuses_what_is_not_finite_and_names_the_row(bad):
    scores = np.zeros((5, 3))
    scores[3, 1] = bad
    scores[4, 0] = bad
    with pytest.raises(InputError, match="row 3 is not"):
        summarise(scores)


def test_needs_numpy_only():
    code = "import sys, audiorec.tagger.vectors; print('pyarrow' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
