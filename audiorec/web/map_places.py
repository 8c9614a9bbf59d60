"""Where songs stand on the map; those that stand there stay when others come.

    projected (m, 2)    ──laid_out──▶ `Layout` of n songs, spread over -1 to 1
    layout, more songs  ──`Layout.with_songs`──▶ the same places, and new songs among their nearest
    the same map before a restart ──`MapKeeper`──▶ `Layout`, kept beside the store

A map of a library that has more than doubled would be that of a part of it: then there is none, and
the songs are laid out anew.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import StoreError
from audiorec.search.atlas import MapKind, project
from audiorec.search.space import Space
from audiorec.search.topk import top_k
from audiorec.store.map_file import read_map, write_map
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray, IdMap, Int64Array

NEAREST = 3  # songs in whose middle a new one stands
APART = 0.006  # of the map's half width: new songs of the same neighbours do not cover each other
TURN = 2.4  # radians, near the golden angle: successive ones point everywhere
MOST_GROWTH = 2.0  # songs for each song that was laid out, before all are laid out anew


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The places of songs on a map.

    Attributes
    ----------
    songs : pyarrow.StringArray
        The songs by row, as `audio_of` names them.
    places : ndarray, shape (n, 2), float32
        From about -1 to 1; NaN for songs without a place.
    at_first : int
        Number of songs that had a place when the map was laid out.
    """

    songs: Any = field(repr=False)
    places: FloatArray
    at_first: int

    def with_songs(self, songs: Any, space: Space) -> "Layout | None":
        """Return the places of a changed library: songs that were there are where they were.

        Parameters
        ----------
        songs : pyarrow.StringArray
            All songs, by row.
        space : Space
            What songs of the changed library are compared by, without an index.

        Returns
        -------
        layout : Layout or None
            None if the library has more than doubled, or no song was there before; itself if
            nothing has changed.
        """
        if len(space.rows) > MOST_GROWTH * self.at_first:
            return None
        rows = IdMap(self.songs).rows(songs)
        places = np.full((len(songs), 2), np.nan, np.float32)
        places[rows >= 0] = self.places[rows[rows >= 0]]
        is_there = np.isfinite(places[space.rows, 0])
        new, old = np.flatnonzero(~is_there), np.flatnonzero(is_there)
        if not len(old):
            return None
        if not len(new) and songs.equals(self.songs):
            return self
        near = top_k(space.matrix[new], space.matrix[old], min(NEAREST, len(old))).indices
        middle = places[space.rows[old[near]]].mean(axis=1)
        angles = TURN * np.arange(len(new))
        aside = APART * np.column_stack([np.cos(angles), np.sin(angles)])
        places[space.rows[new]] = middle + aside
        return Layout(songs, places, self.at_first)

    def to_bytes(self) -> bytes:
        """Return x, then y of all songs, float32, little-endian."""
        return np.ascontiguousarray(self.places.T, "<f4").tobytes()


def laid_out(songs: Any, rows: Int64Array, projected: FloatArray) -> Layout:
    """Spread projected songs (m, 2), which have some rows, over a map.

    Each axis is half as it was projected and half even, so that dense regions get room and
    outliers do not set the scale.
    """
    places = np.full((len(songs), 2), np.nan, np.float32)
    if len(projected):
        low, high = np.quantile(projected, (0.005, 0.995), axis=0)
        scaled = 2 * (projected - low) / np.where(high > low, high - low, 1.0) - 1
        order = np.argsort(projected, axis=0, kind="stable")
        even = 2 * np.argsort(order, axis=0, kind="stable") / max(1, len(projected) - 1) - 1
        places[rows] = (np.clip(scaled, -1.1, 1.1) + even) / 2
    return Layout(songs, places, len(projected))


def audio_of(hashes: Any) -> Any:
    """Name songs by their audio, in an Arrow array: the hash, and a number for each of its copies.

    Examples
    --------
    >>> audio_of(pa.array(["b", "a", "b"])).to_pylist()
    ['b/0', 'a/0', 'b/1']
    """
    codes = np.asarray(hashes.dictionary_encode().indices, np.int64)
    order = np.argsort(codes, kind="stable")
    number = np.empty(len(codes), np.int64)
    number[order] = np.arange(len(codes)) - np.searchsorted(codes[order], codes[order])
    return pc.binary_join_element_wise(hashes, pa.array(number).cast(pa.string()), "/")


class MapKeeper:
    """Makes the maps of a store: as they were kept beside it, or anew.

    Parameters
    ----------
    store : VectorStore
    writes : bool
        Whether to keep them.

    Attributes
    ----------
    notes : list of str
        Why a map that was kept is not used, or why one is not kept.
    """

    def __init__(self, store: VectorStore, *, writes: bool) -> None:
        self._store, self._writes = store, writes
        self._hashes = store.column("content_hash").combine_chunks()
        self._songs = audio_of(self._hashes)
        self.notes: list[str] = []

    def layout(self, projection: MapKind, space: Space, before: Layout | None) -> Layout:
        """Return the map of all songs: as it was, with new songs beside their likes, or anew.

        Parameters
        ----------
        projection : {"pca", "tsne", "umap"}
        space : Space
            What songs are compared by, without an index.
        before : Layout or None
            The map of the library before it changed; None for the one that was kept.
        """
        before = before or self._kept(projection, space)
        found = before and before.with_songs(self._songs, space)
        if found is None:
            found = laid_out(self._songs, space.rows, project(space.matrix, projection))
        if self._writes and found is not before:
            self._keep(projection, space, found)
        return found

    def _kept(self, projection: MapKind, space: Space) -> Layout | None:
        try:
            kept = read_map(self._store, projection, space.by)
        except StoreError as error:
            self.notes.append(f"{error}; the songs are laid out anew")
            return None
        return kept and Layout(audio_of(kept[0]), *kept[1:])

    def _keep(self, projection: MapKind, space: Space, layout: Layout) -> None:
        there = np.isfinite(layout.places[:, 0])
        kept = self._hashes.filter(pa.array(there)), layout.places[there], layout.at_first
        try:
            write_map(self._store, projection, space.by, kept)
        except StoreError as error:  # for example a folder that may only be read
            self.notes.append(f"the map is not kept: {error}")
