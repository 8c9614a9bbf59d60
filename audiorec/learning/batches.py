"""Batches of sequences of similar length, padded on the right.

    lengths (n,) ──even_batches──▶ rows of each batch    values, starts ──padded──▶ (B, L)

With a causal mask, real positions never attend to the padding on their right, so no padding mask is
needed; padded positions are excluded from the loss.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.types import BoolArray, Int64Array

WINDOW = 64  # batches sorted by length together; larger values pad less and shuffle less


def even_batches(
    lengths: npt.NDArray[np.integer], steps: int, rng: np.random.Generator, *, window: int = WINDOW
) -> list[Int64Array]:
    """Split n examples into batches of similar length with about `steps` positions each.

    If the loss is a mean over the positions of a batch, equal numbers of *examples* would give
    positions of short sequences a much higher weight than those of long ones; here all weigh alike.

    Parameters
    ----------
    lengths : ndarray, shape (n,)
    steps : int
        Approximate number of positions per batch; a longer example is a batch by itself.
    rng : Generator
        Generator of the epoch; the same state gives the same batches.
    window : int
        Number of batches sorted by length together.

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
    """Return the newest entries of sequences as a padded matrix, and the length of each row.

    Parameters
    ----------
    values : ndarray, shape (P,)
        Sequence i is ``values[starts[i]:starts[i + 1]]``, oldest first.
    starts : ndarray, shape (n + 1,)
    rows : ndarray, shape (B,)
    longest : int
        Maximum length; the oldest entries of longer sequences are dropped.
    fill : int
        Padding value, on the right.

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
    """Return the causal attention mask: (L, L) bool, True for later columns, which are masked.

    The format is that of boolean masks in torch's attention.

    Examples
    --------
    >>> causal_mask(3).astype(int).tolist()
    [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    """
    return np.triu(np.ones((length, length), np.bool_), 1)
