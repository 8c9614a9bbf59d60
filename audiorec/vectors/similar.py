"""Vector to similar songs: exact search over all vectors of a store.

The numbers of a vector have wildly different scales, so each is standardised over the
store, weighted by its statistic, and the weighted vector is brought to length 1; the
similarity is the cosine. A song that is average in everything, and so has no direction, is
similar to none: 0.

    (V,) ──standardise──weight──unit length──▶ (W,) ──one matrix product──▶ n similarities
"""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError
from audiorec.types import FloatArray, Neighbour
from audiorec.vectors.schema import StoreMetadata

if TYPE_CHECKING:
    from audiorec.vectors.store import VectorStore

By = Literal["vector", "mean"]
# One weight per statistic. A statistic that is not named weighs 0.
DEFAULT_WEIGHTS = {
    "max": 0.25,
    "min": 0.25,
    "mean": 1.0,
    "variance": 0.25,
    "kurtosis": 0.25,
    "skewness": 0.25,
}
WEIGHTS_BY: dict[By, dict[str, float]] = {"vector": DEFAULT_WEIGHTS, "mean": {"mean": 1.0}}
# A column whose standard deviation is below this part of its largest value holds rounding
# noise only, and is left unscaled.
CONSTANT_SPREAD = 1e-6
BLOCK_ROWS = 16_384  # rows whose float64 copy stays small
PRODUCT_BYTES = 64 << 20  # of similarities at a time
# Float32 products of one vector with equal rows may differ by this much; what lies so near
# to the k-th place is compared again in float64.
ROUNDING = 1e-5


class Similarity:
    """Cosine of standardised and weighted vectors, made ready for many queries.

    Parameters
    ----------
    vectors : ndarray, shape (n, V), float32
        Finite. Overwritten: at a million songs a copy would cost 336 MB.
    weights : ndarray, shape (V,)
        Not negative; columns of weight 0 are left out.

    Attributes
    ----------
    mean, std : ndarray, shape (V,), float64
        Of each column over all songs; `std` is 1 where a column is constant.
    units : ndarray, shape (n, W), float32
        The songs as vectors of length 1 (or 0, for a song that is average in everything)
        over the W columns whose weight is not 0.
    """

    def __init__(self, vectors: FloatArray, *, weights: npt.NDArray[np.float64]) -> None:
        if vectors.ndim != 2 or weights.shape != vectors.shape[1:]:
            raise ShapeError(
                f"vectors (n, V) and weights (V,) expected, got {vectors.shape}, {weights.shape}"
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise InputError("weights must be finite and not negative, and one of them above 0")
        self._columns = np.flatnonzero(weights)
        self._weights = weights[self._columns]
        self.mean, self.std = _mean_and_std(vectors)
        # In place where all columns stay: each block is read before it is overwritten.
        whole = len(self._columns) == vectors.shape[1]
        shape = (len(vectors), len(self._columns))
        self.units = vectors if whole else np.empty(shape, np.float32)
        for start, block in _blocks(vectors):
            self.units[start : start + len(block)] = self.prepare(block)

    def __len__(self) -> int:
        return len(self.units)

    def prepare(self, vectors: FloatArray) -> FloatArray:
        """Standardise, weight and bring to length 1.

        Parameters
        ----------
        vectors : ndarray, shape (Q, V)

        Returns
        -------
        units : ndarray, shape (Q, W), float32

        Raises
        ------
        ShapeError
            If the vectors have another length than those of the store.
        InputError
            If a number is NaN or infinite.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self.mean):
            raise ShapeError(f"vectors must have shape (Q, {len(self.mean)}), got {vectors.shape}")
        if not np.isfinite(vectors).all():
            raise InputError("a vector to compare with is not finite")
        used = vectors[:, self._columns].astype(np.float64)
        z = (used - self.mean[self._columns]) / self.std[self._columns] * self._weights
        length = np.sqrt((z * z).sum(axis=1, keepdims=True))
        return (z / np.where(length > 0, length, 1.0)).astype(np.float32)

    def nearest(
        self,
        vectors: FloatArray,
        k: int,
        *,
        excluded: npt.NDArray[np.bool_] | None = None,
        ranks: npt.NDArray[np.int64] | None = None,
    ) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
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
        if k < 1:
            raise InputError(f"k must be at least 1, got {k}")
        queries = self.prepare(vectors)
        allowed = len(self) if excluded is None else int((~excluded).sum())
        k = min(k, allowed)
        step = max(1, PRODUCT_BYTES // (4 * max(1, len(self))))
        found = []
        for start in range(0, len(queries), step):
            block = queries[start : start + step]
            # One query: a matrix-vector product, which is quicker than the general one.
            one = len(block) == 1
            products = (self.units @ block[0])[None] if one else block @ self.units.T
            for query, similarities in zip(block, products, strict=True):
                if excluded is not None:
                    similarities[excluded] = -np.inf
                rows = _candidates(similarities, k)
                found.append(self._ordered(query, rows, k, ranks))
        return found

    def _ordered(
        self, query: FloatArray, rows: npt.NDArray[np.int64], k: int, ranks: Any
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Sort the candidates by their float64 similarity, equals by rank; keep `k`."""
        exact = np.empty(len(rows))
        wide = query.astype(np.float64)
        for start in range(0, len(rows), BLOCK_ROWS):
            part = rows[start : start + BLOCK_ROWS]
            exact[start : start + len(part)] = (self.units[part] * wide).sum(axis=1)
        exact = np.clip(exact, -1.0, 1.0)
        order = np.lexsort((rows if ranks is None else ranks[rows], -exact))[:k]
        return rows[order], exact[order]


def similar(
    store: "VectorStore",
    vectors: FloatArray,
    k: int,
    *,
    exclude_ids: Collection[str] = (),
    by: By = "vector",
    weights: Sequence[float] | None = None,
) -> list[list[Neighbour]]:
    """Return the songs of a store that are most similar to each query.

    Parameters
    ----------
    store : VectorStore
    vectors : ndarray, shape (Q, V)
        Vectors of any songs, made by the store's extractor.
    k : int
        Neighbours per query; fewer come back from a smaller store.
    exclude_ids : collection of str
        Songs that must not come back, for all queries.
    by : {"vector", "mean"}
        `DEFAULT_WEIGHTS` over the whole vector, or the mean scores alone.
    weights : sequence of float, optional
        One weight per statistic instead, in the order of ``store.metadata.statistics``.

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
    if weights is None:
        if by not in WEIGHTS_BY:
            raise InputError(f"by must be one of {', '.join(WEIGHTS_BY)}, got {by!r}")
        weights = [WEIGHTS_BY[by].get(name, 0.0) for name in store.metadata.statistics]
    excluded = store.mask(exclude_ids) if exclude_ids else None
    similarity = store.similarity(weights)
    found = similarity.nearest(vectors, k, excluded=excluded, ranks=store.ranks)
    return [
        [
            Neighbour(str(row["song_id"]), float(value), row)
            for row, value in zip(store.rows(rows.tolist()), values, strict=True)
        ]
        for rows, values in found
    ]


def weight_vector(weights: Sequence[float], metadata: StoreMetadata) -> npt.NDArray[np.float64]:
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


def _mean_and_std(
    vectors: FloatArray,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return each column's mean and deviation in float64, in two passes over blocks."""
    n, width = vectors.shape
    total, squares, largest = np.zeros(width), np.zeros(width), np.zeros(width)
    for _, block in _blocks(vectors):
        total += block.sum(axis=0, dtype=np.float64)
        largest = np.maximum(largest, np.maximum(block.max(axis=0), -block.min(axis=0)))
    mean = total / max(1, n)
    for _, block in _blocks(vectors):
        deviation = block - mean
        squares += np.einsum("ij,ij->j", deviation, deviation)
    std = np.sqrt(squares / max(1, n))
    return mean, np.where(std <= CONSTANT_SPREAD * largest, 1.0, std)


def _candidates(similarities: FloatArray, k: int) -> npt.NDArray[np.int64]:
    """Return every row that may be among the `k` best, given float32 rounding."""
    if k == 0:
        return np.empty(0, np.int64)
    kth = np.partition(similarities, len(similarities) - k)[len(similarities) - k]
    return np.flatnonzero(similarities >= kth - ROUNDING)


def _blocks(vectors: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    for start in range(0, len(vectors), BLOCK_ROWS):
        yield start, vectors[start : start + BLOCK_ROWS]
