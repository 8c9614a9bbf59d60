"""`audiorec.search.explain`: the share of pairs that are less similar, from a sample."""

import numpy as np
import pytest
from made_library import series, song, write_library
from made_sound import add_lists, random_sound, unit_rows

from audiorec.library.library import Library
from audiorec.search import explain
from audiorec.search.explain import Closeness, percent_words


@pytest.fixture
def store(tmp_path):
    """Five songs on a circle, at 0, 10, 30, 90 and 100 degrees; the last is silent."""
    angles = np.deg2rad([0, 10, 30, 90, 100])
    rows = [song(f"{n}", series(n)) for n in range(4)]
    path = write_library(tmp_path, [*rows, song("4", series(4), status="silent")])
    places = unit_rows(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    return Library.open(add_lists(path, sound=list(places)))


def test_pairs_of_music_counted_by_hand(store):
    # Six pairs, 10, 20, 30, 60, 80 and 90 degrees apart.
    space = store.space()
    near = np.cos(np.deg2rad([10, 25, 45, 95]))
    assert store.closer_than(space, near) * 6 == pytest.approx([5, 4, 3, 0])
    (first,) = store.similar("0", 1)
    assert store.closer_than(space, np.array([first.similarity])) * 6 == pytest.approx([5])


def test_the_sample_is_near_and_the_same_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr(explain, "SONGS", 200)
    path = write_library(tmp_path, [song(f"{n:03}", series(0)) for n in range(600)])
    store = Library.open(add_lists(path, sound=list(random_sound(600))))
    space, rows = store.space(), np.arange(600)
    sampled, again = Closeness.of(space, rows), Closeness.of(space, rows)
    assert len(sampled.similarities) == 200 * 199 // 2
    np.testing.assert_array_equal(sampled.similarities, again.similarities)
    monkeypatch.setattr(explain, "SONGS", 600)
    whole, at = Closeness.of(space, rows), np.linspace(-0.9, 0.9, 19)
    assert np.abs(sampled.closer_than(at) - whole.closer_than(at)).max() < 0.02


def test_a_library_without_pairs(tmp_path):
    store = Library.open(write_library(tmp_path, [song("a", series(0))]))
    assert np.isnan(store.closer_than(store.space(), np.array([0.5]))).all()
    assert percent_words(np.nan) == ""


def test_a_store_without_music_counts_all_its_songs(tmp_path):
    rows = [song(name, series(n), status="silent") for n, name in enumerate("abc")]
    store = Library.open(write_library(tmp_path, rows))
    assert not store.music.any()
    assert store.closer_than(store.space(), np.array([2.0, -2.0])).tolist() == [1.0, 0.0]


def test_percent_is_rounded_down():
    assert percent_words(0.98999) == "98 %"
    assert percent_words(0.99) == "99.0 %"
    assert percent_words(0.29) == "29 %"
