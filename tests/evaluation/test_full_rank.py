import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import needs

from audiorec.errors import InputError, ShapeError
from audiorec.evaluation.ranking import (
    clustered_interval,
    gini,
    intra_list_diversity,
    list_spread,
    mean_ranks,
    rank_measures,
)

WORLDS = st.integers(0, 10_000)


def drawn(seed, n_songs=12):
    """Return similarities with ties and gaps, and wanted songs by query."""
    rng = np.random.default_rng(seed)
    similar = rng.integers(0, 5, (4, n_songs)).astype(np.float32)
    similar[rng.random(similar.shape) < 0.2] = -np.inf
    pairs = sorted({(int(q), int(s)) for q, s in rng.integers(0, (4, n_songs), (9, 2))})
    query, song = np.array(pairs).T
    song[rng.random(len(song)) < 0.1] = -1
    return similar, query, song


@settings(max_examples=100, deadline=None)
@given(seed=WORLDS)
def test_a_rank_is_one_more_than_those_above_and_half_of_the_equals(seed):
    similar, query, song = drawn(seed)
    for q, s, rank in zip(query, song, mean_ranks(similar, query, song), strict=True):
        if s < 0 or similar[q, s] == -np.inf:
            assert rank == np.inf
            continue
        above = sum(v > similar[q, s] for v in similar[q])
        equal = sum(v == similar[q, s] for v in similar[q]) - 1
        assert rank == 1 + above + equal / 2


def test_a_constant_ranks_nobody_first():
    ranks = mean_ranks(np.zeros((1, 101), np.float32), np.array([0]), np.array([7]))
    assert ranks.tolist() == [51.0]
    assert rank_measures(ranks, np.array([0]), 1, [50])["hit_rate", 50].tolist() == [0.0]


def test_measures_by_hand():
    # Wanted songs at 1, 3 and nowhere; and a second query without any.
    found = rank_measures(np.array([1.0, 3.0, np.inf]), np.array([0, 0, 0]), 2, [1, 2, 5])
    first = {key: values[0] for key, values in found.items()}
    assert first["recall", 1] == pytest.approx(1 / 3)
    assert first["capped_recall", 1] == 1
    assert first["capped_recall", 5] == pytest.approx(2 / 3)
    assert first["precision", 5] == pytest.approx(2 / 5)
    ideal = 1 + 1 / np.log2(3) + 1 / 2
    assert first["ndcg", 5] == pytest.approx((1 + 1 / np.log2(4)) / ideal)
    assert first["ndcg", 2] == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert first["mrr", 5] == 1
    assert all(np.isnan(values[1]) for values in found.values())
    assert {name for name, _ in found} == {
        *("recall", "capped_recall", "hit_rate", "precision", "ndcg", "mrr")
    }


# Ours by the names of ranx, which divides recall by all wanted items as we do.
RANX = ("recall", "precision", "ndcg", "mrr", "hit_rate")
SEVERAL_K = (1, 3, 10, 25)
MEASURES_OF_RANX = [f"{name}@{k}" for name in RANX for k in SEVERAL_K]
ASK_RANX = """
import json, sys, ranx
names, cases = json.load(sys.stdin)
one = lambda case: ranx.evaluate(ranx.Qrels(case[0]), ranx.Run(case[1]), names, threads=1)
print(json.dumps([{name: float(value) for name, value in one(case).items()} for case in cases]))
"""


def judged_by_ranx(cases):
    """Return ranx's measures, (measure, k), for cases of lists, best first, and their wanted songs.

    In a process of its own that compiles nothing: compiling takes ranx longer than all answers.
    """
    needs("ranx")
    asked = []
    for orders, wanted in cases:
        qrels = {f"q{q}": {f"s{s}": 1 for s in songs} for q, songs in enumerate(wanted)}
        run = {
            f"q{q}": {f"s{s}": float(len(order) - place) for place, s in enumerate(order)}
            for q, order in enumerate(orders)
        }
        asked.append((qrels, run))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK_RANX],
        input=json.dumps([MEASURES_OF_RANX, asked]),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [
        {(name, k): found[f"{name}@{k}"] for name in RANX for k in SEVERAL_K}
        for found in json.loads(done.stdout)
    ]


def judged_by_us(similar, wanted):
    query = np.repeat(np.arange(len(wanted)), [len(songs) for songs in wanted])
    ranks = mean_ranks(similar, query, np.concatenate(wanted))
    found = rank_measures(ranks, query, len(wanted), SEVERAL_K)
    return {at: values.mean() for at, values in found.items() if at[0] in RANX}


def test_measures_agree_with_an_independent_implementation():
    cases, ours = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        n_queries, n_songs = 5, 40
        orders = [rng.permutation(n_songs).tolist() for _ in range(n_queries)]
        sizes = rng.integers(1, 15, n_queries)
        wanted = [rng.choice(n_songs, size, replace=False).tolist() for size in sizes]
        similar = np.zeros((n_queries, n_songs), np.float32)
        for q, order in enumerate(orders):
            similar[q, order] = -np.arange(n_songs)
        cases.append((orders, wanted))
        ours.append(judged_by_us(similar, wanted))
    for own, theirs in zip(ours, judged_by_ranx(cases), strict=True):
        assert own == pytest.approx(theirs, abs=1e-9)


def test_ties_lie_between_the_luckiest_and_the_unluckiest_order():
    # ranx ranks songs of one score in some order; the mean of their ranks favours neither.
    cases, ours = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        similar = rng.integers(0, 6, (20, 30)).astype(np.float32)
        wanted = [rng.choice(30, 1).tolist() for _ in range(20)]
        for sign in (1, -1):
            is_wanted = np.zeros(similar.shape)
            is_wanted[np.arange(20), np.concatenate(wanted)] = sign
            pairs = zip(similar, is_wanted, strict=True)
            cases.append(([np.lexsort((-w, -s)).tolist() for s, w in pairs], wanted))
        ours.append(judged_by_us(similar, wanted))
    judged = judged_by_ranx(cases)
    for own, lucky, unlucky in zip(ours, judged[::2], judged[1::2], strict=True):
        for at, value in own.items():
            assert unlucky[at] - 1e-9 <= value <= lucky[at] + 1e-9
        assert unlucky["mrr", 25] < own["mrr", 25] < lucky["mrr", 25]


def test_more_equals_than_places_do_not_count_beyond_the_list():
    # Four wanted songs of one similarity have rank 2.5 each, and three places.
    found = rank_measures(np.full(4, 2.5), np.zeros(4, int), 1, [3])
    values = {name: values[0] for (name, _), values in found.items()}
    assert values["recall"] == 0.75
    assert values["capped_recall"] == values["precision"] == values["ndcg"] == 1


def test_an_interval_draws_clusters_whole():
    # Ten queries of one user say as much as one.
    rng = np.random.default_rng(0)
    values = np.repeat([0.0, 1.0], 10)
    alone = clustered_interval(values, np.arange(20), rng)
    together = clustered_interval(values, np.repeat([0, 1], 10), rng)
    assert alone.value == together.value == 0.5
    assert (together.low, together.high) == (0.0, 1.0)
    assert 0.2 < alone.low < alone.high < 0.8
    assert clustered_interval(np.array([np.nan, 1.0]), np.arange(2), rng).value == 1.0


def test_the_interval_holds_the_truth_nineteen_times_in_twenty():
    # Sessions differ in how well they are answered, so that their queries are alike.
    rng = np.random.default_rng(7)
    n_sessions, truth = 60, 0.3
    held = {"clustered": 0, "alone": 0}
    for _ in range(200):
        sizes = rng.integers(1, 13, n_sessions)
        cluster = np.repeat(np.arange(n_sessions), sizes)
        share = rng.beta(0.5 * truth, 0.5 * (1 - truth), n_sessions)  # of the mean `truth`
        hits = (rng.random(len(cluster)) < share[cluster]).astype(np.float64)
        for name, groups in (("clustered", cluster), ("alone", np.arange(len(cluster)))):
            found = clustered_interval(hits, groups, rng, samples=400)
            held[name] += found.low <= truth <= found.high
    # Binomial: 0.95 of 200 is 190 with a spread of 3; bootstraps of 60 are a little narrow.
    assert 178 <= held["clustered"] <= 197
    assert held["alone"] < 150  # as if each query were a session of its own


def test_refusals():
    rng = np.random.default_rng(0)
    with pytest.raises(ShapeError, match="values and clusters must have the same shape"):
        clustered_interval(np.zeros(2), np.zeros(3, int), rng)
    with pytest.raises(InputError, match="at least one query"):
        clustered_interval(np.array([np.nan]), np.zeros(1, int), rng)
    with pytest.raises(InputError, match="k must be at least 1"):
        rank_measures(np.ones(1), np.zeros(1, int), 1, [0])


def test_what_lists_are_like():
    lists = np.array([[0, 1], [0, -1]])
    spread = list_spread(lists, np.array([6, 3, 0, 0]))
    assert spread == {"popularity": 5.0, "gini": pytest.approx(7 / 12), "coverage": 0.5}
    assert np.isnan(gini(np.zeros(3, int)))
    kinds = np.array([1, 1, -1, -1])
    found = intra_list_diversity(np.array([[0, 1, -1], [0, 2, 3], [0, -1, -1]]), kinds)
    assert found[:2].tolist() == [0.0, 1.0]  # unknown kinds are all different
    assert np.isnan(found[2])
