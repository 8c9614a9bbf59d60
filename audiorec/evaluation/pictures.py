"""Draw reports: confusion and reliability.

    Report ──draw──▶ one PNG with confusion and reliability

Needs matplotlib (extra ``plot``); draws to memory, never to a window.
"""

import io
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
