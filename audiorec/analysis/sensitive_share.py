"""Estimate how many users correlate above chance, from one noisy correlation per user.

A user's standardised z (see `fisher_z`) is normally distributed with standard deviation ``c``:
around ``d`` if only chance is at work, or around ``d + e * sqrt(n - 3)`` for a sensitive user,
where ``e`` is the user's true correlation on Fisher's scale:

``p``   the share of sensitive users, which is estimated
``m``   the mean of ``e`` over them: at least `LEAST_EFFECT`
``t``   its standard deviation over them, in units of ``m``: below 1, so that few are negative
``d``   a shift common to all users by accident of the catalogue, ``N(0, s**2)``

``c``, about 1, and ``s`` are inputs; shuffling the vectors among the songs measures both.

The likelihood is maximised over a grid. The interval holds every ``p`` whose profile log
likelihood lies within 1.92 of the maximum: 95 % by the likelihood ratio. It starts at 0 if chance
alone explains the data.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.types import Float64Array, Int64Array

LEAST_EFFECT = 0.1  # a weaker mean correlation is indistinguishable from none
EFFECTS = np.arange(LEAST_EFFECT, 1.201, 0.025)
SPREADS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])  # in units of the effect
TRUE = np.arange(-0.6, 2.0, 0.025)  # grid of e for the sum over its distribution
SHARES = np.linspace(0.0, 1.0, 51)
SHIFTS = np.linspace(-2.5, 2.5, 11)  # of the catalogue, in units of s
DROP = 1.92  # log likelihood below the maximum at the ends of a 95 % interval
BIN = 0.05  # width of a cell of z; users are counted per cell
LARGEST_Z = 12.0  # larger z are clipped to this
COUNTS_PER_DOUBLING = 4  # cells of n per doubling


@dataclass(frozen=True, slots=True)
class SensitiveShare:
    """Estimated share of the users whose correlation exceeds chance."""

    share: float
    low: float
    high: float
    effect: float  # mean true correlation of the sensitive users, on Fisher's scale
    spread: float  # its standard deviation over them
    shift: float  # accidental shift common to all users, in units of z

    @property
    def is_chance(self) -> bool:
        """Whether chance alone explains the correlations, as the interval reaches 0."""
        return self.low <= 0.0


def sensitive_share(
    z: Float64Array,
    n: Int64Array,
    *,
    chance_spread: float = 1.0,
    shift_spread: float = 0.0,
) -> SensitiveShare:
    """Estimate the share of sensitive users.

    Parameters
    ----------
    z : ndarray, shape (U,), float64
        Standardised Fisher z of each user.
    n : ndarray, shape (U,), int64
        Number of pairs of each user, above 3.
    chance_spread, shift_spread : float
        `c` and `s` of the module docstring: standard deviations of z under chance, and of the
        common shift.
    """
    if z.ndim != 1 or z.shape != n.shape:
        raise ShapeError(f"z and n must have one shape (U,), got {z.shape} and {n.shape}")
    if len(z) == 0 or not np.isfinite(z).all() or n.min() < 4:
        raise InputError("the share needs at least one user, each with a finite z and n above 3")
    if not chance_spread > 0:
        raise InputError(f"chance_spread must be above 0, got {chance_spread}")
    shifts = SHIFTS * shift_spread / chance_spread if shift_spread > 0 else np.zeros(1)
    penalty = SHIFTS**2 / 2.0 if shift_spread > 0 else np.zeros(1)
    value, root, count = _cells(z / chance_spread, n)
    root /= chance_spread
    best = np.stack(
        [_by_share(value - d, root, count) for d in shifts]
    )  # (shifts, shares, effects, spreads)
    # The likelihood of chance depends on the shift, too.
    chance = np.array([-0.5 * (count * (value - d) ** 2).sum() for d in shifts])
    best += (chance - penalty)[:, None, None, None]
    profile = best.max(axis=(0, 2, 3))
    at = np.unravel_index(int(best.argmax()), best.shape)
    low, high = _interval(profile)
    return SensitiveShare(
        share=float(SHARES[at[1]]),
        low=low,
        high=high,
        effect=float(EFFECTS[at[2]]),
        spread=float(SPREADS[at[3]] * EFFECTS[at[2]]),
        shift=float(shifts[at[0]] * chance_spread),
    )


def _cells(z: Float64Array, n: Int64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Count users in cells of z and n: mean z, mean sqrt(n - 3) and users per filled cell."""
    limited = np.clip(z, -LARGEST_Z, LARGEST_Z)
    place = np.rint(limited / BIN).astype(np.int64)
    size = np.rint(np.log2(n - 3.0) * COUNTS_PER_DOUBLING).astype(np.int64)
    span = int(2 * LARGEST_Z / BIN) + 2
    _, cell = np.unique(size * span + place, return_inverse=True)
    count = np.bincount(cell).astype(np.float64)
    # Cell means, so that only the variation within a cell is lost.
    value = np.bincount(cell, limited) / count
    root = np.bincount(cell, np.sqrt(n - 3.0)) / count
    return value, root, count


def _by_share(z: Float64Array, root: Float64Array, count: Float64Array) -> Any:
    """Return log likelihood ratios against chance: shape (shares, effects, spreads)."""
    exponent = TRUE * root[:, None] * z[:, None] - (TRUE * root[:, None]) ** 2 / 2.0
    each = np.exp(np.minimum(exponent, 600.0))  # (cells, true): likelihood ratio against chance
    found = np.empty((len(SHARES), len(EFFECTS), len(SPREADS)))
    for row, effect in enumerate(EFFECTS):
        ratios = each @ np.stack([_normal(effect, spread) for spread in SPREADS], axis=1)
        for column, ratio in enumerate(ratios.T):
            mixed = 1.0 + SHARES[:, None] * (ratio - 1.0)
            found[:, row, column] = np.log(np.maximum(mixed, 1e-300)) @ count
    return found


def _normal(mean: float, spread: float) -> Float64Array:
    """Return normal weights over `TRUE`; `spread` is in units of the mean."""
    weights = np.exp(-0.5 * ((TRUE - mean) / (spread * mean)) ** 2)
    return np.asarray(weights / weights.sum(), np.float64)


def _interval(profile: Float64Array) -> tuple[float, float]:
    """Return where the profile drops by `DROP` on both sides, interpolated between grid points."""
    best = int(profile.argmax())
    level = profile[best] - DROP
    inside = np.flatnonzero(profile >= level)
    first, last = int(inside[0]), int(inside[-1])
    low, high = float(SHARES[first]), float(SHARES[last])
    if first > 0:
        low = float(np.interp(level, profile[first - 1 : first + 1], SHARES[first - 1 : first + 1]))
    if last < len(SHARES) - 1:
        high = float(np.interp(-level, -profile[last : last + 2], SHARES[last : last + 2]))
    return low, high
