"""Rank target songs in the whole catalogue, and measure the spread and diversity of lists.

    similarities (q, S), target songs ──mean_ranks──▶ ranks (T,) ──rank_measures──▶ (Q,) each
    lists (Q, k)  ──list_spread, intra_list_diversity, sound_diversity──▶ list statistics

Conventions
-----------
The whole catalogue is ranked. Tied songs share the mean of their ranks, so that a constant
similarity ranks no song first. A song that is not proposed has rank inf. ``recall`` divides by the
number of targets, ``capped_recall`` by min(k, targets).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError
from audiorec.evaluation.classification import BOOTSTRAP_SAMPLES, Interval
from audiorec.types import Float64Array, FloatArray, Int64Array

MEASURES = ("recall", "capped_recall", "hit_rate", "precision", "ndcg", "mrr")
MAX_DRAWN = 1 << 22  # numbers that a bootstrap holds in memory
FEW = 4  # targets per query up to which comparing is faster than sorting


def mean_ranks(similar: FloatArray, query: Int64Array, song: Int64Array) -> Float64Array:
    """Return the rank of each target among all songs for its query: shape (T,), from 1.

    Parameters
    ----------
    similar : ndarray, shape (q, S), float32
        -inf for songs that are not proposed.
    query, song : ndarray, shape (T,), int64
        The targets, in ascending order of query; a song below 0 is not in the catalogue.

    Examples
    --------
    >>> similar = np.float32([[0.9, 0.5, 0.5, -np.inf]])
    >>> mean_ranks(similar, np.array([0, 0, 0]), np.array([0, 1, 3]))
    array([1. , 2.5, inf])
    """
    ranks = np.full(len(song), np.inf)
    counts = np.bincount(query, minlength=len(similar))
    ends = np.cumsum(counts)
    for row in np.flatnonzero(counts):
        part = np.arange(ends[row] - counts[row], ends[row])
        part = part[song[part] >= 0]
        values = similar[row, song[part]]
        line = similar[row]
        if len(part) <= FEW:
            above = np.array([np.count_nonzero(line > v) for v in values])
            equal = np.array([np.count_nonzero(line == v) for v in values])
        else:
            ordered = np.sort(line)
            above = len(line) - np.searchsorted(ordered, values, side="right")
            equal = len(line) - np.searchsorted(ordered, values, side="left") - above
        proposed = values > -np.inf
        ranks[part[proposed]] = (1 + above + (equal - 1) / 2)[proposed] if len(part) else []
    return ranks


def rank_measures(
    ranks: Float64Array, query: Int64Array, n_queries: int, ks: Sequence[int]
) -> dict[tuple[str, int], Float64Array]:
    """Return every measure at every k for each query: {(measure, k): (Q,)}.

    NaN for queries without a target.

    Examples
    --------
    >>> found = rank_measures(np.array([1.0, 4.0]), np.array([0, 0]), 1, [2])
    >>> {name: round(float(values[0]), 3) for (name, _), values in found.items()}
    ...     # doctest: +NORMALIZE_WHITESPACE
    {'recall': 0.5, 'capped_recall': 0.5, 'hit_rate': 1.0, 'precision': 0.5, 'ndcg': 0.613,
     'mrr': 1.0}
    """
    if min(ks, default=1) < 1:
        raise InputError(f"k must be at least 1, got {min(ks)}")
    wanted = np.bincount(query, minlength=n_queries).astype(np.float64)
    wanted[wanted == 0] = np.nan
    found: dict[tuple[str, int], Float64Array] = {}
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, max(ks, default=1) + 2)))])
    first = np.full(n_queries, np.inf)
    np.minimum.at(first, query, ranks)
    for k in ks:
        hit = ranks <= k
        # More than k targets may share a mean rank within k.
        hits = np.minimum(np.bincount(query[hit], minlength=n_queries), k)
        gain = np.bincount(query[hit], 1 / np.log2(1 + ranks[hit]), minlength=n_queries)
        most = np.minimum(wanted, k)
        best = ideal[np.nan_to_num(most).astype(np.int64)]
        no_wanted = np.where(np.isnan(wanted), np.nan, 0.0)
        values = {
            "recall": hits / wanted,
            "capped_recall": hits / most,
            "hit_rate": (hits > 0) + no_wanted,
            "precision": hits / k + no_wanted,
            "ndcg": np.minimum(gain / np.where(best > 0, best, np.nan), 1.0),
            "mrr": np.where(first <= k, 1 / first, 0.0) + no_wanted,
        }
        found |= {(name, k): value for name, value in values.items()}
    return found


def clustered_interval(
    values: Float64Array,
    cluster: npt.NDArray[np.integer],
    rng: np.random.Generator,
    *,
    samples: int = BOOTSTRAP_SAMPLES,
) -> Interval:
    """Return the mean over queries with the 95 % interval of a bootstrap over clusters.

    `cluster` (Q,) is the index of each query's user or session, which is drawn with all of its
    queries. Queries with NaN are left out.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> str(clustered_interval(np.full(6, 0.5), np.array([0, 0, 1, 1, 2, 2]), rng))
    '0.500 [0.500, 0.500]'
    """
    if values.shape != cluster.shape:
        raise ShapeError(
            f"values and clusters must have the same shape, got {values.shape} and {cluster.shape}"
        )
    there = ~np.isnan(values)
    if not there.any():
        raise InputError("an interval needs at least one query with targets")
    _, number = np.unique(cluster[there], return_inverse=True)
    n = np.bincount(number).astype(np.float64)
    sums = np.bincount(number, values[there])
    at_once = max(1, MAX_DRAWN // len(n))
    means = []
    for done in range(0, samples, at_once):
        drawn = rng.integers(0, len(n), (min(at_once, samples - done), len(n)))
        means.append(sums[drawn].sum(axis=1) / n[drawn].sum(axis=1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return Interval(float(values[there].mean()), float(low), float(high))


def gini(shown: npt.NDArray[np.integer]) -> float:
    """Return the Gini coefficient of exposure over S songs: 0 is even, near 1 is all on one song.

    Examples
    --------
    >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
    """
    ordered = np.sort(shown.astype(np.float64))
    n, total = len(ordered), ordered.sum()
    if not total:
        return float("nan")
    places = np.arange(1, n + 1)
    return float((2 * (places * ordered).sum() / total - (n + 1)) / n)


def intra_list_diversity(lists: Int64Array, kinds: npt.NDArray[np.integer]) -> Float64Array:
    """Return the share of pairs in each list that differ in kind: shape (Q,), 0 to 1.

    `lists` (Q, k) has song indices, -1 for none; `kinds` (S,) has their genre or artist, -1 if
    unknown, which differs from every other. NaN for a list of fewer than two songs.

    Examples
    --------
    >>> intra_list_diversity(np.array([[0, 1, 2], [0, -1, -1]]), np.array([5, 5, 7]))
    array([0.66666667,        nan])
    """
    found = np.full(len(lists), np.nan)
    for row, songs in enumerate(lists):
        own = kinds[songs[songs >= 0]]
        n = len(own)
        if n > 1:
            _, counts = np.unique(own[own >= 0], return_counts=True)
            found[row] = 1 - (counts * (counts - 1)).sum() / (n * (n - 1))
    return found


def sound_diversity(lists: Int64Array, units: FloatArray) -> Float64Array:
    """Return the mean cosine distance of the pairs in each list: shape (Q,), 0 to 2.

    `units` (S, W) have length 1, or 0 for songs without a vector, which are skipped. NaN for a
    list of fewer than two songs with a vector.

    Examples
    --------
    >>> units = np.float32([[1, 0], [0, 1], [0, 0]])
    >>> sound_diversity(np.array([[0, 1, 2], [0, 0, -1], [0, -1, -1]]), units)
    array([ 1.,  0., nan])
    """
    known = np.asarray(units.any(axis=1), np.bool_)
    found = np.full(len(lists), np.nan)
    for row, songs in enumerate(lists):
        own = songs[songs >= 0]
        own = own[known[own]]
        n = len(own)
        if n > 1:
            # All pairs at once: |sum of units|^2 is n + twice the sum of all cosines.
            total = units[own].astype(np.float64).sum(axis=0)
            lengths = np.square(units[own].astype(np.float64)).sum()
            found[row] = 1 - (total @ total - lengths) / (n * (n - 1))
    return found


def list_spread(lists: Int64Array, plays: npt.NDArray[np.integer]) -> Mapping[str, float]:
    """Return statistics of lists (Q, k): mean plays of their songs, Gini, coverage.

    `plays` (S,) are those in the training data; Gini and coverage are over the S songs.
    """
    shown = np.bincount(lists[lists >= 0], minlength=len(plays))
    total = int(shown.sum())
    return {
        "popularity": float((shown * plays).sum() / total) if total else float("nan"),
        "gini": gini(shown),
        "coverage": float((shown > 0).mean()) if len(shown) else float("nan"),
    }
