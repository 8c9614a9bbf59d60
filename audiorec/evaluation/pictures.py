"""Draw reports: confusion, reliability, and what a fusion trades for accuracy.

    Report                ──draw────────────▶ one PNG with confusion and reliability
    settings of a fusion  ──draw_trade_off──▶ one PNG: accuracy against list statistics

Needs matplotlib (extra ``plot``); draws to memory, never to a window.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from audiorec.errors import import_extra
from audiorec.evaluation.classification import Report
from audiorec.files.visible import visible

WIDTH_IN, HEIGHT_IN, DPI = 11.0, 4.8, 110  # inches, dots per inch
DARK = 0.55  # share of a row above which white text is more readable
MOST_PRINTED = 15  # most classes for which cells have room for counts


def draw(report: Report, *, title: str) -> bytes:
    """Draw the confusion matrix and the reliability diagram side by side, as a PNG.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    # Figure without pyplot: needs no window system and keeps no global state.
    figure = require_figure()(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_confusion(left, report)
    _draw_reliability(right, report)
    figure.suptitle(visible(title), parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def require_figure() -> Any:
    """Return matplotlib's Figure; call it before long work, so that a missing extra fails early.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    return import_extra("matplotlib.figure", "a picture", "plot").Figure


def _draw_confusion(axes: Any, report: Report) -> None:
    """Colour each row by its shares, and print the counts if there is room."""
    counts = report.confusion.astype(np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    places, names = range(len(report.classes)), [visible(name) for name in report.classes]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    # No math mode: a class name may contain dollar signs.
    axes.set_xticks(places, names, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(places, names, parse_math=False)
    axes.set(xlabel="predicted class", ylabel="class", title=f"accuracy {report.accuracy}")
    if len(names) > MOST_PRINTED:
        return
    for (i, j), share in np.ndenumerate(shares):
        text = str(report.confusion[i, j])
        colour = "white" if share > DARK else "black"
        axes.text(j, i, text, ha="center", va="center", color=colour)


def _draw_reliability(axes: Any, report: Report) -> None:
    """Draw accuracy over confidence, with dots sized by their number of rows."""
    confidence, right, rows = np.array(report.reliability, np.float64).T
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--")
    axes.plot(confidence, right, color="C0")
    sizes = 12 + 180 * rows / rows.sum()
    axes.scatter(confidence, right, s=sizes, color="C0")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
    axes.set_title(f"expected calibration error {report.ece:.3f}")


TRADE_IN = 3.6  # inches of a panel
TRADED = {  # list statistics that are traded against accuracy
    "popularity": "mean plays of a song",
    "diversity_genre": "share of pairs of different genres",
    "diversity_artist": "share of pairs of different artists",
    "new": "share of songs without plays",
}


def draw_trade_off(settings: Mapping[str, Mapping[str, float]], measure: str) -> bytes | None:
    """Draw accuracy against list statistics over settings, as a PNG; None if nothing is traded.

    Parameters
    ----------
    settings : mapping of str to mapping of str to float
        Figures by setting, including `measure`. Each figure in `TRADED` has a panel with one line
        per dial and the measure on the y axis.
    measure : str

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    traded = [name for name in TRADED if any(name in of for of in settings.values())]
    if not traded:
        return None
    figure = require_figure()(figsize=(TRADE_IN * len(traded), TRADE_IN), layout="constrained")
    panels = figure.subplots(1, len(traded), sharey=True, squeeze=False).ravel()
    for panel, name in zip(panels, traded, strict=True):
        for number, (dial, values) in enumerate(_by_dial(settings).items()):
            shown = [(text, of[name], of[measure]) for text, of in values if name in of]
            if not shown:
                continue
            xs, ys = [x for _, x, _ in shown], [y for _, _, y in shown]
            look = "*" if dial == "chosen" else "o-"
            size = 14 if dial == "chosen" else 4
            label = visible(dial)
            panel.plot(xs, ys, look, color=f"C{number}", markersize=size, label=label)
            text, x, y = shown[-1]
            panel.annotate(
                text, (x, y), xytext=(4, 3), textcoords="offset points", fontsize="x-small"
            )
        panel.set_xlabel(TRADED[name])
        panel.margins(x=0.15, y=0.1)
        panel.grid(color="0.9")
        panel.set_axisbelow(True)
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=len(names), fontsize="small")
    panels[0].set_ylabel(visible(measure), parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _by_dial(
    settings: Mapping[str, Mapping[str, float]],
) -> dict[str, list[tuple[str, Mapping[str, float]]]]:
    """Group settings by dial: ``popularity 0.1`` and ``popularity 0.2`` together."""
    result: dict[str, list[tuple[str, Mapping[str, float]]]] = {}
    for name, of in settings.items():
        dial, _, value = name.rpartition(" ")
        is_number = value.replace(".", "", 1).isdigit()
        key, text = (dial, value) if dial and is_number else (name, "")
        if any(figure in of for figure in TRADED):
            result.setdefault(key, []).append((text, of))
    return result
