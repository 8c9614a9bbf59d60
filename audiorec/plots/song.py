"""Draw one song: its waveform and its scores over time.

ScoreSeries (T, H), `Envelope`  ──song_figure──▶  one panel for the waveform, one for each head
"""

from typing import TYPE_CHECKING

from audiorec.errors import InputError
from audiorec.files.visible import clock
from audiorec.plots.figures import finish, new_figure
from audiorec.plots.panels import (
    FEW,
    area_legend,
    by_mean,
    display_name,
    draw_head,
    draw_waveform,
    edges_s,
    heads_of,
    heat_bar,
    strip_means,
    time_axis,
)
from audiorec.plots.style import drawable, house_style
from audiorec.types import Envelope, ScoreSeries

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SONG_SIZE = (11.0, 7.0)  # inches
WIDTHS = (1.0, 0.2)  # relative: panels, legends
ROW, SHORTEST = 0.26, 1.3  # relative heights: a row of a heat map, any other panel


def song_figure(
    series: ScoreSeries,
    envelope: Envelope | None = None,
    *,
    title: str = "",
    size: tuple[float, float] = SONG_SIZE,
) -> "Figure":
    """Draw the scores of a song over time, below its waveform.

    Parameters
    ----------
    series : ScoreSeries
        With at least one segment; scores from 0 to 1.
    envelope : Envelope, optional
        If omitted, no waveform is drawn.
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
    MissingExtraError
        If matplotlib is not installed.
    """
    if not len(series):
        raise InputError("cannot draw a series without segments")
    heads = heads_of(series)
    edges = edges_s(series)
    end_s = max(float(edges[-1]) if envelope is None else 0.0, getattr(envelope, "duration_s", 0.0))
    heights = [SHORTEST] if envelope is not None else []
    heights += [max(SHORTEST, ROW * len(h.classes) * (len(h.classes) > FEW)) for h in heads]
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
