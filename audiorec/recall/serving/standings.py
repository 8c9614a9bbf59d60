"""Places of candidates in the lists of all channels as arrays, to evaluate many settings quickly.

    tables (one per channel), wanted songs ──Standings.of──▶ place (N, C)
    weights of N entries ──ranks──▶ ranks of the wanted songs

An entry is a pair of a user and a proposed song. `audiorec.recall.serving.fuse` applies rules and
makes lists; this module only ranks the wanted songs, without rules, in a hundredth of the time, so
that a search can use many users.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.recall.serving.candidate_rows import CandidateRows
from audiorec.recall.serving.rules import FusionRecipe
from audiorec.types import Float64Array, IdMap, Int64Array

ABSENT = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standings:
    """Places of N entries of Q users in the lists of C channels.

    Attributes
    ----------
    place : ndarray, shape (N, C), float64
        From 0, sorted by user and song; `ABSENT` if a channel does not propose the song.
    user : ndarray, shape (N,), int64
        Row of the user in the wanted lists, ascending.
    wanted : ndarray, int64
        Entry of each wanted song; `ABSENT` if no channel proposes it.
    query : ndarray, int64
        User of each wanted song.
    """

    place: Float64Array
    user: Int64Array
    wanted: Int64Array
    query: Int64Array
    # all entries of the user of each proposed wanted song, concatenated; start of each run
    _beside: Int64Array = field(repr=False)
    _starts: Int64Array = field(repr=False)

    @classmethod
    def of(cls, tables: Sequence[Any], wanted: Sequences) -> "Standings":
        """Build from candidates, one table of `SCHEMA` per channel, and wanted songs."""
        rows = CandidateRows.of(tables)
        place = rows.places()
        owner = IdMap(wanted.owner_ids).rows(rows.user_ids)[rows.user]
        kept = owner >= 0
        width = len(rows.song_ids)
        key = owner[kept] * width + rows.song[kept]
        entries, entry = np.unique(key, return_inverse=True)
        grid = np.full((len(entries), len(tables)), float(ABSENT))
        grid[entry, rows.source[kept]] = place[kept]
        song = IdMap(rows.song_ids).rows(wanted.song_ids)[wanted.song]
        asked = np.where(song >= 0, wanted.owner * width + song, -1)
        at = np.searchsorted(entries, asked)
        there = (at < len(entries)) & (entries[np.minimum(at, len(entries) - 1)] == asked)
        user = entries // width
        found = np.where(there, at, ABSENT)
        query = wanted.owner[there]
        first = np.searchsorted(user, query)
        sizes = np.searchsorted(user, query, side="right") - first
        starts = np.cumsum(sizes) - sizes
        beside = np.arange(sizes.sum()) - np.repeat(starts - first, sizes)
        return cls(
            place=grid,
            user=user,
            wanted=found,
            query=wanted.owner,
            _beside=beside,
            _starts=starts,
        )

    def ranks(self, weight: Float64Array) -> Float64Array:
        """Return the rank of each wanted song, from 1, by weights of the entries (N,).

        Ties are ranked by song; inf if no channel proposes the song or its weight is 0.
        """
        there = self.wanted >= 0
        entry = self.wanted[there]
        sizes = np.diff(np.append(self._starts, len(self._beside)))
        own, of = weight[entry], np.repeat(np.arange(len(entry)), sizes)
        other = weight[self._beside]
        before = (other > own[of]) | ((other == own[of]) & (self._beside < entry[of]))
        found = np.full(len(self.wanted), np.inf)
        counts = np.bincount(of[before], minlength=len(entry))
        found[there] = np.where(own > 0, 1 + counts, np.inf)
        return found

    def weigh(self, recipe: FusionRecipe) -> Float64Array:
        """Return the weight of each entry, (N,), as computed by `fuse`; not for quotas."""
        weights = recipe.weights_of(self.place.shape[1])
        found = np.zeros(len(self.place))
        for table, weight in enumerate(weights.tolist()):
            place = self.place[:, table]
            if recipe.method == "points":
                given = recipe.points_at(np.full(len(place), table), np.maximum(place, 0))
            else:
                given = 1 / (recipe.flatness + np.maximum(place, 0) + 1)
            found += weight * np.where(place >= 0, given, 0.0)
        return found
