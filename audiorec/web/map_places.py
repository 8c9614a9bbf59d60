"""Where songs stand on the map; those that stand there stay when others come.

    projected (m, 2)    ──laid_out──▶ `Layout` of n songs, spread over -1 to 1
    layout, more songs  ──`Layout.with_songs`──▶ the same places, and new songs among their nearest

A map of a library that has more than doubled would be that of a part of it: then there is none, and
the songs are laid out anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from audiorec.search.space import Space
from audiorec.search.topk import top_k
from audiorec.types import FloatArray, Int64Array, string_array

NEAREST = 3  # songs in whose middle a new one stands
APART = 0.006  # of the map's half width: new songs of the same neighbours do not cover each other
TURN = 2.4  # radians, near the golden angle: successive ones point everywhere
MOST_GROWTH = 2.0  # songs for each song that was laid out, before all are laid out anew


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The places of songs on a map.

    Attributes
    ----------
    ids : sequence of str
        The songs' ids, by row.
    places : ndarray, shape (n, 2), float32
        From about -1 to 1; NaN for songs without a place.
    at_first : int
        Number of songs that had a place when the map was laid out.
    """

    ids: Sequence[str] = field(repr=False)
    places: FloatArray
    at_first: int

    def with_songs(self, ids: Sequence[str], space: Space) -> "Layout | None":
        """Return the places of a changed library: songs that were there are where they were.

        Parameters
        ----------
        ids : sequence of str
            Ids of all songs, by row.
        space : Space
            What songs of the changed library are compared by, without an index.

        Returns
        -------
        layout : Layout or None
            None if the library has more than doubled, or no song was there before.
        """
        import pyarrow.compute as pc

        if len(space.rows) > MOST_GROWTH * self.at_first:
            return None
        before = pc.index_in(string_array(list(ids)), value_set=string_array(list(self.ids)))
        rows = np.asarray(before.fill_null(-1).to_pylist(), np.int64)
        places = np.full((len(ids), 2), np.nan, np.float32)
        places[rows >= 0] = self.places[rows[rows >= 0]]
        is_there = np.isfinite(places[space.rows, 0])
        new, old = np.flatnonzero(~is_there), np.flatnonzero(is_there)
        if not len(old):
            return None
        near = top_k(space.matrix[new], space.matrix[old], min(NEAREST, len(old))).indices
        middle = places[space.rows[old[near]]].mean(axis=1)
        angles = TURN * np.arange(len(new))
        aside = APART * np.column_stack([np.cos(angles), np.sin(angles)])
        places[space.rows[new]] = middle + aside
        return Layout(ids, places, self.at_first)

    def to_bytes(self) -> bytes:
        """Return x, then y of all songs, float32, little-endian."""
        return np.ascontiguousarray(self.places.T, "<f4").tobytes()


def laid_out(ids: Sequence[str], rows: Int64Array, projected: FloatArray) -> Layout:
    """Spread projected songs (m, 2), which have some rows, over a map.

    Each axis is half as it was projected and half even, so that dense regions get room and
    outliers do not set the scale.
    """
    places = np.full((len(ids), 2), np.nan, np.float32)
    if len(projected):
        low, high = np.quantile(projected, (0.005, 0.995), axis=0)
        scaled = 2 * (projected - low) / np.where(high > low, high - low, 1.0) - 1
        order = np.argsort(projected, axis=0, kind="stable")
        even = 2 * np.argsort(order, axis=0, kind="stable") / max(1, len(projected) - 1) - 1
        places[rows] = (np.clip(scaled, -1.1, 1.1) + even) / 2
    return Layout(ids, places, len(projected))
