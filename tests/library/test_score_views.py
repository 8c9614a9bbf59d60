"""`audiorec.library.score_views`: a score series as text, HTML and a DataFrame."""

import pickle
import re

import numpy as np
import pytest
from needs import needs

from audiorec.library.score_views import BARS, MOST_CLASSES, SongScores, bar_chart

CLASSES = ("version/vocal", "version/other", "genre/jazz", "genre/pop")


@pytest.fixture
def series() -> SongScores:
    scores = np.float32([[0.0, 1.0, 0.9, 0.1], [0.25, 0.75, 0.3, 0.7], [0.5, 0.5, 0.6, 0.4]])
    return SongScores(scores, np.float32([0, 3, 6]), CLASSES)


def test_classes_stand_by_head_and_by_mean(series):
    # means: vocal 0.25, other 0.75, jazz 0.6, pop 0.4; the heads in their own order
    assert repr(series).splitlines() == [
        "3 segments from 0:00 to 0:09, 4 classes",
        "class           mean  over time",
        "version/other  0.750  █▇▅",
        "version/vocal  0.250  ▁▃▅",
        "genre/jazz     0.600  █▃▅",
        "genre/pop      0.400  ▁▆▄",
    ]


def test_print_and_str_are_the_same_text(series):
    assert str(series) == repr(series) == repr(pickle.loads(pickle.dumps(series)))  # noqa: S301


def test_html_escapes_the_names_of_classes():
    series = SongScores(np.ones((1, 1), np.float32), np.zeros(1, np.float32), ("<i>/\x1b",))
    assert "&lt;i&gt;/\\x1b" in series._repr_html_()
    assert "1 segment, 1 classes" in repr(series)
    assert "\x1b" not in repr(series) + series._repr_html_()


def test_a_taggram_shows_its_likeliest_tags():
    scores = np.linspace(1, 0, 50, dtype=np.float32)[None].repeat(2, axis=0)
    names = tuple(f"tag {i}" for i in range(50))
    lines = repr(SongScores(scores, np.float32([0, 3]), names)).splitlines()
    assert len(lines) == 2 + MOST_CLASSES + 1
    assert lines[2].startswith("tag 0 ")
    assert lines[-1] == "… 36 more"


def test_no_segments_is_no_error():
    series = SongScores(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), CLASSES)
    assert repr(series) == "0 segments, 4 classes"
    assert "0 segments" in series._repr_html_()


def test_a_long_course_is_shortened_by_means():
    values = np.repeat(np.float32([0, 1]), 100)  # down, then up
    assert bar_chart(values) == "▁" * (BARS // 2) + "█" * (BARS // 2)
    assert bar_chart(np.float32([0, 1] * BARS)) == "▅" * BARS
    assert len(bar_chart(np.zeros(BARS + 1, np.float32))) == BARS
    assert bar_chart(np.float32([np.nan, -1, 2])) == "▁▁█"


def test_a_frame_has_a_row_a_segment(series):
    needs("pandas")
    frame = series.to_pandas()
    assert (frame.shape, tuple(frame.columns)) == ((3, 4), CLASSES)
    assert (frame.index.name, frame.index.tolist()) == ("start_s", [0.0, 3.0, 6.0])
    assert frame.loc[3.0, "genre/pop"] == np.float32(0.7)


def test_showing_a_series_loads_neither_pandas_nor_matplotlib(series):
    import subprocess
    import sys

    script = (
        "import numpy as np, sys; from audiorec.library.score_views import SongScores\n"
        "one = np.ones((1, 1), np.float32)\n"
        "print(SongScores(one, one[0], ('a/b',)))\n"
        "print([m for m in ('pandas', 'matplotlib', 'torch', 'pyarrow') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert re.search(r"\[\]$", run.stdout.strip())
