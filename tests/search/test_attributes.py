"""Conditions and curves over tempo, key and moods."""

import numpy as np
import pytest
from made_library import series, song, write_library

from audiorec.errors import InputError
from audiorec.library.library import open_store
from audiorec.playlists.curves import read_curves
from audiorec.search.filters import (
    levels_of_tempo,
    matching,
    numbers_of,
    parse_conditions,
    tonic_of,
)
from audiorec.types import TONICS

# Tempo, tonic, scale, mood.
KNOWN = {
    "a": (90.2, "F#", "minor", 0.1),
    "b": (119.6, "C", "major", 0.3),
    "c": (120.4, "Bb", "minor", 0.2),
    "d": (None, None, None, 0.0),
    "e": (174.0, "C", "minor", 0.9),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rows = [
        song(
            name,
            series(place, genre=(3, 0, 0), segments=60),
            bpm=bpm,
            bpm_confidence=0.0 if bpm is None else 0.9,
            key=key,
            scale=scale,
            key_confidence=0.5,
            tag_happy=happy,
            loudness_lufs=-10.0 - 2 * place,
        )
        for place, (name, (bpm, key, scale, happy)) in enumerate(KNOWN.items())
    ]
    return open_store(write_library(tmp_path_factory.mktemp("store"), rows))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bpm>120", "ce"),
        ("bpm=120", "bc"),
        ("bpm=90|174", "ae"),
        ("bpm!=120", "ade"),
        ("bpm<=90.3", "a"),
        ("bpm_confidence<0.5", "d"),
        ("key=C", "be"),
        ("key=Gb|a#", "ac"),
        ("key!=C", "acd"),
        ("scale=Minor", "ace"),
        ("scale!=minor", "bd"),
        ("key=C, scale=minor, bpm>100", "e"),
        ("tag_happy>=0.3", "be"),
    ],
)
def test_conditions(store, text, expected):
    mask = matching(store, parse_conditions(text))
    assert "".join(np.array(store.ids)[mask]) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key=H", "unknown key 'H'; there are: C, C#"),
        ("key=Am", "scale"),
        ("key>C", "compare key with = or !="),
        ("scale=dorian", "unknown scale 'dorian'; there are: major, minor"),
        ("bpm>fast", "beats per minute expected"),
        ("tag_happy=0.3", "compare tag_happy with <"),
        ("tag_angry>0.3", "has no column 'tag_angry'; there are: bpm, bpm_confidence, key"),
    ],
)
def test_conditions_that_are_none(store, text, message):
    with pytest.raises(InputError, match=message):
        matching(store, parse_conditions(text))


def test_a_store_without_them_says_what_makes_them(tmp_path):
    path = write_library(tmp_path, [song("a", series(0))])
    for ask in (
        lambda store: matching(store, parse_conditions("bpm>120")),
        lambda store: read_curves(store, ["bpm:rise"], np.ones(1, bool)),
    ):
        with pytest.raises(InputError, match=r"audiorec extract FOLDER --overwrite --out .*vecs"):
            ask(open_store(path))
    with pytest.raises(InputError, match="unknown name 'tempo'"):
        matching(open_store(path), parse_conditions("tempo>120"))


def test_an_unsure_key_and_a_tempo_without_a_beat_meet_no_condition(tmp_path):
    about = {"bpm": 120.0, "key": "C", "scale": "major", "tag_happy": 0.1, "loudness_lufs": -10.0}
    made = {"no beat": (0.29, 0.5), "beat": (0.3, 0.49)}
    rows = [
        song(name, series(0, segments=60), bpm_confidence=beat, key_confidence=key, **about)
        for name, (beat, key) in made.items()
    ]
    store = open_store(write_library(tmp_path, rows))
    for text, expected in (("bpm>100", "beat"), ("key=C", "no beat"), ("scale=major", "no beat")):
        mask = matching(store, parse_conditions(text))
        assert np.asarray(store.ids)[mask].tolist() == [expected], text


@pytest.fixture(scope="module")
def two_levels(tmp_path_factory):
    """Songs of one sound at 90 or 180, at 120, without a beat, and never measured."""
    made = {"both": (180.0, 0.6, 90.0), "one": (120.0, 0.9, None), "none": (100.0, 0.2, 50.0),
            "never": (None, None, None)}  # fmt: skip
    rows = [
        song(name, series(0, segments=60), bpm=bpm, bpm_confidence=sure, bpm_other=other)
        for name, (bpm, sure, other) in made.items()
    ]
    return open_store(write_library(tmp_path_factory.mktemp("levels"), rows))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bpm>=155", ["both"]),
        ("bpm=90", ["both"]),
        ("bpm<=120", ["both", "one"]),
        ("bpm>=100, bpm<=150", ["one"]),  # no one level of the first lies there
        ("bpm>=60, bpm<=95", ["both"]),
        ("bpm>95, bpm_confidence<0.8", ["both"]),
    ],
)
def test_a_song_of_two_levels_meets_conditions_at_either(two_levels, text, expected):
    mask = matching(two_levels, parse_conditions(text))
    assert np.asarray(two_levels.ids)[mask].tolist() == expected


def test_the_levels_of_a_store(two_levels):
    first, other = levels_of_tempo(two_levels)
    np.testing.assert_array_equal(first, [180, np.nan, np.nan, 120])
    np.testing.assert_array_equal(other, [90, np.nan, np.nan, np.nan])


def test_a_curve_takes_the_tempo_where_one_level_is_clear(two_levels):
    (curve,) = read_curves(two_levels, ["bpm:90..180"], np.ones(4, bool))
    np.testing.assert_array_equal(curve.scores * curve.unit, [np.nan, np.nan, np.nan, 120])


def test_every_spelling_of_a_tonic():
    assert [tonic_of(name) for name in TONICS] == list(TONICS)
    spelt = ("B#", "Db", "D", "D#", "Fb", "E#", "Gb", "g", "G♯", "a", "A#", "Cb")
    assert [tonic_of(name) for name in spelt] == list(TONICS)


def test_numbers_are_nan_where_nothing_is_known(store):
    np.testing.assert_allclose(
        numbers_of(store, "bpm"), [90.2, 119.6, 120.4, np.nan, 174], rtol=1e-6
    )
    with pytest.raises(InputError, match="is text"):
        numbers_of(store, "key")


def test_a_curve_of_the_tempo(store):
    (curve,) = read_curves(store, ["bpm:90..180"], np.ones(5, bool))
    np.testing.assert_allclose(curve.target([0, 0.5, 1]) * curve.unit, [90, 135, 180])
    assert curve.format(1.204) == "120"
    (rise,) = read_curves(store, ["bpm:rise"], np.ones(5, bool))
    assert 90 < rise.points[0] * rise.unit < 95
    assert 170 < rise.points[1] * rise.unit < 174
    with pytest.raises(InputError, match="beats per minute up to 400"):
        read_curves(store, ["bpm:90..4000"], np.ones(5, bool))


def test_a_curve_of_the_loudness(store):
    (curve,) = read_curves(store, ["loudness:-18..-10"], np.ones(5, bool))
    np.testing.assert_allclose(curve.target([0, 0.5, 1]) * curve.unit, [-18, -14, -10])
    assert curve.format(curve.scores[1]) == "-12"
    for text in ("loudness:-300..-10", "loudness:quiet"):
        with pytest.raises(InputError, match="LUFS from -100 to 20"):
            read_curves(store, [text], np.ones(5, bool))
    found = store.playlist("e", minutes=9, curve="loudness:-18..-10")
    levels = [song["loudness_lufs"] for song in found.songs]
    assert levels == sorted(levels)


def test_a_mood_weighs_by_its_range_in_the_library(tmp_path):
    """Moods are faint: here from .001 to .005, in which a score's own unit sees no difference."""
    rows = [
        song(f"s{i:02}", series(i % 3, genre=(3, 0, 0), segments=60), tag_happy=0.001 + 0.0002 * i)
        for i in range(21)
    ]
    store = open_store(write_library(tmp_path, rows))
    (curve,) = read_curves(store, ["tag_happy:0.001..0.005"], np.ones(21, bool))
    assert curve.unit == pytest.approx(0.004 * 0.96)
    assert curve.format(curve.scores[20]) == "0.005"
    found = store.playlist("s10", minutes=30, curve="tag_happy:0.001..0.005")
    happy = [song["tag_happy"] for song in found.songs]
    assert np.corrcoef(happy, np.arange(len(happy)))[0, 1] > 0.9
    assert happy[-1] - happy[0] > 0.003


def test_a_playlist_gets_faster_and_leaves_out_what_has_no_tempo(store):
    found = store.playlist("e", minutes=12, curve="bpm:90..170")
    assert "d" not in list(found)
    tempos = found.curve_scores["bpm"]
    assert len(tempos) == 4
    assert (np.diff(tempos) >= 0).all()
    assert tempos[-1] == pytest.approx(174)
    near = store.playlist("d", minutes=12, curve="bpm:rise")
    assert "d" not in list(near)
    assert len(near) == 4
    assert near.notes[0] == "d has no bpm: the list is near it, without it"
    assert "d" in list(store.playlist("d", minutes=15, curve="tag_happy:rise"))
