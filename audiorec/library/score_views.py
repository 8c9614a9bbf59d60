"""Display a score series as text, HTML, a DataFrame or a figure.

    `ScoreSeries` ──text, html──▶ each class: its mean score, and a bar chart over time
                  ──frame──▶ one row per segment     ──figure──▶ scores over time

`ScoreSeries` itself calls these functions: ``print(series)``, ``series.plot()``.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from audiorec.files.frames import pandas_frame
from audiorec.files.text_tables import clock, html_table, text_table
from audiorec.types import FloatArray, ScoreSeries

MOST_CLASSES = 14  # shown per head, highest mean score first
BARS = 40  # per chart; for a longer song each bar is the mean of several segments
LEVELS = "▁▂▃▄▅▆▇█"
COLUMNS = ("class", "mean", "over time")


def text(series: ScoreSeries) -> str:
    """Return the classes of each head, highest mean score first, with bar charts over time.

    Examples
    --------
    >>> scores = np.float32([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9], [0, 1]])
    >>> ScoreSeries(scores, np.float32([0, 3, 6, 9]), ("version/vocal", "version/other"))
    4 segments from 0:00 to 0:12, 2 classes
    class          mean   over time
    version/other  0.625  ▁▅██
    version/vocal  0.375  █▅▁▁
    """
    rows, more = _rows(series)
    lines = [_title(series), *([text_table(COLUMNS, rows)] if rows else [])]
    return "\n".join([*lines, *([f"… {more} more classes"] if more else [])])


def figure(series: ScoreSeries, *, title: str = "") -> Any:
    """Return a matplotlib figure of the scores over time."""
    from audiorec.plots.figures import require_plots
    from audiorec.plots.song import song_figure

    require_plots()
    return song_figure(series, title=title)


def html(series: ScoreSeries) -> str:
    """Return the content of `text` as an HTML table; class names are escaped."""
    rows, more = _rows(series)
    title = _title(series) + (f", {more} of them not shown" if more else "")
    return html_table(COLUMNS, rows, caption=title)


def frame(series: ScoreSeries) -> Any:
    """Return a `pandas.DataFrame`: a row per segment, indexed by ``start_s``, column per class."""
    columns = {name: series.scores[:, i] for i, name in enumerate(series.classes)}
    return pandas_frame(columns, index=("start_s", series.start_s))


def bar_chart(values: FloatArray) -> str:
    """Return scores from 0 to 1, in temporal order, as a bar chart of at most 40 characters.

    Examples
    --------
    >>> bar_chart(np.float32([0, 0.5, 1])), len(bar_chart(np.ones(1000, np.float32)))
    ('▁▅█', 40)
    """
    bars = values.astype(np.float64)
    if len(bars) > BARS:
        starts = np.arange(BARS) * len(bars) // BARS
        bars = np.add.reduceat(bars, starts) / np.diff(starts, append=len(bars))
    heights = np.clip(np.nan_to_num(bars) * len(LEVELS), 0, len(LEVELS) - 1).astype(int)
    return "".join(LEVELS[height] for height in heights)


def _title(series: ScoreSeries) -> str:
    n = len(series)
    title = f"{n} segment{'s' * (n != 1)}"
    if n > 1:
        end = series.start_s[-1] + np.median(np.diff(series.start_s))
        title += f" from {clock(float(series.start_s[0]))} to {clock(float(end))}"
    return f"{title}, {len(series.classes)} classes"


def _rows(series: ScoreSeries) -> tuple[list[tuple[object, ...]], int]:
    """Return a row for each class shown, and the number of classes left out."""
    rows: list[tuple[object, ...]] = []
    for columns in _heads(series.classes) if len(series) else ():
        means = series.scores[:, columns].mean(axis=0, dtype=np.float64)
        for place in np.argsort(-means, kind="stable")[:MOST_CLASSES]:
            column = columns[place]
            values = series.scores[:, column]
            rows.append((series.classes[column], float(means[place]), bar_chart(values)))
    return rows, len(series.classes) - len(rows) if rows else 0


def _heads(classes: tuple[str, ...]) -> Iterator[list[int]]:
    """Yield the columns of each head, in head order."""
    heads: dict[str, list[int]] = {}
    for column, name in enumerate(classes):
        heads.setdefault(name.partition("/")[0] if "/" in name else "", []).append(column)
    yield from heads.values()
