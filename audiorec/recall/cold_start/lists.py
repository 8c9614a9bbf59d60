"""The lists of a cold start, block by block, with what is in them in any case."""

from collections.abc import Callable
from typing import Any

import numpy as np

from audiorec.recall.cold_start.assign import Shown, nth_of_group
from audiorec.recall.cold_start.plan import Plan
from audiorec.recall.cold_start.sides import Side
from audiorec.search.topk import TopK
from audiorec.types import Int64Array

SPARE = 64  # songs more than a list holds that are looked at where artists have a limit


class Lists:
    """The lists as pairs: cut out of those that are known, or made when they are asked for.

    Parameters
    ----------
    songs, users : Side
    plan : Plan
    best : callable of (rows, k)
        Finds the best of the other side for rows of the side that has lists.
    kept : Shown, optional
        All lists, where they are known.
    reserved : Shown, optional
        Pairs that are in the lists in any case.
    """

    def __init__(
        self,
        songs: Side,
        users: Side,
        plan: Plan,
        best: Callable[[Int64Array, int], TopK],
        *,
        kept: Shown | None = None,
        reserved: Shown | None = None,
    ) -> None:
        self._songs, self._users, self._plan, self._best = songs, users, plan, best
        self._audience = plan.lists == "audience"
        known = kept if kept is not None else reserved
        self._all = kept is not None
        if known is not None:
            group, other = (known.song, known.user) if self._audience else (known.user, known.song)
            known = known.sorted_by(group, other)
        self._known = known or Shown.nothing()
        group = self._known.song if self._audience else self._known.user
        counts = np.bincount(group, minlength=len(songs if self._audience else users))
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def counts(self) -> Int64Array:
        """Return how long each list is that is known: shape (n,)."""
        return np.diff(self._starts)

    def of(self, rows: Int64Array) -> Shown:
        """Return the pairs of neighbouring lists, by list, the most similar first."""
        known = self._known.take(np.arange(self._starts[rows[0]], self._starts[rows[-1] + 1]))
        if self._all:
            return known
        k, artist = self._plan.k, self._plan.per_artist
        if self._audience or artist is None:
            if not len(known):
                return self._as_pairs(rows, self._best(rows, k))  # in their order already
            more = self._as_pairs(rows, self._best(rows, k))
            return self._filled(known, more)
        return self._with_artists(rows, known)

    def _with_artists(self, rows: Int64Array, known: Shown) -> Shown:
        """Fill lists of songs, looking further down where one artist has too many."""
        n_songs = len(self._songs)
        width = min(n_songs, self._plan.k + SPARE)
        while True:
            top = self._best(rows, width)
            found = self._filled(known, self._as_pairs(rows, top))
            lengths = np.bincount(found.user - rows[0], minlength=len(rows))
            # A list that is short although there were more songs than were looked at.
            cut = (lengths < self._plan.k) & (top.counts == width)
            if width == n_songs or not cut.any():
                return found
            width = min(n_songs, 2 * width)

    def _filled(self, known: Shown, more: Shown) -> Shown:
        """Return the known pairs, then others, as far as there is room; sorted."""
        pairs = known.join(more)
        fixed = np.arange(len(pairs)) < len(known)
        key = pairs.song.astype(np.int64) * len(self._users) + pairs.user
        group, other = (pairs.song, pairs.user) if self._audience else (pairs.user, pairs.song)
        order = np.lexsort((other, -pairs.similarity, ~fixed, group))
        order = order[nth_of_group(key[order]) == 0]  # what is known is found again
        artist, limit = self._songs.artist, self._plan.per_artist
        if limit is not None and artist is not None:
            order = order[_within_artist(group[order], artist[pairs.song[order]]) < limit]
        order = order[nth_of_group(group[order]) < self._plan.k]
        kept = pairs.take(order)
        return kept.sorted_by(
            *((kept.song, kept.user) if self._audience else (kept.user, kept.song))
        )

    def _as_pairs(self, rows: Int64Array, top: TopK) -> Shown:
        pairs = pairs_of(rows, top)
        return pairs if self._audience else Shown(pairs.user, pairs.song, pairs.similarity)


def pairs_of(rows: Int64Array, top: TopK) -> Shown:
    """Return what was found for rows, as (row, found) pairs."""
    row, column = np.nonzero(top.indices >= 0)
    return Shown(
        rows[row].astype(np.int32),
        top.indices[row, column].astype(np.int32),
        top.similarities[row, column],
    )


def _within_artist(group: Any, artist: Int64Array) -> Int64Array:
    """Return the how many-th song of its artist in its list each is; 0 without an artist."""
    known = np.flatnonzero(artist >= 0)
    nth = np.zeros(len(artist), np.int64)
    key = group[known].astype(np.int64) * (int(artist.max(initial=0)) + 1) + artist[known]
    nth[known] = nth_of_group(key)
    return nth
