"""Compute one correlation per user, and test what they say together.

    pairs of (user, x, y)  ──pearson_by_user──▶  r per user  ──▶  share above 0, null, normality
    r, n  ──fisher_z──▶ z in units of its spread by chance

All functions take pairs sorted by user, so that each user's pairs are contiguous.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.types import Float64Array, Int64Array

LARGEST_R = 1.0 - 1e-7  # Fisher's z of 1 is infinite
CONSTANT_SPREAD = 1e-9  # a standard deviation below this is rounding noise
BINS = np.linspace(-1.0, 1.0, 41)  # edges of the histograms of r
MIN_NORMALITY = 20  # values; with fewer the tests are not valid


@dataclass(frozen=True, slots=True)
class ShuffledNull:
    """Correlations under chance: y shuffled within each user, many times."""

    draws: int
    # (U,): quantile of each user's r among its shuffled ones, above 0 and below 1
    quantile: Float64Array
    histogram: Int64Array  # (40,): shuffled r of all users and draws, over `BINS`
    share_positive: Float64Array  # (draws,): share of the users with r > 0, per draw


def pearson_by_user(
    user: Int64Array, x: Float64Array, y: Float64Array
) -> tuple[Float64Array, Int64Array]:
    """Return Pearson's r of each user's pairs, (U,), and the number of pairs, (U,) int64.

    `user` (P,) must ascend through 0 to U - 1 without gaps. r is NaN where x or y is constant,
    which includes a single pair.

    Examples
    --------
    >>> user = np.array([0, 0, 0, 1, 1])
    >>> pearson_by_user(user, np.array([1.0, 2, 4, 3, 3]), np.array([0.0, 1, 0.5, 0, 1]))
    (array([0.32732684,        nan]), array([3, 2]))
    """
    starts = _starts(user, x, y)
    n = np.diff(starts, append=len(user))
    dx, dy = _units(x, starts, n), _units(y, starts, n)
    r = _sums(dx * dy, starts)
    return np.where(np.isnan(r), np.nan, np.clip(r, -1.0, 1.0)), n


def fisher_z(r: Float64Array, n: Int64Array) -> Float64Array:
    """Return Fisher's z in units of its spread under chance: ``arctanh(r) * sqrt(n - 3)``.

    Approximately standard normal if nothing correlates. `n` must be above 3.
    """
    limited = np.clip(r, -LARGEST_R, LARGEST_R)
    return np.asarray(np.arctanh(limited) * np.sqrt(n - 3.0), np.float64)


def shuffled_null(
    user: Int64Array, x: Float64Array, y: Float64Array, *, draws: int, rng: np.random.Generator
) -> ShuffledNull:
    """Shuffle y within each user and correlate again, `draws` times.

    Takes the input of `pearson_by_user`, but no user's x or y may be constant.
    """
    if draws < 1:
        raise InputError(f"draws must be at least 1, got {draws}")
    starts = _starts(user, x, y)
    n = np.diff(starts, append=len(user))
    dx, dy = _units(x, starts, n), _units(y, starts, n)
    observed = _sums(dx * dy, starts)
    if np.isnan(observed).any():
        raise InputError("a user's x or y is constant: leave such users out first")
    below = np.zeros(len(n))
    histogram = np.zeros(len(BINS) - 1, np.int64)
    positive = np.empty(draws)
    for draw in range(draws):
        # Adding a random number below 1 to each user number makes argsort shuffle within users.
        order = np.argsort(user + rng.random(len(user)))
        r = np.clip(_sums(dx * dy[order], starts), -1.0, 1.0)
        below += (r < observed) + 0.5 * (r == observed)
        histogram += np.histogram(r, BINS)[0]
        positive[draw] = (r > 0).mean()
    return ShuffledNull(draws, (below + 0.5) / (draws + 1), histogram, positive)


def normality(values: Float64Array) -> dict[str, float] | None:
    """Test whether values (U,) are normal by D'Agostino's K²: ``n``, ``k2``, ``k2_p``.

    None for fewer than `MIN_NORMALITY` values, or constant ones.
    """
    if len(values) < MIN_NORMALITY or values.std() < CONSTANT_SPREAD:
        return None
    from scipy.stats import normaltest

    k2, k2_p = normaltest(values)
    return {"n": len(values), "k2": float(k2), "k2_p": float(k2_p)}


def _starts(user: Int64Array, x: Float64Array, y: Float64Array) -> Any:
    if not user.shape == x.shape == y.shape:
        raise ShapeError(f"one shape expected, got {user.shape}, {x.shape}, {y.shape}")
    steps = np.diff(user, prepend=-1)
    if len(user) and (user[0] != 0 or steps.min() < 0 or steps.max() > 1):
        raise InputError("users must be numbered from 0, ascending, without gaps")
    return np.flatnonzero(steps)


def _sums(values: Float64Array, starts: Any) -> Float64Array:
    if len(starts) == 0:
        return np.empty(0)
    return np.asarray(np.add.reduceat(values, starts), np.float64)


def _units(values: Float64Array, starts: Any, n: Any) -> Float64Array:
    """Centre each user's values and scale them to length 1; NaN if they are constant."""
    centred = values - np.repeat(_sums(values, starts) / n, n)
    squares = _sums(centred * centred, starts)
    length = np.where(squares > n * CONSTANT_SPREAD**2, np.sqrt(squares), np.nan)
    return np.asarray(centred / np.repeat(length, n), np.float64)
