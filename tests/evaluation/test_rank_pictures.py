"""`audiorec.evaluation.pictures`: channels side by side."""

import io

import numpy as np
import pytest
from needs import needs

from audiorec.errors import MissingExtraError
from audiorec.evaluation.classification import Interval
from audiorec.evaluation.pictures import draw_channels

ROWS = {
    "vs-knn": {"recall@20": Interval(0.2, 0.18, 0.22), "gini": 0.9, "popularity": 40.0},
    "rules $x$": {"recall@20": Interval(0.1, 0.09, 0.12), "gini": float("nan")},
}


def picture(rows, title="split time"):
    needs("matplotlib")
    from matplotlib.image import imread

    return imread(io.BytesIO(draw_channels(rows, title=title)))


def test_draws_a_panel_a_measure():
    drawn = picture(ROWS)
    height, width = drawn.shape[:2]
    assert width > height > 150
    thirds = np.array_split(drawn[..., :3], 3, axis=1)
    assert all(third.min() < 0.5 for third in thirds)


def test_a_higher_value_stands_further_right():
    needs("matplotlib")

    def dots(value):  # of the blue of intervals
        rows = {"a": {"m": Interval(value, value - 0.01, value)}, "b": {"m": Interval(1, 1, 1)}}
        drawn = picture(rows)[..., :3]
        blue = np.argwhere(np.abs(drawn - [31 / 255, 119 / 255, 180 / 255]).max(axis=2) < 0.05)
        return blue[blue[:, 0] < np.median(blue[:, 0]), 1].mean()

    assert dots(0.2) < dots(0.8)


def test_the_same_figures_give_the_same_picture():
    needs("matplotlib")
    assert draw_channels(ROWS, title="a") == draw_channels(ROWS, title="a")
    assert draw_channels(ROWS, title="a") != draw_channels(ROWS, title="b")


def test_odd_names_are_drawn():
    one = picture({"\x1b[2J" + "x" * 300: {"m": 1.0}}, title="a $\x07 \n b")
    assert one.size != picture({}).size


def test_says_which_extra_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r'needs the extra "plot"'):
        draw_channels(ROWS, title="x")
