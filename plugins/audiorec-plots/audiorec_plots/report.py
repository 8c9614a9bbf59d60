"""Draw reports of recall channels side by side, each measure with its interval; or a correlation.

{name: {measure: `Interval` or number}}  ──report_figure──▶  a panel per measure, a line per channel
documents of recall evaluate, compare    ──report_rows────▶  the mapping above
a document of listening correlate  ──correlation_figure──▶  users by r, beside shuffled completions
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from audiorec.errors import DamagedFileError, InputError
from audiorec.evaluation.classification import Interval
from audiorec_plots.figures import INK, PAIR, REST, drawable, finish, house_style, new_figure

CORRELATION = "audiorec/correlation/1"
CORRELATION_SIZE = (7.0, 4.2)  # inches
FORMS = ("audiorec/recall-evaluate/1", "audiorec/recall-compare/1")
MEASURES = ("hit_rate", "recall", "ndcg", "mrr")
SPREAD = ("popularity", "gini", "coverage")
ACROSS = 4  # panels per row
PANEL_IN, LINE_IN, FRAME_IN = 2.9, 0.3, 1.0  # inches: panel width, line height, titles and axes
LONGEST_NAME = 32
Figures = Mapping[str, Mapping[str, Interval | float]]


def report_rows(reports: Sequence[tuple[str, Any]]) -> tuple[Figures, int]:
    """Return the figures of all channels in some reports, for the longest lists that all have.

    Parameters
    ----------
    reports : sequence of (str, object)
        A name, and the parsed output of ``recall evaluate --json``. With several reports,
        channels are labelled with both names.

    Returns
    -------
    figures : mapping
        By channel and measure.
    size : int
        Length of the lists.

    Raises
    ------
    DamagedFileError
        If a document is not such a report.
    InputError
        If the reports have no list length in common.
    """
    result: dict[str, Mapping[str, Any]] = {}
    for name, document in reports:
        for channel in _channels(name, document):
            own = str(channel["channel"])
            result[f"{own} ({name})" if len(reports) > 1 else own] = channel
    sizes = (
        set.intersection(*({*_sizes(channel)} for channel in result.values())) if result else set()
    )
    if not sizes:
        raise InputError("lists of one length are not in all reports")
    size = max(sizes)
    return {name: _figures(channel, size) for name, channel in result.items()}, size


def report_figure(figures: Figures, *, title: str) -> Figure:
    """Draw figures by channel and measure, channels from top to bottom in the given order.

    An `Interval` is drawn as a dot with its interval, a number as a bar; missing values are blank.

    Raises
    ------
    InputError
        If there is nothing to draw.
    """
    names = list(figures)
    measures = list(next(iter(figures.values()), {}))
    if not names or not measures:
        raise InputError("the reports hold no figures to draw")
    across = min(ACROSS, len(measures))
    down = -(-len(measures) // across)
    size = (PANEL_IN * across + 1.5, down * (FRAME_IN + LINE_IN * len(names)) + 0.5)
    with house_style():
        figure = new_figure(*size)
        panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
        for panel, measure in zip(panels, measures, strict=False):
            _draw(panel, measure, [figures[name].get(measure) for name in names])
        for panel in panels[len(measures) :]:
            panel.set_visible(False)
        labels = [drawable(name, longest=LONGEST_NAME) for name in names]
        panels[0].set_yticks(range(len(names)), labels)
        panels[0].invert_yaxis()
        finish(figure, drawable(title))
    return figure


def correlation_figure(name: str, document: Mapping[str, Any]) -> Figure:
    """Draw the histogram of r over the users, with that of shuffled completions.

    Parameters
    ----------
    name : str
        Named by an error.
    document : mapping
        The parsed output of ``listening correlate --json``.

    Raises
    ------
    DamagedFileError
        If the document has no histogram.
    """
    try:
        edges, users, shuffled = (
            np.asarray(document["histogram"][key], np.float64)
            for key in ("edges", "users", "shuffled")
        )
        share, chance = document["share_positive"], document["shuffled_completions"]
        shares = f"r > 0 for {share:.1%}, by chance for {chance['share_positive']:.1%}"
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{name}: has no histogram to draw") from error
    if not (edges.ndim == 1 and users.shape == shuffled.shape == (len(edges) - 1,)):
        raise DamagedFileError(f"{name}: its histogram is cut off")
    with house_style():
        figure = new_figure(*CORRELATION_SIZE)
        axes = figure.subplots()
        wide = np.diff(edges)
        axes.bar(edges[:-1], users, wide, align="edge", color=PAIR[0], label="users")
        axes.stairs(shuffled, edges, color=INK, linewidth=1.5, label="completions shuffled")
        axes.axvline(0.0, color=INK, linewidth=0.8, linestyle=":")
        axes.set_title(shares + ("; simulated listening" if document.get("simulated") else ""))
        axes.set_xlabel("r between completion of new songs and similarity to favourites")
        axes.set_ylabel("users")
        axes.legend(loc="upper left")  # "best" warns where a machine is slow
        finish(figure, f"{int(users.sum()):,} users")
    return figure


def _channels(name: str, document: Any) -> list[Mapping[str, Any]]:
    if not isinstance(document, dict) or document.get("schema") not in FORMS:
        raise DamagedFileError(
            f"{name}: not a report; write one: audiorec recall evaluate CHANNEL -i LOG --json"
        )
    channels = document.get("channels", [document])
    good = isinstance(channels, list) and all(
        isinstance(c, dict) and isinstance(c.get("measures"), dict) and "channel" in c
        for c in channels
    )
    if not good or not channels:
        raise DamagedFileError(f"{name}: has no channels to draw")
    return list(channels)


def _sizes(channel: Mapping[str, Any]) -> list[int]:
    result = channel["measures"].get("recall")
    keys = result if isinstance(result, dict) else {}
    return [int(key) for key in keys if key.isascii() and key.isdigit() and len(key) < 9]


def _figures(channel: Mapping[str, Any], k: int) -> dict[str, Interval | float]:
    figures: dict[str, Interval | float] = {}
    for name in MEASURES:
        by_size = channel["measures"].get(name)
        values = by_size.get(str(k)) if isinstance(by_size, dict) else None
        if isinstance(values, list) and len(values) == 3 and all(map(_is_number, values)):
            figures[f"{name}@{k}"] = Interval(*map(float, values))
    figures |= {n: float(channel[n]) for n in SPREAD if _is_number(channel.get(n))}
    return figures


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _draw(panel: Any, measure: str, values: Sequence[Interval | float | None]) -> None:
    for line, value in enumerate(values):
        if isinstance(value, Interval):
            panel.plot([value.low, value.high], [line, line], color=PAIR[0], linewidth=2)
            panel.plot([value.value], [line], "o", color=PAIR[0], clip_on=False)
        elif value is not None:
            panel.barh(line, value, height=0.55, color=REST)
    panel.set_title(measure.replace("_", " "))
    panel.set_xlim(left=0)
    panel.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.margins(x=0.05)
