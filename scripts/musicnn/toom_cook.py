"""Short convolutions with few multiplications: the matrices of Toom and Cook.

A filter of r taps slides over n = m + r - 1 values and gives m:

    y[i] = sum over j of g[j] * d[i + j]          m * r multiplications

The same m values come out of n multiplications, one for each of n points, the last of which
is infinity:

    y = output @ ((taps @ g) * (inputs @ d))

For a whole layer the three matrices cost little: ``taps`` is applied once, when weights are
converted, and ``inputs`` and ``output`` are shared by all filters.

References
----------
.. [1] S. Winograd, *Arithmetic Complexity of Computations*, 1980, chapter IV.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Matrix = list[list[Fraction]]


@dataclass(frozen=True, slots=True)
class ToomCook:
    """The three matrices, float64: output (m, n), taps (n, r), inputs (n, n)."""

    output: Float64Array
    taps: Float64Array
    inputs: Float64Array


def toom_cook(m: int, r: int, points: Sequence[Fraction | int]) -> ToomCook:
    """Return the matrices for m outputs of r taps.

    Parameters
    ----------
    m, r : int
    points : sequence of rational, length m + r - 2
        All different. Small ones, their negatives and their inverses round best.

    Returns
    -------
    matrices : ToomCook
        Exact up to one rounding of each entry. The rows of ``inputs`` are scaled to an
        absolute sum of 1, so that float32 rounds all products alike.

    Raises
    ------
    ValueError
        If the number of points is wrong or a point comes twice.
    """
    n = m + r - 1
    if len(set(points)) != n - 1 or len(points) != n - 1:
        raise ValueError(f"need {n - 1} different points for m={m}, r={r}, got {points}")
    inverse = _inverse(_powers(points, n))
    inputs = [list(column) for column in zip(*inverse, strict=True)]
    scale = [sum(map(abs, row)) for row in inputs]
    taps = [[s * t for t in row] for s, row in zip(scale, _powers(points, r), strict=True)]
    inputs = [[value / s for value in row] for s, row in zip(scale, inputs, strict=True)]
    output = list(zip(*_powers(points, m), strict=True))
    return ToomCook(*(np.array(a, dtype=np.float64) for a in (output, taps, inputs)))


def transform_taps(matrices: ToomCook, kernel: Float64Array) -> Float64Array:
    """Apply ``taps`` to a kernel's last axis, (..., r) to (n, ...), in a fixed order of sums."""
    return np.stack(
        [sum(t * kernel[..., j] for j, t in enumerate(row)) for row in matrices.taps]  # type: ignore[misc]
    )


def _powers(points: Sequence[Fraction | int], width: int) -> Matrix:
    """Return a row 1, p, p^2, ... for each point, and the row of infinity: 0, ..., 0, 1."""
    rows = [[Fraction(p) ** j for j in range(width)] for p in points]
    return [*rows, [Fraction(0)] * (width - 1) + [Fraction(1)]]


def _inverse(matrix: Matrix) -> Matrix:
    """Invert a regular matrix by Gauss and Jordan, exactly."""
    n = len(matrix)
    rows = [[*row, *(Fraction(i == j) for j in range(n))] for i, row in enumerate(matrix)]
    for column in range(n):
        pivot = next(i for i in range(column, n) if rows[i][column] != 0)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        divisor = rows[column][column]
        rows[column] = [value / divisor for value in rows[column]]
        for i in range(n):
            if i != column and (factor := rows[i][column]) != 0:
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return [row[n:] for row in rows]
