"""Evaluate a classifier's scores: accuracy, F1 and calibration, with bootstrap intervals.

    scores (n, C), labels (n,)  ──report──▶  `Report`: accuracy, macro-F1, per class, ECE

Segments of a song are not independent, so intervals come from a bootstrap over songs: a song is
drawn with all of its segments. The same functions evaluate by segment and by song; `by_song`
averages segments to songs.

Conventions
-----------
Rows of the confusion matrix are true classes, columns are predicted classes. A class without rows
is left out of macro-F1 and has recall NaN; a class that is never predicted has precision NaN and,
if it has rows, F1 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError
from audiorec.types import Float64Array, Int64Array

BOOTSTRAP_SAMPLES = 1000
ECE_BINS = 15  # of equal width over [0, 1], as in Guo et al. 2017


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return ``0.912 [0.874, 0.941]``."""
        return f"{self:}"

    def __format__(self, sign: str) -> str:
        """Return the same; with ``+``, as a difference: ``+0.012 [-0.004, +0.028]``."""
        value, low, high = (f"{one:{sign}z.3f}" for one in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Evaluation figures of one set of scores.

    Attributes
    ----------
    classes : tuple of str, length C
    n : int
        Number of rows evaluated.
    n_songs : int
        Number of songs (bootstrap units).
    accuracy, macro_f1 : Interval
    balanced_macro_f1 : Interval
        As if all classes had the same number of rows; see `balanced_macro_f1`.
    precision, recall, f1 : tuple of float, length C
        NaN if undefined; see the module's conventions.
    recall_intervals : tuple of Interval, length C
    ece : float
        Expected calibration error.
    confusion : ndarray, shape (C, C), int64
        True class by predicted class.
    reliability : tuple of (confidence, accuracy, rows)
        Mean confidence, accuracy and number of rows of each confidence bin.
    """

    classes: tuple[str, ...]
    n: int
    n_songs: int
    accuracy: Interval
    macro_f1: Interval
    balanced_macro_f1: Interval
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    recall_intervals: tuple[Interval, ...]
    ece: float
    confusion: Int64Array
    reliability: tuple[tuple[float, float, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; undefined figures become None."""
        per_class = {
            name: {
                "precision": _plain(self.precision[c]),
                "recall": _plain(self.recall[c]),
                "recall_interval": [_plain(v) for v in astuple(self.recall_intervals[c])[1:]],
                "f1": _plain(self.f1[c]),
                "rows": int(self.confusion[c].sum()),
            }
            for c, name in enumerate(self.classes)
        }
        return {
            "rows": self.n,
            "songs": self.n_songs,
            "accuracy": _plain_interval(self.accuracy),
            "macro_f1": _plain_interval(self.macro_f1),
            "balanced_macro_f1": _plain_interval(self.balanced_macro_f1),
            "ece": _plain(self.ece),
            "classes": per_class,
            "confusion": self.confusion.tolist(),
            "reliability": [list(point) for point in self.reliability],
        }

    def table(self) -> str:
        """Return the figures as text, one line per class.

        Each line ends with the class's row of the confusion matrix.
        """
        width = max(len(name) for name in self.classes)
        figures = f"accuracy {self.accuracy}  macro-F1 {self.macro_f1}  ECE {self.ece:.3f}"
        lines = [
            f"{figures}  ({self.n} rows, {self.n_songs} songs)",
            f"macro-F1 with classes of equal size {self.balanced_macro_f1}",
        ]
        for c, name in enumerate(self.classes):
            answers = " ".join(f"{count:5d}" for count in self.confusion[c])
            lines.append(
                f"{name:{width}}  precision {self.precision[c]:.3f}  "
                f"recall {self.recall_intervals[c]}  F1 {self.f1[c]:.3f}  | {answers}"
            )
        return "\n".join(lines)


def report(
    scores: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    songs: Sequence[str] | npt.NDArray[np.str_],
    *,
    classes: Sequence[str],
    rng: np.random.Generator,
    samples: int = BOOTSTRAP_SAMPLES,
) -> Report:
    """Evaluate scores (n, C) against labels (n,); ties go to the first class.

    Parameters
    ----------
    songs : sequence of str, length n
        The bootstrap unit of each row. For scores by song: the songs' artists, or the songs
        themselves.
    samples : int
        Number of bootstrap samples; intervals contain the middle 95 %.

    Raises
    ------
    InputError
        If there are no rows, or a label is not the index of a class.
    ShapeError
        If the shapes of the arrays do not match.
    """
    _check(scores, labels, songs, classes)
    answers, n_classes = scores.argmax(1), len(classes)
    # One confusion matrix per song, (songs, C, C); then those of bootstrap samples of songs.
    names, of_row = np.unique(np.asarray(songs), return_inverse=True)
    per_track = np.zeros((len(names), n_classes, n_classes), np.int64)
    np.add.at(per_track, (of_row, labels, answers), 1)
    whole, n = per_track.sum(0), len(names)
    times = rng.multinomial(n, np.full(n, 1 / n), size=samples)
    drawn: Int64Array = np.tensordot(times, per_track, axes=1)
    precision, recall, f1 = per_class(whole)
    recalls = [_interval(partial(_recall, of=c), whole, drawn) for c in range(n_classes)]
    return Report(
        classes=tuple(classes),
        n=len(labels),
        n_songs=n,
        accuracy=_interval(accuracy, whole, drawn),
        macro_f1=_interval(macro_f1, whole, drawn),
        balanced_macro_f1=_interval(balanced_macro_f1, whole, drawn),
        precision=tuple(precision.tolist()),
        recall=tuple(recall.tolist()),
        f1=tuple(f1.tolist()),
        recall_intervals=tuple(recalls),
        ece=expected_calibration_error(scores, labels),
        confusion=whole,
        reliability=tuple(reliability(scores, labels)),
    )


def by_song(
    scores: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    songs: Sequence[str] | npt.NDArray[np.str_],
) -> tuple[Float64Array, Int64Array, npt.NDArray[np.str_]]:
    """Average segment scores (n, C) by song: scores (m, C), labels (m,), sorted names (m,).

    Raises
    ------
    InputError
        If a song has more than one label.
    """
    names, first, of_row = np.unique(np.asarray(songs), return_index=True, return_inverse=True)
    if (labels != labels[first][of_row]).any():
        name = names[of_row[labels != labels[first][of_row]][0]]
        raise InputError(f"song {str(name)!r} has segments of more than one class")
    sums = np.zeros((len(names), scores.shape[1]))
    np.add.at(sums, of_row, scores.astype(np.float64))
    counts = np.bincount(of_row, minlength=len(names))
    return sums / counts[:, None], labels[first].astype(np.int64), names


def accuracy(confusion: npt.NDArray[np.integer]) -> float:
    """Return the accuracy of a confusion matrix."""
    return float(np.trace(confusion) / confusion.sum())


def per_class(
    confusion: npt.NDArray[Any],
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return precision, recall and F1 of each class, (C,) float64 each.

    Examples
    --------
    >>> precision, recall, f1 = per_class(np.array([[3, 1], [0, 4]]))
    >>> precision, recall, f1.round(4)
    (array([1. , 0.8]), array([0.75, 1.  ]), array([0.8571, 0.8889]))
    """
    right = np.diag(confusion).astype(np.float64)
    true, answered = confusion.sum(1), confusion.sum(0)
    precision = ratio(right, answered)
    recall = ratio(right, true)
    f1 = np.where(true > 0, ratio(2 * right, true + answered), np.nan)
    return precision, recall, f1


def macro_f1(confusion: npt.NDArray[Any]) -> float:
    """Return the mean F1 over the classes that have rows."""
    return float(np.nanmean(per_class(confusion)[2]))


def balanced_macro_f1(confusion: npt.NDArray[Any]) -> float:
    """Return macro-F1 as if every class had the same number of rows.

    Precision, and so F1, depends on the sizes of the other classes: in a collection with twenty
    times as many noises as voices, one noise in a hundred predicted as a voice costs a sixth of
    that class's precision. Use this figure to compare collections.

    Examples
    --------
    >>> round(balanced_macro_f1(np.array([[9, 1], [100, 900]])), 4)
    0.9
    >>> round(macro_f1(np.array([[9, 1], [100, 900]])), 4)
    0.5491
    """
    rows = confusion.sum(1, keepdims=True)
    return macro_f1(np.divide(confusion, rows, out=np.zeros(confusion.shape), where=rows > 0))


def expected_calibration_error(
    scores: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]
) -> float:
    """Return the expected calibration error: the mean gap between confidence and accuracy.

    Bins have equal width over confidences from 0 to 1 and are weighted by their rows.

    Examples
    --------
    Four predictions at confidence 0.75, of which two are correct:

    >>> scores = np.tile([0.75, 0.25], (4, 1))
    >>> expected_calibration_error(scores, np.array([0, 0, 1, 1]))
    0.25
    """
    confidence, right, of_row = _binned(scores, labels)
    gaps = np.bincount(of_row, right - confidence, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def reliability(
    scores: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]
) -> list[tuple[float, float, int]]:
    """Return mean confidence, accuracy and number of rows of each non-empty bin."""
    confidence, right, of_row = _binned(scores, labels)
    return [
        (float(confidence[rows].mean()), float(right[rows].mean()), int(rows.sum()))
        for rows in (of_row == b for b in range(ECE_BINS))
        if rows.any()
    ]


def _binned(
    scores: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]
) -> tuple[Float64Array, Float64Array, Int64Array]:
    """Return each row's confidence, whether it is correct (0 or 1), and its bin: (n,) each."""
    confidence = scores.max(1).astype(np.float64)
    right = (scores.argmax(1) == labels).astype(np.float64)
    of_row = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    return confidence, right, of_row


def _recall(confusion: Int64Array, of: int) -> float:
    return float(per_class(confusion)[1][of])


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Float64Array:
    """Divide element-wise; NaN for a divisor of 0."""
    ratio = np.full(len(part), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def _interval(
    figure: Callable[[Int64Array], float], whole: Int64Array, drawn: Int64Array
) -> Interval:
    """Return a figure with the 95 % interval of its bootstrap values."""
    values = np.array([figure(sample) for sample in drawn])
    values = values[~np.isnan(values)]
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (np.nan, np.nan)
    return Interval(figure(whole), float(low), float(high))


def _check(
    scores: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    songs: Sequence[str] | npt.NDArray[np.str_],
    classes: Sequence[str],
) -> None:
    n = len(labels)
    if scores.shape != (n, len(classes)) or len(songs) != n:
        raise ShapeError(
            f"scores must have shape ({n}, {len(classes)}) and songs length {n}, "
            f"got {scores.shape} and {len(songs)}"
        )
    if n == 0:
        raise InputError("there are no rows to evaluate")
    if labels.min() < 0 or labels.max() >= len(classes):
        raise InputError(f"labels must be from 0 to {len(classes) - 1}")


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _plain_interval(interval: Interval) -> dict[str, float | None]:
    return {name: _plain(value) for name, value in asdict(interval).items()}
