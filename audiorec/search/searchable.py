"""A store with search: finds songs by name and by similarity.

    SearchableStore.open(path)  →  .resolve(text)  .similar(query, k)  .space(by)  .duplicates()

It caches the spaces that it opens and the columns that choices read, and finds the index beside the
store. `audiorec.library` builds on it for commands, Python and servers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import ShapeError
from audiorec.search.choice import Chooser, Chosen
from audiorec.search.duplicates import Group, find_duplicates, series_beside
from audiorec.search.index import find_index
from audiorec.search.named import song_named
from audiorec.search.near import near_each
from audiorec.search.questions import MINIMUM, Choice
from audiorec.search.space import Neighbours, Space
from audiorec.search.space_choice import SpaceChoice, choose_space, open_space
from audiorec.search.units import INDEXED
from audiorec.store.parquet import Checked
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, FloatArray, IdMap, Int64Array


class SearchableStore(VectorStore):
    """The songs of one ``vecs.parquet``, searchable by name and by similarity."""

    def __init__(self, file: Checked) -> None:
        super().__init__(file)
        self._spaces: dict[object, Space] = {}
        self._auto: SpaceChoice | None = None
        self._chooser = Chooser(self)

    def resolve(self, query: str) -> str:
        """Return the id of the song that `query` names; see `audiorec.search.named.song_named`.

        Examples
        --------
        >>> SearchableStore.open("fixtures/formats/vecs-v1.parquet").resolve("etude")
        'piano/etude.flac'
        """
        return song_named(self, query)

    def row(self, song_id: str) -> dict[str, Any]:
        """Return a song's columns without the vector; a unique part of its id is enough."""
        return super().row(self.resolve(song_id))

    def vector(self, song_id: str) -> FloatArray:
        """Return one song's vector: shape (V,), float32; a unique part of its id is enough."""
        return super().vector(self.resolve(song_id))

    @property
    def music(self) -> BoolArray:
        """Which songs are music: shape (n,), bool; see `audiorec.search.music.is_music`."""
        return self._chooser.music

    def chosen(self, choice: Choice) -> Chosen:
        """Return the eligible songs and the limits; see `Choice`."""
        return self._chooser.chosen(choice)

    def copies(self, rows: Sequence[int] | Int64Array) -> int:
        """Return how many further songs have the same audio, by content hash, as `rows`."""
        return self._chooser.copies(np.asarray(rows, np.int64))

    def similar(
        self,
        query: str | Sequence[str] | FloatArray,
        k: int = 10,
        *,
        by: str | Path = "auto",
        choice: Choice = Choice(),  # noqa: B008 - frozen
        diversity: float = 0.0,
        minimum: float = MINIMUM,
        weights: Sequence[float] | None = None,
    ) -> Neighbours:
        """Return the `k` songs nearest to one song, or to each of several.

        Parameters
        ----------
        query : str, sequence of str, or ndarray, shape (V,) or (Q, V)
            An id or a unique part of one (see `resolve`), or the numbers of a song in the space
            (a sound, a vector, an embedding); a sequence of either for several queries. A song
            given by name is not among its own neighbours.
        k : int
            Number of songs; fewer if fewer are eligible.
        by : {"auto", "sound", "vector", "mean"} or path
            The sound, the weighted vector, the mean scores alone (the plain baseline), or the
            embeddings in a file. By default sound, or the vector in a store without; the vector
            as well if vectors (by their length) or weights are given.
        choice : Choice
            Which songs are eligible, and how many per artist or album.
        diversity : float
            From 0, the nearest songs, to 1, songs as unlike each other as possible.
        minimum : float
            Minimum similarity; -1 admits all songs.
        weights : sequence of float, optional
            One weight per statistic instead of the default; see `space`.

        Returns
        -------
        neighbours : Neighbours
            Most similar first, ties in id order. For several queries, a sequence of such
            results.

        Raises
        ------
        UnknownSongError
            If a text in `query` names no song, or several.
        InputError
            If `k` is below 1, a number is not finite, or as for `Choice` and `space`.
        ShapeError
            If a vector has another length than the store's.

        Examples
        --------
        >>> store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
        >>> found = store.similar("etude", 2, by="mean", minimum=-1)
        >>> [(n.song_id, round(n.similarity, 2)) for n in found]
        [('piano/prelude.flac', 0.91), ('speech/news.ogg', -0.3)]
        >>> store.similar(["etude", "prelude"], 1).song_ids.tolist()
        [['piano/prelude.flac'], ['piano/etude.flac']]
        """
        names, own = [query] if isinstance(query, str) else query, None
        if by == "auto" and (weights is not None or self._is_vector(names)):
            by = "vector"
        space = self.space(by, weights=weights)
        if isinstance(names, np.ndarray):
            if names.ndim not in (1, 2):
                raise ShapeError(f"a query must have shape (V,) or (Q, V), got {names.shape}")
            units = space.prepare(np.atleast_2d(names))
        else:
            own = IdMap(self.id_array).rows(names)
            for place in np.flatnonzero(own < 0).tolist():
                own[place] = self.row_number(self.resolve(names[place]))
            units = space.units(own)
        chosen = self.chosen(choice)
        found = near_each(space, units, k, chosen, own=own, diversity=diversity, minimum=minimum)
        single = isinstance(query, str) or (own is None and np.ndim(query) == 1)
        return found[0] if single else found

    def default_space(self, by: str | Path = "auto") -> SpaceChoice:
        """Return the space that is used by default; see `choose_space`."""
        if str(by) != "auto":
            return choose_space(self, by)
        if self._auto is None:
            self._auto = choose_space(self)
        return self._auto

    def space(
        self,
        by: str | Path = "auto",
        *,
        weights: Sequence[float] | None = None,
        use_index: bool = True,
    ) -> Space:
        """Return a space in which songs are compared, ready to search; opened once and cached.

        Parameters
        ----------
        by : {"auto", "sound", "vector", "mean"} or path
            By default sound, or the vector in a store without; or a file of learnt embeddings.
        weights : sequence of float, optional
            One weight per statistic of the vector instead of the default, in the order of
            ``metadata.statistics``.
        use_index : bool
            Search through the index beside the store, if it is one of this space and up to date.

        Raises
        ------
        InputError
            If `by` is unknown, or the store has no sound.
        StoreError
            If the file of embeddings is missing, damaged or of another kind.
        SpecMismatchError
            If that file, or the index beside the store, comes from another extractor.
        """
        if by == "auto" and weights is not None:
            by = "vector"
        compared = self.default_space(by)
        own = None if weights is None else tuple(map(float, weights))
        key = (compared.by, compared.table, own)
        if key not in self._spaces:
            self._spaces[key] = open_space(self, compared, weights=weights)
        space = self._spaces[key]
        if not use_index or space.by not in INDEXED or weights is not None:
            return space
        if ("index", space.by) not in self._spaces:
            index, note = find_index(self, space.by, space.weighting)
            plain = space if not (index or note) else space.through(index, note)
            self._spaces["index", space.by] = plain
        return self._spaces["index", space.by]

    def _is_vector(self, query: object) -> bool:
        """Return whether a query consists of vectors of the store, by their length."""
        shape: tuple[int, ...] = query.shape if isinstance(query, np.ndarray) else ()
        return shape[-1:] == (self.metadata.dimension,)

    def duplicates(
        self, *, scores: str | Path | None = None, features: str | Path | None = None
    ) -> list[Group]:
        """Return groups of songs with the same audio, most certain first.

        Copies are found by their content hash, other encodings by comparing `scores` or
        `features` over time; by default the files beside the store, if they belong to it. See
        `audiorec.search.duplicates.find_duplicates`.

        Examples
        --------
        >>> store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
        >>> store.duplicates()
        []
        """
        series, _ = series_beside(self, scores=scores, features=features)
        return find_duplicates(self, series)
