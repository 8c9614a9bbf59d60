"""Batches of sequences: those of like length share a batch, padded on the right.

    lengths (n,) ──length_buckets──▶ rows of each batch    values, starts ──padded──▶ (B, L)

A model that reads from the left with a causal mask never looks from a real place at the padding
on its right, so it needs no further mask; the padded places are left out of the loss.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.types import BoolArray, Int64Array

WINDOW = 64  # batches that are sorted by length together: more pads less and shuffles less


def length_buckets(
    lengths: npt.NDArray[np.integer],
    batch_size: int,
    rng: np.random.Generator,
    *,
    window: int = WINDOW,
) -> list[Int64Array]:
    """Cut n examples into batches of like length: each example once, in shuffled batches.

    Parameters
    ----------
    lengths : ndarray, shape (n,)
    batch_size : int
        Examples; the last batch that is cut may be smaller.
    rng : Generator
        Of this epoch; the same state gives the same batches.
    window : int
        The examples are shuffled, and so many batches at a time sorted by length.

    Examples
    --------
    >>> lengths = np.array([3, 90, 4, 88, 3, 91])
    >>> found = length_buckets(lengths, 3, np.random.default_rng(0))
    >>> sorted(sorted(lengths[rows].tolist()) for rows in found)
    [[3, 3, 4], [88, 90, 91]]
    """
    if batch_size < 1 or window < 1:
        raise InputError(f"batch_size and window must be 1 or more, got {batch_size} and {window}")
    order = rng.permutation(len(lengths)).astype(np.int64)
    size = batch_size * window
    batches: list[Int64Array] = []
    for first in range(0, len(order), size):
        rows = order[first : first + size]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def even_batches(
    lengths: npt.NDArray[np.integer], steps: int, rng: np.random.Generator, *, window: int = WINDOW
) -> list[Int64Array]:
    """Cut n examples into batches of like length that hold about `steps` places each.

    Where the loss is a mean over the places of a batch, batches of as many *examples* let the
    places of short sequences count many times those of long ones; here all count alike.

    Parameters
    ----------
    lengths : ndarray, shape (n,)
    steps : int
        Places of a batch, about; one that is longer is a batch by itself.
    rng : Generator
        Of this epoch; the same state gives the same batches.
    window : int
        So many batches at a time are sorted by length.

    Examples
    --------
    >>> lengths = np.array([3, 90, 4, 88, 3, 91])
    >>> found = even_batches(lengths, 90, np.random.default_rng(0))
    >>> sorted(sorted(lengths[rows].tolist()) for rows in found)
    [[3, 3, 4, 88], [90], [91]]
    """
    if steps < 1 or window < 1:
        raise InputError(f"steps and window must be 1 or more, got {steps} and {window}")
    order = rng.permutation(len(lengths)).astype(np.int64)
    before = np.cumsum(lengths[order]) - lengths[order]
    batches: list[Int64Array] = []
    for part in np.split(order, np.flatnonzero(np.diff(before // (steps * window))) + 1):
        rows = part[np.argsort(lengths[part], kind="stable")]
        ends = np.cumsum(lengths[rows])
        # A row belongs to the batch in which its middle lies.
        number = (ends - lengths[rows] / 2) // steps
        batches += np.split(rows, np.flatnonzero(np.diff(number)) + 1)
    batches = [rows for rows in batches if len(rows)]
    return [batches[i] for i in rng.permutation(len(batches))]


def padded(
    values: npt.NDArray[Any],
    starts: Int64Array,
    rows: Int64Array,
    *,
    longest: int,
    fill: int = -1,
) -> tuple[npt.NDArray[Any], Int64Array]:
    """Return the newest entries of some sequences as a matrix, and how many each row has.

    Parameters
    ----------
    values : ndarray, shape (P,)
        Sequence i is ``values[starts[i]:starts[i + 1]]``, oldest first.
    starts : ndarray, shape (n + 1,)
    rows : ndarray, shape (B,)
    longest : int
        Of longer sequences the oldest entries are left out.
    fill : int
        Stands where a row has no entry, on the right.

    Returns
    -------
    matrix : ndarray, shape (B, L), of the type of `values`
        L is the length of the longest row.
    lengths : ndarray, shape (B,), int64

    Examples
    --------
    >>> values, starts = np.array([5, 6, 7, 8]), np.array([0, 3, 3, 4])
    >>> matrix, lengths = padded(values, starts, np.array([0, 1, 2]), longest=2)
    >>> matrix.tolist(), lengths.tolist()
    ([[6, 7], [-1, -1], [8, -1]], [2, 0, 1])
    """
    if longest < 1:
        raise InputError(f"longest must be 1 or more, got {longest}")
    stop = starts[rows + 1]
    lengths = np.minimum(stop - starts[rows], longest).astype(np.int64)
    column = np.arange(int(lengths.max(initial=0)))
    there = column < lengths[:, None]
    matrix = np.full(there.shape, fill, values.dtype)
    matrix[there] = values[((stop - lengths)[:, None] + column)[there]]
    return matrix, lengths


def causal_mask(length: int) -> BoolArray:
    """Return which places must not be looked at: (L, L), True where the column is later.

    As torch's attention reads a mask of bool.

    Examples
    --------
    >>> causal_mask(3).astype(int).tolist()
    [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    """
    return np.triu(np.ones((length, length), np.bool_), 1)
