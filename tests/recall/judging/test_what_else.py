"""What a judgement says besides accuracy: repeats, strata, lists, cost."""

import subprocess
import sys

import numpy as np
import pytest

from audiorec.evaluation.ranking import sound_diversity
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import Category, SongSide
from audiorec.recall.contract.candidates import Lists
from audiorec.recall.contract.checks import synthetic_listening
from audiorec.recall.contract.data import Context, Sound
from audiorec.recall.judging.judge import (
    Cost,
    judge,
    owners_of,
    song_strata,
    spread_of,
    user_strata,
)
from audiorec.recall.judging.splits import given_split, split
from audiorec.recall.simple.counts import Popular, Replay
from audiorec.recall.simple.knn import VSKNN


@pytest.mark.parametrize("channel", [Popular, Replay, VSKNN])
def test_repeats_are_judged_both_ways_at_once(channel):
    cut = split(synthetic_listening().sequences, "last")
    kept = judge(channel(), cut, ks=[3, 10], keep_heard=True)
    left_out = judge(channel(), cut, ks=[3, 10])
    assert (kept.repeats, left_out.repeats) == ("kept", "left_out")
    for one, other in ((kept, left_out), (left_out, kept)):
        assert one.otherwise.keys() == other.means.keys()
        for at, value in one.otherwise.items():
            assert value == pytest.approx(other.means[at].value)
    assert kept.to_dict()["repeats_left_out"]["recall"]["3"] == pytest.approx(
        left_out.means["recall", 3].value, abs=1e-6
    )


def test_a_heard_song_stands_before_others_only_where_it_is_kept():
    cut = given_split(
        Sequences.from_lists([["a", "a", "b"]]),
        Sequences.from_lists([["a"]], ["u"]),
        Sequences.from_lists([["b"]], ["u"]),
    )
    found = judge(Popular(), cut, ks=[1])
    assert found.means["recall", 1].value == 1
    assert found.otherwise["recall", 1] == 0
    assert found.spread["popularity"] == 1  # of b; a was played twice
    assert judge(Popular(), cut, ks=[1], keep_heard=True).spread["popularity"] == 2


def test_the_other_way_is_empty_where_nothing_is_wanted():
    cut = split(Sequences.from_lists([["a", "a"], ["a", "b", "a"]]), "last")
    assert judge(Popular(), cut, ks=[1], keep_heard=True).otherwise == {}


def test_heard_songs_of_a_made_list_are_passed_over():
    cut = given_split(
        Sequences.from_lists([["a", "b", "c"]]),
        Sequences.from_lists([["a"]], ["u"]),
        Sequences.from_lists([["b"]], ["u"]),
    )
    made = Lists(Sequences.from_lists([["a", "b"]], ["u"]), "theirs")
    found = judge(made, cut, ks=[1])
    assert found.means["recall", 1].value == 1
    assert found.otherwise["recall", 1] == 0


def test_strata_of_songs_and_users_by_hand():
    hit = np.array([True, False, True, True])
    found = song_strata(hit, np.array([0, 1, 3, 3]), np.array([0, 1, 1, 2]))
    assert found["never played"] == (1.0, 1)
    assert found["played once"] == (0.0, 1)
    assert found["played more"] == (1.0, 2)
    assert found["in one list"] == (0.5, 2)
    users = user_strata(np.array([1.0, 0.5, np.nan, 0.0, 1.0]), np.array([0, 1, 9, 9, 10]))
    assert users == {
        "no history": (1.0, 1),
        "short history": (0.25, 2),
        "long history": (1.0, 1),
    }
    plays = Sequences.from_lists([["a", "a", "b"], ["b"]])
    assert owners_of(plays, 2).tolist() == [1, 2]


def test_a_song_that_one_list_plays_often_is_in_one_list():
    cut = given_split(
        Sequences.from_lists([["a", "a", "a"], ["b", "c"], ["b"]]),
        Sequences.from_lists([["c"], []], ["u", "v"]),
        Sequences.from_lists([["a", "b"], ["zzz"]], ["u", "v"]),
    )
    found = judge(Popular(), cut, ks=[1])
    assert found.song_strata == {
        "never played": (0.0, 1),
        "played once": (pytest.approx(np.nan, nan_ok=True), 0),
        "played more": (0.5, 2),
        "in one list": (1.0, 1),
    }
    assert found.user_strata["no history"] == (0.0, 1)
    assert found.user_strata["short history"] == (0.5, 1)
    assert any("in one list 1.000 (1)" in line for line in found.notes())


def test_distances_of_a_list_by_hand():
    units = np.float32([[1, 0], [0, 1], [0.6, 0.8], [0, 0]])
    found = sound_diversity(np.array([[0, 1, 2], [0, 0, -1], [3, 0, -1]]), units)
    assert found[:2] == pytest.approx([1 - (0 + 0.6 + 0.8) / 3, 0.0])
    assert np.isnan(found[2])


def test_diversity_comes_from_what_is_known():
    song_ids = ("a", "b", "c")
    sound = Sound(
        ("a", "b", "x"),
        np.float32(np.eye(3)),
        ("anna", "anna", "x"),
        {"genre": np.array([1, 2, 1])},
    )
    lists, plays = np.array([[0, 1], [0, 2]]), np.ones(3, int)
    plain = spread_of(lists, plays, song_ids)
    assert set(plain) == {"popularity", "gini", "coverage"}
    found = spread_of(lists, plays, song_ids, sound=sound)
    assert found["diversity_artist"] == 0.5
    assert found["diversity_genre"] == 1.0
    assert found["diversity_sound"] == 1.0  # of the one list with two known songs
    tags = {"genre": dict.fromkeys("abc", "jazz"), "unheard": {"q": "r"}}
    given_kinds = spread_of(lists, plays, song_ids, sound=sound, kinds=tags)
    assert given_kinds["diversity_genre"] == 0.0
    assert "diversity_unheard" not in given_kinds


def test_languages_of_a_list_are_judged():
    plays = Sequences.from_lists([["a", "b", "c", "d"]] * 3 + [["a", "c", "b"]])
    codes = np.array([0, 0, 1, -1], np.int32)
    spoken = Category(codes, ("French", "Korean"), np.zeros(4, np.bool_))
    nothing = np.full(4, np.nan, np.float32)
    side = SongSide(song_ids=tuple("abcd"), categories={"language": spoken}, released=nothing)
    found = judge(
        Popular(),
        split(plays, "last"),
        ks=[3],
        keep_heard=True,
        context=Context(side=side),
    )
    # Of a, b and c one pair of three has the same language.
    assert found.spread["diversity_language"] == pytest.approx(2 / 3)
    assert found.to_dict()["diversity_language"] == pytest.approx(2 / 3, abs=1e-6)


def test_a_store_says_what_its_songs_are():
    from audiorec.search.searchable import SearchableStore

    store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
    sound = Sound.of_store(store)
    heads = {name.partition("/")[0] for name in store.metadata.classes}
    assert set(sound.kinds) == heads
    elsewhere = sound.among(("gone", store.ids[0]))
    assert [codes.tolist() for codes in elsewhere.kinds.values()] == [
        [-1, int(codes[0])] for codes in sound.kinds.values()
    ]


def test_cost_counts_memory():
    # In a process of its own: the peak of this one may lie in an earlier test.
    code = (
        "import numpy as np; from audiorec.recall.judging.judge import peak_bytes; "
        "before = peak_bytes(); held = np.ones(8_000_000); print(peak_bytes() - before)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) > 0.8 * 64_000_000


def test_cost_counts_seconds():
    cost = Cost.started()
    cost.left_out += 1000.0
    assert cost.lap() < -900
    assert 0 <= cost.lap() < 1


def test_a_large_catalogue_is_ranked_in_blocks_of_one_size(monkeypatch):
    # A million songs and as many queries as one likes: no more than CELLS similarities at a time.
    plays = synthetic_listening().sequences
    cut = split(plays, "last")
    whole = judge(VSKNN(), cut, ks=[3, 10])
    shapes = []
    plain = VSKNN._similarities

    def watched(self, queries):
        found = plain(self, queries)
        shapes.append(found.shape)
        return found

    monkeypatch.setattr(VSKNN, "_similarities", watched)
    n_songs = len(plays.song_ids)
    monkeypatch.setattr("audiorec.recall.contract.channel.CELLS", 7 * n_songs)
    in_blocks = judge(VSKNN(), cut, ks=[3, 10])
    assert {q for q, _ in shapes[:-1]} == {7}
    assert max(q * s for q, s in shapes) <= 7 * n_songs
    for at, values in whole.per_query.items():
        assert np.array_equal(values, in_blocks.per_query[at], equal_nan=True)
