"""Spaces fitted to the songs that are judged, as a baseline: columns are standardised."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.search.scaling import log_odds
from audiorec.types import FloatArray

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Standardised:
    """Weights (V,) and which columns enter as log-odds (V,), with mean and deviation of songs."""

    weights: Array
    odds: npt.NDArray[np.bool_]
    mean: Array
    spread: Array

    @classmethod
    def over(
        cls, values: FloatArray, weights: npt.ArrayLike = 1.0, odds: npt.ArrayLike = False
    ) -> "Standardised":
        """Fit to songs (n, V)."""
        width = values.shape[1]
        every = np.broadcast_to(np.asarray(weights, np.float64), width)
        which = np.broadcast_to(np.asarray(odds, np.bool_), width)
        z = np.where(which, log_odds(values), values)
        spread = z.std(axis=0)
        return cls(every, which, z.mean(axis=0), np.where(spread > 0, spread, 1.0))

    def prepare(self, values: FloatArray) -> FloatArray:
        """Return units (n, V) of length 1."""
        z = (np.where(self.odds, log_odds(values), values) - self.mean) / self.spread * self.weights
        return (z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)).astype(np.float32)
