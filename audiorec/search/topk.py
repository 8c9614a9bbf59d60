"""Exact top-k search over millions of vectors: blocked products with a threshold per query.

    queries (Q, D), items (n, D)  ──top_k────▶  indices (Q, k), similarities (Q, k), float32
    queries (Q, W), units (n, W)  ──nearest──▶  the same in float64, ties in a defined order

The full similarity matrix is never held in memory. Queries and items meet in blocks that fit the
processor's cache. Once a query has k items, its k-th best similarity is the threshold, and later
blocks are only inspected above it: about a thousand out of a million items in random order. The
rest costs one comparison, so the products dominate the running time.

In float32, the order of items that differ by less than rounding is arbitrary. `nearest` compares
the candidates of `top_k` again in float64, and requests more wherever rounding may decide which
are included.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

# A block of similarities (2 MB) and both its factors stay in the second-level cache; all other
# sizes measured were slower (docs/decisions/0011-cold-start.md).
QUERY_BLOCK = 256
ITEM_BLOCK = 2_048
MOST_BLOCKS = 16  # item blocks merged at most, for few queries
NOTHING = -np.inf  # similarity of an excluded item
# Float32 products of one vector with equal rows may differ by up to this.
ROUNDING = 1e-5
SLACK = 16  # candidates beyond k, for exact ordering
CELLS = 1 << 22  # candidates held at a time
COMPARED = 16_384  # candidates compared in float64 at a time

Found = tuple[Int64Array, Float64Array]  # rows and similarities, shape (Q, k) each


@dataclass(frozen=True, slots=True)
class TopK:
    """The best items of Q queries, best first."""

    indices: Int64Array  # (Q, k): row numbers of items; -1 where a query has fewer than k
    similarities: FloatArray  # (Q, k): NaN where a query has fewer than k

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def counts(self) -> Int64Array:
        """How many items each query has: shape (Q,), int64."""
        return (self.indices >= 0).sum(axis=1)


@dataclass(frozen=True, slots=True)
class ItemLists:
    """Q lists of item numbers in one array, like the rows of a sparse matrix."""

    starts: Int64Array  # (Q + 1,): where each list starts in `items`; the last is its length
    items: Int64Array  # (P,): in any order within a list; a repeated number counts once

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> Int64Array:
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.items[self.starts[row] : self.starts[row + 1]]

    @classmethod
    def from_pairs(
        cls, row: npt.NDArray[np.integer], item: npt.NDArray[np.integer], n: int
    ) -> "ItemLists":
        """Group pairs (row, item), in any order, into `n` lists."""
        order = np.argsort(row, kind="stable")
        starts = np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(row, minlength=n), out=starts[1:])
        return cls(starts, item[order].astype(np.int64))

    def with_pairs(
        self, row: npt.NDArray[np.integer], item: npt.NDArray[np.integer]
    ) -> "ItemLists":
        """Return lists extended by these pairs."""
        rows = np.repeat(np.arange(len(self)), np.diff(self.starts))
        return ItemLists.from_pairs(
            np.concatenate([rows, row]), np.concatenate([self.items, item]), len(self)
        )

    @classmethod
    def from_lists(cls, lists: Sequence[npt.ArrayLike]) -> "ItemLists":
        """Concatenate lists of item numbers, one per query."""
        arrays = [np.asarray(items, np.int64).ravel() for items in lists]
        starts = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
        return cls(starts, np.concatenate([np.empty(0, np.int64), *arrays]))


def top_k(
    queries: FloatArray,
    items: FloatArray,
    k: int,
    *,
    excluded: ItemLists | Sequence[npt.ArrayLike] | None = None,
    minimum: float = -np.inf,
    item_minimum: FloatArray | None = None,
    query_block: int = QUERY_BLOCK,
    item_block: int = ITEM_BLOCK,
) -> TopK:
    """Return the `k` items with the largest dot product with each query.

    Parameters
    ----------
    queries : ndarray, shape (Q, D), float32
    items : ndarray, shape (n, D), float32
        May be a memory map: it is read block by block, once per block of queries.
    k : int
        At least 1; if fewer items qualify, the rest of a row is -1 and NaN.
    excluded : ItemLists, or sequence of array_like of int, length Q, optional
        Items not to return, one list per query.
    minimum : float
        Items with a lower similarity are not returned.
    item_minimum : ndarray, shape (n,), float32, optional
        A separate minimum for each item; ``inf`` excludes an item.
    query_block, item_block : int
        Rows multiplied at a time. They affect speed and memory, and similarities by no more
        than the rounding of a float32 sum (1e-6 for unit vectors).

    Returns
    -------
    top : TopK
        Best first; ties in item order.

    Raises
    ------
    ShapeError
        If the arrays are not two matrices with the same number of columns, or if `excluded` or
        `item_minimum` differs in length from the queries or the items.
    InputError
        If `k` or a block is below 1, `minimum` is NaN, an input value is NaN or infinite, or
        an excluded item does not exist.

    Examples
    --------
    >>> items = np.eye(3, dtype=np.float32)
    >>> query = np.float32([[0.6, 0.0, 0.8]])
    >>> top_k(query, items, 2).indices
    array([[2, 0]])
    >>> top_k(query, items, 2, excluded=[[2]], minimum=0.5)
    TopK(indices=array([[ 0, -1]]), similarities=array([[0.6, nan]], dtype=float32))
    """
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise ShapeError(
            f"queries (Q, D) and items (n, D) expected, got {queries.shape} and {items.shape}"
        )
    if min(k, query_block, item_block) < 1:
        raise InputError(
            f"k and both blocks must be at least 1, got {k}, {query_block}, {item_block}"
        )
    if np.isnan(minimum):
        raise InputError("minimum is NaN")
    hidden = _excluded(excluded, len(queries), len(items))
    if item_minimum is not None and item_minimum.shape != (len(items),):
        raise ShapeError(f"item_minimum must have shape ({len(items)},), got {item_minimum.shape}")
    indices = np.full((len(queries), k), -1, np.int64)
    similarities = np.full((len(queries), k), np.nan, np.float32)
    for start in range(0, len(queries), query_block):
        block = _finite(queries[start : start + query_block], "query")
        best = _Best(len(block), min(k, len(items)), minimum)
        cells = _Cells(hidden, start, start + len(block))
        for first, similar in _products(block, items, item_block):
            cells.hide(similar, first)
            if item_minimum is not None:
                bound = item_minimum[first : first + similar.shape[1]]
                np.copyto(similar, NOTHING, where=similar < bound)
            best.offer(similar, first)
        result, values = best.finish()
        width = result.shape[1]
        indices[start : start + len(block), :width] = result
        similarities[start : start + len(block), :width] = values
    return TopK(indices, similarities)


def nearest(
    units: FloatArray,
    queries: FloatArray,
    k: int,
    *,
    allowed: BoolArray | None = None,
    ranks: Int64Array | None = None,
    own: Int64Array | None = None,
) -> Found:
    """Return the exact `k` most similar rows of `units` (n, W) for each query (Q, W).

    Rows and queries have length 1 or 0. `allowed` (n,) marks rows that may be returned, `ranks`
    (n,) orders ties (by default in row order), and `own` (Q,) is each query's own row, which is
    not returned.

    The results have shape (Q, min(k, allowed rows)), most similar first; where a query has fewer,
    rows are -1 and similarities NaN. Similarities are float64 sums, so equal songs tie exactly;
    they depend neither on the other queries nor on the block size.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    n, bound = len(units), None
    if allowed is not None and not allowed.all():
        n = int(np.count_nonzero(allowed))
        bound = np.where(allowed, NOTHING, np.inf).astype(np.float32)
    # Few queries leave room for more items per block, and fewer blocks are faster.
    item_block = ITEM_BLOCK * min(MOST_BLOCKS, max(1, QUERY_BLOCK // max(1, len(queries))))

    def propose(places: Int64Array, fetch: int) -> TopK:
        asked = queries[places]
        hidden = None if own is None else ItemLists(np.arange(len(places) + 1), own[places])
        return top_k(
            asked, units, fetch, excluded=hidden, item_minimum=bound, item_block=item_block
        )

    return exact_order(propose, lambda rows: units[rows], queries, min(k, n), n, ranks)


def exact_order(
    propose: Callable[[Int64Array, int], TopK],
    units_of: Callable[[Int64Array], FloatArray],
    queries: FloatArray,
    k: int,
    n: int,
    ranks: Int64Array | None,
) -> Found:
    """Put candidates into exact order; request more where the last place is undecided.

    `propose` takes positions in `queries` and a number, and returns that many candidates among
    `n` rows for each, by float32 similarity; `units_of` returns the units (m, W) of rows (m,).
    Else as for `nearest`.
    """
    rows = np.full((len(queries), k), -1, np.int64)
    similarities = np.full((len(queries), k), np.nan)
    waiting, fetch = np.arange(len(queries) if k else 0), k + SLACK
    while len(waiting):
        fetch = min(fetch, n)
        undecided = []
        step = max(1, CELLS // fetch)
        for start in range(0, len(waiting), step):
            places = waiting[start : start + step]
            result = propose(places, fetch)
            # If the list ends within a tie, which of the tied rows it holds is arbitrary.
            last, kth = result.similarities[:, -1], result.similarities[:, k - 1]
            again = (last >= kth - ROUNDING) & (fetch < n)
            undecided.append(places[again])
            places, indices = places[~again], result.indices[~again]
            exact = _exact(units_of, indices, queries[places])
            order = np.lexsort((indices if ranks is None else ranks[indices], -exact), axis=1)
            order = order[:, :k]
            best = np.take_along_axis(exact, order, axis=1)
            rows[places] = np.take_along_axis(indices, order, axis=1)
            similarities[places] = np.where(best == NOTHING, np.nan, best)
        waiting = np.concatenate(undecided)
        fetch *= 4
    return rows, similarities


def _exact(
    units_of: Callable[[Int64Array], FloatArray], indices: Int64Array, queries: FloatArray
) -> Float64Array:
    """Return float64 cosines of queries (Q, W) with rows (Q, m); `NOTHING` for row -1."""
    there = np.flatnonzero(indices >= 0)
    rows, query = indices.ravel()[there], there // indices.shape[1]
    wide = queries.astype(np.float64)
    exact = np.full(indices.size, NOTHING)
    for start in range(0, len(there), COMPARED):
        part = slice(start, start + COMPARED)
        exact[there[part]] = (units_of(rows[part]) * wide[query[part]]).sum(axis=1)
    clipped: Float64Array = np.where(exact == NOTHING, NOTHING, np.clip(exact, -1.0, 1.0))
    return clipped.reshape(indices.shape)


class _Best:
    """The best items so far for one block of queries."""

    def __init__(self, n: int, k: int, minimum: float) -> None:
        self.k = k
        self.values = np.empty((n, 0), np.float32)  # best first, shape (n, at most k)
        self.items = np.empty((n, 0), np.int64)
        # Only values above it are kept: neither hidden cells (-inf) nor those below the minimum.
        self.threshold = np.full(n, _just_below(minimum), np.float32)
        self._waiting: list[tuple[Int64Array, Int64Array, FloatArray]] = []
        self._n_waiting = 0

    def offer(self, similar: FloatArray, first: int) -> None:
        """Consider a block of similarities (n, w), whose first item is `first`."""
        above = similar > self.threshold[:, None]
        if self.k < similar.shape[1] and np.count_nonzero(above) > 2 * self.k * len(similar):
            # Initially all values pass. No row needs more than the block's k best; ties are kept
            # here and resolved by the sort below.
            kth = np.partition(similar, -self.k, axis=1)[:, [-self.k]]
            above &= similar >= kth
        cells = np.flatnonzero(above)
        if not len(cells):
            return
        row, column = np.divmod(cells, similar.shape[1])
        self._waiting.append((row, column + first, similar[row, column]))
        self._n_waiting += len(cells)
        # A trade-off: sorting costs time, but a higher threshold lets fewer values through.
        if self._n_waiting * 2 >= self.k * len(similar):
            self._sort_in()

    def finish(self) -> tuple[Int64Array, FloatArray]:
        """Return items and similarities, shape (n, at most k); -1 and NaN if there are fewer."""
        if self._waiting:
            self._sort_in()
        self.values[self.items < 0] = np.nan
        return self.items, self.values

    def _sort_in(self) -> None:
        row, item, value = (np.concatenate(part) for part in zip(*self._waiting, strict=True))
        self._waiting, self._n_waiting = [], 0
        # New items are in item order and follow those already kept, so a stable sort breaks ties
        # by item.
        order = np.argsort(row, kind="stable")
        row = row[order]
        counts = np.bincount(row, minlength=len(self.items))
        place = np.arange(len(row)) - (np.cumsum(counts) - counts)[row]
        values = np.full((len(counts), counts.max()), NOTHING, np.float32)
        items = np.full(values.shape, -1, np.int64)
        values[row, place], items[row, place] = value[order], item[order]
        values = np.concatenate([self.values, values], axis=1)
        items = np.concatenate([self.items, items], axis=1)
        best = np.argsort(-values, axis=1, kind="stable")[:, : self.k]
        self.values = np.take_along_axis(values, best, axis=1)
        self.items = np.take_along_axis(items, best, axis=1)
        if self.values.shape[1] == self.k:
            self.threshold = np.maximum(self.threshold, self.values[:, -1])


class _Cells:
    """Excluded cells of one block of queries, in item order."""

    def __init__(self, excluded: ItemLists | None, start: int, stop: int) -> None:
        self.row = self.item = np.empty(0, np.int64)
        if excluded is not None:
            part = excluded.starts[start : stop + 1]
            items = excluded.items[part[0] : part[-1]]
            order = np.argsort(items, kind="stable")
            self.row = np.repeat(np.arange(stop - start), np.diff(part))[order]
            self.item = items[order]

    def hide(self, similar: FloatArray, first: int) -> None:
        """Set the excluded cells of a block of similarities to `NOTHING`."""
        if len(self.item):
            low, high = np.searchsorted(self.item, [first, first + similar.shape[1]])
            similar[self.row[low:high], self.item[low:high] - first] = NOTHING


def _products(
    queries: FloatArray, items: FloatArray, step: int
) -> Iterator[tuple[int, FloatArray]]:
    """Yield each block's first item and similarities (n, w), in a reused buffer."""
    room = np.empty((len(queries), min(step, len(items))), np.float32)
    for first in range(0, len(items), step):
        block = _finite(items[first : first + step], "item")
        # The last block may be narrower; a new array keeps its rows contiguous.
        whole = len(block) == room.shape[1]
        yield first, np.matmul(queries, block.T, out=room if whole else None)


def _just_below(minimum: float) -> np.float32:
    """Return the largest float32 below `minimum`; -inf stays."""
    lowest = np.float32(minimum)
    if float(lowest) < minimum:  # rounded down: already below the minimum
        return lowest
    return np.nextafter(lowest, np.float32(-np.inf))


def _finite(block: FloatArray, what: str) -> FloatArray:
    block = np.ascontiguousarray(block, np.float32)
    if not np.isfinite(block).all():
        raise InputError(f"{what} has a number that is NaN or infinite")
    return block


def _excluded(
    excluded: ItemLists | Sequence[npt.ArrayLike] | None, n_queries: int, n_items: int
) -> ItemLists | None:
    if excluded is None:
        return None
    rows = excluded if isinstance(excluded, ItemLists) else ItemLists.from_lists(excluded)
    if len(rows) != n_queries:
        raise ShapeError(f"excluded has {len(rows)} lists for {n_queries} queries")
    if len(rows.items) and not 0 <= rows.items.min() <= rows.items.max() < n_items:
        raise InputError(
            f"excluded items must lie in 0..{n_items - 1}, "
            f"got {rows.items.min()}..{rows.items.max()}"
        )
    return rows
