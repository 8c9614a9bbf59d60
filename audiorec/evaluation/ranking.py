"""Evaluate how well similarities rank liked songs, per user, beside baselines.

    similarities (Q, S), liked (Q, S), candidates (Q, S)  ──▶  AUC, precision, recall, NDCG at k

Every measure is computed per user; the mean over users is reported, with a bootstrap over users.
Two methods are compared on the same users: the interval is that of the paired differences, which
is far narrower than two intervals side by side.

Conventions
-----------
`candidates` are the songs that are ranked for a user; those that are not `liked` are the negatives.
A user without a liked candidate or without a negative has AUC NaN; a user without a liked candidate
has NaN everywhere. Ties count half in the AUC, and go by song index in the top k.

Compare several ranking methods on the same users and songs.

    Panel, methods  ──compare──▶  `Comparison`: one row per method, and differences to the first

A method is a function from user indices to similarities with the panel's songs.

Baselines for similarity models: the centroid of a user's liked songs, and artist popularity. A
user's taste is the mean of the liked songs' unit features, and its similarity to a song is their
cosine. This works for the 84-d vector, mean backbone features, and their principal components.
"""

from collections.abc import Callable, Mapping
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


Method = Callable[[Int64Array], npt.NDArray[np.floating]]
USERS_AT_ONCE = 512
MEASURES = ("auc", "precision", "recall", "ndcg")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """The users and the songs of an evaluation."""

    users: Int64Array  # (Q,): user indices, passed to the methods
    # (Q, S): as in `audiorec.evaluation.ranking`; every user has a liked and another candidate
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
        found = top_measures(similarities, liked, candidates, k)
        auc = auc_per_user(similarities, liked, candidates)
        names = ("precision", "recall", "ndcg", "top")
        parts.append({"auc": auc, **{name: getattr(found, name) for name in names}})
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
    found: Float64Array = counts[wanted].astype(np.float64)
    return found
