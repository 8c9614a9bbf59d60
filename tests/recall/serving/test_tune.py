"""`recall.serving.tune`: a good channel gets the weight, and is judged on other users."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_candidates import table_of

from audiorec.errors import DamagedFileError, InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import Lists
from audiorec.recall.judging.judge import judge
from audiorec.recall.judging.splits import given_split
from audiorec.recall.serving.fuse import fuse, read_weights, weights_for, write_weights
from audiorec.recall.serving.rules import FusionRecipe
from audiorec.recall.serving.tune import Evidence, learn, moved, proposed_to

SONGS = [f"s{n:02}" for n in range(40)]


def made(n_users, knows, seed=0):
    """Return candidates of `bad` and `good`, and the songs that users want.

    `knows` is the share of users whose song is first in `good`; it is a random one in `bad`.
    """
    rng = np.random.default_rng(seed)
    users = [f"u{n:03}" for n in range(n_users)]
    wanted = {user: SONGS[rng.integers(0, 40)] for user in users}
    bad, good = ({u: rng.permutation(SONGS)[:20].tolist() for u in users} for _ in range(2))
    for user in users:
        if rng.random() < knows:
            good[user] = list(dict.fromkeys([wanted[user], *good[user]]))
    tables = [table_of("bad", bad), table_of("good", good)]
    return tables, Sequences.from_lists([[wanted[u]] for u in users], users)


def test_the_better_channel_gets_more():
    found = learn(Evidence.of(*made(300, 2 / 3)), ("bad", "good"))
    good = found.weights["good"]
    assert good.low > 0.6
    assert good.low < good.value < good.high <= 1.0
    assert sum(one.value for one in found.weights.values()) == pytest.approx(1.0, abs=1e-5)
    assert found.best == "good"
    assert found.figures["good"].value > found.figures["bad"].high
    assert 200 < found.users <= 300


def test_two_that_know_half_each_beat_both():
    """Fusing pays if channels are right for different users, and then none is served alone."""
    users = [f"u{n:03}" for n in range(300)]
    lists = {
        name: {
            u: [*([f"w{u}"] if (n + k) % 2 else []), *(f"{name}{m}" for m in range(20))]
            for n, u in enumerate(users)
        }
        for k, name in enumerate("ab")
    }
    wanted = Sequences.from_lists([[f"w{u}"] for u in users], users)
    tables = [table_of(name, of) for name, of in lists.items()]
    found = learn(Evidence.of(tables, wanted), ("a", "b"))
    assert found.lead.low > 0
    assert found.alone == ""
    assert 0.3 < found.weights["a"].value < 0.7


def test_what_is_learnt_for_some_is_judged_on_others():
    """A channel that is surely better alone than fused is named, and only then."""
    evidence = Evidence.of(*made(300, 0.9))
    found = learn(evidence, ("bad", "good"))
    assert found.lead.value == pytest.approx(0.0, abs=0.01)
    assert found.alone in ("", "good")


def test_the_order_of_evidence_is_that_of_fused_lists():
    """`Evidence.figures` against the lists that `fuse` writes, judged by the judge."""
    tables, wanted = made(50, 0.5)
    recipe = FusionRecipe(k=40, weights=(1.0, 2.0))
    known = Sequences.from_lists([[s] for s in SONGS], [f"v{n}" for n in range(40)])
    split = given_split(known, wanted, wanted)
    lists = Lists.of_table(fuse(tables, recipe), "fused")
    slow = judge(lists, split, ks=[20], keep_heard=True).per_query["ndcg", 20]
    evidence = Evidence.of(tables, wanted)
    score = evidence.value @ np.array([1.0, 2.0])
    np.testing.assert_allclose(evidence.figures(score), slow, atol=1e-9)
    twice = Evidence.joined([evidence, evidence])
    both = twice.figures(twice.value @ np.array([1.0, 2.0]))
    np.testing.assert_allclose(both, [*slow, *slow], atol=1e-9)
    assert twice.users == evidence.users


def test_weights_move_by_at_most_a_quarter():
    last = {"a": 0.6, "b": 0.38, "c": 0.02}
    now = moved(last, {"a": 0.0, "b": 0.0, "c": 1.0})
    assert sum(now.values()) == pytest.approx(1.0, abs=1e-5)
    assert now["c"] - last["c"] == pytest.approx(0.25 * 0.05, abs=1e-6)
    assert all(abs(now[n] - w) <= 0.25 * max(w, 0.05) + 1e-6 for n, w in last.items())
    assert moved({"a": 1.0}, {"a": 1.0, "b": 1.0}) == {"a": 0.5, "b": 0.5}  # a new channel


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="20 are needed"):
        learn(Evidence.of(*made(10, 0.5)), ("bad", "good"))
    tables, _ = made(5, 0.5)
    pq.write_table(tables[0], tmp_path / "bad.parquet")
    other = Sequences.from_lists([["s00"]], ["nobody"])
    with pytest.raises(InputError, match="no table has candidates for a user of the targets"):
        proposed_to([tmp_path / "bad.parquet"], other)


def test_weights_are_kept_by_channel(tmp_path):
    path = tmp_path / "weights.json"
    write_weights(path, {"bad": 0.25, "good": 0.75}, {"users": 300})
    assert read_weights(path) == {"bad": 0.25, "good": 0.75}
    assert weights_for(path, ["good", "bad"]) == (0.75, 0.25)
    with pytest.raises(InputError, match="has weights of bad, good, none of rules"):
        weights_for(path, ["good", "rules"])
    for text in ("no json", "[]", '{"schema": "audiorec/recall-tuned/1"}'):
        path.write_text(text)
        with pytest.raises(DamagedFileError, match="has no weights of channels"):
            read_weights(path)
