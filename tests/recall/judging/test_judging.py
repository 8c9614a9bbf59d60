from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.batch_recall import write_candidates
from audiorec.recall.contract.candidates import read_candidates, read_targets
from audiorec.recall.contract.checks import synthetic_listening
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.judging.compare import evaluate
from audiorec.recall.judging.judge import judge
from audiorec.recall.judging.splits import SPLITS, given_split, list_groups, split
from audiorec.recall.simple.counts import Popular, Replay, Rules


def named(sequences):
    return [[sequences.song_ids[s] for s in sequences[row]] for row in range(len(sequences))]


def timed(lists, times):
    return replace(Sequences.from_lists(lists), time=np.array(times, np.float64))


def test_last_asks_for_the_last_play_of_each():
    found = split(Sequences.from_lists([["a", "b", "a"], ["c"], []]), "last")
    assert named(found.learn) == [["a", "b"], ["c"], []]
    assert named(found.histories) == [["a", "b"]]
    assert named(found.wanted) == [["a"]]


def test_time_learns_nothing_that_happens_later():
    plays = timed([["a", "b"], ["c", "d"], ["e"] * 6], [1, 20, 3, 30, *range(4, 10)])
    found = split(plays, "time")
    later = found.wanted.time.min()
    assert found.learn.time.max() < later
    assert named(found.wanted) == [["d"]]  # a tenth of ten plays
    with pytest.raises(InputError, match="split time needs a time for every play"):
        split(Sequences.from_lists([["a", "b"]]), "time")


def test_sessions_learns_from_older_ones_alone():
    plays = timed([["a", "b"], ["c", "d"], ["e"]], [50, 60, 1, 2, 3])
    found = split(plays, "sessions")
    assert named(found.learn) == [["c", "d"], ["e"]]
    assert named(found.histories), named(found.wanted) == ([["a"]], [["b"]])


def counts(lists, weights):
    plays = Sequences.from_lists(lists)
    return replace(plays, weight=np.array(weights, np.float32))


def test_random_hides_a_fifth_of_the_songs_of_each_user():
    lists = [[f"s{s}" for s in range(10)] * 2, ["a", "b", "c"], ["a", "b"]]
    found = split(Sequences.from_lists(lists), "random", seed=1)
    assert found.histories.owner_ids == ("0", "1")  # of two songs none is hidden
    assert [len(set(songs)) for songs in named(found.wanted)] == [2, 1]
    assert found.wanted.lengths.tolist() == [4, 1]  # every play of a hidden song is
    for hidden, known in zip(named(found.wanted), named(found.histories), strict=True):
        assert set(hidden).isdisjoint(known)
    again = split(Sequences.from_lists([one[::-1] for one in lists]), "random", seed=1)
    hides = [set(songs) for songs in named(found.wanted)]
    assert [set(songs) for songs in named(again.wanted)] == hides  # the order decides nothing
    other = split(Sequences.from_lists(lists), "random", seed=2)
    assert [set(songs) for songs in named(other.wanted)] != hides


@pytest.mark.parametrize("name", ["last", "time", "sessions", "users"])
def test_counts_have_no_order_to_split_by(name):
    plays = counts([["a", "b", "c"], ["a"]], [1, 2, 3, 4])
    with pytest.raises(InputError, match=rf"split {name} needs the order .* `split=random`"):
        split(plays, name)
    assert len(split(plays, "random").learn.weight)


def test_users_are_judged_who_were_not_learnt_from():
    lists = [[f"s{s}" for s in range(10)] for _ in range(30)]
    found = split(Sequences.from_lists(lists), "users", seed=3)
    assert len(found) == 3
    assert set(found.histories.owner_ids).isdisjoint(found.learn.owner_ids)
    assert set(found.histories.lengths) == {8}
    assert set(found.wanted.lengths) == {2}
    again = split(Sequences.from_lists(lists), "users", seed=3)
    assert again.histories.owner_ids == found.histories.owner_ids


def test_lists_hide_the_same_songs_in_near_copies():
    rng = np.random.default_rng(0)
    motown = [f"m{n:02}" for n in range(40)]
    lists = [motown, motown[:30], [f"x{n}" for n in rng.integers(0, 50, 20)]]
    plays = Sequences.from_lists(lists)
    assert list_groups(plays).tolist() == [0, 0, 1]
    found = split(plays, "lists")
    hidden = {song for songs in named(found.wanted)[:2] for song in songs}
    assert hidden
    assert hidden.isdisjoint({song for songs in named(found.learn)[:2] for song in songs})
    assert len(named(found.wanted)[0]) == 8
    assert found.cluster[0] == found.cluster[1] != found.cluster[2]


@pytest.mark.parametrize("name", SPLITS)
def test_nothing_to_ask_for_is_refused(name):
    with pytest.raises(InputError):
        split(Sequences.from_lists([]), name)


def test_a_given_test_set_is_matched_by_user():
    found = given_split(
        Sequences.from_lists([["a", "b"]]),
        Sequences.from_lists([["a"], ["b"]], ["u", "v"]),
        Sequences.from_lists([["b"], ["a"], ["a"]], ["v", "nobody", "u"]),
        np.array([7, 8, 9]),
    )
    assert found.histories.owner_ids == found.wanted.owner_ids == ("v", "u")
    assert found.cluster.tolist() == [7, 9]
    with pytest.raises(InputError, match="no user of the targets has a history"):
        given_split(found.learn, found.histories, Sequences.from_lists([["a"]], ["w"]))


def test_rules_that_know_the_answer_are_always_right():
    lists = [["a", "b", "c"]] * 20
    verdict = judge(Rules(), split(Sequences.from_lists(lists), "sessions"), ks=[1, 2])
    assert str(verdict.means["recall", 1]) == "1.000 [1.000, 1.000]"
    assert verdict.song_strata["played more"] == (1.0, 2)


def test_heard_songs_are_left_out_and_not_asked_for_again():
    cut = split(Sequences.from_lists([["a", "b", "a"], ["a", "c", "b"], ["b", "a"]]), "last")
    verdict = judge(Popular(), cut, ks=[1])
    # The first wants a again, which it knows: it is not asked.
    assert np.isnan(verdict.per_query["recall", 1][0])
    assert verdict.per_query["recall", 1][1:].tolist() == [1.0, 1.0]
    kept = judge(Replay(), cut, ks=[2], keep_heard=True)
    assert kept.per_query["recall", 2].tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(InputError, match="every wanted song is in its user"):
        judge(Popular(), split(Sequences.from_lists([["a", "a"]]), "last"))


def test_a_list_that_a_channel_wrote_is_judged_like_the_channel(tmp_path):
    cut = split(synthetic_listening().sequences, "last")
    channel = Rules()
    expected = judge(channel, cut, ks=[3, 10])
    path = tmp_path / "lists.parquet"
    write_candidates(path, channel, Queries(cut.histories), 40, exclude=cut.histories)
    found = judge(read_candidates(path), cut, ks=[3, 10])
    assert found.channel == "rules"
    for key in (("recall", 3), ("recall", 10)):  # ties stand in one order, ranks are means
        assert found.means[key].value == pytest.approx(expected.means[key].value, abs=0.05)


def test_foreign_lists_by_rank_or_by_order(tmp_path):
    pq.write_table(
        pa.table({"user_id": [1, 1, 2], "song_id": ["b", "a", "c"]}), tmp_path / "o.parquet"
    )
    found = read_candidates(tmp_path / "o.parquet")
    assert found.ranked.owner_ids == ("1", "2")
    assert named(found.ranked) == [["b", "a"], ["c"]]
    (tmp_path / "r.csv").write_text("user_id,song_id,rank\nu,a,2\nu,b,1\n")
    assert named(read_candidates(tmp_path / "r.csv").ranked) == [["b", "a"]]
    (tmp_path / "t.csv").write_text("user_id,song_id,rank\nu,a,2\nu,a,1\n")
    with pytest.raises(InputError, match="some user has the same song twice"):
        read_candidates(tmp_path / "t.csv")


def test_ids_of_a_csv_stay_as_they_are_spelled(tmp_path):
    (tmp_path / "c.csv").write_text("user_id,song_id,rank\n007,NA,10\n007,08,9\nnull,1,1\n")
    found = read_candidates(tmp_path / "c.csv").ranked
    assert found.owner_ids == ("null", "007")
    assert named(found) == [["1"], ["08", "NA"]]
    (tmp_path / "t.csv").write_text("user_id,song_id\n007,NA\nnull,08\n")
    wanted, _ = read_targets(tmp_path / "t.csv")
    assert wanted.owner_ids == ("007", "null")
    assert named(wanted) == [["NA"], ["08"]]


def test_targets_may_have_groups(tmp_path):
    (tmp_path / "t.csv").write_text("user_id,song_id,group_id\np1,a,s\np2,b,s\np3,a,t\n")
    wanted, groups = read_targets(tmp_path / "t.csv")
    assert wanted.owner_ids == ("p1", "p2", "p3")
    assert groups[0] == groups[1] != groups[2]


def test_comparison_puts_the_best_first_and_says_by_how_much():
    cut = split(Sequences.from_lists([["a", "b"], ["c", "d"]] * 20), "sessions")
    found = evaluate([Popular(), Rules()], cut, by=("recall", 1), ks=[1, 2])
    assert [verdict.channel for verdict in found] == ["rules", "popular"]
    gap = found[0].means["recall", 1].value - found[1].means["recall", 1].value
    assert found.behind["popular"].value == pytest.approx(gap)


def test_a_trained_channel_is_judged_as_it_is():
    plays = Sequences.from_lists([["a", "b"], ["b", "a"]])
    channel = Popular().fit(RecallData(Sequences.from_lists([["a"]])))
    verdict = judge(channel, split(plays, "last"), ks=[1], trained=True)
    assert verdict.n_songs == 1
    assert verdict.per_query["recall", 1].tolist() == [0.0, 1.0]


def test_a_copy_of_a_heard_song_is_not_asked_for():
    learn = Sequences.from_lists([["a", "x"], ["b", "x"], ["c", "y"]], ["u", "v", "w"])
    wanted = Sequences.from_lists([["a mp3", "y"], ["y"], ["c ogg"]], ["u", "v", "w"])
    cut = given_split(learn, learn, wanted, np.arange(3))
    copies = {"a": "0", "a mp3": "0", "c": "1", "c ogg": "1"}
    counted, judged = (judge(Popular(), cut, ks=(2,), copies=c) for c in (None, copies))
    assert (counted.copies, judged.copies) == (0, 2)
    assert counted.means["recall", 2].value < judged.means["recall", 2].value
    assert judged.to_dict()["copies_left_out"] == 2
    assert any("2 wanted songs are copies of heard songs" in note for note in judged.notes())
    assert judge(Popular(), cut, ks=(2,), copies=copies, keep_heard=True).copies == 0


def test_a_split_reads_a_log_by_its_path(tmp_path):
    path = tmp_path / "plays.csv"
    rows = ("u,a,play,1e9", "u,b,play,2e9", "u,c,skip,3e9", "v,a,play,1e9")
    path.write_text("\n".join(["user_id,song_id,event,timestamp", *rows]))
    found = split(path, "last")
    assert [found.wanted.song_ids[song] for song in found.wanted.song] == ["b"]
    assert found.learn.lengths.tolist() == [1, 1]
