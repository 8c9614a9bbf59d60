"""Epsilon of Gaussian releases, and what an audit can say against it.

    epsilon, delta ──noise_for──▶ noise      noises of all releases ──epsilon_of──▶ total epsilon
    guesses of an audit ──lower_bound──▶ an epsilon that the mechanism surely does not keep

Noise is a multiple of the sensitivity: what one user can change, in Euclidean length. Both
directions use the exact formula of the Gaussian mechanism, not a bound. Releases compose exactly as
well: several with noises s_i tell as much as one with 1 / s^2 = sum of 1 / s_i^2, also if each was
chosen after the ones before.

References
----------
Balle and Wang, *Improving the Gaussian mechanism for differential privacy*, 2018.
Dong, Roth and Su, *Gaussian differential privacy*, 2022.
Steinke, Nasr and Jagielski, *Privacy auditing with one (1) training run*, 2023.
"""

from collections.abc import Callable, Iterable

import numpy as np

from audiorec.errors import InputError

MOST_EPSILON = 1_000.0
NOISES = (1e-3, 1e6)  # what `noise_for` searches


def delta_of(noise: float, epsilon: float) -> float:
    """Return the smallest delta for which a Gaussian release is (epsilon, delta)-private."""
    from scipy.special import log_ndtr

    half, shift = 0.5 / noise, epsilon * noise
    high, low = log_ndtr(half - shift), epsilon + log_ndtr(-half - shift)
    return float(np.exp(high) * -np.expm1(min(0.0, low - high)))


def epsilon_of(noises: Iterable[float], delta: float) -> float:
    """Return the epsilon of all releases together at a delta; 0 without one.

    Parameters
    ----------
    noises : iterable of float
        Standard deviation of the noise of each release, as a multiple of its sensitivity.
    delta : float

    Examples
    --------
    >>> round(epsilon_of([1.0], 1e-5), 3)
    4.377
    >>> round(epsilon_of([2**0.5, 2**0.5], 1e-5), 3)
    4.377
    """
    _check(0 < delta < 1, "delta", "in (0, 1)", delta)
    shares = [1 / noise**2 for noise in noises]
    if not shares:
        return 0.0
    noise = sum(shares) ** -0.5
    if delta_of(noise, MOST_EPSILON) > delta:
        return float("inf")
    return _crossing(lambda epsilon: delta_of(noise, epsilon) - delta, 0.0, MOST_EPSILON)


def noise_for(epsilon: float, delta: float) -> float:
    """Return the least noise of a release that is (epsilon, delta)-private.

    Raises
    ------
    InputError
        If epsilon or delta is out of range.

    Examples
    --------
    >>> round(noise_for(8.0, 1e-5), 3)
    0.6
    """
    _check(0 < epsilon <= MOST_EPSILON, "epsilon", f"in (0, {MOST_EPSILON:g}]", epsilon)
    _check(0 < delta < 1, "delta", "in (0, 1)", delta)
    return _crossing(lambda noise: delta_of(noise, epsilon) - delta, *NOISES)


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """Return the least place, up to a 1e-12th, at which a falling function is not above 0."""
    from scipy.optimize import brentq

    if falling(low) <= 0:
        return low
    found = float(brentq(falling, low, high, xtol=1e-12, rtol=1e-12))
    return found * (1 + 1e-11) + 1e-11  # on the safe side of the root


def lower_bound(
    members: int, guesses: int, correct: int, delta: float, *, error: float = 0.05
) -> float:
    """Return an epsilon that a mechanism does not keep, by an audit in one run; 0 if none is shown.

    Each of `members` canaries was in the data by a fair coin of its own. The auditor guesses some
    of the coins from the release, and is right more often than any (epsilon, delta)-private
    mechanism would allow, but for a probability of `error`.

    Parameters
    ----------
    members : int
        Canaries, guessed or not.
    guesses, correct : int
    delta : float
    error : float
        Probability that the bound is too high.

    Examples
    --------
    >>> lower_bound(1000, 200, 100, 1e-5)
    0.0
    >>> 2 < lower_bound(1000, 200, 195, 1e-5) < 4
    True
    """

    def surplus(epsilon: float) -> float:
        return error - _chance(members, guesses, correct, epsilon, delta)

    if surplus(0.0) <= 0:
        return 0.0
    if surplus(MOST_EPSILON) > 0:
        return MOST_EPSILON
    from scipy.optimize import brentq

    return float(brentq(surplus, 0.0, MOST_EPSILON, xtol=1e-6))


def _chance(members: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Return how likely so many right guesses are at most, for a private mechanism."""
    from scipy.stats import binom

    right = 1 / (1 + np.exp(-epsilon))
    likely = binom.pmf(np.arange(correct + 1), guesses, right)[::-1]  # correct, correct - 1, ...
    tails = np.cumsum(likely[1:]) / np.arange(1, correct + 1) if correct else np.zeros(1)
    beyond = float(binom.sf(correct - 1, guesses, right))
    return min(1.0, beyond + 2 * members * delta * float(tails.max()))


def _check(good: bool, name: str, expected: str, got: float) -> None:
    if not good:
        raise InputError(f"{name} must be {expected}, got {got:g}")
