"""A playlist: near some songs, as long as asked for, no artist twice in a row.

    seeds, minutes  ──make_playlist──▶  rows in playing order

Songs are taken one after the other. Each is the one with the largest

    similarity to the seeds + 0.5 · similarity to the song before - 5 · distance from the curves

among those whose artist has not come within the last places and not too often. Then songs
are exchanged, each at the least cost of the same sum, until the length is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.playlists.curves import Curve
from audiorec.playlists.draft import ADHERENCE, Draft, Wish
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

POOL = 5_000  # best songs that a playlist is made from, over all its parts
POOL_PARTS = 10  # of a playlist, with curves: each has other best songs


@dataclass(frozen=True, slots=True, kw_only=True)
class Playlist:
    """Songs in playing order.

    Attributes
    ----------
    rows : ndarray, shape (m,), int64
    seconds : float
        Of all songs together.
    within_tolerance : bool
        Whether `seconds` is as near to the wish as `Wish.tolerance_s` says.
    left_out : tuple of int
        Rows of seeds that the limits or the length had no place for.
    """

    rows: Int64Array
    seconds: float
    within_tolerance: bool
    left_out: tuple[int, ...] = ()


def make_playlist(
    units: FloatArray,
    direction: FloatArray,
    durations: Float64Array,
    wish: Wish,
    *,
    seeds: Sequence[int] = (),
    allowed: BoolArray | None = None,
) -> Playlist:
    """Make a playlist.

    Parameters
    ----------
    units : ndarray, shape (n, W), float32
        Rows of length 1 (or 0).
    direction : ndarray, shape (W,)
        What the songs are to be near, see `audiorec.search.space.mean_direction`.
    durations : ndarray, shape (n,)
        Seconds of each song.
    wish : Wish
    seeds : sequence of int
        Rows that stand first, in this order as far as the gap between artists lets them. With
        curves they are songs like others: the curves say where they fit.
    allowed : ndarray, shape (n,), bool, optional
        Songs that may be taken; seeds always may.

    Returns
    -------
    playlist : Playlist
        Without any song twice. Shorter than wished for where the store has no more songs
        within the limits; longer only where one seed alone is.

    Raises
    ------
    InputError
        If the wished length or the gap makes no sense.
    """
    if not wish.seconds > 0 or wish.gap < 0:
        raise InputError(f"{wish.seconds} seconds and a gap of {wish.gap} make no playlist")
    usable = durations > 0
    if allowed is not None:
        usable &= allowed
    usable[list(seeds)] = True
    relevance = units @ direction
    pool = _pool(relevance, np.flatnonzero(usable), wish.curves, seeds)
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


def _pool(
    relevance: FloatArray, rows: Int64Array, curves: Sequence[Curve], seeds: Sequence[int]
) -> Int64Array:
    """Return the rows that are best for some part of the playlist, and the seeds."""
    if len(rows) <= POOL:
        return rows
    parts = np.linspace(0, 1, POOL_PARTS) if curves else np.zeros(1)
    each = POOL // len(parts)
    kept = [np.asarray(seeds, np.int64)]
    for part in parts:
        values = relevance[rows].astype(np.float64)
        for curve in curves:
            values -= ADHERENCE * np.abs(curve.scores[rows] - curve.wanted(part))
        kept.append(rows[np.argpartition(-values, each)[:each]])
    return np.unique(np.concatenate(kept))
