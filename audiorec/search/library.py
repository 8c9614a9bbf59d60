"""A library of songs that can be searched: one door for commands, Python and servers.

    open_store(path)  →  `Library`: .ids  .vectors (n, V)  .resolve(text)  .similar(id, k)

A `Library` is a store (`audiorec.store.store.VectorStore`) that also knows which songs are
alike. It keeps the spaces that it has opened, and finds the index beside the store by itself.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from audiorec.errors import ShapeError
from audiorec.search.index import find_index
from audiorec.search.similar import By, Similarity, neighbours
from audiorec.search.space import Space, open_space
from audiorec.store.aliases import resolve
from audiorec.store.parquet import Checked
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray, Neighbour

__all__ = ["Library", "open_store", "similar"]


class Library(VectorStore):
    """The songs of one ``vecs.parquet``, to be found by name and by likeness.

    Use `open_store`.
    """

    def __init__(self, file: Checked) -> None:
        super().__init__(file)
        self._spaces: dict[object, Space] = {}

    def resolve(self, query: str) -> str:
        """Return the id that `query` means; see `audiorec.store.aliases.resolve`.

        Examples
        --------
        >>> open_store("fixtures/formats/vecs-v1.parquet").resolve("etude")
        'piano/etude.flac'
        """
        return resolve(self, query)

    def similar(
        self,
        query: str | FloatArray,
        k: int = 10,
        *,
        exclude_ids: Collection[str] = (),
        by: By = "vector",
        table: str | Path | None = None,
    ) -> list[Neighbour]:
        """Return the `k` songs nearest to one song.

        Parameters
        ----------
        query : str or ndarray, shape (V,)
            An id or a unique part of one (see `resolve`), or the vector of any song (its
            features or embedding, where it is compared by those). A song that is named by
            its id is not among its own neighbours.
        k : int
            Number of songs; fewer come back from a smaller store.
        exclude_ids : collection of str
            Songs to leave out; ids that the store does not have are passed over.
        by : {"vector", "mean", "features", "embedding"}
            The weighted vector, the mean scores alone (the plain baseline), or what
            `table` holds.
        table : path, optional
            ``features.parquet`` or ``embeddings.parquet``.

        Returns
        -------
        neighbours : list of Neighbour
            The most similar first; equals in the order of their ids.

        Raises
        ------
        UnknownSongError
            If `query` is a text that names no song, or several.
        InputError
            If `k` is below 1 or a number is not finite.
        ShapeError
            If the vector has another length than the store's.

        Examples
        --------
        >>> store = open_store("fixtures/formats/vecs-v1.parquet")
        >>> found = store.similar("etude", 2, by="mean")
        >>> [(n.song_id, round(n.similarity, 2)) for n in found]
        [('piano/prelude.flac', 0.91), ('speech/news.ogg', -0.3)]
        """
        space = self.space(by, table=table)
        allowed = ~self.mask(exclude_ids) if exclude_ids else np.ones(len(self), np.bool_)
        if isinstance(query, str):
            number = self.row_number(self.resolve(query))
            allowed[number] = False
            units = space.units([number])
        elif query.ndim == 1:
            units = space.prepare(query[None])
        else:
            raise ShapeError(f"one query must have shape (V,), got {query.shape}")
        return neighbours(self, *space.search(units, k, allowed=allowed)[0])

    def space(
        self,
        by: By = "vector",
        *,
        table: str | Path | None = None,
        weights: Sequence[float] | None = None,
        use_index: bool = True,
    ) -> Space:
        """Return what songs are compared by, ready to be searched; made once and kept.

        Parameters
        ----------
        by : {"vector", "mean", "features", "embedding"}
        table : path, optional
            ``features.parquet`` or ``embeddings.parquet`` for the last two.
        weights : sequence of float, length S, optional
            One weight per statistic instead of the default, in the order of
            ``metadata.statistics``.
        use_index : bool
            Search through the index beside the store, where there is a fresh one.

        Raises
        ------
        InputError
            If `by` is unknown, or `table` is missing, too much, or has nothing to compare by.
        StoreError
            If `table` is damaged or of another kind.
        SpecMismatchError
            If `table`, or the index beside the store, belongs to another extractor.
        """
        own = None if weights is None else tuple(map(float, weights))
        key = (by, None if table is None else str(table), own)
        if key not in self._spaces:
            path = None if table is None else Path(table)
            self._spaces[key] = open_space(self, by, table=path, weights=weights)
        if not use_index or by != "vector" or weights is not None:
            return self._spaces[key]
        if "index" not in self._spaces:
            self._spaces["index"] = _with_index(self._spaces[key])
        return self._spaces["index"]

    def similarity(self, weights: Sequence[float] | None = None) -> Similarity:
        """Return the `Similarity` of this store's vectors; it is made once per weighting.

        Parameters
        ----------
        weights : sequence of float, length S, optional
            One weight per statistic, in the order of ``metadata.statistics``.
        """
        return self.space("vector", weights=weights, use_index=False).similarity


def open_store(path: str | Path) -> Library:
    """Open a ``vecs.parquet``; see `Library` and `VectorStore.open`."""
    return Library.open(path)


def similar(
    store: Library,
    vectors: FloatArray,
    k: int,
    *,
    exclude_ids: Collection[str] = (),
    by: By = "vector",
    weights: Sequence[float] | None = None,
    table: str | Path | None = None,
) -> list[list[Neighbour]]:
    """Return the songs of a store that are most similar to each query.

    Parameters
    ----------
    store : Library
    vectors : ndarray, shape (Q, V)
        Vectors of any songs, made by the store's extractor; for ``by="features"`` and
        ``by="embedding"`` their features or embeddings instead.
    k : int
        Neighbours per query; fewer come back from a smaller store.
    exclude_ids : collection of str
        Songs that must not come back, for all queries.
    by : {"vector", "mean", "features", "embedding"}
        `DEFAULT_WEIGHTS` over the whole vector, the mean scores alone, or what `table`
        holds; see `audiorec.search.space`.
    weights : sequence of float, optional
        One weight per statistic instead, in the order of ``store.metadata.statistics``;
        those of `audiorec.search.similar.LOG_ODDS` enter as log-odds here as well.
    table : path, optional
        ``features.parquet`` or ``embeddings.parquet``.

    Returns
    -------
    neighbours : list of list of Neighbour, length Q
        The most similar first; equals in the order of their ids.

    Raises
    ------
    InputError
        If `k` is below 1, a number is not finite, or `by` is unknown.
    ShapeError
        If the vectors have another length than the store's.
    """
    space = store.space(by, table=table, weights=weights)
    allowed = ~store.mask(exclude_ids) if exclude_ids else None
    found = space.search(space.prepare(vectors), k, allowed=allowed)
    return [neighbours(store, rows, values) for rows, values in found]


def _with_index(space: Space) -> Space:
    """Return the same space, searched through the index beside its store if one is fresh.

    Raises
    ------
    SpecMismatchError
        If the index belongs to another extractor.
    """
    index, note = find_index(space.store, space.weighting)
    if index is None and not note:
        return space
    return space.through(index, note)
