"""Rows of different lengths that lie one after another, and a few wanted songs among them.

values (m,), starts (n + 1,) ──joined──▶ some rows ──Wanted.grid──▶ values of the wanted songs

Row r of `values` is ``values[starts[r]:starts[r + 1]]``.
"""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from audiorec.types import FloatArray, Int32Array, Int64Array

T = TypeVar("T", bound=np.generic)


def joined(values: npt.NDArray[T], starts: Int64Array, rows: Int64Array) -> npt.NDArray[T]:
    """Return the values of some rows, one row after another."""
    bounds = zip(starts[rows].tolist(), starts[rows + 1].tolist(), strict=True)
    return np.concatenate([values[:0], *(values[first:stop] for first, stop in bounds)])


def starts_of(starts: Int64Array, rows: Int64Array) -> Int64Array:
    """Return where each row begins in the result of `joined`, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(starts[rows + 1] - starts[rows])]).astype(np.int64)


class Wanted:
    """A table of a catalogue of S songs, which is reused to find ever other songs."""

    def __init__(self, n_songs: int) -> None:
        self._number = np.full(n_songs, -1, np.int32)

    def grid(
        self,
        wanted: npt.NDArray[Any],
        songs: Int32Array,
        starts: Int64Array,
        values: FloatArray | None = None,
    ) -> FloatArray:
        """Return the values (m,) beside wanted songs in rows of songs: (len(wanted), rows).

        Wanted songs must be distinct, and so must the songs of a row. The value is 1 by default,
        and 0 where a row lacks a song.

        Examples
        --------
        >>> Wanted(9).grid([7, 4], np.array([4, 5, 4, 7]), np.array([0, 2, 4]))
        array([[0., 1.],
               [1., 1.]], dtype=float32)
        """
        self._number[wanted] = np.arange(len(wanted))
        which = self._number[songs]
        self._number[wanted] = -1
        place = np.flatnonzero(which >= 0)
        row = np.searchsorted(starts, place, side="right") - 1
        found = np.zeros((len(wanted), len(starts) - 1), np.float32)
        found[which[place], row] = 1 if values is None else values[place]
        return found
