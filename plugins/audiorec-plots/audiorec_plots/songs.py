"""Draw a song, or two side by side: scores over time, below their waveforms.

ScoreSeries (T, H), `Envelope`, `Spectrogram`  ──song_figure──▶  a panel for each, one a head
two ScoreSeries of the same classes  ──compare_figure──▶  mean scores in pairs, panels by head
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from audiorec.errors import InputError, ShapeError
from audiorec.files.visible import clock
from audiorec_plots.figures import (
    MOST_AREAS,
    PAIR,
    SMALL_PT,
    TITLE_PT,
    HeadSeries,
    area_legend,
    by_mean,
    display_name,
    draw_head,
    draw_spectrogram,
    draw_waveform,
    drawable,
    edges_s,
    finish,
    heads_of,
    heat_bar,
    house_style,
    new_figure,
    strip_means,
    time_axis,
)

if TYPE_CHECKING:  # it loads a decoder
    from audiorec_plots.sound import Spectrogram
from audiorec.types import Envelope, ScoreSeries

SONG_SIZE = (11.0, 7.0)  # inches
WIDTHS = (1.0, 0.2)  # relative: panels, legends
ROW, SHORTEST = 0.26, 1.3  # relative heights: a row of a heat map, any other panel


def song_figure(
    series: ScoreSeries,
    envelope: Envelope | None = None,
    spectrogram: "Spectrogram | None" = None,
    *,
    title: str = "",
    size: tuple[float, float] = SONG_SIZE,
) -> Figure:
    """Draw the scores of a song over time, below its waveform and its mel spectrogram.

    Parameters
    ----------
    series : ScoreSeries
        With at least one segment; scores from 0 to 1.
    envelope : Envelope, optional
        If omitted, no waveform is drawn.
    spectrogram : Spectrogram, optional
        If omitted, no spectrogram is drawn.
    title : str
        Any text; undrawable characters are escaped.
    size : tuple of float
        Width and height in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Shown by notebooks; save it with ``figure.savefig`` or `write_picture`.

    Raises
    ------
    InputError
        If the series has no segment, or as for `new_figure`.
    """
    if not len(series):
        raise InputError("cannot draw a series without segments")
    heads = heads_of(series)
    edges = edges_s(series)
    end_s = max(float(edges[-1]) if envelope is None else 0.0, getattr(envelope, "duration_s", 0.0))
    heights = [SHORTEST] * ((envelope is not None) + (spectrogram is not None))
    heights += [max(SHORTEST, ROW * len(h.classes) * (len(h.classes) > MOST_AREAS)) for h in heads]
    with house_style():
        figure = new_figure(*size)
        grid = figure.subplots(
            len(heights), 2, squeeze=False, height_ratios=heights, width_ratios=WIDTHS
        )
        panels, beside = list(grid[:, 0]), list(grid[:, 1])
        for axes in beside:
            axes.set_axis_off()
        if envelope is not None:
            draw_waveform(panels[0], envelope)
            panels[0].set_title("waveform, mono: range and root mean square")
        first = len(heights) - len(heads)
        if spectrogram is not None:
            draw_spectrogram(panels[first - 1], spectrogram)
            panels[first - 1].set_title("mel spectrogram, 96 bands: the loudest 80 dB")
        for axes, right, head in zip(panels[first:], beside[first:], heads, strict=True):
            order = by_mean(head.means)
            mesh = draw_head(axes, edges, head, order)
            axes.set_title(f"{display_name(head.head)}: score of each segment")
            if mesh is None:
                area_legend(right, head, title="mean score")
            else:
                strip_means(right, head, order)
                heat_bar(right, mesh, (0.4, 0.05, 0.08, 0.85))
        for axes in panels:
            time_axis(axes, end_s, label=axes is panels[-1])
        about = f"{clock(end_s)}, {len(series)} segment{'s' * (len(series) > 1)}"
        finish(figure, f"{drawable(title)}  ({about})" if title else about)
    return figure


COMPARE_SIZE = (13.0, 8.0)  # inches
PAIR_WIDTHS = (0.42, 1.0, 0.19)  # relative: mean scores, panels over time, legends
AREA, PAIR_ROW = 1.1, 0.22  # relative heights: a panel of areas, a row of a heat map
NAMES = ("A", "B")


def compare_figure(
    first: ScoreSeries,
    second: ScoreSeries,
    *,
    titles: tuple[str, str] = NAMES,
    similarity: float | None = None,
    size: tuple[float, float] = COMPARE_SIZE,
) -> Figure:
    """Draw two songs: their mean scores in pairs, and their scores over time.

    Parameters
    ----------
    first, second : ScoreSeries
        With the same classes and at least one segment each.
    titles : tuple of str
        Names of the songs; any text.
    similarity : float, optional
        Written in the corner, if known.
    size : tuple of float
        Width and height in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    ShapeError
        If the classes differ.
    InputError
        If a series has no segment, or as for `new_figure`.
    """
    if first.classes != second.classes:
        raise ShapeError("the songs were scored for different classes; use the same heads for both")
    if not (len(first) and len(second)):
        raise InputError("cannot draw a series without segments")
    pairs = list(zip(heads_of(first), heads_of(second), strict=True))
    heights = [
        AREA if len(head.classes) <= MOST_AREAS else max(AREA, PAIR_ROW * len(head.classes))
        for head, _ in pairs
        for _ in NAMES
    ]
    with house_style():
        figure = new_figure(*size)
        grid = figure.add_gridspec(len(heights), 3, height_ratios=heights, width_ratios=PAIR_WIDTHS)
        _draw_pairs(figure.add_subplot(grid[:, 0]), first, second)
        end_s = max(float(edges_s(series)[-1]) for series in (first, second))
        for number, pair in enumerate(pairs):
            rows = [2 * number, 2 * number + 1]
            panels = [figure.add_subplot(grid[row, 1]) for row in rows]
            beside = figure.add_subplot(grid[rows[0] : rows[1] + 1, 2])
            _draw_head_pair(panels, beside, pair, (first, second))
            for axes in panels:
                time_axis(axes, end_s, label=axes is panels[-1] and number == len(pairs) - 1)
        lines = [
            f"{name}: {drawable(title)}  ({clock(float(edges_s(series)[-1]))})"
            for name, title, series in zip(NAMES, titles, (first, second), strict=True)
        ]
        if similarity is not None:
            text = f"similarity {similarity:.2f}"
            figure.text(0.99, 0.98, text, ha="right", va="top", fontsize=TITLE_PT + 2)
        finish(figure, "\n".join(lines))
    return figure


def _draw_pairs(axes: Any, first: ScoreSeries, second: ScoreSeries) -> None:
    """Draw the mean scores of both songs, one line per class, largest excess of A on top."""
    means = np.stack([s.scores.mean(axis=0, dtype=np.float64) for s in (first, second)])
    order = np.argsort(means[0] - means[1], kind="stable")
    places = np.arange(len(order))
    axes.hlines(places, *means[:, order], color="#BBBBBB", linewidth=2, zorder=1)
    for values, colour, marker, area, name in zip(means, PAIR, "os", (72, 26), NAMES, strict=True):
        axes.scatter(  # smaller for B, so that A stays visible where they coincide
            values[order], places, color=colour, marker=marker, s=area, label=name, zorder=2,
            edgecolor="white", linewidth=0.5,
        )  # fmt: skip
    axes.set_yticks(places, [display_name(first.classes[n].partition("/")[2]) for n in order])
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.6, len(order) - 0.4), xlabel="mean score (0 to 1)")
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.set_title("mean scores")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.1)


def _draw_head_pair(
    panels: list[Any],
    beside: Any,
    pair: tuple[HeadSeries, HeadSeries],
    series: tuple[ScoreSeries, ScoreSeries],
) -> None:
    """Draw one head of both songs, one below the other, with the same order of classes."""
    order = by_mean(pair[0].means + pair[1].means)
    beside.set_axis_off()
    mesh = None
    for axes, head, of, name in zip(panels, pair, series, NAMES, strict=True):
        mesh = draw_head(axes, edges_s(of), head, order)
        axes.annotate(name, (1.01, 0.5), xycoords="axes fraction", va="center", fontweight="bold")
        axes.tick_params(labelsize=SMALL_PT)
    panels[0].set_title(f"{display_name(pair[0].head)}: score of each segment")
    if mesh is None:
        area_legend(beside, pair[0])
    else:
        heat_bar(beside, mesh, (0.25, 0.2, 0.1, 0.6))
