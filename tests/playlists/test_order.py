"""`audiorec.playlists.order`: songs that one has, in an order."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from made_library import series, song, write_library

from audiorec.errors import InputError
from audiorec.library.library import Library
from audiorec.playlists.order import ordered, shortest_way

BEATS = {"a": 120.0, "b": 80.0, "c": 118.0, "d": 84.0, "e": 60.5}


def total(costs, way):
    return sum(costs[a, b] for a, b in pairwise(way))


def test_up_to_ten_songs_get_the_best_order_and_more_a_good_one():
    rng = np.random.default_rng(0)
    few = rng.random((6, 6))
    best = min(total(few, way) for way in permutations(range(6)))
    assert total(few, shortest_way(few).tolist()) == pytest.approx(best)
    places = rng.random(40)
    many = np.abs(places[:, None] - places)
    way = shortest_way(many).tolist()
    assert sorted(way) == list(range(40))
    assert total(many, way) < 1.5 * np.ptp(places) < total(many, range(40))


def test_by_tempo_half_is_the_same_beat(tmp_path):
    rows = [song(n, series(1), bpm=b, bpm_confidence=0.95) for n, b in BEATS.items()]
    library = Library.open(write_library(tmp_path, rows))
    found = ordered(library, list(BEATS), "tempo")
    together = {frozenset(pair) for pair in zip(found, list(found)[1:], strict=False)}
    assert {frozenset("bd"), frozenset("ae")} <= together
    assert found.to_dict()["mean_step"] < found.to_dict()["mean_step_as_given"]
    assert found.remarks[-1].startswith("mean step by tempo")
    library.correct("b", "tempo", "none")
    assert ordered(library, list(BEATS), "tempo").notes[0].startswith("1 of 5 songs have no")
    with pytest.raises(InputError, match="no songs"):
        ordered(library, [], "flow")
