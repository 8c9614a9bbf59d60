"""A report as pictures: which classes are taken for which, and whether confidence is kept.

    Report  ──draw──▶ one PNG: the confusion matrix, and the reliability diagram

Needs matplotlib, which the extra ``plot`` brings; it draws to memory, never to a window.
"""

import io
from typing import Any

import numpy as np

from audiorec.errors import MissingExtraError
from audiorec.evaluation.classification import Report
from audiorec.files.visible import visible

WIDTH_IN, HEIGHT_IN, DPI = 11.0, 4.8, 110  # inches and dots an inch
DARK = 0.55  # of a row: above, white figures are read better
MOST_PRINTED = 15  # classes whose cells still have room for a figure


def draw(report: Report, *, title: str) -> bytes:
    """Draw the confusion matrix and the reliability diagram side by side, as a PNG.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    # A figure of its own, without pyplot: no window system, nothing kept between calls.
    figure = require_figure()(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_confusion(left, report)
    _draw_reliability(right, report)
    figure.suptitle(visible(title), parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def require_figure() -> Any:
    """Return matplotlib's Figure; asked before long work, so that it is not lost.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("pictures", "plot", str(error)) from error
    return Figure


def _draw_confusion(axes: Any, report: Report) -> None:
    """Colour each row by its shares, and print the counts where there is room."""
    counts = report.confusion.astype(np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    places, names = range(len(report.classes)), [visible(name) for name in report.classes]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    # Not as formulas: a class may have dollar signs in its name.
    axes.set_xticks(places, names, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(places, names, parse_math=False)
    axes.set(xlabel="answer", ylabel="class", title=f"accuracy {report.accuracy}")
    if len(names) > MOST_PRINTED:
        return
    for (i, j), share in np.ndenumerate(shares):
        text = str(report.confusion[i, j])
        colour = "white" if share > DARK else "black"
        axes.text(j, i, text, ha="center", va="center", color=colour)


def _draw_reliability(axes: Any, report: Report) -> None:
    """Draw the share of right answers over the confidence, the dots sized by rows."""
    confidence, right, rows = np.array(report.reliability, np.float64).T
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--")
    axes.plot(confidence, right, color="C0")
    sizes = 12 + 180 * rows / rows.sum()
    axes.scatter(confidence, right, s=sizes, color="C0")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share of right answers")
    axes.set_title(f"expected calibration error {report.ece:.3f}")
