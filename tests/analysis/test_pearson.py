"""`audiorec.analysis.pearson`: by hand, against scipy, and by chance."""

import numpy as np
import pytest
from scipy import stats

from audiorec.analysis.pearson import (
    BINS,
    fisher_z,
    normality,
    pearson_by_user,
    shuffled_null,
)
from audiorec.errors import InputError, ShapeError


@pytest.fixture
def pairs():
    """Twelve users with 4 to 15 pairs each, x and y a little alike."""
    rng = np.random.default_rng(4)
    user = np.repeat(np.arange(12), np.arange(4, 16))
    x = rng.normal(size=len(user)) + user
    return user, x, 0.5 * x + rng.normal(size=len(user)) - 2 * user


def test_values_worked_by_hand():
    # Around their means: x -1, -2, 3; y 1, -2, 1. r = 6 / sqrt(14 * 6).
    r, n = pearson_by_user(
        np.array([0, 0, 0, 1, 1]), np.array([2.0, 1, 6, 0, 9]), np.array([5.0, 2, 5, 1, 0])
    )
    assert r.tolist() == pytest.approx([6 / np.sqrt(84), -1.0])
    assert n.tolist() == [3, 2]


def test_each_user_agrees_with_scipy(pairs):
    user, x, y = pairs
    r, n = pearson_by_user(user, x, y)
    for u in range(12):
        expected = stats.pearsonr(x[user == u], y[user == u]).statistic
        assert r[u] == pytest.approx(expected, abs=1e-12)
        assert n[u] == (user == u).sum()


def test_scale_and_place_do_not_matter(pairs):
    user, x, y = pairs
    moved, _ = pearson_by_user(user, 1e-3 * x + 7, 50 * y - 3)
    np.testing.assert_allclose(moved, pearson_by_user(user, x, y)[0], atol=1e-9)


def test_constant_and_single_pairs_have_no_r():
    user = np.array([0, 0, 0, 1, 2, 2])
    x = np.array([0.1, 0.1, 0.1, 3.0, 1.0, 2.0])
    r, _ = pearson_by_user(user, x, np.array([1.0, 2, 4, 1, 1, 2]))
    assert np.isnan(r).tolist() == [True, True, False]
    assert pearson_by_user(np.empty(0, int), np.empty(0), np.empty(0))[0].shape == (0,)


@pytest.mark.parametrize("user", [[1, 1], [0, 2], [1, 0], [-1, 0]])
def test_users_out_of_order_are_refused(user):
    with pytest.raises(InputError, match="numbered from 0"):
        pearson_by_user(np.array(user), np.zeros(2), np.zeros(2))


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match="one shape expected"):
        pearson_by_user(np.array([0, 0]), np.zeros(3), np.zeros(2))


def test_fisher_z():
    z = fisher_z(np.array([0.5, -0.2, 1.0]), np.array([12, 7, 4]))
    assert z[:2].tolist() == pytest.approx([3 * 0.549306, -2 * 0.202733], abs=1e-5)
    assert np.isfinite(z[2])


def test_the_null_is_what_shuffling_gives(pairs):
    user, x, y = pairs
    null = shuffled_null(user, x, y, draws=600, rng=np.random.default_rng(0))
    r, n = pearson_by_user(user, x, y)
    for u in (0, 5, 11):  # against scipy's own permutations
        mine, theirs = x[user == u], y[user == u]
        rng = np.random.default_rng(u)
        shuffled = [np.corrcoef(mine, rng.permutation(theirs))[0, 1] for _ in range(2000)]
        assert null.quantile[u] == pytest.approx(np.mean(shuffled < r[u]), abs=0.06)
    assert null.histogram.sum() == 600 * 12
    centres = (BINS[1:] + BINS[:-1]) / 2
    variance = (null.histogram * centres**2).sum() / null.histogram.sum()
    # The variance of r over all orders of y is exactly 1 / (n - 1).
    assert variance == pytest.approx(np.mean(1 / (n - 1)), rel=0.08)
    assert null.share_positive.mean() == pytest.approx(0.5, abs=0.03)


def test_shuffling_stays_within_users():
    # y is one constant a user apart from noise: shuffled across users, r would be near 1.
    user = np.repeat([0, 1], 50)
    noise = np.random.default_rng(1).normal(size=(2, 100))
    x, y = user * 100.0 + noise[0], user * 100.0 + noise[1]
    null = shuffled_null(user, x, y, draws=100, rng=np.random.default_rng(2))
    assert null.histogram[np.abs(BINS[:-1]) > 0.6].sum() == 0


def test_a_perfect_order_has_the_highest_place(pairs):
    user, x, _ = pairs
    null = shuffled_null(user, x, x, draws=99, rng=np.random.default_rng(0))
    assert null.quantile[-1] == pytest.approx(99.5 / 100)
    null = shuffled_null(user, x, -x, draws=99, rng=np.random.default_rng(0))
    assert null.quantile[-1] == pytest.approx(0.5 / 100)


def test_shuffles_that_change_nothing_count_half():
    # Two pairs: half of the shuffles give the same r, the others -r.
    user, x, y = np.zeros(2, int), np.array([0.0, 1.0]), np.array([0.0, 1.0])
    null = shuffled_null(user, x, y, draws=400, rng=np.random.default_rng(0))
    assert null.quantile[0] == pytest.approx(0.75, abs=0.05)


def test_the_same_seed_gives_the_same_null(pairs):
    first, second, other = (
        shuffled_null(*pairs, draws=20, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.quantile, second.quantile)
    assert (first.quantile != other.quantile).any()


def test_the_null_refuses_no_draws_and_constants(pairs):
    with pytest.raises(InputError, match="draws must be at least 1"):
        shuffled_null(*pairs, draws=0, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="constant"):
        shuffled_null(
            np.zeros(3, int), np.ones(3), np.arange(3.0), draws=1, rng=np.random.default_rng(0)
        )


@pytest.mark.parametrize("kind", ["normal", "gamma", "uniform"])
def test_normality_agrees_with_scipy(kind):
    rng = np.random.default_rng(6)
    draw = {"normal": rng.standard_normal, "gamma": lambda n: rng.gamma(2, size=n)}
    values = draw.get(kind, rng.random)(300)
    found = normality(values)
    k2, p = stats.normaltest(values)
    assert (found["k2"], found["k2_p"], found["n"]) == (k2, p, 300)


def test_few_or_constant_values_are_not_tested():
    assert normality(np.arange(19.0)) is None
    assert normality(np.ones(50)) is None
