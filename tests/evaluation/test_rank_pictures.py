"""`audiorec.evaluation.pictures`: what a fusion trades for accuracy."""

import io

import pytest
from needs import needs

from audiorec.errors import MissingExtraError
from audiorec.evaluation.pictures import draw_trade_off

TRIED = {
    "popularity 0.1": {"ndcg@10": 0.30, "popularity": 40.0},
    "popularity 0.2": {"ndcg@10": 0.25, "popularity": 20.0},
    "\x1b[2J $x$ chosen": {"ndcg@10": 0.28, "popularity": 30.0},
}


def test_a_dial_is_a_line_and_odd_names_are_drawn():
    needs("matplotlib")
    from matplotlib.image import imread

    drawn = imread(io.BytesIO(draw_trade_off(TRIED, "ndcg@10")))
    assert min(drawn.shape[:2]) > 150
    assert drawn[..., :3].min() < 0.5
    assert draw_trade_off(TRIED, "ndcg@10") == draw_trade_off(TRIED, "ndcg@10")
    fewer = {name: of for name, of in TRIED.items() if name != "popularity 0.2"}
    assert draw_trade_off(TRIED, "ndcg@10") != draw_trade_off(fewer, "ndcg@10")


def test_nothing_is_drawn_if_nothing_is_traded():
    assert draw_trade_off({"a": {"ndcg@10": 0.3}}, "ndcg@10") is None


def test_says_which_extra_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r'needs the extra "plot"'):
        draw_trade_off(TRIED, "ndcg@10")
