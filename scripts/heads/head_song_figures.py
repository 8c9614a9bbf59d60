"""Figures of the head for whole songs: who is right, and how sure it must be to be right.

Every figure is of rows that a fit did not hear: pieces of other makers with the maker left out,
GTZAN's clips with the artist, or only the track, left out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from head_genre import ELECTRONIC, GENRES
from head_outside import is_loop
from head_songs import CLASSES, STYLES, LeftOut
from scipy.stats import binomtest

from audiorec.types import BoolArray, Float64Array, Int64Array

HIPHOP = GENRES.index("hiphop")
GRID = tuple(round(0.4 + 0.05 * i, 2) for i in range(12))
RIGHT = 0.8  # of clear answers
NEVER = 2.0  # the limit of a style of which too few answers are right at any
Figures = dict[str, Any]


def shares(
    probabilities: Float64Array, genre: Int64Array, limit: float, long: BoolArray | None = None
) -> Figures:
    """Return how many rows, which share is right first, among two, clear, and right if clear.

    `long` are the rows that may be clear; all by default.
    """
    ten = probabilities[:, : len(GENRES)]
    order = np.argsort(-ten, axis=1, kind="stable")
    first, two = order[:, 0] == genre, (order[:, :2] == genre[:, None]).any(axis=1)
    clear = ten.max(axis=1) >= limit
    if long is not None:
        clear &= long
    return {
        "rows": len(genre),
        "first": _share(first),
        "two": _share(two),
        "clear": _share(clear),
        "clear_rows": int(clear.sum()),
        "right_if_clear": _share(first[clear]),
        "right_if_clear_95": _interval(first[clear]),
    }


def curve(
    probabilities: Float64Array, genre: Int64Array, long: BoolArray | None = None
) -> list[Figures]:
    """Return the share clear and the share right among them at every limit of the grid."""
    return [{"limit": limit, **shares(probabilities, genre, limit, long)} for limit in GRID]


def limit_of(music: Sequence[Figures], *others: Sequence[Figures]) -> float:
    """Return the lowest limit of the grid at which clear answers are right often enough.

    Of `music` the lower bound of the share right must reach `RIGHT`, of the others each share.
    """
    for i, found in enumerate(music):
        shares_right = [each[i]["right_if_clear"] for each in others]
        if found["right_if_clear_95"][0] >= RIGHT and min(shares_right, default=1.0) >= RIGHT:
            return float(found["limit"])
    return NEVER


def style_figures(judged: LeftOut, probabilities: Float64Array) -> dict[str, Figures]:
    """Return of each style its limit, the share found and right, and the curve.

    Artists count the same: one of them has nearly half of the songs of a style.
    """
    _, number, counts = np.unique(judged.rows.group, return_inverse=True, return_counts=True)
    weights = 1 / counts[number]
    found = {}
    for style in STYLES:
        column = CLASSES.index(style)
        score, yes = probabilities[:, column], judged.rows.genre == column
        points = [_style_point(score >= limit, yes, weights, limit) for limit in GRID]
        good = [p for p in points if p["right"] >= RIGHT]
        found[style] = {
            "songs": int(yes.sum()),
            "artists": len(np.unique(judged.rows.group[yes])),
            "limit": good[0]["limit"] if good else NEVER,
            "curve": points,
        }
    return found


def _style_point(told: BoolArray, yes: BoolArray, weights: Float64Array, limit: float) -> Figures:
    both = weights[told & yes].sum()
    return {
        "limit": limit,
        "found": round(float(both / weights[yes].sum()), 3),
        "right": round(float(both / max(weights[told].sum(), 1e-9)), 3),
        "songs": int(told.sum()),
    }


def outside_parts(judged: LeftOut) -> dict[str, BoolArray]:
    """Return which pieces of other makers belong to each part that is told apart."""
    genre, loop = judged.rows.genre, is_loop(judged.rows.corpus)
    electronic = genre == ELECTRONIC
    return {
        "all": np.ones(len(genre), np.bool_),
        "without drum loops": ~loop,
        "not electronic": ~electronic,
        "not electronic, without drum loops": ~electronic & ~loop,
        "electronic": electronic,
        "electronic, without drum loops": electronic & ~loop,
        "hip hop": genre == HIPHOP,
    }


def _share(values: npt.NDArray[Any]) -> float:
    return round(float(values.mean()), 3) if len(values) else 0.0


def _interval(right: BoolArray) -> list[float]:
    """Return Wilson's interval of a share, 95 %."""
    if not len(right):
        return [0.0, 1.0]
    low, high = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return [round(float(low), 3), round(float(high), 3)]
