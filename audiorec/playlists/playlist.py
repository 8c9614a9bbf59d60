"""Make a playlist near some songs: of a given length, with artists spread.

    seeds, minutes  ──make_playlist──▶  rows in playing order

Songs are added one by one. Each maximises

    similarity to the seeds + 0.5 · similarity to the previous song - 5 · distance from the curves

among those whose artist is neither too recent nor too frequent. Then songs are exchanged, at the
least loss of the same sum, until the length is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.playlists.curves import Curve
from audiorec.playlists.draft import ADHERENCE, Draft, PlaylistRequest
from audiorec.search.votes import VOTES, draw
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

POOL = 5_000  # candidates of a playlist, over all its parts
POOL_PARTS = 10  # parts of a playlist with curves, each with candidates of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Playlist:
    """Songs in playing order.

    Attributes
    ----------
    rows : ndarray, shape (m,), int64
    seconds : float
        Total length.
    within_tolerance : bool
        Whether `seconds` differs from the request by at most `PlaylistRequest.tolerance_s`.
    left_out : tuple of int
        Rows of seeds that did not fit within the limits or the length.
    """

    rows: Int64Array
    seconds: float
    within_tolerance: bool
    left_out: tuple[int, ...] = ()


def make_playlist(
    units: FloatArray,
    directions: FloatArray,
    durations: Float64Array,
    wish: PlaylistRequest,
    *,
    seeds: Sequence[int] = (),
    allowed: BoolArray | None = None,
) -> Playlist:
    """Make a playlist near one direction or several.

    Parameters
    ----------
    units : ndarray, shape (n, W), float32
        Rows of length 1 (or 0).
    directions : ndarray, shape (W,) or (Q, W)
        Directions to search near, of length 1; several vote (`audiorec.search.votes`).
    durations : ndarray, shape (n,)
        Length of each song in seconds.
    wish : PlaylistRequest
    seeds : sequence of int
        Rows that come first, in this order as far as the artist gap permits. With curves they
        are placed like any other songs.
    allowed : ndarray, shape (n,), bool, optional
        Eligible songs; seeds always are.

    Returns
    -------
    playlist : Playlist
        Without repeated songs. Shorter than requested if the store has no more songs within
        the limits; longer only if a single seed is.

    Raises
    ------
    InputError
        If the requested length is not positive or the gap is negative.
    """
    if not wish.seconds > 0 or wish.gap < 0:
        raise InputError(
            f"a playlist needs a length above 0 s and a gap of at least 0, got {wish.seconds} and "
            f"{wish.gap}"
        )
    usable = durations > 0
    if allowed is not None:
        usable &= allowed
    usable[list(seeds)] = True
    eligible = np.flatnonzero(usable)
    relevance = _by_votes(units @ np.atleast_2d(directions).T, eligible)
    pool = _pool(relevance, eligible, wish.curves, seeds)
    draft = Draft(units, relevance, durations, wish, pool)
    draft.fill(() if wish.curves else seeds)
    draft.exchange(fixed=() if wish.curves else seeds)
    draft.improve()
    off = abs(draft.seconds - wish.seconds)
    return Playlist(
        rows=np.asarray(draft.rows, np.int64),
        seconds=draft.seconds,
        within_tolerance=off <= wish.tolerance_s,
        left_out=tuple(seed for seed in dict.fromkeys(seeds) if seed not in draft.rows),
    )


def _by_votes(near: FloatArray, rows: Int64Array) -> FloatArray:
    """Return how near songs are to several directions (n, Q) as one number: (n,).

    The songs that the directions draw by their votes get the same numbers as before, but in the
    order of drawing, so that each taste has its share of the first ones.
    """
    relevance: FloatArray = near.max(axis=1)
    if near.shape[1] == 1:
        return relevance
    rankings = []
    for of in near.T:
        first = rows[np.argsort(-of[rows], kind="stable")[:VOTES]]
        rankings.append((first, of[first].astype(np.float64)))
    drawn = draw(rankings, VOTES * len(rankings))[0]
    relevance[drawn] = np.sort(relevance[drawn])[::-1]
    return relevance


def _pool(
    relevance: FloatArray,
    rows: Int64Array,
    curves: Sequence[Curve],
    seeds: Sequence[int],
) -> Int64Array:
    """Return the best candidates for each part of the playlist, and the seeds."""
    if len(rows) <= POOL:
        return rows
    parts = np.linspace(0, 1, POOL_PARTS) if curves else np.zeros(1)
    each = POOL // len(parts)
    kept = [np.asarray(seeds, np.int64)]
    for part in parts:
        values = relevance[rows].astype(np.float64)
        for curve in curves:
            values -= ADHERENCE * np.abs(curve.scores[rows] - curve.target(part))
        kept.append(rows[np.argpartition(-values, each)[:each]])
    return np.unique(np.concatenate(kept))
