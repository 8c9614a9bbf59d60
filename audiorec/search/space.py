"""Spaces in which songs are compared: the vector, its means, features, or a learnt embedding.

    store ─┬─ by="vector", "mean"                      ─┐
           ├─ by="features"   + features.parquet        ├──▶ `Space` ──search──▶ `Neighbours`
           └─ by="embedding"  + embeddings.parquet     ─┘

A `Space` addresses songs by their rows in the store, whichever file its numbers come from, so
filters and the order of ties are the same in all spaces. A song missing from the second file is
never found, and cannot be a query. If an up-to-date faiss index lies beside the store, the space
of vectors is searched through it (see `audiorec.search.index`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError, SpecMismatchError
from audiorec.files.arrow import integers
from audiorec.files.frames import pandas_frame
from audiorec.search.explain import Explanation, explain
from audiorec.search.index import Index
from audiorec.search.result_tables import (
    MOST_ROWS,
    Table,
    as_html,
    as_text,
    found_columns,
    one_query,
    several_queries,
)
from audiorec.search.scaling import WEIGHTS_BY, By, Scaling, Weighting, fit_units
from audiorec.search.topk import Found, nearest
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.features import FeatureFile
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, Float64Array, FloatArray, IdMap, Int64Array

TABLES: dict[By, str] = {"features": "features.parquet", "embedding": "embeddings.parquet"}
OPPOSED = 1e-6  # the direction of a shorter mean is rounding noise


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One song of `Neighbours`.

    Attributes
    ----------
    song_id : str
    similarity : float
        Cosine of the weighted vectors, from -1 to 1.
    """

    song_id: str
    similarity: float
    _among: "Neighbours" = field(repr=False, compare=False)
    _place: int = field(repr=False, compare=False)

    @property
    def row(self) -> Mapping[str, Any]:
        """The song's other columns in the store, without the vector."""
        return self._among.songs[self._place]


class Neighbours:
    """The songs nearest to one query, or to each of several.

    For one query a sequence of `Neighbour`, most similar first; for several a sequence of
    `Neighbours`, one per query. Two results are equal if their ids and similarities are.

    Attributes
    ----------
    rows : ndarray, shape (k,) or (Q, k), int64
        Rows of the store; for several queries, -1 where one has fewer than k.
    similarities : ndarray, of the same shape, float64
        NaN where a query has fewer than k.
    by : {"vector", "mean", "features", "embedding"}
        The space in which the songs were compared.
    """

    def __init__(
        self,
        store: VectorStore,
        rows: Int64Array,
        similarities: Float64Array,
        *,
        by: By = "vector",
    ) -> None:
        there = rows >= 0 if rows.ndim == 1 else slice(None)
        self._store = store
        self.by = by
        self.rows, self.similarities = rows[there], similarities[there]

    @cached_property
    def song_ids(self) -> npt.NDArray[Any]:
        """Ids of the songs: an object array of the shape of `rows`, None where there is none."""
        there = self.rows >= 0
        ids = np.full(self.rows.shape, None, object)
        ids[there] = self._store.id_array.take(integers(self.rows[there])).to_pylist()
        return ids

    @cached_property
    def songs(self) -> list[dict[str, Any]]:
        """Columns of the songs in the store, without the vectors; for one query only."""
        return self._store.rows(self.rows.tolist())

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        """Return one song of one query, one query of several, or a slice of either."""
        rows, similarities = self.rows[place], self.similarities[place]
        if rows.ndim:
            return Neighbours(self._store, rows, similarities, by=self.by)
        number = int(np.arange(len(self))[place])
        return Neighbour(self.song_ids[number], float(similarities), self, number)

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Neighbours):
            return NotImplemented
        return np.array_equal(self.song_ids, other.song_ids) and np.array_equal(
            self.similarities, other.similarities, equal_nan=True
        )

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, one row per neighbour.

        Columns ``rank``, ``song_id``, ``similarity``, ``artist``, ``title``, ``album`` and
        ``duration_s``; for several queries ``query``, numbered from 0, and the first three.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        songs = self.songs if self.rows.ndim == 1 else None
        return pandas_frame(found_columns(self.song_ids, self.similarities, songs))

    def _table(self) -> Table:
        if self.rows.ndim > 1:
            return several_queries(self.song_ids, self.similarities)
        return one_query(self.song_ids, self.similarities, self[:MOST_ROWS].songs)

    def __repr__(self) -> str:
        return as_text(self._table())

    def _repr_html_(self) -> str:
        return as_html(self._table())


class Space:
    """The songs of a store as vectors of length 1, searchable by similarity.

    Obtained from `SearchableStore.space`.

    Attributes
    ----------
    store : VectorStore
    by : {"vector", "mean", "features", "embedding"}
    weighting : Weighting
    rows : ndarray, shape (m,), int64
        The store row of each song in the space: all n, unless a second file has fewer.
    index : Index or None
        Used by `search` if not None.
    note : str
        A remark for the user about the search, for example that an index is stale; empty if
        there is none.
    inputs : tuple of str
        The compared columns of a features file; empty in other spaces.
    """

    def __init__(
        self,
        store: VectorStore,
        by: By,
        *,
        weighting: Weighting,
        matrix: tuple[Int64Array, FloatArray] | None = None,
        inputs: tuple[str, ...] = (),
    ) -> None:
        self.store, self.by, self.inputs = store, by, inputs
        self.index: Index | None = None
        self.note = ""
        self.weighting = weighting
        self._matrix = matrix
        self._plain: Space | None = None  # this space without an index
        self.rows = np.arange(len(store)) if matrix is None else matrix[0]

    def __len__(self) -> int:
        return len(self.rows)

    def through(self, index: Index | None, note: str) -> "Space":
        """Return the same space searched through an index; `note` is a remark for the user."""
        found = Space(self.store, self.by, weighting=self.weighting)
        found.index, found.note, found._plain = index, note, self
        return found

    @property
    def exact(self) -> bool:
        """Whether `search` is certain to find the nearest songs."""
        return self.index is None or self.index.info.exact

    @property
    def matrix(self) -> FloatArray:
        """The units of all songs of the space: shape (m, W), rows as in `rows`."""
        return self._fitted[1]

    @property
    def scaling(self) -> Scaling:
        """The scaling that prepares vectors for this space."""
        return self._fitted[0] if self.index is None else self.index.scaling

    def prepare(self, values: FloatArray) -> FloatArray:
        """Prepare vectors, features or embeddings (Q, V): units (Q, W), of length 1."""
        return self.scaling.prepare(values)

    def units(self, numbers: Sequence[int] | Int64Array) -> FloatArray:
        """Return the units of songs, given by their rows in the store: shape (Q, W).

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
                f"{TABLES[self.by]} has no row for {song_id!r}; compare by vector, or extract "
                "the file again"
            )
        return self.matrix[place]

    def units_by_row(self) -> tuple[FloatArray, BoolArray]:
        """Return the units of all songs of the store (n, W), and which of them are valid (n,).

        Songs that are missing from the space have zeros.
        """
        there = self._places >= 0
        if there.all():
            return self.matrix, there
        units = np.zeros((len(there), self.matrix.shape[1]), np.float32)
        units[self.rows] = self.matrix
        return units, there

    def search(
        self,
        units: FloatArray,
        k: int,
        *,
        allowed: BoolArray | None = None,
        own: Int64Array | None = None,
    ) -> Neighbours:
        """Return the `k` songs most similar to each query.

        Parameters
        ----------
        units : ndarray, shape (Q, W), float32
            Of length 1 or 0, as `prepare` and `units` return them.
        k : int
            Fewer are returned if fewer are allowed.
        allowed : ndarray, shape (n,), bool, optional
            Rows of the store that may be returned; all by default.
        own : ndarray, shape (Q,), int64, optional
            Store row of the song behind each query; it is not its own neighbour.

        Returns
        -------
        found : Neighbours
            Of Q queries; most similar first, ties in id order.

        Raises
        ------
        InputError
            If `k` is below 1.
        ShapeError
            If `units` does not have W columns, or `allowed` not n rows.
        """
        width, n = len(self.scaling.columns), len(self.store)
        if units.ndim != 2 or units.shape[1] != width:
            raise ShapeError(f"units must have shape (Q, {width}), got {units.shape}")
        if allowed is not None and allowed.shape != (n,):
            raise ShapeError(f"allowed must have shape ({n},), got {allowed.shape}")
        if own is not None and len(own) == 1:  # a single query's own row can go into `allowed`
            allowed = np.ones(n, np.bool_) if allowed is None else allowed.copy()
            allowed[own], own = False, None
        if self.index is not None:
            more = k if own is None else k + 1
            found = self.index.search(units, more, allowed=allowed, ranks=self.store.ranks)
            if found is not None:
                rows, similarities = found if own is None else _others(found, own)
                return Neighbours(self.store, rows[:, :k], similarities[:, :k], by=self.by)
            if self.index.failure:
                self.note = f"{self.index.failure}; all songs were compared instead"
        whole = len(self) == n  # the rows are those of the store
        rows, similarities = nearest(
            self.matrix,
            units,
            k,
            allowed=allowed if whole or allowed is None else allowed[self.rows],
            ranks=self.store.ranks if whole else self.store.ranks[self.rows],
            own=None if own is None else self._places[own],
        )
        if not whole:
            rows = np.where(rows >= 0, np.append(self.rows, -1)[rows], -1)
        return Neighbours(self.store, rows, similarities, by=self.by)

    def why(self, unit: FloatArray, vector: FloatArray, found: Neighbours) -> list[Explanation]:
        """Explain the similarity of each found song to a query's unit (W,) and vector (V,)."""
        made: dict[str, Any] = {"scaling": self.scaling, "metadata": self.store.metadata}
        both = zip(self.units(found.rows), self.store.read_rows(found.rows), strict=True)
        return [explain(unit, own, query=vector, song=song, **made) for own, song in both]

    @cached_property
    def _fitted(self) -> tuple[Scaling, FloatArray]:
        if self._plain is not None:
            return self._plain._fitted
        if self._matrix is None:
            return fit_units(self.store.blocks, len(self.store), self.weighting)
        _, values = self._matrix
        self._matrix = None
        return fit_units(lambda: [values], len(values), self.weighting)

    @cached_property
    def _places(self) -> Int64Array:
        """Position of each store row in this space, -1 if it is missing."""
        places = np.full(len(self.store), -1, np.int64)
        places[self.rows] = np.arange(len(self.rows))
        return places


def mean_direction(units: FloatArray) -> FloatArray:
    """Return the normalised mean of units (Q, W): the direction between several seeds, (W,).

    Every seed has length 1, so each counts the same. A single one is returned unchanged; one of
    length 0 contributes no direction.

    Raises
    ------
    InputError
        If there are no seeds, or if they cancel each other out.

    Examples
    --------
    >>> mean_direction(np.float32([[1, 0], [0, 1]])).round(3)
    array([0.707, 0.707], dtype=float32)
    """
    if len(units) == 0:
        raise InputError("no seed: name at least one song")
    if len(units) == 1:
        alone: FloatArray = units[0]
        return alone
    mean = units.astype(np.float64).mean(axis=0)
    length = float(np.sqrt((mean * mean).sum()))
    if length < OPPOSED:
        raise InputError("the seeds are opposites and cancel out: no song is near all of them")
    direction: FloatArray = (mean / length).astype(np.float32)
    return direction


def open_space(
    store: VectorStore,
    by: By,
    *,
    table: Path | None = None,
    weights: Sequence[float] | None = None,
) -> Space:
    """Open a space of a store; see `SearchableStore.space`."""
    if by not in (*WEIGHTS_BY, *TABLES):
        raise InputError(f"by must be one of {', '.join((*WEIGHTS_BY, *TABLES))}, got {by!r}")
    if by in WEIGHTS_BY:
        if table is not None:
            raise InputError(f"by={by!r} uses the store only, not {table}")
        return Space(store, by, weighting=Weighting.of_store(store.metadata, by, weights))
    if weights is not None:
        raise InputError(f"by={by!r} has no statistics to weight")
    if table is None:
        raise InputError(f"by={by!r} needs a file: {TABLES[by]}")
    rows, values, inputs = _table(store, by, table)
    # Embeddings were trained for the plain cosine; features were not.
    weighting = Weighting.uniform(values.shape[1], standardise=by == "features")
    return Space(store, by, weighting=weighting, matrix=(rows, values), inputs=inputs)


def _table(
    store: VectorStore, by: By, path: Path
) -> tuple[Int64Array, FloatArray, tuple[str, ...]]:
    """Read a second file: the store rows that it covers, their values, and the feature inputs."""
    inputs: tuple[str, ...] = ()
    if by == "features":
        file = FeatureFile.open_last_layers(path)
        ids, values, extractor_id = file.id_array, file.means(), file.extractor_id
        inputs = file.inputs
    else:
        table = EmbeddingTable.open(path, kind="songs")
        ids, values, extractor_id = table.id_array, table.embeddings, table.metadata.extractor_id
    if extractor_id != store.metadata.extractor_id and (extractor_id or by == "features"):
        both = f"extract both in one run (audiorec extract FOLDER --out {store.path} --features"
        again = {"features": f"{both} {path} --overwrite)"}
        raise SpecMismatchError(
            f"{path} was made by extractor {extractor_id}, {store.path} by "
            f"{store.metadata.extractor_id}: "
            f"{again.get(by, 'embed the songs of this store (audiorec recall songs MODEL)')}"
        )
    rows = IdMap(store.id_array).rows(ids)
    places = np.flatnonzero(rows >= 0)
    places = places[np.argsort(rows[places], kind="stable")]
    return rows[places], values[places], inputs


def _others(found: Found, own: Int64Array) -> Found:
    """Remove each query's own row from its list, and the last entry where one is in excess."""
    is_own = found[0] == own[:, None]
    order = np.argsort(is_own, axis=1, kind="stable")
    rows, similarities = np.where(is_own, -1, found[0]), np.where(is_own, np.nan, found[1])
    return np.take_along_axis(rows, order, 1), np.take_along_axis(similarities, order, 1)
