"""`audiorec.evaluation.pictures`: the report, drawn."""

import io

import numpy as np
import pytest
from needs import needs

from audiorec.errors import MissingExtraError
from audiorec.evaluation.classification import report
from audiorec.evaluation.pictures import draw

CLASSES = ("calm", "wild", "odd")


def a_report(n_classes=3):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, n_classes, 60)
    scores = rng.dirichlet(np.full(n_classes, 0.4), 60)
    tracks = [f"t{i // 2}" for i in range(60)]
    classes = [f"class {c}" for c in range(n_classes)]
    return report(scores, labels, tracks, classes=classes, rng=rng, samples=20)


def test_the_reliability_points_are_in_the_report():
    # Three rows at 0.95 (two right), one at 0.5 (wrong).
    scores = np.array([[0.95, 0.05], [0.95, 0.05], [0.05, 0.95], [0.5, 0.5]])
    found = report(
        scores, np.array([0, 1, 1, 1]), list("abcd"), classes="xy", rng=np.random.default_rng(0)
    )
    assert [point[2] for point in found.reliability] == [1, 3]
    assert found.reliability[0][:2] == pytest.approx((0.5, 0.0))
    assert found.reliability[1][:2] == pytest.approx((0.95, 2 / 3))
    assert found.to_dict()["reliability"][1] == pytest.approx([0.95, 2 / 3, 3])


@pytest.mark.parametrize("n_classes", [2, 3, 16])
def test_draws_a_png_that_shows_something(n_classes):
    matplotlib = needs("matplotlib")
    png = draw(a_report(n_classes), title="mood, by song")
    picture = matplotlib.image.imread(io.BytesIO(png))
    height, width = picture.shape[:2]
    assert width > height > 300
    # Both halves hold ink, and the matrix has dark cells.
    assert picture[:, : width // 2, :3].min() < 0.5
    assert picture[:, width // 2 :, :3].std() > 0.01


def test_the_same_report_gives_the_same_picture():
    needs("matplotlib")
    assert draw(a_report(), title="a") == draw(a_report(), title="a")
    assert draw(a_report(), title="a") != draw(a_report(), title="b")


def test_says_which_extra_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r'needs the extra "plot"'):
        draw(a_report(), title="mood")
