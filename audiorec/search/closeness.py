"""How close two songs are among all pairs of a library.

    space, rows ──Closeness.of──▶ `Closeness` ──closer_than──▶ share of pairs that are less similar
    0.9973 ──percent_words──▶ "99.7 %"

A similarity of 0.8 is much in one space and little in another, so people are told how many pairs
of their library are less similar. The pairs are those of a sample of songs, which is the same every
time; the share is off by two points at most.
"""

from dataclasses import dataclass

import numpy as np

from audiorec.search.space import Space
from audiorec.types import Float64Array, FloatArray, Int64Array

SONGS = 1_000  # songs of the sample: half a million pairs
ROUNDING = 1e-5  # of a similarity: a pair of the sample is not below itself
MOST = 0.999  # said of a pair that is closer than all of the sample


@dataclass(frozen=True, slots=True, eq=False)
class Closeness:
    """The similarities of sampled pairs of a library, ascending: shape (P,), float32."""

    similarities: FloatArray

    @classmethod
    def of(cls, space: Space, rows: Int64Array) -> "Closeness":
        """Sample pairs of some songs of a space, given by their rows in the store."""
        if len(rows) > SONGS:
            rows = np.sort(np.random.default_rng(0).choice(rows, SONGS, replace=False))
        units = space.units(rows)
        pairs = (units @ units.T)[np.triu_indices(len(rows), 1)]
        return cls(np.sort(pairs))

    def closer_than(self, similarities: FloatArray | Float64Array) -> Float64Array:
        """Return the share of pairs that are less similar, 0 to 1; NaN if there are no pairs.

        Examples
        --------
        >>> Closeness(np.float32([-0.2, 0.1, 0.4, 0.8])).closer_than(np.float32([0.5, -1])).tolist()
        [0.75, 0.0]
        """
        if not len(self.similarities):
            return np.full(np.shape(similarities), np.nan)
        wanted = np.asarray(similarities, np.float32) - np.float32(ROUNDING)
        below = np.searchsorted(self.similarities, wanted)
        return np.asarray(below / len(self.similarities), np.float64)


def percent_words(share: float) -> str:
    """Return a share of pairs in percent, rounded down; empty for NaN.

    Examples
    --------
    >>> [percent_words(share) for share in (0.9973, 1.0, 0.876, 0.0)]
    ['99.7 %', '99.9 %', '87 %', '0 %']
    """
    if np.isnan(share):
        return ""
    capped = min(share, MOST) + 1e-9  # 0.29 * 100 is less than 29
    return f"{int(1000 * capped) / 10} %" if capped >= 0.99 else f"{int(100 * capped)} %"
