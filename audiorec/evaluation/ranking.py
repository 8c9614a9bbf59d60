"""Evaluate how well similarities rank songs, per user, beside baselines; and the lists themselves.

    similarities, liked, candidates (Q, S)  ──auc_per_user, top_measures──▶  AUC, precision, ...
    Panel, methods  ──compare──▶  `Comparison`: a row per method, and differences to the first
    similarities (q, S), target songs  ──mean_ranks──▶  ranks (T,)  ──rank_measures──▶  (Q,) each
    lists (Q, k)  ──list_spread, intra_list_diversity, sound_diversity──▶  list statistics

Every measure is computed per user; the mean over users is reported, with a bootstrap over users.
Two methods are compared on the same users: the interval is that of the paired differences, which is
far narrower than two intervals side by side.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError
from audiorec.evaluation.classification import BOOTSTRAP_SAMPLES, Interval, ratio
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, Pairs, unit

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

    `candidates` are the songs that are ranked for a user; those that are not `liked` are the
    negatives. Ties count half. NaN for a user without a liked candidate or without a negative.

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
    result = np.full(len(similarities), np.nan)
    weights = np.ones(similarities.shape[1]) if weights is None else weights
    for row, values in enumerate(similarities):
        good = values[liked[row] & candidates[row]]
        other = np.flatnonzero(candidates[row] & ~liked[row])
        if len(good) and len(other):
            other = other[np.argsort(values[other])]
            passed = np.concatenate([[0.0], np.cumsum(weights[other])])
            below = passed[np.searchsorted(values[other], good, side="left")]
            not_above = passed[np.searchsorted(values[other], good, side="right")]
            result[row] = (below + not_above).mean() / (2 * passed[-1])
    return result


def top_measures(
    similarities: npt.NDArray[np.floating], liked: BoolArray, candidates: BoolArray, k: int
) -> TopMeasures:
    """Evaluate the top `k` candidates of each user; arguments as for `auc_per_user`.

    Ties go by song index. NaN for a user without a liked candidate.

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
    return clustered_interval(per_user, np.arange(len(per_user)), rng, samples=samples)


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


Method = Callable[[Int64Array], npt.NDArray[np.floating]]
USERS_AT_ONCE = 512
MEASURES = ("auc", "precision", "recall", "ndcg")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """The users and the songs of an evaluation."""

    users: Int64Array  # (Q,): user indices, passed to the methods
    # (Q, S): as in `auc_per_user`; every user has a liked and another candidate
    liked: BoolArray
    candidates: BoolArray  # (Q, S)
    likes: Int64Array  # (S,): likes of each song, for the popularity bias

    def __post_init__(self) -> None:
        has_liked = (self.liked & self.candidates).any(1)
        has_other = (self.candidates & ~self.liked).any(1)
        if not len(self.users) or not (has_liked & has_other).all():
            raise InputError(
                "no user can be evaluated: each needs a liked held-out song and another candidate "
                "to compare it with"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """Figures of one method."""

    # (Q,): ``auc``, ``precision``, ``recall``, ``ndcg``
    per_user: Mapping[str, Float64Array] = field(repr=False)
    means: Mapping[str, Interval]
    # AUC of the first method minus this one's, on the same users; None for the first
    ahead: Interval | None
    coverage: float  # of the top k
    bias: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Figures of all methods on one panel; each is compared with the first."""

    rows: Mapping[str, Row]
    n_users: int
    n_songs: int
    k: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; undefined figures become None."""
        return {
            "users": self.n_users,
            "songs": self.n_songs,
            "k": self.k,
            "methods": {name: _plain_row(row) for name, row in self.rows.items()},
        }


def compare(
    panel: Panel, methods: Mapping[str, Method], *, k: int, rng: np.random.Generator
) -> Comparison:
    """Evaluate every method on the same users and songs, and compare the first with the others.

    `k` is the list length for precision, recall, NDCG, coverage and bias.
    """
    rows: dict[str, Row] = {}
    first: Float64Array | None = None
    for name, method in methods.items():
        per_user, top = _judge(panel, method, k)
        ahead = None if first is None else paired_difference(first, per_user["auc"], rng)
        first = per_user["auc"] if first is None else first
        rows[name] = Row(
            per_user=per_user,
            means={m: mean_interval(per_user[m], rng) for m in MEASURES},
            ahead=ahead,
            coverage=coverage(top, len(panel.likes)),
            bias=popularity_bias(top, panel.likes),
        )
    return Comparison(rows=rows, n_users=len(panel.users), n_songs=len(panel.likes), k=k)


def _judge(panel: Panel, method: Method, k: int) -> tuple[dict[str, Float64Array], Int64Array]:
    parts: list[dict[str, Any]] = []
    for start in range(0, len(panel.users), USERS_AT_ONCE):
        block = slice(start, start + USERS_AT_ONCE)
        similarities = method(panel.users[block])
        liked, candidates = panel.liked[block], panel.candidates[block]
        measures = top_measures(similarities, liked, candidates, k)
        auc = auc_per_user(similarities, liked, candidates)
        names = ("precision", "recall", "ndcg", "top")
        parts.append({"auc": auc, **{name: getattr(measures, name) for name in names}})
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return joined, joined.pop("top")


def _plain_row(row: Row) -> dict[str, Any]:
    content: dict[str, Any] = {name: _plain(row.means[name]) for name in MEASURES}
    content["ahead"] = None if row.ahead is None else _plain(row.ahead)
    for name, value in (("coverage", row.coverage), ("popularity_bias", row.bias)):
        content[name] = round(value, 6) if np.isfinite(value) else None
    return content


def _plain(interval: Interval) -> list[float]:
    return [round(v, 6) for v in astuple(interval)]


MIN_SCALE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Map from features to unit vectors: standardisation, optionally principal components."""

    mean: Float64Array  # (D,)
    scale: Float64Array  # (D,)
    components: Float64Array | None = None  # (D, K)

    def __call__(self, features: npt.NDArray[np.floating]) -> FloatArray:
        """Return unit vectors, (n, D) to (n, D) or (n, K), float32; rows of zeros stay zero."""
        standard = (features - self.mean) / self.scale
        return unit(standard if self.components is None else standard @ self.components)


def fit_projection(
    features: npt.NDArray[np.floating], *, components: int | None = None
) -> Projection:
    """Fit a projection to the features (n, D) of training songs.

    `components` is the number of principal components to keep, at most as many as there are.
    """
    if features.ndim != 2 or not len(features):
        raise ShapeError(f"features must have shape (n >= 1, D), got {features.shape}")
    wide = features.astype(np.float64)
    mean, scale = wide.mean(0), np.maximum(wide.std(0), MIN_SCALE)
    if components is None:
        return Projection(mean, scale)
    _, _, rows = np.linalg.svd((wide - mean) / scale, full_matrices=False)
    return Projection(mean, scale, rows[:components].T)


def centroids(songs: FloatArray, liked: Pairs, n_users: int) -> FloatArray:
    """Return each user's taste: the weighted mean of the liked songs' unit vectors (S, K).

    A baseline: a user's similarity to a song is the cosine of both. It works for the 84-d vector,
    mean backbone features, and their principal components.

    Shape (n_users, K), float32, normalised to length 1; zeros for a user without a pair.

    Examples
    --------
    >>> user, song = np.array([1], np.int32), np.array([0], np.int32)
    >>> pairs = Pairs(user, song, np.array([2], np.float32), np.zeros(1))
    >>> centroids(np.array([[0.6, 0.8]], np.float32), pairs, 2).round(1).tolist()
    [[0.0, 0.0], [0.6000000238418579, 0.800000011920929]]
    """
    sums = np.zeros((n_users, songs.shape[1]))
    np.add.at(sums, liked.user, songs[liked.song].astype(np.float64) * liked.weight[:, None])
    return unit(sums)


def artist_likes(
    song_groups: npt.NDArray[np.integer], liked: Pairs, wanted: npt.NDArray[np.integer]
) -> Float64Array:
    """Return the number of likes of each artist in `wanted` (n,): float64, shape (n,).

    `song_groups` (S,) has the artist of each song in `liked`.
    """
    size = int(max(song_groups.max(initial=0), wanted.max(initial=0))) + 1
    counts = np.bincount(song_groups[liked.song], minlength=size)
    return counts[wanted].astype(np.float64)


FEW = 4  # targets per query up to which comparing is faster than sorting


def mean_ranks(similar: FloatArray, query: Int64Array, song: Int64Array) -> Float64Array:
    """Return the rank of each target among all songs for its query: shape (T,), from 1.

    Tied songs share the mean of their ranks, so that a constant similarity ranks no song first. A
    song that is not proposed has rank inf.

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

    ``recall`` divides by the number of targets, ``capped_recall`` by min(k, targets).

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
    measures: dict[tuple[str, int], Float64Array] = {}
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
        measures |= {(name, k): value for name, value in values.items()}
    return measures


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
    result = np.full(len(lists), np.nan)
    for row, songs in enumerate(lists):
        own = kinds[songs[songs >= 0]]
        n = len(own)
        if n > 1:
            _, counts = np.unique(own[own >= 0], return_counts=True)
            result[row] = 1 - (counts * (counts - 1)).sum() / (n * (n - 1))
    return result


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
    result = np.full(len(lists), np.nan)
    for row, songs in enumerate(lists):
        own = songs[songs >= 0]
        own = own[known[own]]
        n = len(own)
        if n > 1:
            # All pairs at once: |sum of units|^2 is n + twice the sum of all cosines.
            total = units[own].astype(np.float64).sum(axis=0)
            lengths = np.square(units[own].astype(np.float64)).sum()
            result[row] = 1 - (total @ total - lengths) / (n * (n - 1))
    return result


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
