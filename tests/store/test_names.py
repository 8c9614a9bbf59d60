"""`audiorec.store.store`: what half-remembered names lead to."""

import pyarrow as pa
import pytest

from audiorec.store.store import near_names

IDS = pa.array(
    [
        "Abba/Gold/03 - Waterloo.mp3",
        "Abba/Gold/04 - Fernando.mp3",
        "Kinks/Waterloo Sunset.flac",
        "Toto/IV/10 - Africa.mp3",
    ]
)


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("Abba/Gold/03 - Watreloo.mp3", "Abba/Gold/03 - Waterloo.mp3"),
        ("waterlo sunset", "Kinks/Waterloo Sunset.flac"),
        ("afrika.mp3", "Toto/IV/10 - Africa.mp3"),
    ],
)
def test_best_first(query, best):
    assert near_names(IDS, query)[0] == best


def test_nothing_alike():
    assert near_names(IDS, "xyzzy") == ()
    assert near_names(IDS, "") == ()
    assert near_names(pa.array([], pa.string()), "abba") == ()


def test_at_most_five_and_equals_in_order_of_ids():
    ids = pa.array([f"song {i}" for i in range(9)])
    assert near_names(ids, "song x") == tuple(f"song {i}" for i in range(5))


def test_short_and_very_long_queries():
    assert near_names(pa.array(["a", "b"]), "a") == ("a",)
    assert near_names(IDS, "toto/iv/10 - africa.mp3 " + "0123456789" * 100) == ()
