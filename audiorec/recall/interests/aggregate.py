"""One list out of those of several interests: by similarity, or by quotas; and more mixed ones.

    similarities (K, S) of one user ──order_of──▶ place of each song in the user's list (S,)

``equal``     each interest in turn brings its next song
``weighted``  each as often as it weighs: an interest's n-th song comes at the time
              (n - ½) / weight, as in Sainte-Laguë's way to share out seats
``merged``    by the largest similarity: the exact order of the union

A song that several interests bring comes at its earliest time. Quotas count the songs that are new
to the user and were played before: songs of the history, and songs that nobody has played, stand
where they fall and take nobody's place. So quotas hold exactly in lists without the history, and a
list is not changed by what is left out of it.
"""

from dataclasses import dataclass

import numpy as np

from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

POOL = 400  # new songs at the top of a list, among which diversity chooses


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SongKinds:
    """What is known of S songs for all lists: shape (S,) each."""

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
    """Return the songs of a list, the best first, and the interest that brought each.

    Parameters
    ----------
    similar : ndarray, shape (K, S), float32
        Of the interests that are there, with all songs.
    weights : ndarray, shape (K,), optional
        Quotas, above 0, of any sum; None: merged.
    heard : ndarray, shape (S,), bool
        Songs of the history.
    kinds : SongKinds
    diversity : float
        What each song of the same category above costs, in similarity.

    Returns
    -------
    song, interest : ndarray, shape (n,), int64
        All songs that may come, and rows of `similar`.

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
        # Of interests that bring it at one time, the nearest.
        earliest = times.min(axis=0)
        interest = np.where(times == earliest, near, -np.inf).argmax(axis=0)
        time = earliest
    order = np.lexsort((songs, -best, time))
    if diversity > 0:
        order = _mixed(order, best, fresh, kinds.category[songs], diversity)
    return songs[order], interest[order].astype(np.int64)


def _times(near: FloatArray, fresh: BoolArray) -> Float64Array:
    """Return when an interest of weight 1 brings each song (n,): ½, 1½, ... for the fresh ones."""
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
    """Choose anew among the fresh songs at the top: the best after what their category costs."""
    place: Int64Array = np.cumsum(fresh[order]) - fresh[order]
    pool = order[fresh[order]][:POOL]
    # Costs count from what is chosen; songs of no known category are like no other.
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
