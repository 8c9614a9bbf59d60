"""`audiorec.tagger.reading`: what is said of a song, and what is better left unsaid."""

import numpy as np
import pytest

from audiorec.tagger.reading import read_means, read_scores
from audiorec.types import ScoreSeries, Status

CLASSES = (
    "version/vocal",
    "version/instrumental",
    "version/vocal_accompaniment",
    "version/other",
    "genre/jazz",
    "genre/rock",
)


def series(*rows):
    scores = np.array(rows, np.float32)
    return ScoreSeries(scores, 3 * np.arange(len(rows), dtype=np.float32), CLASSES)


SUNG = (0.1, 0.2, 0.6, 0.1, 0.3, 0.7)
PLAYED = (0.0, 0.9, 0.1, 0.0, 0.4, 0.6)
SPOKEN = (0.1, 0.0, 0.0, 0.9, 0.9, 0.1)


def test_a_song_by_hand():
    reading = read_scores(series(SUNG, SUNG, SUNG, PLAYED))
    assert reading.best == {"version": "vocal_accompaniment", "genre": "rock"}
    assert reading.voiced == 0.75
    assert reading.scores["genre"]["rock"] == pytest.approx((3 * 0.7 + 0.6) / 4)
    assert list(reading.scores["version"]) == [
        "vocal_accompaniment",
        "instrumental",
        "vocal",
        "other",
    ]
    assert (reading.segments, reading.remark) == (4, "")


@pytest.mark.parametrize(
    ("rows", "status", "version", "remark"),
    [
        ([SUNG] * 3, Status.SILENT, None, "silent"),
        ([SPOKEN] * 5, Status.OK, "other", "not music"),
        ([SUNG] * 2, Status.OK, "vocal_accompaniment", "only 2 segments"),
        ([SUNG], Status.SHORT, "vocal_accompaniment", "only 1 segment of"),
    ],
)
def test_no_genre_where_none_should_be_named(rows, status, version, remark):
    reading = read_scores(series(*rows), status)
    assert reading.best == {"version": version, "genre": None}
    assert reading.remark.startswith(remark)


def test_what_is_rather_music_keeps_its_genre_with_a_remark():
    growled = (0.0, 0.3, 0.25, 0.45, 0.2, 0.8)
    reading = read_scores(series(growled, growled, growled))
    assert reading.best == {"version": "other", "genre": "rock"}
    assert reading.remark == "perhaps not music"
    short = read_scores(series(growled))
    assert (short.best["genre"], short.remark) == (None, "only 1 segment of three seconds")


def test_talk_over_music_is_said_and_has_no_genre():
    talked = read_scores(series(SUNG, SUNG, SUNG), is_talk=True)
    assert talked.best == {"version": "vocal_accompaniment", "genre": None}
    assert talked.remark == "talk over music"
    alone = (0.9, 0.0, 0.1, 0.0, 0.2, 0.8)
    assert read_scores(series(alone, alone, alone), is_talk=True).remark == ""  # a rap, maybe
    noise = read_scores(series(*[SPOKEN] * 5), is_talk=True)
    assert noise.remark == "not music: speech, noise or other sound"
    owner = {"segments": 3, "is_talk": True, "is_music": True}
    assert read_means(CLASSES, np.array(SUNG, np.float32), **owner).remark == ""


def test_heads_of_other_names():
    mood = ScoreSeries(
        np.array([[0.2, 0.8]] * 3, np.float32),
        np.arange(3, dtype=np.float32),
        ("mood/calm", "mood/wild"),
    )
    reading = read_scores(mood)
    assert (reading.best, reading.voiced) == ({"mood": "wild"}, None)
