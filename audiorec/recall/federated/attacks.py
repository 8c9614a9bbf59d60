"""Attacks on the data that two parties exchange, each with its chance level.

::

    gradients of one step  ──nearest_gradient──▶ which users play the same song
    their sums over steps  ──summed_gradients──▶ which users share a song
    gradients, or sums     ──activity──────────▶ which users have plays, by length
    differences of steps   ──nearest_difference─▶ which users play the same song
                           ──silent_difference──▶ which users have no plays
    user vectors           ──inversion─────────▶ profile attributes
    a trained model        ──membership────────▶ whose plays it was trained on

Each returns a `Result`: a figure with its interval over users, and the chance level.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiorec.evaluation.classification import Interval
from audiorec.evaluation.full_rank import clustered_interval
from audiorec.recall.federated.item_half import ItemPlays
from audiorec.recall.federated.user_features import UserFeatures
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

SAMPLES = 200  # bootstrap samples over users
MOST_FACTS = 20  # attribute values that are guessed
RIDGE = 1e-2  # penalty of the linear probe, relative to the mean eigenvalue
AT_LEAST = 20  # users with an attribute value, and users without it


@dataclass(frozen=True, slots=True)
class Result:
    """Success of an attack and its chance level, in 0..1."""

    found: Interval
    chance: float


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One training step as the partner sees it, with the ground truth.

    Attributes
    ----------
    rows : ndarray, shape (B,), int64
        Aligned rows.
    played : ndarray, shape (B, P), int64
        Songs drawn for each row, -1 for rows without a play: hidden from the partner.
    gradients : ndarray, shape (B, d), float32
    """

    rows: Int64Array
    played: Int64Array
    gradients: FloatArray


def nearest_gradient(steps: Sequence[Seen], rng: np.random.Generator) -> Result | None:
    """Find a user with the same song by the nearest gradient of a step; None if no songs repeat.

    Evaluated on rows whose song another row of the step has as well. Chance is a random row.
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
    """Find a user who shares a song by the nearest sum of gradients over a training run.

    Parameters
    ----------
    sums : ndarray, shape (n, d)
        Of each aligned row; their mean is subtracted.
    plays : ItemPlays
    rows : ndarray, shape (m,), int64
        Training rows; those with a play are evaluated. Chance is a random user.
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
    """Distinguish users with plays from users without by the norm of their gradients: the AUC.

    `gradients` (m, d), or sums of gradients, are of `rows` (m,). None if all rows have plays, or
    none has.
    """
    has = (plays.starts[rows + 1] - plays.starts[rows]) > 0
    return _by_auc(np.linalg.norm(gradients, axis=1)[:, None], has[:, None], rng)


def nearest_difference(
    pairs: Sequence[tuple[Seen, Seen]], rng: np.random.Generator
) -> Result | None:
    """Find a user with the same song as `nearest_gradient` does, by differences of two steps.

    The second step's gradients are subtracted from the first's, row by row as they were sent:
    noise that both messages share cancels.
    """
    return nearest_gradient([_difference(*pair) for pair in pairs], rng)


def silent_difference(
    pairs: Sequence[tuple[Seen, Seen]], rng: np.random.Generator
) -> Result | None:
    """Find two users without plays by the length of their gradients' difference: the AUC.

    Without noise, or if it cancels, the difference is 0. None if there are no such two users.
    """
    if not pairs:
        return None
    apart = [_difference(*pair) for pair in pairs]
    lengths = np.concatenate([np.linalg.norm(step.gradients, axis=1) for step in apart])
    silent = np.concatenate([_both_silent(*pair) for pair in pairs])
    owners = np.concatenate([step.rows for step in apart])
    return _by_auc(-lengths[:, None], silent[:, None], rng, owners)


def inversion(
    vectors: FloatArray, features: UserFeatures, rng: np.random.Generator
) -> Result | None:
    """Predict profile attributes from user vectors by a linear probe: the mean AUC.

    The music side is assumed to know the features of half of the users. Predicted for the other
    half: the most frequent values of each column, and whether each number is above its median.
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
    """Distinguish training users from others by the similarity of their songs: the AUC.

    The attacker has the model, the users' vectors and their plays. `vectors` (n, d) are of all
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
    """Return the probability that a positive scores above a negative; NaN if either is missing.

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


def _difference(first: Seen, second: Seen) -> Seen:
    """Return the first step with the second one's gradients subtracted, as far as both reach."""
    n = min(len(first.rows), len(second.rows))
    gradients = first.gradients[:n] - second.gradients[:n]
    return Seen(first.rows[:n], first.played[:n], gradients)


def _both_silent(first: Seen, second: Seen) -> BoolArray:
    n = min(len(first.rows), len(second.rows))
    return (first.played[:n, 0] < 0) & (second.played[:n, 0] < 0)


def _nearest(rows: FloatArray) -> Int64Array:
    """Return the row of the largest cosine with each row, excluding itself: (n,), int64."""
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


def _by_auc(
    score: Float64Array,
    truth: BoolArray,
    rng: np.random.Generator,
    owners: Int64Array | None = None,
) -> Result | None:
    """Return the mean AUC over columns (m, F), and its bootstrap over the rows' owners (m,)."""

    def mean(rows: Int64Array) -> float:
        columns = zip(score[rows].T, truth[rows].T, strict=True)
        return float(np.mean([auc(s, t) for s, t in columns]))

    whole = mean(np.arange(len(score)))
    if np.isnan(whole):
        return None
    mine = np.arange(len(score)) if owners is None else np.unique(owners, return_inverse=True)[1]
    order, n = np.argsort(mine, kind="stable"), int(mine.max()) + 1
    own = np.split(order, np.flatnonzero(np.diff(mine[order])) + 1)
    drawn = [mean(np.concatenate([own[i] for i in rng.integers(0, n, n)])) for _ in range(SAMPLES)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Result(Interval(whole, float(low), float(high)), 0.5)


def _facts(features: UserFeatures) -> BoolArray:
    """Return attributes of users as flags, the most frequent first: (n, F), bool."""
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
