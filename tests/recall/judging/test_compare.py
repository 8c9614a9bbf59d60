"""`audiorec.recall.judging.compare`: folds of time, one table, and what a notebook shows."""

import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from needs import needs

from audiorec.errors import InputError, MissingExtraError
from audiorec.listening.sequences import Sequences
from audiorec.recall import SASRec
from audiorec.recall.contract.candidates import Lists
from audiorec.recall.contract.data import RecallData
from audiorec.recall.judging.compare import MANY, evaluate
from audiorec.recall.judging.judge import join, judge
from audiorec.recall.judging.splits import MOST_FOLDS, cuts, split, time_folds
from audiorec.recall.simple.counts import Popular, Rules


def listening(users=30, plays=20, songs=9):
    """Return plays of users who begin one after the other, a moment each."""
    rng = np.random.default_rng(3)
    lists = [[f"s{song}" for song in rng.integers(songs, size=plays)] for _ in range(users)]
    found = Sequences.from_lists(lists)
    return replace(found, time=np.sort(rng.uniform(0, 1e6, (users, plays)), axis=1).ravel())


def test_a_fold_is_a_tenth_and_knows_all_before_it():
    plays = listening()
    folds = time_folds(plays, 3)
    assert [len(fold.wanted.song) for fold in folds] == pytest.approx([60, 60, 60], abs=1)
    for before, after in pairwise(folds):
        assert before.learn.time.max() < before.wanted.time.min()
        assert before.wanted.time.max() < after.wanted.time.min()
        assert len(after.learn.song) == pytest.approx(len(before.learn.song) + 60, abs=1)
    (only,) = time_folds(plays)
    assert only.wanted.time.tolist() == folds[-1].wanted.time.tolist()
    assert only.wanted.time.tolist() == split(plays, "time").wanted.time.tolist()


def test_owners_have_one_number_in_all_folds():
    names: dict[int, set[str]] = {}
    for fold in time_folds(listening(), 3):
        for number, owner in zip(fold.cluster.tolist(), fold.wanted.owner_ids, strict=True):
            names.setdefault(number, set()).add(owner)
    assert all(len(owners) == 1 for owners in names.values())
    assert len(names) > 20


@pytest.mark.parametrize("folds", [0, MOST_FOLDS + 1])
def test_folds_have_bounds(folds):
    with pytest.raises(InputError, match="folds are from 1 to 5"):
        evaluate(Popular(), listening(), folds=folds)


def test_the_second_length_orders_the_channels():
    for ks, k in (([3], 3), ([1, 4, 5], 4)):
        assert evaluate(Popular(), listening(), ks=ks).by == ("recall", k)
    assert evaluate(Popular(), listening()).by == ("recall", 20)


def test_folds_are_of_time_and_of_channels_that_are_trained():
    plays = listening()
    with pytest.raises(InputError, match="folds are cut by time, and this is the split last"):
        evaluate(Popular(), plays, split="last", folds=2)
    fitted = Popular().fit(RecallData(plays))
    with pytest.raises(InputError, match="folds train channels anew"):
        evaluate(fitted, plays, folds=2, trained=[fitted])
    with pytest.raises(InputError, match="folds train channels anew"):
        evaluate(Lists(plays, "theirs"), plays, folds=2)


def test_the_figures_of_folds_are_those_of_all_their_queries():
    plays, at = listening(), ("recall", 3)
    folds = time_folds(plays, 3)
    parts = [judge(Rules(), fold, ks=[3], keep_heard=True) for fold in folds]
    (found,) = evaluate(Rules(), plays, folds=3, by=at, ks=[3], keep_heard=True)
    values = np.concatenate([one.per_query[at] for one in parts])
    np.testing.assert_array_equal(found.per_query[at], values)
    assert found.means[at].value == pytest.approx(np.nanmean(values))
    assert found.n_queries == sum(map(len, folds))
    assert found.fit_cpu_s > 0
    for name, (mean, n) in found.song_strata.items():
        told = [one.song_strata[name] for one in parts]
        assert n == sum(count for _, count in told)
        if n:
            assert mean == pytest.approx(sum(m * count for m, count in told if count) / n)
    assert join(parts[:1], folds[0].cluster, np.random.default_rng(0)) is parts[0]


def test_a_channel_is_left_unfitted_by_folds_and_fitted_by_one_split():
    plays, channel = listening(), Popular()
    evaluate(channel, plays, folds=2, keep_heard=True)
    assert channel.song_ids == ()
    evaluate(channel, plays, keep_heard=True)
    assert len(channel.song_ids) == 9


def test_the_rule_suits_the_log():
    plays = listening()
    (by_time,) = cuts(plays, None)
    without = replace(plays, time=np.full(len(plays.song), np.nan))
    counted = replace(without, weight=np.ones(len(plays.song), np.float32))
    names = [cuts(one, None)[0].name for one in (without, counted)]
    assert (by_time.name, *names) == ("time", "last", "random")


def test_a_log_is_read_by_its_path_and_several_are_compared(tmp_path):
    rows = [f"u{u},s{(u + n) % 4},play,{1e9 + 100 * n + u}" for u in range(9) for n in range(6)]
    path = tmp_path / "plays.csv"
    path.write_text("\n".join(["user_id,song_id,event,timestamp", *rows]))
    found = evaluate([Popular(), Rules()], path, by=("recall", 1), ks=[1, 2], keep_heard=True)
    assert [one.channel for one in found] == ["rules", "popular"]
    assert found.behind["popular"].value > 0
    assert set(found.to_dict()["ahead_of"]) == {"popular"}
    assert found[:1] == (found[0],)


def test_users_without_a_history_are_said_where_they_are_many():
    lists = [["a", "b"]] * 8 + [["a"]] * 4
    times = [*range(16), 17, 18, 16.1, 16.2]  # of the newest, all but one are new
    plays = replace(Sequences.from_lists(lists), time=np.array(times, np.float64))
    found = evaluate(Popular(), plays, by=("recall", 1), ks=[1])
    assert found[0].user_strata["no history"][1] / found[0].n_queries >= MANY
    assert found.remarks == ["100% of 2 queries have no history: try the split last"]
    assert "try the split last" in repr(found)
    folds = evaluate(Popular(), plays, folds=2, by=("recall", 1), ks=[1])
    assert folds.remarks[0].endswith("have no history: try the split last, without folds")
    assert not evaluate(Popular(), plays, split="last", by=("recall", 1), ks=[1]).remarks


def test_a_split_that_would_be_refused_is_not_advised():
    times = np.arange(40, dtype=np.float64)
    plays = replace(Sequences.from_lists([["a"], ["b"]] * 20), time=times)
    (said,) = evaluate(Popular(), plays, by=("recall", 1), ks=[1]).remarks
    assert said.endswith("have no history, and nobody has two plays to split by")
    with pytest.raises(InputError):
        evaluate(Popular(), plays, split="last", by=("recall", 1), ks=[1])


def test_folds_of_another_split_say_what_would_do():
    with pytest.raises(InputError, match="leave out `folds` or take the split time"):
        cuts(listening(), "last", folds=2)
    without = Sequences.from_lists([["a", "b"]] * 4)
    with pytest.raises(InputError, match="leave out `folds`: not every play has a time"):
        cuts(without, None, folds=2)


def test_a_notebook_sees_tables():
    found = evaluate([Popular(), Rules()], listening(), folds=2, keep_heard=True)
    assert repr(found).splitlines()[0].startswith("split time in 2 folds, ")
    for shown in (found, found[0]):
        assert len(repr(shown).splitlines()) <= 10
        assert "<table>" in shown._repr_html_()


def test_figures_become_frames():
    needs("pandas")
    found = evaluate([Popular(), Rules()], listening(), ks=[5, 10], keep_heard=True)
    frame = found.to_pandas()
    row = frame.query("channel == 'rules' and measure == 'recall' and k == 10").iloc[0]
    (rules,) = (one for one in found if one.channel == "rules")
    interval = rules.means["recall", 10]
    assert (row.value, row.low, row.high) == (interval.value, interval.low, interval.high)
    assert rules.to_pandas().shape == (len(rules.means), 5)


class Untrained(Popular):
    """A channel that must not be trained."""

    def _fit(self, data, **run):  # noqa: ARG002
        raise AssertionError("trained")


def test_a_missing_torch_is_named_before_anything_is_trained(monkeypatch):
    networks = SASRec()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="training sasrec"):
        evaluate([Untrained(), networks], listening())
    with pytest.raises(AssertionError, match="trained"):  # a trained one is asked without torch
        evaluate([Untrained(), networks], listening(), trained=[networks])
