"""Merge the lists of several interests into one: by similarity or by quotas; and diversify it.

    similarities (K, S) of one user ──order_of──▶ songs of the user's list, best first (n,)

``equal``     round robin: each interest adds its next song
``weighted``  in proportion to the weights: an interest's n-th song comes at time
              (n - ½) / weight, as in the Sainte-Laguë method of seat allocation
``merged``    by the largest similarity: the exact order of the union

A song that several interests bring takes its earliest time. Only songs that are new to the user
and have been played count towards quotas: songs of the history, and songs without a play, keep
their rank without using up a place. So quotas hold exactly in lists without the history, and
filtering songs out of a list does not change the order of the others.

Before that, interests of a history that are too similar are merged (`merged_interests`): several
means of similar songs are one taste, and carry no more information than their mean.
"""

from dataclasses import dataclass

import numpy as np

from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

POOL = 400  # new songs at the top of a list that are reranked for diversity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SongKinds:
    """Properties of S songs that all lists share: shape (S,) each."""

    may_come: BoolArray  # has an embedding
    is_cold: BoolArray
    category: Int64Array  # 0 where unknown


def order_of(
    similar: FloatArray,
    weights: FloatArray | None,
    heard: BoolArray,
    kinds: SongKinds,
    *,
    diversity: float = 0.0,
) -> tuple[Int64Array, Int64Array]:
    """Return the songs of a list, best first, and the interest that brought each.

    Parameters
    ----------
    similar : ndarray, shape (K, S), float32
        Similarity of each existing interest to all songs.
    weights : ndarray, shape (K,), optional
        Quotas, above 0, of any sum; None: rule ``merged``.
    heard : ndarray, shape (S,), bool
        Whether a song is in the history.
    kinds : SongKinds
    diversity : float
        Penalty in similarity for each higher-ranked song of the same category.

    Returns
    -------
    song, interest : ndarray, shape (n,), int64
        All songs with an embedding, and rows of `similar`.

    Examples
    --------
    >>> similar = np.array([[0.9, 0.8, 0.7, 0.1], [0.0, 0.3, 0.1, 0.2]], np.float32)
    >>> none = np.zeros(4, bool)
    >>> kinds = SongKinds(may_come=~none, is_cold=none, category=np.zeros(4, int))
    >>> [a.tolist() for a in order_of(similar, np.ones(2), none, kinds)]
    [[0, 1, 3, 2], [0, 1, 1, 0]]
    >>> [a.tolist() for a in order_of(similar, np.array([3.0, 1.0]), none, kinds)]
    [[0, 1, 2, 3], [0, 0, 0, 0]]
    """
    songs = np.flatnonzero(kinds.may_come)
    near = similar[:, songs]
    best = near.max(axis=0)
    fresh = ~(heard | kinds.is_cold)[songs]
    if weights is None:
        time, interest = np.zeros(len(songs)), near.argmax(axis=0)
    else:
        times = np.stack([_times(row, fresh) for row in near]) / weights[:, None]
        # Where several interests bring a song at the same time, the most similar one gets it.
        earliest = times.min(axis=0)
        interest = np.where(times == earliest, near, -np.inf).argmax(axis=0)
        time = earliest
    order = np.lexsort((songs, -best, time))
    if diversity > 0:
        order = _mixed(order, best, fresh, kinds.category[songs], diversity)
    return songs[order], interest[order].astype(np.int64)


def _times(near: FloatArray, fresh: BoolArray) -> Float64Array:
    """Return the times at which an interest of weight 1 brings songs (n,): ½, 1½, ... if fresh."""
    order = np.lexsort((np.arange(len(near)), -near))
    counted = fresh[order]
    found = np.empty(len(near))
    found[order] = np.cumsum(counted) - counted + 0.5
    return found


def _mixed(
    order: Int64Array,
    best: FloatArray,
    fresh: BoolArray,
    category: Int64Array,
    diversity: float,
) -> Int64Array:
    """Rerank the fresh songs at the top by similarity minus the penalty of their category."""
    place: Int64Array = np.cumsum(fresh[order]) - fresh[order]
    pool = order[fresh[order]][:POOL]
    # Each chosen song penalises its category; songs without a category are never penalised.
    worth = best[pool].astype(np.float64)
    own = category[pool]
    chosen = np.zeros(len(pool), np.int64)
    for turn in range(len(pool)):
        at = int(worth.argmax())
        chosen[turn] = at
        worth[at] = -np.inf
        if own[at]:
            worth[own == own[at]] -= diversity
    time: Float64Array = place.astype(np.float64)
    number = np.empty(len(best))
    number[order] = time
    number[pool[chosen]] = np.arange(len(pool)) + 0.5
    behind = np.empty(len(best))
    behind[order] = np.arange(len(order))
    found: Int64Array = np.lexsort((behind, number))
    return found


def merged_interests(
    interests: FloatArray, shares: FloatArray, *, above: float
) -> tuple[FloatArray, FloatArray]:
    """Merge the two most similar interests of each history while their cosine exceeds `above`.

    The merged interest is the mean of the two directions, weighted by their shares of the songs; it
    replaces the first of the two, and the other becomes 0.

    Parameters
    ----------
    interests : ndarray, shape (B, K, d), float32
        Zeros where a history has fewer than K.
    shares : ndarray, shape (B, L, K), float32
        Share of each song in each interest.
    above : float
        Cosine above which two are merged; 1: never.

    Returns
    -------
    interests : ndarray, shape (B, K, d), float32
    shares : ndarray, shape (B, L, K), float32
        With the same sums as before.

    Examples
    --------
    >>> two = np.array([[[2.0, 0.0], [0.6, 0.8], [0.0, 1.0]]], np.float32)
    >>> found, shares = merged_interests(two, np.ones((1, 4, 3), np.float32), above=0.7)
    >>> np.round(found.astype(float), 2).tolist()
    [[[2.0, 0.0], [0.32, 0.95], [0.0, 0.0]]]
    >>> shares[0, 0].tolist()
    [1.0, 2.0, 0.0]
    """
    if above >= 1 or interests.shape[1] < 2:
        return interests, shares
    found, shares = interests.copy(), shares.copy()
    number = np.arange(found.shape[1])
    mass = shares.sum(axis=1)
    rows = np.arange(len(found))
    for _ in number[1:]:
        units = _units(found[rows])
        there: BoolArray = np.asarray(units.any(axis=2))
        pairs = there[:, :, None] & there[:, None] & (number[:, None] < number)
        cosine = np.where(pairs, units @ units.transpose(0, 2, 1), -2).reshape(len(rows), -1)
        best = cosine.argmax(axis=1)
        near = cosine[np.arange(len(rows)), best] > above
        if not near.any():
            break
        one, other = np.divmod(best[near], len(number))
        units, rows = units[near], rows[near]
        at = np.arange(len(rows))
        weight = np.maximum(mass[rows], 1e-6)
        own, more = (weight[at, place][:, None] * units[at, place] for place in (one, other))
        found[rows, one], found[rows, other] = _units(own + more), 0
        shares[rows, :, one] += shares[rows, :, other]
        shares[rows, :, other] = 0
        mass[rows, one] += mass[rows, other]
    return found, shares


def _units(rows: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    found: FloatArray = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return found
