"""Find hubs, songs that are near to many others, and place their names on a map.

units (n, W)  ──hub_counts──▶ number of top-ten lists that contain each song (n,)
names, dots   ──place_names─▶ labels that overlap neither each other nor many dots
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from audiorec.plots.style import INK, SMALL_PT
from audiorec.search.topk import top_k
from audiorec.types import Float64Array, FloatArray, Int64Array

NEAREST = 10
MOST_QUERIES = 2_000  # queries sampled; among 100,000 songs they take a second
GAP_PT = 7.0  # distance between a dot and its name
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_ALIGN = {1: "left", 0: "center", -1: "right"}
_RAISE = {1: "bottom", 0: "center", -1: "top"}


def hub_counts(units: FloatArray) -> Int64Array:
    """Count the top-ten lists of other songs that contain each song: shape (n,), int64.

    In a large library only 2,000 evenly spaced songs are queried.
    """
    n = len(units)
    if n < 2:
        return np.zeros(n, np.int64)
    asked = np.unique(np.linspace(0, n - 1, min(n, MOST_QUERIES)).round().astype(np.int64))
    found = top_k(units[asked], units, min(NEAREST + 1, n)).indices
    others = found[(found >= 0) & (found != asked[:, None])]
    return np.bincount(others, minlength=n)


def place_names(
    axes: Any, places: Float64Array, rows: Sequence[int], names: Sequence[str]
) -> list[int]:
    """Write names beside dots of a map (n, 2) where they fit; return the rows that were labelled.

    The figure must be laid out. A name stays within the axes, and covers as few dots as possible.
    """
    figure = axes.get_figure()
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    dots = axes.transData.transform(places)
    taken: list[Any] = []
    written = []
    for row, name in zip(rows, names, strict=True):
        best = None
        for side in _SIDES:
            text = _beside(axes, places[row], name, side)
            box = text.get_window_extent(renderer).padded(2)
            text.remove()
            fits = frame.x0 <= box.x0 and box.x1 <= frame.x1
            fits = fits and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if fits and not any(box.overlaps(other) for other in taken):
                covered = _inside(dots, box)
                if best is None or covered < best[0]:
                    best = covered, side, box
        if best is not None:
            _beside(axes, places[row], name, best[1])
            taken.append(best[2])
            written.append(row)
    return written


def _beside(axes: Any, place: Float64Array, name: str, side: tuple[int, int]) -> Any:
    from matplotlib.patheffects import withStroke

    right, up = side
    return axes.annotate(
        name,
        place,
        xytext=(GAP_PT * right, GAP_PT * up),
        textcoords="offset points",
        ha=_ALIGN[right],
        va=_RAISE[up],
        fontsize=SMALL_PT,
        color=INK,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
        zorder=5,
        annotation_clip=False,
    )


def _inside(dots: Float64Array, box: Any) -> int:
    x, y = dots.T
    within = (x >= box.x0) & (x <= box.x1) & (y >= box.y0) & (y <= box.y1)
    return int(np.count_nonzero(within))
