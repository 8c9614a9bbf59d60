"""The scores and tags of one song, for a person: printed, as HTML or a DataFrame.

path ──scores, taggram──▶ `SongScores`
──print──▶ each class: its mean score, and a bar chart over time
──to_pandas──▶ one row per segment
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from audiorec.extraction.reader import song_of, tags_of
from audiorec.files.visible import ShownAsTable, TableView, clock
from audiorec.types import FloatArray, ScoreSeries

if TYPE_CHECKING:
    from audiorec.audio.sniff import PathLike

MOST_CLASSES = 14  # shown per head, highest mean score first
BARS = 40  # per chart; for a longer song each bar is the mean of several segments
LEVELS = "▁▂▃▄▅▆▇█"
COLUMNS = ("class", "mean", "over time")


class SongScores(ShownAsTable, ScoreSeries):
    """Scores of a song over time that can be printed.

    Examples
    --------
    >>> scores = np.float32([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9], [0, 1]])
    >>> SongScores(scores, np.float32([0, 3, 6, 9]), ("version/vocal", "version/other"))
    4 segments from 0:00 to 0:12, 2 classes
    class          mean   over time
    version/other  0.625  ▁▅██
    version/vocal  0.375  █▅▁▁
    """

    __slots__ = ()

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame` with rows indexed by ``start_s`` and a column per class.

        Raises
        ------
        MissingExtraError
            Without pandas.
        """
        from audiorec.files.arrow import pandas_frame  # late: it loads pyarrow

        columns = {name: self.scores[:, i] for i, name in enumerate(self.classes)}
        return pandas_frame(columns, index=("start_s", self.start_s))

    def _view(self) -> TableView:
        rows = _rows(self)
        count = len(self.classes) if rows else 0
        return TableView(_title(self), COLUMNS, rows, count)


def scores(path: "PathLike") -> SongScores:
    """Return the score series of one audio file: one row every three seconds.

    Parameters
    ----------
    path : path
        As for `audiorec.vector`.

    Returns
    -------
    series : SongScores
        ``scores`` (T, 14), ``start_s`` (T,) and ``classes``, the 14 column names.

    Raises
    ------
    SongError
        As for `audiorec.vector`.

    Examples
    --------
    >>> import audiorec
    >>> series = audiorec.scores("fixtures/audio/jazz-vibraphone.mp3")
    >>> series.scores.shape[1], series.classes[:2]
    (14, ('version/vocal', 'version/instrumental'))
    """
    return shown(song_of(path).series)


def taggram(path: "PathLike") -> SongScores:
    """Return the backbone's own tags for one audio file: one row every three seconds.

    Parameters
    ----------
    path : path
        As for `audiorec.vector`.

    Returns
    -------
    series : SongScores
        Independent tag probabilities (T, 50): rows do not sum to 1.

    Raises
    ------
    SongError
        As for `audiorec.vector`.
    """
    return shown(tags_of(path))


def shown(series: ScoreSeries) -> SongScores:
    """Return a series as one that can be printed."""
    return SongScores(series.scores, series.start_s, series.classes)


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


def _rows(series: ScoreSeries) -> list[tuple[object, ...]]:
    """Return a row for each class shown: the likeliest of each head."""
    rows: list[tuple[object, ...]] = []
    for columns in _heads(series.classes) if len(series) else ():
        means = series.scores[:, columns].mean(axis=0, dtype=np.float64)
        for place in np.argsort(-means, kind="stable")[:MOST_CLASSES]:
            column = columns[place]
            values = series.scores[:, column]
            rows.append((series.classes[column], float(means[place]), bar_chart(values)))
    return rows


def _heads(classes: tuple[str, ...]) -> Iterator[list[int]]:
    """Yield the columns of each head, in head order."""
    heads: dict[str, list[int]] = {}
    for column, name in enumerate(classes):
        heads.setdefault(name.partition("/")[0] if "/" in name else "", []).append(column)
    yield from heads.values()
