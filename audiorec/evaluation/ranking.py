"""How well similarities put liked songs before the others: user by user, with intervals.

    similarities (Q, S), liked (Q, S), candidates (Q, S)  ──▶  AUC, precision, recall, NDCG at k

Every measure is one number a user; what is reported is the mean over users. Users are what
intervals are drawn from, and two methods are compared on the same users: the interval of
their difference is of the differences, which is far narrower than two intervals side by side.

Conventions
-----------
`candidates` are the songs that a user is judged on; among them those that are not `liked`
stand against the liked ones. A user without a liked or without another candidate has AUC NaN;
one without a liked candidate has NaN everywhere. Equal similarities share their rank in the
AUC, and go by the song's number in the top k.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError
from audiorec.evaluation.classification import BOOTSTRAP_SAMPLES, Interval, ratio
from audiorec.types import BoolArray, Float64Array, Int64Array

MAX_DRAWN = 1 << 22  # numbers that a bootstrap holds at a time


@dataclass(frozen=True, slots=True, eq=False)
class TopMeasures:
    """Measures of the best k candidates of Q users."""

    # (Q,): precision divides by k, or by the candidates where there are fewer
    precision: Float64Array
    recall: Float64Array  # (Q,)
    ndcg: Float64Array  # (Q,)
    top: Int64Array  # (Q, k): numbers of songs, best first; -1 where there are fewer candidates


def auc_per_user(
    similarities: npt.NDArray[np.floating],
    liked: BoolArray,
    candidates: BoolArray,
    *,
    weights: npt.NDArray[np.floating] | None = None,
) -> Float64Array:
    """Return how often a liked song is nearer than another candidate: shape (Q,), float64.

    Songs stand against the liked ones as often as `weights` (S,), above 0, say; by default all
    as often. By their likes, what is merely popular is no longer near the top.

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
    """Judge the best `k` candidates of each user; arguments as for `auc_per_user`.

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
    """Return the mean over users and the middle 95 % of its bootstrap.

    `per_user` (Q,) is finite: leave users out on whom the measure is undefined.

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
    """Return by how much a method is better on the same users (Q,), with its interval.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> users = rng.random(50)  # they differ a lot, the methods never do by more than 0.1
    >>> str(paired_difference(users + 0.1, users, rng))
    '0.100 [0.100, 0.100]'
    """
    if method.shape != baseline.shape:
        raise ShapeError(f"not the same users: {method.shape} and {baseline.shape}")
    return mean_interval(method - baseline, rng)


def coverage(top: Int64Array, n_songs: int) -> float:
    """Return the part of the songs that is in anybody's top k.

    Examples
    --------
    >>> coverage(np.array([[0, 2], [2, -1]]), 4)
    0.5
    """
    return len(np.unique(top[top >= 0])) / n_songs


def popularity_bias(top: Int64Array, likes: npt.NDArray[np.number]) -> float:
    """Return mean likes in the top k (Q, k) over those of all songs, of `likes` (S,): 1 is no bias.

    NaN if no song of the S is liked or nothing is in a top k.

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
            f"similarities, liked and candidates must have one shape (Q, S), got "
            f"{similarities.shape}, {liked.shape}, {candidates.shape}"
        )
    if np.isnan(similarities[candidates]).any():
        raise InputError("the similarity of a candidate is NaN")
