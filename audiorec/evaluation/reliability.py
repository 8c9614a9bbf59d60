"""Whether a classifier's scores mean what they say: confidence against how often it is right."""

import numpy as np
import numpy.typing as npt

ECE_BINS = 15  # of equal width over [0, 1], as in Guo et al. 2017


def expected_calibration_error(
    scores: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    *,
    bins: int = ECE_BINS,
) -> float:
    """Return the mean gap between the confidence of answers and how often they are right.

    Parameters
    ----------
    scores : ndarray, shape (n, C)
    labels : ndarray, shape (n,), int
    bins : int
        Of equal width over confidences from 0 to 1; each weighs as many rows as it has.

    Examples
    --------
    Four answers at confidence 0.75, of which two are right:

    >>> scores = np.tile([0.75, 0.25], (4, 1))
    >>> expected_calibration_error(scores, np.array([0, 0, 1, 1]))
    0.25
    """
    confidence = scores.max(1).astype(np.float64)
    right = (scores.argmax(1) == labels).astype(np.float64)
    of_row = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(of_row, right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def reliability(
    scores: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    *,
    bins: int = ECE_BINS,
) -> list[tuple[float, float, int]]:
    """Return mean confidence, share of right answers and rows of each bin that has rows."""
    confidence = scores.max(1).astype(np.float64)
    right = scores.argmax(1) == labels
    of_row = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return [
        (float(confidence[rows].mean()), float(right[rows].mean()), int(rows.sum()))
        for rows in (of_row == b for b in range(bins))
        if rows.any()
    ]
