"""`audiorec_plots.songs`: two songs, and where they differ."""

import numpy as np
import pytest
from needs import needs
from seen_texts import check_texts

needs("audiorec_plots")

from audiorec.errors import InputError, ShapeError
from audiorec.types import ScoreSeries
from audiorec_plots.figures import picture_bytes
from audiorec_plots.songs import compare_figure

CLASSES = ("version/vocal", "version/other", *(f"genre/g{n}" for n in range(5)))


def series(*rows, classes=CLASSES):
    scores = np.asarray(rows, np.float32)
    return ScoreSeries(scores, 3 * np.arange(len(rows), dtype=np.float32), classes)


FIRST = series([0.8, 0.2, 0.1, 0.2, 0.3, 0.4, 0.0], [0.6, 0.4, 0.3, 0.2, 0.1, 0.4, 0.0])
SECOND = series([0.1, 0.9, 0.5, 0.2, 0.1, 0.1, 0.1])


def test_pairs_are_the_means_sorted_by_their_difference():
    axes = compare_figure(FIRST, SECOND).axes[0]
    lines, first, second = axes.collections
    # A - B by hand: 0.6, -0.6, -0.3, 0, 0.1, 0.3, -0.1; drawn upwards.
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["other", "g0", "g4", "g1", "g2", "g3", "vocal"]
    means = {"vocal": 0.7, "other": 0.3, "g0": 0.2, "g1": 0.2, "g2": 0.2, "g3": 0.4, "g4": 0.0}
    assert np.asarray(first.get_offsets())[:, 0] == pytest.approx([means[name] for name in names])
    theirs = [0.9, 0.5, 0.1, 0.2, 0.1, 0.1, 0.1]
    assert np.asarray(second.get_offsets())[:, 0] == pytest.approx(theirs)
    ends = np.array([sorted(path.vertices[:, 0]) for path in lines.get_paths()])
    assert ends[0] == pytest.approx([0.3, 0.9])


def test_both_songs_have_one_clock_and_one_order_of_classes():
    figure = compare_figure(FIRST, SECOND)
    timed = [axes for axes in figure.axes if axes.get_xlim() == (0, 6)]
    assert len(timed) == 4
    meshes = [axes.collections[0] for axes in timed[2:]]
    order = [[label.get_text() for label in axes.get_yticklabels()] for axes in timed[2:]]
    assert order[0] == order[1]
    assert order[0][-1] == "g0"  # 0.2 + 0.5: the most of both together
    rows = [CLASSES.index(f"genre/{name}") for name in order[0]]
    for of, mesh in zip((FIRST, SECOND), meshes, strict=True):
        cells = np.asarray(mesh.get_array()).reshape(5, len(of))
        assert cells == pytest.approx(of.scores.T[rows])


def test_names_and_similarity_are_written():
    figure = compare_figure(FIRST, SECOND, titles=("one $x$", "two\n"), similarity=0.834)
    assert figure.get_suptitle() == "A: one $x$  (0:06)\nB: two\\n  (0:03)"
    assert "similarity 0.83" in [text.get_text() for text in figure.texts]
    check_texts(figure)
    assert len(compare_figure(FIRST, SECOND).texts) == 1


def test_the_same_songs_give_the_same_bytes():
    figures = [compare_figure(FIRST, SECOND) for _ in range(2)]
    assert len({picture_bytes(figure, "svg") for figure in figures}) == 1
    # Their last bits are the solver's, and not the same in every run.
    for axes in figures[0].axes:
        assert [round(value, 6) for value in axes.get_position().bounds] == pytest.approx(
            axes.get_position().bounds, abs=1e-15
        )


def test_what_cannot_be_compared_is_refused():
    other = series([0.5, 0.5], classes=("version/vocal", "version/instrumental"))
    with pytest.raises(ShapeError, match="different classes"):
        compare_figure(FIRST, other)
    empty = ScoreSeries(np.zeros((0, 7), np.float32), np.zeros(0, np.float32), CLASSES)
    for pair in ((FIRST, empty), (empty, FIRST)):
        with pytest.raises(InputError, match="without segments"):
            compare_figure(*pair)
