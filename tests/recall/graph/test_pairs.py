"""Which songs stand together: blocks, batches, walks."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from needs import needs

needs("torch")

from audiorec.listening.sequences import Sequences
from audiorec.recall.graph.learner import batches_of, blocks_of, pair_mask
from audiorec.recall.graph.material import list_walks

LISTS = st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=12), min_size=1, max_size=8)


def pairs_of(lists, seed=0, longest=4, window=None, places=8):
    """Return how often each ordered pair of songs comes in an epoch."""
    rng = np.random.default_rng(seed)
    blocks = blocks_of(lists, rng, longest=longest, window=window)
    found = {}
    for songs, there in batches_of(blocks, rng, places=places):
        for b, i, j in zip(*np.nonzero(pair_mask(there, window)), strict=True):
            pair = (lists.song_ids[songs[b, i]], lists.song_ids[songs[b, j]])
            found[pair] = found.get(pair, 0) + 1
    return found


@given(LISTS)
def test_in_blocks_as_long_as_the_list_each_pair_comes_once_a_list(lists):
    plays = Sequences.from_lists(lists)
    expected = {}
    for songs in lists:
        for a in set(songs):
            for b in set(songs) - {a}:
                expected[a, b] = expected.get((a, b), 0) + 1
    assert pairs_of(plays, longest=20) == expected


@given(LISTS, st.integers(2, 5))
def test_short_blocks_hold_pairs_of_the_list_alone_and_each_song_once(lists, longest):
    plays = Sequences.from_lists(lists)
    together = {(a, b) for songs in lists for a in songs for b in songs if a != b}
    found = pairs_of(plays, longest=longest)
    assert set(found) <= together
    blocks = blocks_of(plays, np.random.default_rng(0), longest=longest)
    lengths = blocks.lengths
    assert ((lengths > 1) & (lengths <= longest)).all()


def test_all_pairs_of_a_long_list_come_in_turn():
    plays = Sequences.from_lists([list("abcdefgh")])
    seen = set()
    for seed in range(60):
        seen |= set(pairs_of(plays, seed=seed, longest=4))
    assert len(seen) == 8 * 7


def test_a_window_keeps_the_order_and_repeats():
    plays = Sequences.from_lists([["a", "b", "c", "a"]])
    found = pairs_of(plays, longest=9, window=1, seed=3)
    near = {("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"), ("c", "a"), ("a", "c")}
    assert set(found) <= near
    union = set()
    for seed in range(30):
        union |= set(pairs_of(plays, longest=3, window=1, seed=seed))
    assert union == near


def test_batches_hold_about_as_many_places_as_asked():
    plays = Sequences.from_lists([[f"{u}-{n}" for n in range(5)] for u in range(100)])
    blocks = blocks_of(plays, np.random.default_rng(0), longest=8)
    sizes = [there.sum() for _, there in batches_of(blocks, np.random.default_rng(1), places=50)]
    assert sum(sizes) == 500
    assert max(sizes) <= 55


@given(LISTS)
def test_every_step_of_a_walk_stays_in_a_list(lists):
    plays = Sequences.from_lists(lists)
    walks = list_walks(plays, np.random.default_rng(0), walks=2, length=5)
    together = {(a, b) for songs in lists for a in songs for b in songs}
    for row in range(len(walks)):
        names = [walks.song_ids[s] for s in walks[row]]
        assert all(pair in together for pair in itertools.pairwise(names))
    assert len(walks) == 2 * len({s for songs in lists for s in songs})
