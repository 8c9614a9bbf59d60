"""Draw scores over time into axes that the caller lays out.

    a head of at most four classes  ──draw_areas──▶ stacked areas that fill the height
    a head of more classes          ──draw_strip──▶ a heat map, one row per class
    an `Envelope`                   ──draw_waveform──▶ sample range, and root mean square within

A segment extends from its start to the start of the next; the last one has the median length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from audiorec.files.visible import clock
from audiorec.plots import figures
from audiorec.plots.figures import SMALL_PT, drawable
from audiorec.types import Envelope, Float64Array, FloatArray, ScoreSeries

SEGMENT_S = 3.0  # seconds, for a series of a single segment
FEW = len(figures.FEW)
LONGEST_CLASS = 24  # characters of a class name
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)  # between two ticks
MOST_TICKS = 12


@dataclass(frozen=True, slots=True)
class HeadSeries:
    """The columns of one head."""

    head: str
    classes: tuple[str, ...]  # without the head's name
    scores: FloatArray  # (T, C)

    @property
    def means(self) -> Float64Array:
        """Mean score of each class: shape (C,)."""
        means: Float64Array = self.scores.mean(axis=0, dtype=np.float64)
        return means


def heads_of(series: ScoreSeries) -> list[HeadSeries]:
    """Split a series into heads, in the order of their first columns."""
    columns: dict[str, list[int]] = {}
    for number, name in enumerate(series.classes):
        columns.setdefault(name.partition("/")[0], []).append(number)
    return [
        HeadSeries(head, tuple(class_label(series.classes[n]) for n in numbers), found)
        for head, numbers in columns.items()
        for found in [series.scores[:, numbers]]
    ]


def class_label(name: str) -> str:
    """Return the class in ``head/class``; the whole name if it has no head.

    Examples
    --------
    >>> class_label("version/vocal_accompaniment"), class_label("guitar")
    ('vocal_accompaniment', 'guitar')
    """
    return name.partition("/")[2] or name


def display_name(name: str) -> str:
    """Return a class or head name as displayed in a picture."""
    return drawable(name.replace("_", " "), longest=LONGEST_CLASS)


def edges_s(series: ScoreSeries) -> Float64Array:
    """Return the starts of the segments and the end of the last: shape (T + 1,), seconds.

    Examples
    --------
    >>> times = np.float32([0, 3, 6, 7.5])
    >>> edges_s(ScoreSeries(np.zeros((4, 1), np.float32), times, ("a/b",))).tolist()
    [0.0, 3.0, 6.0, 7.5, 10.5]
    """
    starts = series.start_s.astype(np.float64)
    length = float(np.median(np.diff(starts))) if len(starts) > 1 else SEGMENT_S
    return np.append(starts, starts[-1] + length)


def draw_waveform(axes: Any, envelope: Envelope) -> None:
    """Draw the range of the samples, and the root mean square within it."""
    length = envelope.duration_s / len(envelope)
    middles = (np.arange(len(envelope)) + 0.5) * length
    low, high, rms = envelope.low, envelope.high, envelope.rms
    axes.fill_between(middles, low, high, color=figures.RANGE, linewidth=0)
    within = np.maximum(low, -rms), np.minimum(high, rms)
    axes.fill_between(middles, *within, color=figures.PAIR[0], linewidth=0)
    limit = max(0.1, float(np.abs([envelope.low, envelope.high]).max()) * 1.05)
    axes.set(ylim=(-limit, limit), ylabel="amplitude")


def draw_areas(axes: Any, edges: Float64Array, head: HeadSeries) -> None:
    """Draw the scores of a few classes as stacked areas, the first at the bottom."""
    tops = np.vstack([np.zeros(len(head.scores)), head.scores.T.cumsum(axis=0, dtype=np.float64)])
    tops = np.hstack([tops, tops[:, -1:]])  # step="post" needs the last height twice
    for n, (low, high) in enumerate(pairwise(tops)):
        axes.fill_between(edges, low, high, step="post", color=figures.FEW[n], linewidth=0)
    for top in tops[1:-1]:  # separates colours that look alike in greyscale
        axes.step(edges, top, where="post", color="white", linewidth=0.6)
    axes.set(ylim=(0, 1), yticks=(0, 0.5, 1))


def draw_strip(axes: Any, edges: Float64Array, head: HeadSeries, order: Sequence[int]) -> Any:
    """Draw a heat map, one row per class in the given order from the top; return the mesh."""
    rows = list(order)[::-1]
    mesh = axes.pcolormesh(
        edges, np.arange(len(rows) + 1), head.scores.T[rows], cmap=figures.HEAT, vmin=0, vmax=1
    )
    mesh.set_rasterized(True)  # avoids gaps between the cells in an SVG
    axes.set_yticks(np.arange(len(rows)) + 0.5, [display_name(head.classes[n]) for n in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(0, len(rows))
    return mesh


def draw_head(axes: Any, edges: Float64Array, head: HeadSeries, order: Sequence[int]) -> Any:
    """Draw one head as areas or as a heat map; return the mesh of a heat map, else None."""
    if len(head.classes) <= FEW:
        return draw_areas(axes, edges, head)
    return draw_strip(axes, edges, head, order)


def area_legend(axes: Any, head: HeadSeries, *, title: str = "") -> None:
    """Draw the legend of stacked areas into empty axes, with mean scores if there is a title."""
    from matplotlib.patches import Patch

    means = [f"  {mean:.2f}" if title else "" for mean in head.means]
    labels = [display_name(name) + mean for name, mean in zip(head.classes, means, strict=True)]
    handles = [Patch(color=figures.FEW[n], label=label) for n, label in enumerate(labels)]
    axes.legend(
        handles=handles[::-1],
        loc="center left",
        bbox_to_anchor=(-0.04, 0.5),
        title=title or None,
        alignment="left",
        title_fontsize=SMALL_PT,
    )


def strip_means(axes: Any, head: HeadSeries, order: Sequence[int]) -> None:
    """Write the mean score of each heat map row into empty axes beside it."""
    rows = list(order)[::-1]
    axes.set_ylim(0, len(rows))
    for place, n in enumerate(rows):
        axes.text(0, place + 0.5, f"{head.means[n]:.2f}", va="center", fontsize=SMALL_PT)
    axes.text(0, len(rows) * 1.01, "mean score", va="bottom", fontsize=SMALL_PT)


def heat_bar(axes: Any, mesh: Any, place: tuple[float, float, float, float]) -> None:
    """Draw a heat map's colour scale into empty axes, at a place (x, y, width, height)."""
    inner = axes.inset_axes(place)
    axes.get_figure().colorbar(mesh, cax=inner)
    inner.set_ylabel("score of a segment", fontsize=SMALL_PT)


def by_mean(means: Float64Array) -> list[int]:
    """Return class numbers by descending mean; ties keep their order."""
    return [int(n) for n in np.argsort(-means, kind="stable")]


def time_axis(axes: Any, end_s: float, *, label: bool = True) -> None:
    """Format the x axis as clock times from 0 to `end_s`."""
    step = next((s for s in _STEPS_S if end_s / s <= MOST_TICKS), _STEPS_S[-1])
    ticks = np.arange(0, end_s + 1e-6, step)
    axes.set_xlim(0, end_s)
    axes.set_xticks(ticks, [clock(t) for t in ticks] if label else [])
    if label:
        axes.set_xlabel("time (h:mm:ss)" if end_s >= 3600 else "time (m:ss)")
