"""Completion of new songs beside their similarity to the user's favourites.

favourites with weights, new songs with completion, vectors of length 1  ──▶  pairs (a, c)
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from audiorec.analysis.completion import SongsOfUsers
from audiorec.analysis.pearson import pearson_by_user
from audiorec.types import Float64Array, FloatArray, Int64Array

BLOCK_NUMBERS = 1 << 24  # of gathered vectors at a time


@dataclass(frozen=True, slots=True)
class Comparison:
    """The pairs that are correlated, sorted by user and then by song.

    Attributes
    ----------
    user : ndarray, shape (P,), int64
        From 0 to U - 1.
    similarity, completion : ndarray, shape (P,), float64
    user_number : ndarray, shape (U,), int64
        The number of each user in the log.
    favourites : ndarray, shape (U,), int64
        Favourites of each.
    left_out : dict of str to int
        Users of the log without a correlation, by reason.
    """

    user: Int64Array
    similarity: Float64Array
    completion: Float64Array
    user_number: Int64Array
    favourites: Int64Array
    left_out: dict[str, int]


def compare(
    known: SongsOfUsers,
    new: SongsOfUsers,
    units: FloatArray,
    *,
    rows: Int64Array,
    min_songs: int,
    users: int,
) -> Comparison:
    """Put similarity beside completion, and leave out users that have too little.

    Parameters
    ----------
    known, new : SongsOfUsers
        Favourites with weights, new songs with completion.
    units : ndarray, shape (S, W), float32
    rows : ndarray, int64
        The row in `units` of each song of the log.
    min_songs : int
        Users with fewer new songs are left out.
    users : int
        Users of the log.
    """
    has_favourites = np.bincount(known.user, minlength=users)
    n = np.bincount(new.user, minlength=users)
    kept = (has_favourites > 0) & (n >= min_songs)
    left_out = {
        "no favourite before the split": int((has_favourites == 0).sum()),
        f"fewer than {min_songs} new songs": int(((has_favourites > 0) & ~kept).sum()),
    }
    pairs = np.flatnonzero(kept[new.user])
    user, completion = new.user[pairs], new.value[pairs]
    similarity = similarity_to_favourites(
        known, user, new.song[pairs], units, rows=rows, users=users
    )
    numbers, place = np.unique(user, return_inverse=True)
    r, _ = pearson_by_user(place, similarity, completion)
    varied = ~np.isnan(r)
    left_out["all completions or similarities equal"] = int((~varied).sum())
    pairs = varied[place]
    _, place = np.unique(place[pairs], return_inverse=True)
    numbers = numbers[varied]
    return Comparison(
        place, similarity[pairs], completion[pairs], numbers, has_favourites[numbers], left_out
    )


def similarity_to_favourites(
    known: SongsOfUsers,
    user: Int64Array,
    song: Int64Array,
    units: FloatArray,
    *,
    rows: Int64Array,
    users: int,
) -> Float64Array:
    """Return the weighted mean similarity of songs to their user's favourites.

    Parameters
    ----------
    known : SongsOfUsers
        Favourites with weights above 0.
    user, song : ndarray, shape (P,), int64
        Pairs, ascending by user; each user has a favourite.
    units : ndarray, shape (S, W), float32
    rows : ndarray, int64
        The row in `units` of each song of the log.
    users : int

    Returns
    -------
    similarity : ndarray, shape (P,), float64
        The mean of cosines is the product with the mean of the favourites' vectors.
    """
    width = units.shape[1]
    step = max(1, BLOCK_NUMBERS // max(1, width))
    total = np.bincount(known.user, known.value, minlength=users)
    similarity = np.empty(len(user))
    for first, last in _user_blocks(known.user, user, users, step):
        part = slice(*np.searchsorted(known.user, [first, last]))
        profile = np.zeros((last - first, width))
        weighted = known.value[part, None] * units[rows[known.song[part]]]
        starts = np.flatnonzero(np.diff(known.user[part], prepend=-1))
        if len(starts):
            profile[known.user[part][starts] - first] = np.add.reduceat(weighted, starts)
        pairs = slice(*np.searchsorted(user, [first, last]))
        mean = profile[user[pairs] - first]
        dots = np.einsum("pw,pw->p", mean, units[rows[song[pairs]]].astype(np.float64))
        similarity[pairs] = dots / total[user[pairs]]
    return similarity


def _user_blocks(
    first: Int64Array, second: Int64Array, users: int, step: int
) -> list[tuple[int, int]]:
    """Cut the users into runs of at most `step` pairs on each side, or of one user."""
    pairs = np.bincount(first, minlength=users) + np.bincount(second, minlength=users)
    block = np.cumsum(pairs) // step
    edges = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), users]
    return [(a, b) for a, b in pairwise(edges) if a < b]
