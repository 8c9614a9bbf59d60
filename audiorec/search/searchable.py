"""A store that can be searched: its songs are found by name and by likeness.

    SearchableStore.open(path)  →  .resolve(text)  .space(by)  .similar(query, k)

It keeps the spaces that it has opened, and finds the index beside the store by itself.
`audiorec.library` makes the door for commands, Python and servers of it.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from audiorec.errors import ShapeError
from audiorec.search.index import find_index
from audiorec.search.scaling import By
from audiorec.search.space import Neighbours, Space, open_space
from audiorec.store.aliases import resolve
from audiorec.store.parquet import Checked
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray, IdMap


class SearchableStore(VectorStore):
    """The songs of one ``vecs.parquet``, to be found by name and by likeness."""

    def __init__(self, file: Checked) -> None:
        super().__init__(file)
        self._spaces: dict[object, Space] = {}

    def resolve(self, query: str) -> str:
        """Return the id that `query` means; see `audiorec.store.aliases.resolve`.

        Examples
        --------
        >>> SearchableStore.open("fixtures/formats/vecs-v1.parquet").resolve("etude")
        'piano/etude.flac'
        """
        return resolve(self, query)

    def similar(
        self,
        query: str | Sequence[str] | FloatArray,
        k: int = 10,
        *,
        exclude_ids: Collection[str] = (),
        by: By = "vector",
        table: str | Path | None = None,
        weights: Sequence[float] | None = None,
    ) -> Neighbours:
        """Return the `k` songs nearest to one song, or to each of several.

        Parameters
        ----------
        query : str, sequence of str, or ndarray, shape (V,) or (Q, V)
            An id or a unique part of one (see `resolve`), or the vector of any song (its
            features or embedding, where it is compared by those); several of either for
            several queries. A song that is named is not among its own neighbours.
        k : int
            Number of songs; fewer come back from a smaller store.
        exclude_ids : collection of str
            Songs to leave out; ids that the store does not have are passed over.
        by : {"vector", "mean", "features", "embedding"}
            The weighted vector, the mean scores alone (the plain baseline), or what
            `table` holds.
        table : path, optional
            ``features.parquet`` or ``embeddings.parquet``.
        weights : sequence of float, optional
            One weight per statistic instead of the default; see `space`.

        Returns
        -------
        neighbours : Neighbours
            The most similar first; equals in the order of their ids. For several queries a
            sequence of such results.

        Raises
        ------
        UnknownSongError
            If a text of `query` names no song, or several.
        InputError
            If `k` is below 1, a number is not finite, or as `space`.
        ShapeError
            If a vector has another length than the store's.

        Examples
        --------
        >>> store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
        >>> found = store.similar("etude", 2, by="mean")
        >>> [(n.song_id, round(n.similarity, 2)) for n in found]
        [('piano/prelude.flac', 0.91), ('speech/news.ogg', -0.3)]
        >>> store.similar(["etude", "prelude"], 1).song_ids.tolist()
        [['piano/prelude.flac'], ['piano/etude.flac']]
        """
        space = self.space(by, table=table, weights=weights)
        names, own = [query] if isinstance(query, str) else query, None
        if isinstance(names, np.ndarray):
            if names.ndim not in (1, 2):
                raise ShapeError(f"a query must have shape (V,) or (Q, V), got {names.shape}")
            units = space.prepare(np.atleast_2d(names))
        else:
            own = IdMap(self.id_array).rows(names)
            for place in np.flatnonzero(own < 0).tolist():
                own[place] = self.row_number(self.resolve(names[place]))
            units = space.units(own)
        allowed = ~self.mask(exclude_ids) if exclude_ids else None
        found = space.search(units, k, allowed=allowed, own=own)
        single = isinstance(query, str) or (own is None and np.ndim(query) == 1)
        return found[0] if single else found

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
        weights : sequence of float, optional
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
            space = self._spaces[key]
            index, note = find_index(self, space.weighting)
            self._spaces["index"] = space.through(index, note) if index or note else space
        return self._spaces["index"]
