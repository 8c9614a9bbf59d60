"""`audiorec.analysis.pearson`: planted mixtures are found, chance is not."""

import numpy as np
import pytest

from audiorec.analysis.pearson import sensitive_share
from audiorec.errors import InputError, ShapeError


def users(share, effect, *, seed, count=800, spread=0.08, shift=0.0):
    rng = np.random.default_rng(seed)
    n = rng.integers(10, 70, count)
    true = np.where(np.arange(count) < round(share * count), rng.normal(effect, spread, count), 0)
    return rng.standard_normal(count) + true * np.sqrt(n - 3) + shift, n


@pytest.mark.parametrize("share", [0.15, 0.5, 0.85, 1.0])
@pytest.mark.parametrize("effect", [0.25, 0.6])
def test_a_planted_share_is_found(share, effect):
    found = sensitive_share(*users(share, effect, seed=1))
    assert found.low <= share <= found.high
    assert not found.is_chance
    assert found.share == pytest.approx(share, abs=0.2 if effect < 0.5 else 0.07)
    assert found.effect == pytest.approx(effect, abs=0.1)


def test_a_stronger_effect_narrows_the_interval():
    widths = [f.high - f.low for f in (sensitive_share(*users(0.4, e, seed=2)) for e in (0.2, 0.6))]
    assert widths[1] < widths[0] / 2


def test_chance_alone_is_none():
    none = [sensitive_share(*users(0.0, 0.0, seed=s)) for s in range(12)]
    assert sum(f.is_chance for f in none) >= 11
    assert all(f.low <= f.share <= f.high for f in none)
    assert np.mean([f.share for f in none]) < 0.06


def test_a_common_accident_is_not_taken_for_listening():
    z, n = users(0.0, 0.0, seed=3, shift=0.25)
    assert not sensitive_share(z, n).is_chance  # that is what an accident looks like
    assert sensitive_share(z, n, shift_spread=0.2).is_chance


def test_negative_correlations_are_not_those_of_sensitive_users():
    z, n = users(0.5, -0.4, seed=4)
    assert sensitive_share(z, n).share < 0.3


def test_a_wider_chance_is_not_taken_for_listening():
    z, n = users(0.0, 0.0, seed=0)
    found, wide = sensitive_share(1.6 * z, n), sensitive_share(1.6 * z, n, chance_spread=1.6)
    assert found.share > wide.share
    assert wide.is_chance
    # The same in other units: only the effect is smaller.
    z, n = users(0.5, 0.6, seed=6)
    assert sensitive_share(1.6 * z, n, chance_spread=1.6).low > 0.4


def test_order_of_users_does_not_matter():
    z, n = users(0.4, 0.3, seed=5)
    order = np.random.default_rng(0).permutation(len(z))
    first, second = sensitive_share(z, n), sensitive_share(z[order], n[order])
    assert (first.share, first.effect) == (second.share, second.effect)
    assert (first.low, first.high) == pytest.approx((second.low, second.high), abs=1e-9)


def test_one_user_says_nothing():
    found = sensitive_share(np.array([0.3]), np.array([10]))
    assert (found.low, found.high) == (0.0, 1.0)


def test_extreme_values_stay_finite():
    found = sensitive_share(np.array([500.0, -500.0, 0.0]), np.array([4, 10_000, 50]))
    assert np.isfinite([found.share, found.low, found.high]).all()


def test_what_is_refused():
    with pytest.raises(InputError, match="chance_spread must be above 0"):
        sensitive_share(np.array([0.1]), np.array([9]), chance_spread=0.0)
    with pytest.raises(ShapeError, match=r"one shape \(U,\)"):
        sensitive_share(np.zeros(3), np.array([5, 5]))
    for z, n in (([], []), ([np.nan], [9]), ([0.1], [3])):
        with pytest.raises(InputError, match="n above 3"):
            sensitive_share(np.array(z, float), np.array(n, int))
