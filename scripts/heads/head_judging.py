"""Judge version scores so that corpora and classes weigh the same, intervals over groups.

A cell is what one corpus has of one class. Every class weighs the same, in it every corpus, in a
cell every row: 3,700 segments of one karaoke collection count no more than 5 of a rap. Intervals
are drawn over groups (performers, arias, songs, recordings): each corpus draws as many of its
groups, with repetition, as it has; a corpus of one group is drawn whole.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from head_data import VERSION_CLASSES
from head_figures import Figures

from audiorec.evaluation.classification import ECE_BINS, Interval, macro_f1, per_class
from audiorec.types import Float64Array, Int64Array

SAMPLES = 1000  # of the bootstrap
N = len(VERSION_CLASSES)
StrArray = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Figures of scores with cells of equal weight."""

    macro_f1: Interval
    f1: Float64Array
    recall: Float64Array
    ece: float
    rows: int
    groups: int
    confusion: Float64Array  # rows sum to 1
    cells: dict[str, tuple[int, Float64Array]]  # rows of a cell, and its share of each answer

    def to_dict(self) -> Figures:
        """Return plain values."""
        low, value, high = self.macro_f1.low, self.macro_f1.value, self.macro_f1.high
        return {
            "macro_f1": {"value": value, "low": low, "high": high},
            "ece": self.ece,
            "rows": self.rows,
            "groups": self.groups,
            "f1": dict(zip(VERSION_CLASSES, self.f1.round(4).tolist(), strict=True)),
            "recall": dict(zip(VERSION_CLASSES, self.recall.round(4).tolist(), strict=True)),
            "confusion": self.confusion.round(4).tolist(),
            "cells": {
                name: [n, share.round(3).tolist()] for name, (n, share) in self.cells.items()
            },
        }

    def table(self) -> str:
        """Return the figures as lines of text."""
        size = f"{self.rows} rows, {self.groups} groups"
        lines = [f"macro-F1 {self.macro_f1}  ECE {self.ece:.3f}  ({size})"]
        for c, name in enumerate(VERSION_CLASSES):
            shares = " ".join(f"{share:.3f}" for share in self.confusion[c])
            lines.append(f"{name:20} F1 {self.f1[c]:.3f}  recall {self.recall[c]:.3f}  | {shares}")
        return "\n".join(lines)

    def cell_lines(self) -> str:
        """Return one line a cell: rows, and shares of the answers."""
        return "\n".join(
            f"{name:45} {n:5d}  {' '.join(f'{share:.2f}' for share in found)}"
            for name, (n, found) in self.cells.items()
        )


def cell_weights(corpus: StrArray, label: Int64Array) -> Float64Array:
    """Return row weights with sum 1: classes the same, in them corpora, in these rows."""
    cell = np.char.add(np.char.add(label.astype(np.str_), "|"), corpus)
    names, of_row, counts = np.unique(cell, return_inverse=True, return_counts=True)
    classes = np.array([int(name.split("|")[0]) for name in names], np.int64)
    corpora = np.bincount(classes, minlength=N)
    weights: Float64Array = 1.0 / (counts * corpora[classes] * (corpora > 0).sum())[of_row]
    return weights


def judge(
    scores: npt.NDArray[np.floating], label: Int64Array, corpus: StrArray, group: StrArray
) -> Judged:
    """Judge scores (n, C) of rows; a group belongs to one corpus."""
    answer, weights = scores.argmax(1), cell_weights(corpus, label)
    names, first, of_row = np.unique(group, return_index=True, return_inverse=True)
    corpora, of_group = np.unique(corpus[first], return_inverse=True)
    counts = np.zeros((len(names), N, N))  # rows of each group by class and answer
    np.add.at(counts, (of_row, label, answer), 1)
    per_corpus = _sum(counts, of_group, len(corpora))
    rng, drawn = np.random.default_rng(0), []
    members = [np.flatnonzero(of_group == c) for c in range(len(corpora))]
    for _ in range(SAMPLES):
        sample = np.stack([counts[rng.choice(own, len(own))].sum(0) for own in members])
        drawn.append(macro_f1(_joined(sample)))
    confusion = _joined(per_corpus)
    _, recall, f1 = per_class(confusion)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Judged(
        macro_f1=Interval(macro_f1(confusion), float(low), float(high)),
        f1=f1,
        recall=recall,
        ece=calibration_error(scores, label, weights),
        rows=len(label),
        groups=len(names),
        confusion=confusion,
        cells={
            f"{name} {VERSION_CLASSES[c]}": (int(own[c].sum()), own[c] / own[c].sum())
            for name, own in zip(corpora.tolist(), per_corpus, strict=True)
            for c in np.flatnonzero(own.sum(1))
        },
    )


def calibration_error(
    scores: npt.NDArray[np.floating], label: Int64Array, weights: Float64Array
) -> float:
    """Return the expected calibration error of weighted rows, in bins of equal width."""
    confidence = scores.max(1).astype(np.float64)
    right = (scores.argmax(1) == label).astype(np.float64)
    of_row = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gaps = np.bincount(of_row, (right - confidence) * weights, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def by_track(
    scores: npt.NDArray[np.floating],
    label: Int64Array,
    corpus: StrArray,
    group: StrArray,
    track: StrArray,
) -> tuple[Float64Array, Int64Array, StrArray, StrArray]:
    """Return mean scores, class, corpus and group of each track and class."""
    name = np.char.add(np.char.add(track, "|"), label.astype(np.str_))
    _, first, of_row, n = np.unique(
        name, return_index=True, return_inverse=True, return_counts=True
    )
    sums = np.zeros((len(first), scores.shape[1]))
    np.add.at(sums, of_row, scores)
    return sums / n[:, None], label[first], corpus[first], group[first]


def _joined(counts: Float64Array) -> Float64Array:
    """Return the confusion with rows of sum 1 of counts (corpora, C, C)."""
    rows = counts.sum(2, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    present = (rows[..., 0] > 0).sum(0)
    joined: Float64Array = shares.sum(0) / np.maximum(present, 1)[:, None]
    return joined


def _sum(values: Float64Array, of: npt.NDArray[np.integer], n: int) -> Float64Array:
    sums = np.zeros((n, *values.shape[1:]))
    np.add.at(sums, of, values)
    return sums
