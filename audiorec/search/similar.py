"""Vector to similar songs: exact search over all vectors of a store.

The numbers of a vector have wildly different scales, so each column is standardised over
the store, weighted by its statistic, and the weighted vector is brought to length 1; the
similarity is the cosine. A song that is average in everything, and so has no direction, is
similar to none: 0.

    (V,) ──scaling──▶ (W,) ──one matrix product──▶ n similarities ──▶ the k best

The largest and the smallest score of a song enter as log-odds: 0.001 and 0.01 are worlds
apart for a smallest score, and all but equal as probabilities. Figures: docs/similar.md.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.search.scaling import BLOCK_ROWS, Blocks, Scaling, Weighting, fit
from audiorec.store.schema import StoreMetadata
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, Neighbour

By = Literal["vector", "mean", "features", "embedding"]
Found = tuple[Int64Array, Float64Array]

# One weight per statistic, chosen on training tracks (docs/decisions/0006-similarity.md). The
# shape of a score's distribution over time (variance, kurtosis, skewness) tells two songs apart
# but not two kinds of music: with any weight it only adds noise.
DEFAULT_WEIGHTS = {
    "max": 0.75,
    "min": 0.75,
    "mean": 1.0,
    "variance": 0.0,
    "kurtosis": 0.0,
    "skewness": 0.0,
}
# Statistics that enter as log-odds.
LOG_ODDS = ("max", "min")
WEIGHTS_BY: dict[By, dict[str, float]] = {"vector": DEFAULT_WEIGHTS, "mean": {"mean": 1.0}}
PRODUCT_BYTES = 64 << 20  # of similarities at a time
# Float32 products of one vector with equal rows may differ by this much; what lies so near
# to the k-th place is compared again in float64.
ROUNDING = 1e-5


class Similarity:
    """Cosine of standardised and weighted vectors, made ready for many queries.

    Parameters
    ----------
    vectors : ndarray, shape (n, V), float32
        Finite; not changed.
    weights : ndarray, shape (V,)
        Not negative; columns of weight 0 are left out.
    log_odds : ndarray, shape (V,), bool, optional
        Columns of probabilities that enter as log-odds; none by default.
    standardise : bool
        Bring each column to mean 0 and deviation 1 first.

    Attributes
    ----------
    scaling : Scaling
        Prepares vectors; its `columns` say what the W numbers were made of.
    mean, std : ndarray, shape (V,), float64
        Of each column over all songs, as it stands; `std` is 1 where a column is constant.
    units : ndarray, shape (n, W), float32
        The songs as vectors of length 1 (or 0, for a song that is average in everything)
        over the W columns whose weight is not 0.
    """

    scaling: Scaling
    mean: Float64Array
    std: Float64Array
    units: FloatArray

    def __init__(
        self,
        vectors: FloatArray,
        *,
        weights: Float64Array,
        log_odds: BoolArray | None = None,
        standardise: bool = True,
    ) -> None:
        if vectors.ndim != 2 or weights.shape != vectors.shape[1:]:
            raise ShapeError(
                f"vectors (n, V) and weights (V,) expected, got {vectors.shape}, {weights.shape}"
            )
        weighting = Weighting(
            weights=weights,
            log_odds=np.zeros(len(weights), np.bool_) if log_odds is None else log_odds,
            standardise=standardise,
        )
        self._fit(lambda: [vectors], len(vectors), weighting)

    @classmethod
    def of_blocks(cls, blocks: Blocks, rows: int, weighting: Weighting) -> "Similarity":
        """Make one of vectors that are read block by block, twice, and never held whole.

        Parameters
        ----------
        blocks : function
            Gives all rows in blocks (rows, V), float32, again at every call.
        rows : int
            How many there are in all.
        weighting : Weighting
        """
        similarity = cls.__new__(cls)
        similarity._fit(blocks, rows, weighting)
        return similarity

    def _fit(self, blocks: Blocks, rows: int, weighting: Weighting) -> None:
        self.scaling, self.mean, self.std = fit(blocks, weighting)
        self.units = self.scaling.prepare_all(blocks, rows)

    def __len__(self) -> int:
        return len(self.units)

    @property
    def columns(self) -> Int64Array:
        """The column of a vector that each of the W numbers was made of: shape (W,)."""
        return self.scaling.columns

    def prepare(self, vectors: FloatArray) -> FloatArray:
        """Return vectors (Q, V) as units (Q, W); see `Scaling.prepare`."""
        return self.scaling.prepare(vectors)

    def nearest(
        self,
        vectors: FloatArray,
        k: int,
        *,
        excluded: BoolArray | None = None,
        ranks: Int64Array | None = None,
    ) -> list[Found]:
        """Return the `k` most similar rows of each query.

        Parameters
        ----------
        vectors : ndarray, shape (Q, V)
            Queries as they stand in a store, not prepared.
        k : int
            Fewer rows come back if fewer are allowed.
        excluded : ndarray, shape (n,), bool, optional
            Rows that must not come back.
        ranks : ndarray, shape (n,), int64, optional
            Order among equals; by default the order of rows.

        Returns
        -------
        found : list of (rows, similarities), length Q
            The most similar first. The result depends neither on the other queries nor on
            the block size.

        Raises
        ------
        InputError
            If `k` is below 1.
        """
        allowed = None if excluded is None else ~excluded
        return nearest_units(self.units, self.prepare(vectors), k, allowed=allowed, ranks=ranks)


def nearest_units(
    units: FloatArray,
    queries: FloatArray,
    k: int,
    *,
    allowed: BoolArray | None = None,
    ranks: Int64Array | None = None,
) -> list[Found]:
    """Return the `k` rows of `units` that are most similar to each query.

    Parameters
    ----------
    units : ndarray, shape (n, W), float32
        Rows of length 1 or 0.
    queries : ndarray, shape (Q, W), float32
        Of length 1 or 0.
    k : int
        Fewer rows come back if fewer are allowed.
    allowed : ndarray, shape (n,), bool, optional
        Rows that may come back; all by default.
    ranks : ndarray, shape (n,), int64, optional
        Order among equals; by default the order of rows.

    Returns
    -------
    found : list of (rows, similarities), length Q
        The most similar first; similarities are float64 sums, so that equal songs are equal.

    Raises
    ------
    InputError
        If `k` is below 1.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    only = None if allowed is None or allowed.all() else np.flatnonzero(allowed)
    k = min(k, len(units) if only is None else len(only))
    found = []
    for query, similarities in _products(units, queries):
        rows = _candidates(similarities if only is None else similarities[only], k)
        rows = rows if only is None else only[rows]
        found.append(ordered(units[rows], rows, query, k, ranks))
    return found


def ordered(
    units: FloatArray,
    rows: Int64Array,
    query: FloatArray,
    k: int,
    ranks: Int64Array | None,
) -> Found:
    """Sort candidates by their float64 similarity, equals by rank; keep `k`.

    Parameters
    ----------
    units : ndarray, shape (m, W), float32
        The candidates.
    rows : ndarray, shape (m,), int64
        Their rows in the store.
    query : ndarray, shape (W,), float32
    k : int
    ranks : ndarray, shape (n,), int64, optional
        Of all rows; the order of rows by default.
    """
    exact = np.empty(len(rows))
    wide = query.astype(np.float64)
    for start in range(0, len(rows), BLOCK_ROWS):
        part = units[start : start + BLOCK_ROWS]
        exact[start : start + len(part)] = (part * wide).sum(axis=1)
    exact = np.clip(exact, -1.0, 1.0)
    order = np.lexsort((rows if ranks is None else ranks[rows], -exact))[:k]
    return rows[order], exact[order]


def neighbours(store: VectorStore, rows: Int64Array, similarities: Float64Array) -> list[Neighbour]:
    """Return rows of a store with their similarities as `Neighbour`, in this order."""
    return [
        Neighbour(str(row["song_id"]), float(value), row)
        for row, value in zip(store.rows(rows.tolist()), similarities, strict=True)
    ]


def weight_vector(weights: Sequence[float], metadata: StoreMetadata) -> Float64Array:
    """Repeat one weight per statistic over all classes: shape (V,), class-major.

    Raises
    ------
    ShapeError
        If there are not as many weights as statistics.
    """
    if len(weights) != len(metadata.statistics):
        expected = len(metadata.statistics)
        raise ShapeError(f"expected {expected} weights, one per statistic, got {len(weights)}")
    return np.tile(np.asarray(weights, np.float64), len(metadata.classes))


def statistics_weighting(weights: Sequence[float], metadata: StoreMetadata) -> Weighting:
    """Return the `Weighting` of a store's vectors for one weight per statistic."""
    log_odds = [name in LOG_ODDS for name in metadata.statistics]
    return Weighting(
        weights=weight_vector(weights, metadata),
        log_odds=np.tile(np.asarray(log_odds, np.bool_), len(metadata.classes)),
    )


def default_weighting(metadata: StoreMetadata, by: By = "vector") -> Weighting:
    """Return the `Weighting` of ``by="vector"`` or ``by="mean"`` for a store's vectors."""
    weights = [WEIGHTS_BY[by].get(name, 0.0) for name in metadata.statistics]
    return statistics_weighting(weights, metadata)


def _products(units: FloatArray, queries: FloatArray) -> Iterator[tuple[FloatArray, Any]]:
    """Yield each query and its similarities to all rows, a few queries at a time."""
    step = max(1, PRODUCT_BYTES // (4 * max(1, len(units))))
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        # One query: a matrix-vector product, which is quicker than the general one.
        products = (units @ block[0])[None] if len(block) == 1 else block @ units.T
        yield from zip(block, products, strict=True)


def _candidates(similarities: FloatArray, k: int) -> Int64Array:
    """Return every row that may be among the `k` best, given float32 rounding."""
    if k == 0:
        return np.empty(0, np.int64)
    kth = np.partition(similarities, len(similarities) - k)[len(similarities) - k]
    return np.flatnonzero(similarities >= kth - ROUNDING)
