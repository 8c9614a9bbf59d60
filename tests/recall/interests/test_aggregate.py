"""One list out of several: by hand, and beside a slow way that cannot be wrong."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audiorec.recall.interests.channel import SongKinds, merged_interests, order_of

SIMILAR = np.array([[0.9, 0.8, 0.7, 0.6, 0.1, 0.0], [0.1, 0.2, 0.3, 0.0, 0.5, 0.4]], np.float32)
NONE = np.zeros(6, np.bool_)


def kinds(cold=(), category=None, lacks=()):
    return SongKinds(
        may_come=~np.isin(np.arange(6), lacks),
        is_cold=np.isin(np.arange(6), cold),
        category=np.zeros(6, np.int64) if category is None else np.array(category),
    )


def listed(weights, heard=(), known=None, **options):
    mask = np.isin(np.arange(6), heard)
    song, interest = order_of(SIMILAR, weights, mask, known or kinds(), **options)
    return song.tolist(), interest.tolist()


def test_merged_is_the_exact_order_of_the_largest_similarity():
    song, interest = listed(None)
    assert song == [0, 1, 2, 3, 4, 5]
    assert interest == [0, 0, 0, 0, 1, 1]


def test_equal_quotas_take_turns():
    # 0: 0.9 and 4: 0.5 are the first of each; then 1 and 5, 2 and 2.
    assert listed(np.ones(2)) == ([0, 4, 1, 5, 2, 3], [0, 1, 0, 1, 0, 0])


def test_weighted_quotas_follow_the_weights():
    # By hand: times of the first interest 1/6, 1/2, 5/6, 7/6, of the other 1/2, 3/2.
    song, interest = listed(np.array([3.0, 1.0]))
    assert song == [0, 1, 4, 2, 3, 5]
    assert interest == [0, 0, 1, 0, 0, 1]


def test_of_any_many_songs_each_interest_brings_its_share():
    rng = np.random.default_rng(0)
    similar = rng.permutation(3 * 600).reshape(3, 600).astype(np.float32)
    weights = np.array([0.5, 0.3, 0.2])
    none = np.zeros(600, np.bool_)
    known = SongKinds(may_come=~none, is_cold=none, category=np.zeros(600, np.int64))
    _, interest = order_of(similar, weights, none, known)
    for n in (10, 30, 50):
        shares = np.bincount(interest[:n], minlength=3) / n
        assert np.abs(shares - weights).max() <= 1.5 / n + 0.05  # some songs come by two of them


def test_heard_and_cold_songs_take_nobodys_place():
    song, _ = listed(np.ones(2), heard=(0, 4), known=kinds(cold=(1,)))
    new = [s for s in song if s not in (0, 1, 4)]
    # Among the rest 2, 3 are of the first interest, 5 and 2 of the other.
    assert new == [2, 5, 3]
    assert song.index(0) == 0
    assert song.index(1) < song.index(2)


def test_songs_without_an_embedding_do_not_come():
    assert 2 not in listed(None, known=kinds(lacks=(2,)))[0]


def test_diversity_costs_a_song_what_its_category_has_above_it():
    category = [1, 1, 1, 2, 2, 0]
    # 0.9 of 1; then 0.8 - 0.25, 0.7 - 0.25 against 0.6 of 2: 3; then 1: 0.55 against 0.5 - 0.25;
    # then 5 of no known category with 0.4, 4 with 0.25, 2 with 0.7 - 0.5.
    song, _ = listed(None, known=kinds(category=category), diversity=0.25)
    assert song == [0, 3, 1, 5, 4, 2]
    assert listed(None, known=kinds(category=category), diversity=0.0)[0] == [0, 1, 2, 3, 4, 5]


@given(st.data())
def test_the_union_of_long_lists_is_the_exact_order(data):
    # Retrieval interest by interest, joined by the largest similarity, loses nothing.
    n, k = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    cells = st.lists(st.integers(-3, 3), min_size=n * k, max_size=n * k)
    similar = np.array(data.draw(cells), np.float32).reshape(k, n)
    none = np.zeros(n, np.bool_)
    known = SongKinds(may_come=~none, is_cold=none, category=np.zeros(n, np.int64))
    song, interest = order_of(similar, None, none, known)
    best: dict[int, float] = {}
    for row in similar:
        for place in np.argsort(-row, kind="stable").tolist():
            best[place] = max(best.get(place, -9.0), float(row[place]))
    assert song.tolist() == sorted(best, key=lambda s: (-best[s], s))
    assert all(similar[i, s] == best[s] for s, i in zip(song.tolist(), interest, strict=True))


@given(st.data())
def test_quotas_list_every_song_once_and_are_not_changed_by_what_is_left_out(data):
    n, k = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 3))
    cells = st.lists(st.integers(-9, 9), min_size=n * k, max_size=n * k)
    similar = np.array(data.draw(cells), np.float32).reshape(k, n)
    heard = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    weights = np.array(data.draw(st.lists(st.sampled_from([0.1, 1, 3]), min_size=k, max_size=k)))
    none = np.zeros(n, np.bool_)
    known = SongKinds(may_come=~none, is_cold=none, category=np.zeros(n, np.int64))
    song, _ = order_of(similar, weights, heard, known)
    assert sorted(song.tolist()) == list(range(n))
    # Without the heard songs it is the list of a catalogue that lacks them.
    rest = np.flatnonzero(~heard)
    if len(rest):
        none = np.zeros(len(rest), np.bool_)
        few = SongKinds(may_come=~none, is_cold=none, category=np.zeros(len(rest), np.int64))
        alone, _ = order_of(similar[:, rest], weights, none, few)
        assert [s for s in song.tolist() if not heard[s]] == rest[alone].tolist()


@given(st.integers(0, 10_000), st.integers(2, 6), st.floats(-0.5, 0.95))
def test_what_is_joined_is_apart_and_stands_for_the_same_songs(seed, k, above):
    rng = np.random.default_rng(seed)
    interests = rng.normal(size=(5, k, 3)).astype(np.float32)
    interests[rng.random((5, k)) < 0.3] = 0
    shares = rng.random((5, 4, k)).astype(np.float32) * interests.any(axis=2)[:, None]
    found, moved = merged_interests(interests, shares, above=above)
    unit = found / np.maximum(np.linalg.norm(found, axis=2, keepdims=True), 1e-9)
    there = found.any(axis=2)
    pairs = there[:, :, None] & there[:, None] & (np.arange(k)[:, None] < np.arange(k))
    assert not ((unit @ unit.transpose(0, 2, 1) > above + 1e-5) & pairs).any()
    assert np.array_equal(there.any(axis=1), interests.any(axis=(1, 2)))
    np.testing.assert_allclose(moved.sum(axis=2), shares.sum(axis=2), atol=1e-5)
    assert not moved.transpose(0, 2, 1)[~there].any()
    # One history alone and among others, and nothing is joined at 1.
    alone, _ = merged_interests(interests[2:3], shares[2:3], above=above)
    np.testing.assert_allclose(alone[0], found[2], atol=1e-6)
    assert merged_interests(interests, shares, above=1)[0] is interests


def test_the_nearest_two_are_joined_first():
    """b lies between a and c, nearer to a: a and b become one, which is too far from c."""
    angles = np.deg2rad([0, 20, 45])
    three = np.stack([np.cos(angles), np.sin(angles)], axis=1)[None].astype(np.float32)
    found, _ = merged_interests(three, np.ones((1, 1, 3), np.float32), above=np.cos(np.deg2rad(30)))
    assert found[0].any(axis=1).tolist() == [True, False, True]
    assert np.allclose(found[0, 0], [np.cos(np.deg2rad(10)), np.sin(np.deg2rad(10))], atol=1e-6)
