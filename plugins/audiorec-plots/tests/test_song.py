"""`audiorec_plots.songs`: what is drawn is what was measured."""

import io
import warnings
from xml.dom import minidom

import numpy as np
import pytest
from needs import needs
from seen_texts import check_texts

needs("audiorec_plots")

from audiorec.errors import InputError
from audiorec.types import Envelope, ScoreSeries
from audiorec_plots.figures import edges_s, picture_bytes
from audiorec_plots.songs import song_figure
from audiorec_plots.sound import Spectrogram

FEW = ("version/vocal", "version/other")
MANY = tuple(f"genre/{name}" for name in ("blues", "jazz", "folk_song", "pop", "rock"))
HOSTILE = {
    "a tag": "<script>1</script>",
    "no formula": "$\\undefined{1}$",
    "half a formula": "$x^{",
    "letters that no font has": "日本 \U0001f3b5",
    "lines": "one\ntwo\r\n",
    "directions": "\u202egpj\u2066",
    "controls": "\x1b[2J\x00",
    "an end of a comment": "a --> b --",
    "an end of a section": "]]> &amp; &#0;",
    "lone surrogates": "caf\udce9",
}


def series(n=4, classes=(*FEW, *MANY), step=3.0):
    rng = np.random.default_rng(5)
    few = rng.dirichlet(np.ones(2), n)
    many = rng.dirichlet(np.ones(5), n)
    scores = np.hstack([few, many])[:, : len(classes)].astype(np.float32)
    return ScoreSeries(scores, step * np.arange(n, dtype=np.float32), classes)


def wave(seconds=12.5):
    low, high = np.float32([-0.5, -0.25, -0.1]), np.float32([0.5, 0.75, 0.2])
    return Envelope(low, high, np.float32([0.3, 0.2, 0.1]), seconds)


def panels(figure):
    """The axes with something in them, from the top; legends and scales left out."""
    return [axes for axes in figure.axes if axes.axison and axes.get_title(loc="left")]


def test_edges_are_the_starts_and_the_end():
    tail = ScoreSeries(np.zeros((3, 1), np.float32), np.float32([0, 3, 5.024]), ("a/b",))
    assert edges_s(tail) == pytest.approx([0, 3, 5.024, 5.024 + (3 + 2.024) / 2])
    assert edges_s(series(1)) == pytest.approx([0, 3])
    assert edges_s(series(3, step=1.5)) == pytest.approx([0, 1.5, 3, 4.5])


def test_a_strip_holds_the_scores_the_largest_mean_on_top():
    of = series()
    axes = panels(song_figure(of))[1]
    (mesh,) = axes.collections
    order = np.argsort(of.scores[:, 2:].mean(axis=0))  # drawn upwards
    cells = np.asarray(mesh.get_array()).reshape(5, 4)
    assert cells == pytest.approx(of.scores[:, 2:].T[order])
    assert mesh.get_clim() == (0, 1)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [MANY[n].partition("/")[2].replace("_", " ") for n in order + 0]


def test_areas_are_the_scores_on_top_of_each_other():
    of = series()
    axes = panels(song_figure(of))[0]
    lower, upper = axes.collections
    for n in range(4):
        inside = 3 * n + 1.5
        for area, low, high in (
            (lower, 0, of.scores[n, 0]),
            (upper, of.scores[n, 0], of.scores[n].tolist()[0] + of.scores[n, 1]),
        ):
            path = area.get_paths()[0]
            assert path.contains_point((inside, (low + high) / 2))
            assert not path.contains_point((inside, high + 0.01))
    assert axes.get_ylim() == (0, 1)


def test_the_waveform_is_the_envelope():
    axes = panels(song_figure(series(), wave()))[0]
    outer, inner = axes.collections
    length = 12.5 / 3
    points = {tuple(p) for p in outer.get_paths()[0].vertices.round(4)}
    for n, (low, high) in enumerate([(-0.5, 0.5), (-0.25, 0.75), (-0.1, 0.2)]):
        at = round((n + 0.5) * length, 4)
        assert {(at, round(low, 4)), (at, round(high, 4))} <= points
    bounds = inner.get_paths()[0].get_extents()
    assert (bounds.ymin, bounds.ymax) == pytest.approx((-0.3, 0.3))
    assert axes.get_xlim() == (0, 12.5)


def test_the_spectrogram_lies_below_the_waveform_and_spans_the_song():
    level = np.linspace(-90, 0, 96 * 50, dtype=np.float32).reshape(96, 50)
    figure = song_figure(series(), wave(), Spectrogram(level, 16_000, 12.5))
    _, axes, *_ = panels(figure)
    (mesh,) = axes.collections
    assert np.array_equal(np.asarray(mesh.get_array()).reshape(96, 50), level)
    assert mesh.get_clim() == (-80, 0)
    assert axes.get_xlim() == (0, 12.5)
    assert axes.get_ylabel() == "hertz"
    assert axes.get_ylim()[1] == pytest.approx(8_000, rel=0.05)


def test_titles_units_and_clock():
    figure = song_figure(series(40), wave(130), title="Ada: Engine")
    first, *_, last = panels(figure)
    assert figure.get_suptitle() == "Ada: Engine  (2:10, 40 segments)"
    assert first.get_ylabel() == "amplitude"
    assert last.get_xlabel() == "time (m:ss)"
    assert [t.get_text() for t in last.get_xticklabels()][:3] == ["0:00", "0:15", "0:30"]
    assert [axes.get_title(loc="left") for axes in panels(figure)] == [
        "waveform, mono: range and root mean square",
        "version: score of each segment",
        "genre: score of each segment",
    ]


def test_no_text_is_small_none_lies_on_another_and_none_leaves_the_picture():
    figure = song_figure(series(40), wave(120), title="A name")
    check_texts(figure)
    renderer = figure.canvas.get_renderer()
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    assert len(legends) == 1
    for legend in legends:
        for axes in panels(figure):
            assert not legend.get_window_extent(renderer).overlaps(axes.bbox)


@pytest.mark.parametrize("n", [1, 2, 4_000])
@pytest.mark.parametrize("classes", [FEW, MANY, (*FEW, *MANY), ("guitar",)])
def test_any_length_and_any_heads(n, classes):
    rng = np.random.default_rng(0)
    scores = rng.random((n, len(classes)), np.float32)
    of = ScoreSeries(scores, 3 * np.arange(n, dtype=np.float32), classes)
    assert picture_bytes(song_figure(of), "png", dpi=30).startswith(b"\x89PNG")


def test_a_series_without_segments_is_refused():
    empty = ScoreSeries(np.zeros((0, 1), np.float32), np.zeros(0, np.float32), ("a/b",))
    with pytest.raises(InputError, match="without segments"):
        song_figure(empty)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_are_only_text(text):
    classes = tuple(f"version/_{n}{text}" for n in "ab") + tuple(
        f"genre{text}/{n}{text}" for n in "abcde"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of glyphs that a font has not
        figure = song_figure(series(classes=classes), wave(), title=text)
        found = picture_bytes(figure, "svg")
        picture_bytes(figure, "png", dpi=30)
    document = minidom.parse(io.BytesIO(found))  # noqa: S318 - our own
    assert not document.getElementsByTagName("script")
    assert not set("\u202e\u2066\x1b\0") & set(found.decode())
