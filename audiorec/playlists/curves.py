"""How a class's score is to move over a playlist: curves in words, and how well one is kept.

    "metal:rise", "vocal:0.1..0.9"  ──read_curves──▶ `Curve`: scores (n,), points
    songs in order, curves          ──deviations──▶ (m, C): distance of each song

A shape in words goes between about the lowest and the highest score of the songs that may come.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.search.filters import class_number, mean_scores
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, Float64Array, Int64Array

EDGES = (0.02, 0.98)  # quantiles of a class's scores that a shape in words goes between
# Shapes of a curve in words: 0 for the lower, 1 for the upper of two scores.
SHAPES = {
    "rise": (0.0, 1.0),
    "fall": (1.0, 0.0),
    "arc": (0.0, 1.0, 0.0),
    "dip": (1.0, 0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Curve:
    """How a class's mean score is to move over a playlist.

    Attributes
    ----------
    scores : ndarray, shape (n,)
        Of every song of the store.
    points : tuple of float
        Wanted scores at equal distances from the beginning to the end; one or more.
    name : str
        The class, as it was written.
    """

    scores: npt.NDArray[np.floating]
    points: tuple[float, ...]
    name: str = ""

    def wanted(self, part: npt.ArrayLike) -> Float64Array:
        """Return the wanted scores at parts of the playlist from 0 to 1."""
        places = np.linspace(0, 1, len(self.points))
        return np.asarray(np.interp(np.asarray(part), places, self.points), np.float64)


def read_curves(store: VectorStore, texts: Sequence[str], allowed: BoolArray) -> list[Curve]:
    """Read curves as ``class:shape``.

    Parameters
    ----------
    store : VectorStore
    texts : sequence of str
        A class, and a shape in words (`SHAPES`) or mean scores at equal distances:
        ``metal:rise``, ``vocal:0.1..0.9..0.1``.
    allowed : ndarray, shape (n,), bool
        Songs between whose lowest and highest scores a shape in words goes.

    Raises
    ------
    InputError
        If a class or a shape is none.
    """
    if not texts:
        return []
    means = mean_scores(store)
    curves = []
    for text in texts:
        name, _, shape = (part.strip() for part in text.partition(":"))
        scores = means[:, class_number(store, name)]
        if shape in SHAPES:
            low, high = np.quantile(scores[allowed], EDGES) if allowed.any() else (0.0, 1.0)
            points = tuple(float(low + p * (high - low)) for p in SHAPES[shape])
        else:
            points = _points(text, shape)
        curves.append(Curve(scores, points, name))
    return curves


def middles(lengths: Float64Array) -> Float64Array:
    """Return where the middle of each song lies, as a part of all of them: shape (m,)."""
    parts: Float64Array = (np.cumsum(lengths) - lengths / 2) / max(float(lengths.sum()), 1e-9)
    return parts


def deviations(rows: Int64Array, lengths: Float64Array, curves: Sequence[Curve]) -> Float64Array:
    """Return how far songs in order lie from curves: score minus what was wanted, (m, C).

    `rows` (m,) are the songs of the store, `lengths` (m,) their seconds.
    """
    parts = middles(lengths)
    columns = [curve.scores[rows] - curve.wanted(parts) for curve in curves]
    return np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0))


def _points(text: str, shape: str) -> tuple[float, ...]:
    try:
        points = tuple(float(part) for part in shape.split(".."))
    except ValueError:
        points = ()
    if not points or not all(0 <= point <= 1 for point in points):
        raise InputError(
            f"--curve {text}: a class and {', '.join(SHAPES)} or mean scores from 0 to 1 are "
            "expected, for example metal:rise or vocal:0.1..0.9..0.1"
        )
    return points
