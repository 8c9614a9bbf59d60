"""Target curves: how a class's score, the tempo or the loudness changes over a playlist.

    "metal:rise", "bpm:90..140", "loudness:-20..-8"  ──read_curves──▶ `Curve`: scores (n,), points
    songs in order, curves          ──deviations──▶ (m, C): deviation of each song

A named shape spans roughly the lowest to the highest score of the eligible songs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.search.filters import (
    BPM,
    class_number,
    is_attribute,
    levels_of_tempo,
    mean_scores,
    numbers_of,
)
from audiorec.store.schema import schema_of
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, Float64Array, Int64Array

LOUDNESS, LOUDNESS_COLUMN = "loudness", "loudness_lufs"
EDGES = (0.02, 0.98)  # quantiles of a class's scores that a named shape spans
# Named shapes: 0 stands for the lower, 1 for the upper of two scores.
SHAPES = {
    "rise": (0.0, 1.0),
    "fall": (1.0, 0.0),
    "arc": (0.0, 1.0, 0.0),
    "dip": (1.0, 0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class CurveScale:
    """What a curve may be of: its lowest and highest point, in words, and its unit.

    `unit` is how much weighs as much as the full range of a score; None stands for the range of the
    eligible songs.
    """

    low: float
    high: float
    words: str
    unit: float | None = 1.0


SCORE = CurveScale(0.0, 1.0, "mean scores from 0 to 1")
MOOD = CurveScale(0.0, 1.0, "mean scores from 0 to 1", None)  # of a happy song perhaps 0.01
CURVE_SCALES = {
    BPM: CurveScale(0.0, 400.0, "beats per minute up to 400", 100.0),
    LOUDNESS: CurveScale(-100.0, 20.0, "LUFS from -100 to 20", 30.0),
}


@dataclass(frozen=True, slots=True)
class Curve:
    """Target curve of a class's mean score, or of an attribute, over a playlist.

    Attributes
    ----------
    scores : ndarray, shape (n,)
        Of every song of the store; NaN if unknown, which excludes the song.
    points : tuple of float
        Target scores at equal distances from start to end; one or more.
    name : str
        The class or attribute, as given by the user.
    unit : float
        What 1 in scores and points stands for: 100 beats per minute, or as `CURVE_SCALES` says.
    """

    scores: npt.NDArray[np.floating]
    points: tuple[float, ...]
    name: str = ""
    unit: float = 1.0

    def format(self, score: float) -> str:
        """Format a score for display, in the user's unit."""
        if self.unit == 1:
            return f"{score:.2f}"
        return f"{score * self.unit:.0f}" if self.unit > 1 else f"{score * self.unit:.2g}"

    def target(self, part: npt.ArrayLike) -> Float64Array:
        """Return the target scores at fractions of the playlist from 0 to 1."""
        places = np.linspace(0, 1, len(self.points))
        return np.asarray(np.interp(np.asarray(part), places, self.points), np.float64)


def read_curves(store: VectorStore, texts: Sequence[str], allowed: BoolArray) -> list[Curve]:
    """Parse curves of the form ``class:shape``.

    Parameters
    ----------
    store : VectorStore
    texts : sequence of str
        A class, and a named shape (`SHAPES`) or mean scores at equal distances:
        ``metal:rise``, ``vocal:0.1..0.9..0.1``. Or an attribute of the store, or the loudness:
        ``bpm:90..140``, ``tag_happy:arc``, ``loudness:-20..-8``.
    allowed : ndarray, shape (n,), bool
        Eligible songs, whose lowest and highest scores a named shape spans.

    Raises
    ------
    InputError
        If a class or a shape is invalid, or the store lacks the attribute.
    """
    curves = []
    for text in texts:
        name, _, shape = (part.strip() for part in text.partition(":"))
        values, measure = _measured(store, name)
        among = values[allowed & ~np.isnan(values)]
        low, high = np.quantile(among, EDGES) if len(among) else (0.0, 1.0)
        unit = float(high - low) or 1.0 if measure.unit is None else measure.unit
        if shape in SHAPES:
            points = tuple(float(low + p * (high - low)) for p in SHAPES[shape])
        else:
            points = _points(text, shape, measure)
        curves.append(Curve(values / unit, tuple(p / unit for p in points), name, unit))
    return curves


def _measured(store: VectorStore, name: str) -> tuple[npt.NDArray[np.floating], CurveScale]:
    """Return what a curve may be of: a value for each song, and how it is measured."""
    labels = {part for name in store.metadata.classes for part in (name, name.partition("/")[2])}
    if name in labels:
        return mean_scores(store)[:, class_number(store, name)], SCORE
    if name == LOUDNESS:
        if LOUDNESS_COLUMN not in schema_of(store.metadata).names:
            raise InputError(f"{store.path}: has no loudness; extract it again with this version")
        return numbers_of(store, LOUDNESS_COLUMN), CURVE_SCALES[LOUDNESS]
    if is_attribute(store, name):
        if name == BPM:  # of two levels, neither is certain
            first, other = levels_of_tempo(store)
            return np.where(np.isnan(other), first, np.nan), CURVE_SCALES[BPM]
        return numbers_of(store, name), CURVE_SCALES.get(name, MOOD)
    return mean_scores(store)[:, class_number(store, name)], SCORE


def midpoints(lengths: Float64Array) -> Float64Array:
    """Return the midpoint of each song, as a fraction of the total length: shape (m,)."""
    return (np.cumsum(lengths) - lengths / 2) / max(float(lengths.sum()), 1e-9)


def deviations(rows: Int64Array, lengths: Float64Array, curves: Sequence[Curve]) -> Float64Array:
    """Return the deviation of songs in playing order from curves: score - target, (m, C).

    `rows` (m,) are store rows, `lengths` (m,) seconds.
    """
    parts = midpoints(lengths)
    columns = [curve.scores[rows] - curve.target(parts) for curve in curves]
    return np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0))


def _points(text: str, shape: str, measure: CurveScale) -> tuple[float, ...]:
    try:
        points = tuple(float(part) for part in shape.split(".."))
    except ValueError:
        points = ()
    if not points or not all(measure.low <= point <= measure.high for point in points):
        raise InputError(
            f"`curve` {text}: expected a class with {', '.join(SHAPES)} or {measure.words}, for "
            "example metal:rise or vocal:0.1..0.9..0.1 or bpm:90..140"
        )
    return points
