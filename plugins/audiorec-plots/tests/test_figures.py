"""`audiorec_plots.figures`: figures and their files."""

import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from needs import needs

needs("audiorec_plots")

from audiorec.errors import InputError, StoreError
from audiorec_plots.figures import (
    finish,
    house_style,
    new_figure,
    picture_bytes,
    picture_format,
    write_picture,
)


def a_figure(text="one", size=(4, 3)):
    with house_style():
        figure = new_figure(*size)
        figure.subplots().set_title(text)
    return figure


def test_the_format_is_that_of_the_name(tmp_path):
    assert picture_format(tmp_path / "a.png") == "png"
    assert picture_format(tmp_path / "a.b.SVG") == "svg"


@pytest.mark.parametrize("name", ["a.jpg", "a", "png", ".png", "a.png.gz", "a.svgz", "a.pdf"])
def test_other_names_are_refused(name, tmp_path):
    with pytest.raises(InputError, match=r"use .png, .svg or .html"):
        picture_format(tmp_path / name)


def test_places_without_room_for_a_file_are_refused(tmp_path):
    (tmp_path / "folder.png").mkdir()
    for name in ("folder.png", "nowhere/a.png"):
        with pytest.raises(InputError, match="its folder does not exist"):
            picture_format(tmp_path / name)


@pytest.mark.parametrize("size", [(1.9, 3), (3, 101), (float("nan"), 3), (-4, 3), (0, 0)])
def test_sizes_that_are_none(size):
    with pytest.raises(InputError, match="2 to 100 inches"):
        new_figure(*size)


@pytest.mark.parametrize("dpi", [0, -1, float("nan"), float("inf"), 50_000])
def test_resolutions_that_are_none(dpi):
    with pytest.raises(InputError, match="dots per inch"):
        picture_bytes(a_figure(), "png", dpi=dpi)


@pytest.mark.parametrize(
    ("form", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("html", b"<!doctype html>")]
)
def test_the_same_drawing_has_the_same_bytes(form, start):
    found = picture_bytes(a_figure(), form)
    assert found == picture_bytes(a_figure(), form)
    assert found != picture_bytes(a_figure("two"), form)
    assert found.startswith(start)
    for trace in (b"dc:date", b"matplotlib.org", b"Software"):
        assert trace not in found


def test_the_size_is_that_asked_for():
    from matplotlib import image

    found = picture_bytes(a_figure(size=(4, 2.5)), "png", dpi=40)
    assert image.imread(io.BytesIO(found)).shape[:2] == (100, 160)


def test_settings_of_the_user_count_for_nothing_and_stay():
    import matplotlib

    usual = picture_bytes(a_figure(), "svg")
    theirs = {"font.size": 30, "axes.facecolor": "black", "svg.fonttype": "none"}
    with matplotlib.rc_context(theirs):
        assert picture_bytes(a_figure(), "svg") == usual
        assert {name: matplotlib.rcParams[name] for name in theirs} == theirs


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.svg"
    path.write_text("before")
    figure = a_figure()

    def fail(self, data):
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail)
        with pytest.raises(StoreError, match="no space left"):
            write_picture(figure, path)
    assert path.read_text() == "before"
    write_picture(figure, path)
    assert path.read_bytes() == picture_bytes(figure, "svg")
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]


def test_a_notebook_shows_a_figure():
    figure = a_figure()
    assert figure._repr_png_() == picture_bytes(figure, "png")


def test_a_figure_survives_pickling():
    figure = a_figure()
    copy = pickle.loads(pickle.dumps(figure))  # noqa: S301 - our own
    assert picture_bytes(copy, "png") == picture_bytes(figure, "png")


def test_pyplot_is_never_imported():
    script = (
        "import sys, numpy as np\n"
        "from audiorec.types import ScoreSeries\n"
        "from audiorec_plots.songs import song_figure\n"
        "series = ScoreSeries(np.ones((1, 1), np.float32), np.zeros(1, np.float32), ('a/b',))\n"
        "song_figure(series)._repr_png_()\n"
        "print([m for m in ('matplotlib.pyplot', 'pandas', 'tkinter') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_a_page_needs_nothing_but_itself():
    from html.parser import HTMLParser

    heading = 'one & "two" <script>alert(1)</script>'
    with house_style():
        figure = new_figure(4, 3)
        figure.subplots().set_title(heading)
        finish(figure, heading)
    text = picture_bytes(figure, "html").decode()
    asked, tags = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)
            asked.extend(
                v for n, v in attrs if n in ("href", "src", "xlink:href") and v[0] not in "#d"
            )

    Reader().feed(text)
    assert asked == []
    assert "script" not in tags
    assert tags.count("svg") == 1
    assert "default-src 'none'" in text
    assert "<title>one &amp; &quot;two&quot; &lt;script&gt;alert(1)&lt;/script&gt;</title>" in text
