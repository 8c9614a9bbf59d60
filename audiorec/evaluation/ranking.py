"""Evaluate how well similarities rank liked songs above other candidates, per user.

    similarities (Q, S), liked (Q, S), candidates (Q, S)  ──▶  AUC, precision, recall, NDCG at k

Every measure is computed per user; the mean over users is reported, with a bootstrap over users.
Two methods are compared on the same users: the interval is that of the paired differences, which
is far narrower than two intervals side by side.

Conventions
-----------
`candidates` are the songs that are ranked for a user; those that are not `liked` are the negatives.
A user without a liked candidate or without a negative has AUC NaN; a user without a liked candidate
has NaN everywhere. Ties count half in the AUC, and go by song index in the top k.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError
from audiorec.evaluation.classification import BOOTSTRAP_SAMPLES, Interval, ratio
from audiorec.types import BoolArray, Float64Array, Int64Array

MAX_DRAWN = 1 << 22  # numbers that a bootstrap holds in memory


@dataclass(frozen=True, slots=True, eq=False)
class TopMeasures:
    """Measures of the top k candidates of Q users."""

    # (Q,): precision divides by k, or by the number of candidates if that is smaller
    precision: Float64Array
    recall: Float64Array  # (Q,)
    ndcg: Float64Array  # (Q,)
    top: Int64Array  # (Q, k): song indices, best first; -1 if there are fewer candidates


def auc_per_user(
    similarities: npt.NDArray[np.floating],
    liked: BoolArray,
    candidates: BoolArray,
    *,
    weights: npt.NDArray[np.floating] | None = None,
) -> Float64Array:
    """Return each user's AUC of liked against other candidates: shape (Q,), float64.

    `weights` (S,), above 0, weight the songs as negatives; by default equally. Weighting negatives
    by popularity stops a popularity ranking from scoring well.

    Examples
    --------
    >>> found = auc_per_user(
    ...     np.array([[0.9, 0.5, 0.5, 0.1]]),
    ...     np.array([[True, False, True, False]]),
    ...     np.ones((1, 4), bool),
    ... )
    >>> found.tolist()  # of four pairs three are in order and one is a tie
    [0.875]
    """
    _check(similarities, liked, candidates)
    found = np.full(len(similarities), np.nan)
    weights = np.ones(similarities.shape[1]) if weights is None else weights
    for row, values in enumerate(similarities):
        good = values[liked[row] & candidates[row]]
        other = np.flatnonzero(candidates[row] & ~liked[row])
        if len(good) and len(other):
            other = other[np.argsort(values[other])]
            passed = np.concatenate([[0.0], np.cumsum(weights[other])])
            below = passed[np.searchsorted(values[other], good, side="left")]
            not_above = passed[np.searchsorted(values[other], good, side="right")]
            found[row] = (below + not_above).mean() / (2 * passed[-1])
    return found


def top_measures(
    similarities: npt.NDArray[np.floating], liked: BoolArray, candidates: BoolArray, k: int
) -> TopMeasures:
    """Evaluate the top `k` candidates of each user; arguments as for `auc_per_user`.

    Examples
    --------
    >>> found = top_measures(
    ...     np.array([[0.9, 0.5, 0.7, 0.1]]),
    ...     np.array([[False, True, True, False]]),
    ...     np.ones((1, 4), bool),
    ...     2,
    ... )
    >>> found.top.tolist(), found.precision.tolist(), found.recall.tolist()
    ([[0, 2]], [0.5], [0.5])
    >>> found.ndcg.round(4).tolist()  # (1 / log2 3) / (1 + 1 / log2 3)
    [0.3869]
    """
    _check(similarities, liked, candidates)
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    k = min(k, similarities.shape[1])
    keyed = np.where(candidates, -similarities.astype(np.float64), np.inf)
    top = np.argsort(keyed, axis=1, kind="stable")[:, :k].astype(np.int64)
    rows = np.arange(len(top))[:, None]
    there = candidates[rows, top]
    hit = liked[rows, top] & there
    n_liked = (liked & candidates).sum(1)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(n_liked, k)]
    return TopMeasures(
        precision=ratio(hit.sum(1), np.where(n_liked > 0, there.sum(1), 0)),
        recall=ratio(hit.sum(1), n_liked),
        ndcg=ratio((hit * discount).sum(1), ideal),
        top=np.where(there, top, -1),
    )


def mean_interval(
    per_user: Float64Array, rng: np.random.Generator, *, samples: int = BOOTSTRAP_SAMPLES
) -> Interval:
    """Return the mean over users with its 95 % bootstrap interval.

    `per_user` (Q,) must be finite: leave out users for whom the measure is undefined.

    Examples
    --------
    >>> str(mean_interval(np.full(9, 0.7), np.random.default_rng(0)))
    '0.700 [0.700, 0.700]'
    """
    if not len(per_user) or not np.isfinite(per_user).all():
        raise InputError(f"an interval needs finite values of at least one user, got {per_user}")
    n = len(per_user)
    at_once = max(1, MAX_DRAWN // n)
    means = [
        per_user[rng.integers(0, n, (min(at_once, samples - done), n))].mean(1)
        for done in range(0, samples, at_once)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return Interval(float(per_user.mean()), float(low), float(high))


def paired_difference(
    method: Float64Array, baseline: Float64Array, rng: np.random.Generator
) -> Interval:
    """Return the mean difference of a method to a baseline on the same users (Q,), with interval.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> users = rng.random(50)  # users differ a lot, the methods always by 0.1
    >>> str(paired_difference(users + 0.1, users, rng))
    '0.100 [0.100, 0.100]'
    """
    if method.shape != baseline.shape:
        raise ShapeError(
            f"both methods need the same users, got {method.shape} and {baseline.shape}"
        )
    return mean_interval(method - baseline, rng)


def coverage(top: Int64Array, n_songs: int) -> float:
    """Return the share of songs that appear in at least one user's top k.

    Examples
    --------
    >>> coverage(np.array([[0, 2], [2, -1]]), 4)
    0.5
    """
    return len(np.unique(top[top >= 0])) / n_songs


def popularity_bias(top: Int64Array, likes: npt.NDArray[np.number]) -> float:
    """Return mean `likes` (S,) in the top k (Q, k) over the mean of all songs: 1 is no bias.

    NaN if no song has a like, or all lists are empty.

    Examples
    --------
    >>> popularity_bias(np.array([[0, 1], [0, -1]]), np.array([6, 3, 0, 3]))
    1.6666666666666667
    """
    shown = top[top >= 0]
    mean = float(np.mean(likes)) if len(likes) else 0.0
    return float(np.mean(likes[shown])) / mean if mean and len(shown) else float("nan")


def _check(similarities: npt.NDArray[np.floating], liked: BoolArray, candidates: BoolArray) -> None:
    if similarities.ndim != 2 or {liked.shape, candidates.shape} != {similarities.shape}:
        raise ShapeError(
            f"similarities, liked and candidates must have the same shape (Q, S), got "
            f"{similarities.shape}, {liked.shape}, {candidates.shape}"
        )
    if np.isnan(similarities[candidates]).any():
        raise InputError("the similarity of a candidate is NaN")
