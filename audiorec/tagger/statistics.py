"""Score series to song vector: six statistics over time for each class.

A tagger gives one row of scores per segment, so a long song has more rows than a short one. A
recommender needs vectors of one length. This module computes, for each class, six statistics over
time, regardless of the order of the segments.

    scores (T, H)  ──summarise──▶  vector (H * 6,)

The layout is class-major: ``vector.reshape(H, 6)[h, s]`` is statistic ``STATISTICS[s]`` of class
``h``: max, min, mean, variance, kurtosis, skewness. Every stored vector depends on it, so a change
here is a new store format.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError
from audiorec.types import STATISTICS, Float64Array, FloatArray

# A column counts as constant if its largest deviation from the mean is below this share of its
# largest value: float32 scores have seven digits, so the rest is rounding noise.
CONSTANT_SPREAD = 1e-6
LARGEST_SCORE = 1e18  # the variance of larger scores would overflow float32
SKEWNESS_MIN_SEGMENTS = 3  # two points are always symmetric
KURTOSIS_MIN_SEGMENTS = 4  # three points always give -1.5


def summarise(
    scores: npt.NDArray[np.floating], statistics: Sequence[str] = STATISTICS
) -> FloatArray:
    """Summarise scores over time, class by class.

    Parameters
    ----------
    scores : ndarray, shape (T, H)
        One row per segment, one column per class; any order of rows gives the same vector.
    statistics : sequence of str
        Subset of the six, in the order of `STATISTICS`.

    Returns
    -------
    vector : ndarray, shape (H * 6,), float32
        Statistics in the order of `STATISTICS`, all six of class 0 first. Always finite. With
        fewer statistics, (H * len(statistics),).

    Raises
    ------
    ShapeError
        If `scores` is not two-dimensional or has no rows or columns.
    InputError
        If a score is NaN, infinite or beyond 1e18; the message names the row.

    See Also
    --------
    moments : The same numbers in float64, as a matrix.

    Examples
    --------
    >>> summarise(np.array([[0.2], [0.9], [0.4]])).round(4)
    array([0.9   , 0.2   , 0.5   , 0.0867, 0.    , 0.4703], dtype=float32)
    """
    kept = [STATISTICS.index(name) for name in statistics]
    return moments(scores)[:, kept].ravel().astype(np.float32)


def moments(scores: npt.NDArray[np.floating]) -> Float64Array:
    """Return the six statistics of each class: scores (T, H) to (H, 6), float64.

    Columns and errors are the same as in `summarise`.

    Notes
    -----
    The variance divides by T. Kurtosis is Fisher's: 0 for a normal distribution. Kurtosis and
    skewness are the biased sample values, and 0 where undefined: for a constant class (with a
    variance of 0), kurtosis below four segments, skewness below three.

    For T segments that are not constant the absolute skewness is at most
    ``(T - 2) / sqrt(T - 1)`` and the kurtosis at most ``T - 5 + 1 / (T - 1)``, so both can grow
    with a song's length.

    Deviations from the mean are divided by the largest before they are raised to powers: the
    square of a variance of 1e-26 would underflow in float32, and that of 1e-170 in float64.
    """
    columns = _sorted_columns(scores)
    n_segments = columns.shape[1]
    low, high = columns[:, 0], columns[:, -1]
    # Rounding may push the mean of equal numbers one digit beyond them.
    mean = np.clip(columns.mean(axis=1), low, high)
    deviation = columns - mean[:, None]
    scale = np.abs(deviation).max(axis=1)
    constant = scale <= CONSTANT_SPREAD * np.maximum(np.abs(low), np.abs(high))
    scale = np.where(constant, 0.0, scale)

    z = deviation / np.where(constant, 1.0, scale)[:, None]
    squares = z * z
    m2 = np.where(constant, 1.0, squares.mean(axis=1))  # at least 1 / T: one |z| is 1
    skewness = (squares * z).mean(axis=1) / m2**1.5
    kurtosis = (squares * squares).mean(axis=1) / m2**2 - 3.0
    skewness[constant | (n_segments < SKEWNESS_MIN_SEGMENTS)] = 0.0
    kurtosis[constant | (n_segments < KURTOSIS_MIN_SEGMENTS)] = 0.0

    values = {
        "max": high,
        "min": low,
        "mean": mean,
        "variance": m2 * scale * scale,
        "kurtosis": kurtosis,
        "skewness": skewness,
    }
    return np.stack([values[name] for name in STATISTICS], axis=1)


def _sorted_columns(scores: npt.NDArray[np.floating]) -> Float64Array:
    """Check the scores and return them as (H, T), each class in ascending order.

    Sorting makes every bit of the result independent of the order of the segments; one row per
    class makes it independent of the other classes.
    """
    if scores.ndim != 2 or 0 in scores.shape:
        raise ShapeError(f"scores must have shape (T >= 1, H >= 1), got {scores.shape}")
    columns: Float64Array = np.sort(scores.T.astype(np.float64), axis=1)
    # NaN sorts last and fails the comparison as well.
    if not (np.abs(columns[:, [0, -1]]) <= LARGEST_SCORE).all():
        usable = (np.abs(scores.astype(np.float64)) <= LARGEST_SCORE).all(axis=1)
        row = int(np.flatnonzero(~usable)[0])
        raise InputError(
            f"scores must be finite and at most {LARGEST_SCORE:g}, but row {row} is not"
        )
    return columns
