"""What songs are compared by: the vector, its means, features, or a learnt embedding.

    store ─┬─ by="vector", "mean"                      ─┐
           ├─ by="features"   + features.parquet        ├──▶ `Space`: prepare, search
           └─ by="embedding"  + embeddings.parquet     ─┘

A `Space` speaks in rows of the store, whatever file its numbers come from, so filters and
the order among equals are the same in all of them. A song that a second file does not have
is never found there, and cannot be asked for. Where an index of faiss lies beside the store
and is fresh, the space of vectors is searched through it (see `audiorec.search.index`).
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from audiorec.errors import InputError, ShapeError, SpecMismatchError
from audiorec.search.index import Index
from audiorec.search.scaling import Scaling, Weighting
from audiorec.search.similar import (
    WEIGHTS_BY,
    By,
    Found,
    Similarity,
    default_weighting,
    nearest_units,
    statistics_weighting,
)
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.features import FeatureFile
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, FloatArray, Int64Array

TABLES: dict[By, str] = {"features": "features.parquet", "embedding": "embeddings.parquet"}


class Space:
    """The songs of a store as vectors of length 1, to be searched by similarity.

    Use `Library.space`.

    Attributes
    ----------
    store : VectorStore
    by : {"vector", "mean", "features", "embedding"}
    weighting : Weighting
    rows : ndarray, shape (m,), int64
        The store's row of each song of the space; all n, unless a second file has fewer.
    index : Index or None
        Used for `search` where it is not None.
    note : str
        What a person should know about the search, for example that an index is stale;
        empty where there is nothing to say.
    """

    def __init__(
        self,
        store: "VectorStore",
        by: By,
        *,
        weighting: Weighting,
        matrix: tuple[Int64Array, FloatArray] | None = None,
    ) -> None:
        self.store, self.by = store, by
        self.index: Index | None = None
        self.note = ""
        self.weighting = weighting
        self._matrix = matrix
        self._plain: Space | None = None  # the same without an index
        self.rows = np.arange(len(store)) if matrix is None else matrix[0]

    def __len__(self) -> int:
        return len(self.rows)

    def through(self, index: Index | None, note: str) -> "Space":
        """Return the same space, searched through an index; see `note` for what it may say."""
        found = Space(self.store, self.by, weighting=self.weighting)
        found.index, found.note, found._plain = index, note, self
        return found

    @property
    def exact(self) -> bool:
        """Whether `search` finds the nearest songs for certain."""
        return self.index is None or self.index.info.exact

    @cached_property
    def similarity(self) -> Similarity:
        """All songs of the space, prepared; rows as in `rows`. Made when first needed."""
        if self._plain is not None:
            return self._plain.similarity
        if self._matrix is None:
            return Similarity.of_blocks(self.store.blocks, len(self.store), self.weighting)
        _, values = self._matrix
        self._matrix = None
        return Similarity.of_blocks(lambda: [values], len(values), self.weighting)

    @property
    def scaling(self) -> Scaling:
        """What prepares a vector of this space."""
        return self.index.scaling if self.index is not None else self.similarity.scaling

    def prepare(self, values: FloatArray) -> FloatArray:
        """Return vectors, features or embeddings (Q, V) as units (Q, W) of length 1."""
        return self.scaling.prepare(values)

    def units(self, numbers: Sequence[int] | Int64Array) -> FloatArray:
        """Return the units of songs by their rows in the store: shape (Q, W).

        Raises
        ------
        InputError
            If a song of the store is not in this space.
        """
        wanted = np.asarray(numbers, np.int64)
        if self.index is not None:
            return self.index.scaling.prepare(self.store.read_rows(wanted))
        place = self._places[wanted]
        if (place < 0).any():
            song_id = self.store.id_array[int(wanted[np.flatnonzero(place < 0)[0]])].as_py()
            raise InputError(
                f"{TABLES[self.by]} has no row for {song_id!r}; compare by vector, or make the "
                "file again with it"
            )
        return self.similarity.units[place]

    def search(
        self,
        units: FloatArray,
        k: int,
        *,
        allowed: BoolArray | None = None,
    ) -> list[Found]:
        """Return the `k` songs that are most similar to each query.

        Parameters
        ----------
        units : ndarray, shape (Q, W), float32
            Of length 1 or 0, as `prepare` and `units` return them.
        k : int
            Fewer come back if fewer are allowed.
        allowed : ndarray, shape (n,), bool, optional
            Rows of the store that may come back; all by default.

        Returns
        -------
        found : list of (rows, similarities), length Q
            Rows of the store, the most similar first; equals in the order of their ids.

        Raises
        ------
        InputError
            If `k` is below 1.
        ShapeError
            If `units` has not W columns, or `allowed` not n rows.
        """
        width = len(self.scaling.columns)
        if units.ndim != 2 or units.shape[1] != width:
            raise ShapeError(f"units must have shape (Q, {width}), got {units.shape}")
        if allowed is not None and allowed.shape != (len(self.store),):
            raise ShapeError(f"allowed must have shape ({len(self.store)},), got {allowed.shape}")
        if self.index is not None:
            found = self.index.search(units, k, allowed=allowed, ranks=self.store.ranks)
            if found is not None:
                return found
            if self.index.failure:
                self.note = f"{self.index.failure}; all songs were compared instead"
        ranks = self.store.ranks
        if len(self) == len(self.store):  # the rows are those of the store
            return nearest_units(self.similarity.units, units, k, allowed=allowed, ranks=ranks)
        here = None if allowed is None else allowed[self.rows]
        ranks = ranks[self.rows]
        found = nearest_units(self.similarity.units, units, k, allowed=here, ranks=ranks)
        return [(self.rows[rows], values) for rows, values in found]

    @cached_property
    def _places(self) -> Int64Array:
        """Return where each row of the store stands in this space, -1 where nowhere."""
        places = np.full(len(self.store), -1, np.int64)
        places[self.rows] = np.arange(len(self.rows))
        return places


def open_space(
    store: "VectorStore",
    by: By,
    *,
    table: Path | None = None,
    weights: Sequence[float] | None = None,
) -> Space:
    """Open what the songs of a store are compared by; see `Library.space`."""
    if by not in (*WEIGHTS_BY, *TABLES):
        raise InputError(f"by must be one of {', '.join((*WEIGHTS_BY, *TABLES))}, got {by!r}")
    if by in WEIGHTS_BY:
        if table is not None:
            raise InputError(f"by={by!r} reads the store alone, not {table}")
        if weights is None:
            return Space(store, by, weighting=default_weighting(store.metadata, by))
        return Space(store, by, weighting=statistics_weighting(weights, store.metadata))
    if weights is not None:
        raise InputError(f"by={by!r} has no statistics to weigh")
    if table is None:
        raise InputError(f"by={by!r} needs a file: {TABLES[by]}")
    if by == "features":
        rows, values = _features(store, table)
    else:
        rows, values = _embeddings(store, table)
    # Embeddings were learnt for the cosine as it is; features were not.
    weighting = Weighting.uniform(values.shape[1], standardise=by == "features")
    return Space(store, by, weighting=weighting, matrix=(rows, values))


def _features(store: "VectorStore", path: Path) -> tuple[Int64Array, FloatArray]:
    file = FeatureFile.open_last_layers(path)
    _check_extractor(store, file.extractor_id, path)
    places, rows = _common(store, file.id_array)
    return rows, file.means()[places]


def _embeddings(store: "VectorStore", path: Path) -> tuple[Int64Array, FloatArray]:
    table = EmbeddingTable.open(path, kind="songs")
    if table.metadata.extractor_id:
        _check_extractor(store, table.metadata.extractor_id, path)
    places, rows = _common(store, table.id_array)
    return rows, table.embeddings[places]


def _check_extractor(store: "VectorStore", extractor_id: str, path: Path) -> None:
    if extractor_id != store.metadata.extractor_id:
        raise SpecMismatchError(
            f"{path} was made by extractor {extractor_id}, {store.path} by "
            f"{store.metadata.extractor_id}: extract both in one run"
        )


def _common(store: "VectorStore", ids: object) -> tuple[Int64Array, Int64Array]:
    """Return the rows of the ids that the store has, in `ids` and in the store, by the latter."""
    found = pc.fill_null(pc.index_in(ids, value_set=store.id_array), -1).cast("int64")
    rows = np.frombuffer(found.buffers()[1], np.int64, len(found), 8 * found.offset)
    places = np.flatnonzero(rows >= 0)
    places = places[np.argsort(rows[places], kind="stable")]
    return places, rows[places]
