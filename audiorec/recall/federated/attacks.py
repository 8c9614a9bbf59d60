"""Attacks on what crosses between two parties, each with what chance would get.

::

    gradients of one step  ──nearest_gradient──▶ who plays the same song
    their sums over steps  ──summed_gradients──▶ who shares a song; ──activity──▶ who plays at all
    vectors of users       ──inversion─────────▶ what the partner knows of them
    a trained model        ──membership────────▶ whose plays it learnt from

Each returns a `Result`: a figure with its interval, over users, and the level of chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiorec.evaluation.classification import Interval
from audiorec.evaluation.full_rank import clustered_interval
from audiorec.recall.federated.item_half import ItemPlays
from audiorec.recall.federated.user_features import UserFeatures
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

SAMPLES = 200  # of a bootstrap over users
MOST_FACTS = 20  # values of users that are guessed
RIDGE = 1e-2  # of a probe, as a part of the mean eigenvalue
AT_LEAST = 20  # users that have a value, and that lack it


@dataclass(frozen=True, slots=True)
class Result:
    """What an attack got, in 0..1."""

    found: Interval
    chance: float


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One step as the partner sees it, and the truth beside.

    Attributes
    ----------
    rows : ndarray, shape (B,), int64
        Aligned rows.
    played : ndarray, shape (B, P), int64
        Songs that were drawn, -1 for rows without a play: what the partner does not see.
    gradients : ndarray, shape (B, d), float32
    """

    rows: Int64Array
    played: Int64Array
    gradients: FloatArray


def nearest_gradient(steps: Sequence[Seen], rng: np.random.Generator) -> Result | None:
    """Look for a user with the same song by the nearest gradient of a step; None: nobody has one.

    Judged are rows whose song another row of the step has as well. Chance is a row at random.
    """
    hits, owners, chances = [], [], []
    for step in steps:
        has = step.played[:, 0] >= 0
        played, rows = step.played[has], step.rows[has]
        if len(rows) < 2:
            continue
        same = (played[:, None, :, None] == played[None, :, None, :]).any(axis=(2, 3))
        np.fill_diagonal(same, False)
        judged = same.any(axis=1)
        nearest = _nearest(step.gradients[has])
        hits.append(same[np.arange(len(rows)), nearest][judged])
        owners.append(rows[judged])
        chances.append(same[judged].sum(axis=1) / (len(rows) - 1))
    return _judged(hits, owners, chances, rng)


def summed_gradients(
    sums: FloatArray, plays: ItemPlays, rows: Int64Array, rng: np.random.Generator
) -> Result | None:
    """Look for a user who shares a song by the nearest sum of gradients over a whole training.

    Parameters
    ----------
    sums : ndarray, shape (n, d)
        Of each aligned row; what all have in common is taken off.
    plays : ItemPlays
    rows : ndarray, shape (m,), int64
        Rows that are learnt from; those with a play are judged. Chance is a user at random.
    """
    from scipy.sparse import csr_array

    own = plays.of(rows)
    has = np.diff(own.starts) > 0
    if has.sum() < 2:
        return None
    matrix = csr_array(
        (np.ones(len(own.code), np.int32), own.code, own.starts), shape=(len(rows), plays.n_songs)
    )[has]
    shares = (matrix @ matrix.T).tocsr()
    kept = sums[rows[has]]
    nearest = _nearest(kept - kept.mean(axis=0))
    number = np.arange(len(nearest))
    hit = np.asarray(shares[number, nearest]).ravel() > 0
    chance = (np.diff(shares.indptr) - 1) / (len(number) - 1)  # its own place is in every row
    return _judged([hit], [rows[has]], [chance], rng)


def activity(
    gradients: FloatArray, plays: ItemPlays, rows: Int64Array, rng: np.random.Generator
) -> Result | None:
    """Tell users with plays from users without by the length of their gradients: the AUC.

    `gradients` (m, d) are of `rows` (m,). None if all rows have plays, or none has.
    """
    has = (plays.starts[rows + 1] - plays.starts[rows]) > 0
    return _by_auc(np.linalg.norm(gradients, axis=1)[:, None], has[:, None], rng)


def inversion(
    vectors: FloatArray, features: UserFeatures, rng: np.random.Generator
) -> Result | None:
    """Guess what is known of users from their vectors, by a linear probe: the mean AUC.

    The music side is taken to know the features of half of the users. What is guessed for the
    other half: the most frequent values of each column, and which numbers are above the median.
    None if no value is frequent enough.
    """
    truth = _facts(features)
    order = rng.permutation(len(vectors))
    known, asked = order[: len(order) // 2], order[len(order) // 2 :]
    frequent = [
        n
        for n in range(truth.shape[1])
        if all(AT_LEAST <= truth[side, n].sum() <= len(side) - AT_LEAST for side in (known, asked))
    ][:MOST_FACTS]
    if not frequent:
        return None
    x = np.concatenate([vectors, np.ones((len(vectors), 1), np.float32)], axis=1).astype(np.float64)
    gram = x[known].T @ x[known]
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    probe = np.linalg.solve(gram, x[known].T @ truth[known][:, frequent].astype(np.float64))
    return _by_auc(x[asked] @ probe, truth[asked][:, frequent], rng)


def membership(
    vectors: FloatArray,
    songs: FloatArray,
    plays: ItemPlays,
    learnt: Int64Array,
    others: Int64Array,
    rng: np.random.Generator,
) -> Result | None:
    """Tell users whose plays were learnt from others by how near their songs lie: the AUC.

    Whoever tries has the model, the users' vectors and their plays. `vectors` (n, d) are of all
    aligned rows, `songs` (S, d) of length 1, 0 for songs that were not learnt.
    """
    there = np.asarray(songs.any(axis=1), np.bool_)
    rows = np.concatenate([learnt, others])
    own = plays.of(rows)
    own = own.keep(there[own.code])
    has = np.diff(own.starts) > 0
    owner = np.repeat(np.arange(len(rows)), np.diff(own.starts))
    near = np.einsum("pd,pd->p", vectors[rows][owner], songs[own.code])
    sums = np.bincount(owner, near, minlength=len(rows)) / np.maximum(np.diff(own.starts), 1)
    score = sums - vectors[rows] @ songs[there].mean(axis=0)
    is_learnt = np.arange(len(rows)) < len(learnt)
    return _by_auc(score[has, None], is_learnt[has, None], rng)


def auc(score: Float64Array, truth: BoolArray) -> float:
    """Return the chance that a true one scores higher than a false one; NaN without both.

    Examples
    --------
    >>> auc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    high, low = score[truth], np.sort(score[~truth])
    if not len(high) or not len(low):
        return float("nan")
    below = np.searchsorted(low, high, side="left") + np.searchsorted(low, high, side="right")
    return float(below.mean() / (2 * len(low)))


def _nearest(rows: FloatArray) -> Int64Array:
    """Return the row of the largest cosine with each, itself left out: (n,), int64."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    found: Int64Array = near.argmax(axis=1).astype(np.int64)
    return found


def _judged(
    hits: list[BoolArray],
    owners: list[Int64Array],
    chances: list[Float64Array],
    rng: np.random.Generator,
) -> Result | None:
    if not sum(map(len, hits)):
        return None
    hit = np.concatenate(hits).astype(np.float64)
    found = clustered_interval(hit, np.concatenate(owners), rng)
    return Result(found, float(np.concatenate(chances).mean()))


def _by_auc(score: Float64Array, truth: BoolArray, rng: np.random.Generator) -> Result | None:
    """Return the mean AUC over columns (m, F), and its bootstrap over rows."""

    def mean(rows: Int64Array) -> float:
        columns = zip(score[rows].T, truth[rows].T, strict=True)
        return float(np.mean([auc(s, t) for s, t in columns]))

    n = len(score)
    whole = mean(np.arange(n))
    if np.isnan(whole):
        return None
    drawn = [mean(rng.integers(0, n, n)) for _ in range(SAMPLES)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Result(Interval(whole, float(low), float(high)), 0.5)


def _facts(features: UserFeatures) -> BoolArray:
    """Return what is true of users, the most frequent values first: (n, F), bool."""
    columns = [np.zeros((len(features), 0), np.bool_)]
    for bag in features.bags.values():
        top = np.argsort(-np.bincount(bag.code, minlength=bag.size), kind="stable")[:MOST_FACTS]
        owner = np.repeat(np.arange(len(bag)), np.diff(bag.starts))
        own = np.zeros((len(bag), len(top)), np.bool_)
        for place, value in enumerate(top.tolist()):
            own[owner[bag.code == value], place] = True
        columns.append(own)
    numbers = features.dense[:, ::2]
    columns.append(numbers > np.median(numbers, axis=0))
    return np.concatenate(columns, axis=1)
