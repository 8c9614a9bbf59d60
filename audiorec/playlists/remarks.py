"""Say where a playlist misses the request, by how much, and why.

Playlist, Wish  ──remarks──▶  lines for the user
"""

from collections.abc import Iterator, Sequence

import numpy as np

from audiorec.playlists.curves import deviations, midpoints
from audiorec.playlists.draft import PlaylistRequest
from audiorec.playlists.playlist import Playlist
from audiorec.search.filters import UNKNOWN
from audiorec.types import BoolArray, Float64Array, Int64Array

HELD = 0.15  # of a score: within this distance a song follows a curve
MOVES = 0.1  # of a score: a curve that spans less is hardly audible


def remarks(
    ids: Sequence[str],
    found: Playlist,
    lengths: Float64Array,
    wish: PlaylistRequest,
    *,
    allowed: BoolArray,
) -> tuple[str, ...]:
    """Say where a playlist misses the request, one line per remark.

    Parameters
    ----------
    ids : sequence of str, length n
    found : Playlist
    lengths : ndarray, shape (n,)
        Length of every song in seconds.
    wish : PlaylistRequest
    allowed : ndarray, shape (n,), bool
        The eligible songs.
    """
    homeless = () if wish.curves else found.left_out
    lines = [f"{ids[row]} did not fit in" for row in homeless]
    if not found.within_tolerance:
        lines.append(
            f"{_clock(found.seconds)} instead of {_clock(wish.seconds)}: no songs of the store "
            "make the length right within the limits"
        )
    own = lengths[found.rows]
    free = allowed.copy()
    free[found.rows] = False
    for number, curve in enumerate(wish.curves):
        low, high = min(curve.points), max(curve.points)
        if len(curve.points) > 1 and high - low < MOVES:
            lines.append(
                f"{curve.name} only moves between {curve.format(low)} and {curve.format(high)}, "
                "which is hardly audible"
            )
        off = deviations(found.rows, own, wish.curves)[:, number]
        for first, last, worst in _spans(np.abs(off) > HELD, np.abs(off)):
            wanted = float(curve.target(midpoints(own))[worst])
            score = float(curve.scores[found.rows[worst]])
            distance = np.abs(curve.scores - wanted)
            better = np.flatnonzero(free & (distance < abs(score - wanted) - HELD / 2))
            start, end = float(own[:first].sum()), float(own[: last + 1].sum())
            lines.append(
                f"from {_clock(start)} to {_clock(end)} {curve.name} misses the curve, at worst "
                f"{curve.format(score)} instead of {curve.format(wanted)}: "
                + _why(worst, found.rows, wish, better)
            )
    return tuple(lines)


def _spans(wrong: BoolArray, off: Float64Array) -> Iterator[tuple[int, int, int]]:
    """Yield runs of positions off the curve: first, last, and the worst of each."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wrong, [False]]).astype(np.int8)))
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield first, end - 1, first + int(off[first:end].argmax())


def _why(place: int, rows: Int64Array, wish: PlaylistRequest, better: Int64Array) -> str:
    """Say why songs that suit the curve better are not at a position."""
    if not len(better):
        return "no other eligible song has such a score"
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
            reasons.append(f"{wish.gap} songs between two of one artist")
    if not reasons:
        return "songs that would fit are less like the seeds, or of another length"
    return f"songs that would fit are used up ({', '.join(reasons)})"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
