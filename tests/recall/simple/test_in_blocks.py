"""Channels that work in blocks give the lists of the plain method, written out here, bit by bit."""

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.simple import counts as rules_module
from audiorec.recall.simple import knn
from audiorec.recall.simple.counts import Rules, RulesRecipe
from audiorec.recall.simple.knn import (
    VSKNN,
    ItemKNN,
    ItemKNNRecipe,
    VSKNNRecipe,
    Wanted,
    joined,
)

SONGS = [f"s{number}" for number in range(9)]
lists = st.lists(st.lists(st.sampled_from(SONGS), max_size=12), min_size=1, max_size=30)


def by_session(channel, history):
    """Return the similarity and the evidence of every song, by loops over sessions."""
    starts, songs = channel.session_starts, channel.session_songs
    sessions = [set(songs[a:b].tolist()) for a, b in pairwise(starts)]
    history = history[-channel.recipe.history :].tolist()
    late = {song: (place + 1) / len(history) for place, song in enumerate(history)}
    shared = {}
    for number, held in list(enumerate(sessions))[::-1]:
        if common := sorted(held & late.keys()):
            shared[number] = sum(late[song] for song in common), max(late[s] for s in common)
    newest = list(shared)[: channel.recipe.newest]
    near = sorted(newest, key=lambda n: (-shared[n][0], -n))[: channel.recipe.neighbours]
    similar = defaultdict(float)
    given = defaultdict(lambda: defaultdict(float))
    for number in near:
        weight = float(np.float32(shared[number][0] * shared[number][1]))
        for song in sessions[number]:
            similar[song] += weight
            for own in sessions[number] & late.keys():
                given[song][own] += weight
    return {song: np.float32(total) for song, total in similar.items()}, given


@pytest.mark.parametrize(("block", "growth"), [(1024, 4), (2, 2)])
@settings(deadline=None, max_examples=60)
@given(lists, lists, st.integers(1, 6), st.integers(1, 9), st.integers(1, 8))
def test_vs_knn_is_its_plain_method(block, growth, log, asked, neighbours, newest, history):
    if not any(log):
        return
    recipe = VSKNNRecipe(neighbours=neighbours, newest=newest, history=history)
    channel = VSKNN(recipe).fit(RecallData(Sequences.from_lists(log)))
    queries = Queries(Sequences.from_lists(asked))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knn, "VS_BLOCK_HISTORIES", block)
        patch.setattr(knn, "GROWTH", growth)
        found = channel.recall(queries, 9)
    histories = queries.histories.among(channel.song_ids)
    for row in range(len(asked)):
        similar, given = by_session(channel, histories[row])
        ranked = sorted(similar, key=lambda song: (-similar[song], song))
        there = found.song[row] >= 0
        assert found.song[row, there].tolist() == ranked
        assert found.similarity[row, there].tolist() == [similar[song] for song in ranked]
        for song, own in zip(found.song[row, there], found.evidence[row, there], strict=True):
            assert given[song][own] == pytest.approx(max(given[song].values()))


@settings(deadline=None, max_examples=60)
@given(lists, lists, st.integers(1, 4), st.integers(1, 8))
def test_item_knn_is_the_sum_of_its_rows(log, asked, neighbours, history):
    if not any(log):
        return
    recipe = ItemKNNRecipe(weighting="cosine", neighbours=neighbours, history=history, shrink=1.0)
    channel = ItemKNN(recipe).fit(RecallData(Sequences.from_lists(log)))
    queries = Queries(Sequences.from_lists(asked))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knn, "BLOCK_HISTORIES", 2)
        found = channel.recall(queries, 9)
    for row, songs in enumerate(queries.histories.among(channel.song_ids).newest(history)):
        total = np.zeros(len(channel.song_ids), np.float32)
        given = np.zeros((len(channel.song_ids), len(channel.song_ids)), np.float32)
        for own in np.unique(songs):
            part = slice(channel.starts[own], channel.starts[own + 1])
            given[own, channel.near[part]] = channel.weights[part]
            total += given[own]
        ranked = np.lexsort((np.arange(len(total)), -total))[: (total > 0).sum()]
        there = found.song[row] >= 0
        assert found.song[row, there].tolist() == ranked.tolist()
        assert found.similarity[row, there].tolist() == total[ranked].tolist()
        assert found.evidence[row, there].tolist() == given.argmax(axis=0)[ranked].tolist()


@settings(deadline=None, max_examples=60)
@given(lists, st.integers(1, 12), st.integers(1, 4))
def test_rules_count_all_pairs_within_the_window(log, window, kept):
    if not any(log):
        return
    plays = Sequences.from_lists(log)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules_module, "BLOCK_PLAYS", 5)
        channel = Rules(RulesRecipe(window=window, rules_per_song=kept)).fit(RecallData(plays))
    weight = defaultdict(float)
    for apart in range(1, window + 1):
        for songs in plays:
            for first, then in zip(songs[:-apart].tolist(), songs[apart:].tolist(), strict=True):
                weight[first, then] += 1.0 / apart
    for song in range(len(plays.song_ids)):
        rules = sorted((-w, then) for (first, then), w in weight.items() if first == song)[:kept]
        part = slice(channel.starts[song], channel.starts[song + 1])
        assert channel.next[part].tolist() == [then for _, then in rules]
        assert channel.weights[part].tolist() == [np.float32(-w) for w, _ in rules]


def test_rows_are_joined_in_the_order_asked_for():
    values, starts = np.array([5, 6, 7, 8], np.int32), np.array([0, 2, 2, 4])
    rows = np.array([2, 1, 0, 2])
    assert joined(values, starts, rows).tolist() == [7, 8, 5, 6, 7, 8]
    assert joined(values, starts, rows[:0]).tolist() == []


def test_a_table_finds_ever_other_songs():
    table, songs, starts = Wanted(6), np.array([3, 1, 3, 5], np.int32), np.array([0, 0, 2, 4])
    assert table.grid([3, 5], songs, starts).tolist() == [[0, 1, 1], [0, 0, 1]]
    values = np.arange(1, 5, dtype=np.float32)
    assert table.grid([1, 3], songs, starts, values).tolist() == [[0, 2, 0], [0, 1, 3]]
