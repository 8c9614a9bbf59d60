"""What of a playlist is not as it was asked for: where, how far off, and why.

Playlist, Wish  ──remarks──▶  lines for a person
"""

from collections.abc import Iterator, Sequence

import numpy as np

from audiorec.playlists.curves import deviations, middles
from audiorec.playlists.draft import Wish
from audiorec.playlists.playlist import Playlist
from audiorec.search.filters import UNKNOWN
from audiorec.types import BoolArray, Float64Array, Int64Array

HELD = 0.15  # of a score: nearer than this to a curve, a song keeps it
MOVES = 0.1  # of a score: a curve of less is not heard


def remarks(
    ids: Sequence[str],
    found: Playlist,
    lengths: Float64Array,
    wish: Wish,
    *,
    allowed: BoolArray,
) -> tuple[str, ...]:
    """Say what a playlist lacks, a line each.

    Parameters
    ----------
    ids : sequence of str, length n
    found : Playlist
    lengths : ndarray, shape (n,)
        Seconds of every song.
    wish : Wish
    allowed : ndarray, shape (n,), bool
        Songs that might have come.
    """
    homeless = () if wish.curves else found.left_out
    lines = [f"{ids[row]} found no place in it" for row in homeless]
    if not found.within_tolerance:
        lines.append(
            f"{_clock(found.seconds)}, not {_clock(wish.seconds)}: the store has no songs that "
            "make it right within the limits"
        )
    own = lengths[found.rows]
    free = allowed.copy()
    free[found.rows] = False
    for number, curve in enumerate(wish.curves):
        low, high = min(curve.points), max(curve.points)
        if len(curve.points) > 1 and high - low < MOVES:
            lines.append(
                f"{curve.name} moves between {curve.shown(low)} and {curve.shown(high)} only, "
                "which is hardly heard"
            )
        off = deviations(found.rows, own, wish.curves)[:, number]
        for first, last, worst in _spans(np.abs(off) > HELD, np.abs(off)):
            wanted = float(curve.wanted(middles(own))[worst])
            score = float(curve.scores[found.rows[worst]])
            distance = np.abs(curve.scores - wanted)
            better = np.flatnonzero(free & (distance < abs(score - wanted) - HELD / 2))
            start, end = float(own[:first].sum()), float(own[: last + 1].sum())
            lines.append(
                f"from {_clock(start)} to {_clock(end)} {curve.name} is not as asked, at worst "
                f"{curve.shown(score)} instead of {curve.shown(wanted)}: "
                + _why(worst, found.rows, wish, better)
            )
    return tuple(lines)


def _spans(wrong: BoolArray, off: Float64Array) -> Iterator[tuple[int, int, int]]:
    """Yield runs of places that are wrong: first, last, and the worst of each."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wrong, [False]]).astype(np.int8)))
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield first, end - 1, first + int(off[first:end].argmax())


def _why(place: int, rows: Int64Array, wish: Wish, better: Int64Array) -> str:
    """Say what keeps songs that are better for the curve from a place."""
    if not len(better):
        return "no other song that may come has such a score"
    others = np.delete(rows, place)
    reasons = []
    for limit in wish.limits:
        taken = np.bincount(limit.kinds[others][limit.kinds[others] != UNKNOWN])
        full = np.flatnonzero(taken >= limit.most)
        if limit.name and np.isin(limit.kinds[better], full).any():
            reasons.append(f"at most {limit.most} of one {limit.name}")
    artists = wish.artists
    if artists is not None and wish.gap:
        near = artists[rows[max(0, place - wish.gap) : place + wish.gap + 1]]
        if np.isin(artists[better], near[near != UNKNOWN]).any():
            reasons.append(f"{wish.gap} places between two of one artist")
    if not reasons:
        return "what would fit is less like the seeds, or of another length"
    return f"what would fit is used up ({', '.join(reasons)})"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
