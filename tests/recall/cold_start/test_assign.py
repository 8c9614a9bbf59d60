"""`audiorec.recall.cold_start.assign`: the same pairs as the rule, carried out pair by pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.recall.cold_start.assign import UNLIMITED, ListedPairs, ListLimits, assign
from audiorec.search.topk import ItemLists, top_k
from audiorec.types import nth


def by_the_rule(similar, limits, artist=None, allowed=None):
    """Keep pairs in the order of similarity while there is room; the quota first."""
    n_songs, n_users = similar.shape
    artist = list(range(100, 100 + n_songs)) if artist is None else list(artist)
    artist = [a if a >= 0 else 1000 + i for i, a in enumerate(artist)]
    order = sorted(
        (-similar[s, u], s, u)
        for s in range(n_songs)
        for u in range(n_users)
        if allowed is None or allowed[s, u]
    )
    kept = set()
    for capacity in sorted({limits.quota, limits.per_song} - {0}):
        for _, s, u in order:
            of_user = [t for t, v in kept if v == u]
            room = (
                len(of_user) < limits.per_user
                and sum(artist[t] == artist[s] for t in of_user) < limits.per_artist
                and sum(t == s for t, _ in kept) < capacity
            )
            if room and (s, u) not in kept:
                kept.add((s, u))
    return kept


class World:
    """Songs and users of few similarities, so that there are ties."""

    def __init__(self, seed, n_songs, n_users, levels=4):
        rng = np.random.default_rng(seed)
        self.similar = rng.integers(-levels, levels + 1, (n_songs, n_users)).astype(np.float32)
        self.allowed = rng.random((n_songs, n_users)) < 0.8
        self.artist = rng.integers(-1, 3, n_songs)
        self.calls = 0

    def next_best(self, songs, k, *, asked, floor):
        self.calls += 1
        hidden = [
            set(asked[i]) | set(np.flatnonzero(~self.allowed[s])) for i, s in enumerate(songs)
        ]
        lists = ItemLists.from_lists([sorted(map(int, h)) for h in hidden])
        # Products with unit vectors are the similarities themselves.
        return top_k(
            self.similar[songs],
            np.eye(self.similar.shape[1], dtype=np.float32),
            k,
            excluded=lists,
            item_minimum=floor,
        )

    def first(self, k):
        songs = np.arange(len(self.similar))
        n_users = self.similar.shape[1]
        floor = np.full(n_users, -np.inf, np.float32)
        top = self.next_best(songs, k, asked=ItemLists.from_lists([[] for _ in songs]), floor=floor)
        row, column = np.nonzero(top.indices >= 0)
        return ListedPairs(
            row.astype(np.int32),
            top.indices[row, column].astype(np.int32),
            top.similarities[row, column],
        )


def pairs_of(shown):
    return set(zip(shown.song.tolist(), shown.user.tolist(), strict=True))


LIMIT = st.one_of(st.integers(1, 4), st.just(UNLIMITED))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    n_songs=st.integers(1, 8),
    n_users=st.integers(1, 9),
    per_song=st.integers(1, 6),
    per_user=LIMIT,
    per_artist=LIMIT,
    quota=st.integers(0, 3),
    listed=st.integers(0, 5),
)
def test_same_as_the_rule(seed, n_songs, n_users, per_song, per_user, per_artist, quota, listed):
    world = World(seed, n_songs, n_users)
    limits = ListLimits(
        per_song=per_song, per_user=per_user, per_artist=per_artist, quota=min(quota, per_song)
    )
    shown = assign(
        world.next_best,
        n_songs,
        n_users,
        room=limits,
        artist=world.artist,
        first=world.first(listed) if listed else None,
    )
    expected = by_the_rule(world.similar, limits, world.artist, world.allowed)
    assert pairs_of(shown) == expected
    assert len(shown) == len(expected)
    values = world.similar[shown.song, shown.user]
    np.testing.assert_array_equal(values, shown.similarity)
    order = np.lexsort((shown.user, -shown.similarity, shown.song))
    assert order.tolist() == list(range(len(shown)))


# Song 1 is nobody's favourite: without a quota it is heard by nobody.
SIMILAR = np.float32([[0.9, 0.8, 0.7], [0.1, 0.3, 0.2], [0.6, 0.85, 0.5]])


def choose(**limits):
    world = World(0, 3, 3)
    world.similar, world.allowed = SIMILAR, np.ones((3, 3), np.bool_)
    return pairs_of(assign(world.next_best, 3, 3, room=ListLimits(**limits)))


def test_worked_by_hand():
    assert choose(per_song=2) == {(0, 0), (0, 1), (1, 1), (1, 2), (2, 1), (2, 0)}
    # One song a user: .9 for user 0, .85 for user 1, then .7 for user 2.
    assert choose(per_song=2, per_user=1) == {(0, 0), (2, 1), (0, 2)}
    # First one user for each song: .9, .85, and user 2 is left for song 1. Nobody has room then.
    assert choose(per_song=2, per_user=1, quota=1) == {(0, 0), (2, 1), (1, 2)}


def test_one_artist_does_not_fill_a_user():
    world = World(0, 3, 3)
    world.similar, world.allowed = SIMILAR, np.ones((3, 3), np.bool_)
    limits = ListLimits(per_song=3, per_user=2, per_artist=1)
    shown = assign(world.next_best, 3, 3, room=limits, artist=np.array([5, -1, 5]))
    assert pairs_of(shown) == {(0, 0), (1, 0), (2, 1), (1, 1), (0, 2), (1, 2)}


def test_every_song_reaches_its_quota_where_there_is_room():
    rng = np.random.default_rng(6)
    songs = rng.normal(size=(40, 5)).astype(np.float32)
    songs[:20] += 3 * np.float32([1, 0, 0, 0, 0])  # twenty that everybody prefers
    users = rng.normal(size=(100, 5)).astype(np.float32) + np.float32([4, 0, 0, 0, 0])

    def next_best(rows, k, *, asked, floor):
        return top_k(songs[rows], users, k, excluded=asked, item_minimum=floor)

    def smallest(**limits):
        shown = assign(next_best, 40, 100, room=ListLimits(per_song=10, per_user=2, **limits))
        assert np.bincount(shown.user).max() <= 2
        return np.bincount(shown.song, minlength=40).min()

    assert smallest() == 0
    assert smallest(quota=4) == 4


def test_progress_reaches_the_end():
    told = []
    world = World(3, 6, 5)
    assign(
        world.next_best,
        6,
        5,
        room=ListLimits(per_song=2, per_user=1),
        progress=lambda *at: told.append(at),
    )
    assert told[-1] == (6, 6)


def test_a_list_spares_looking_up():
    world = World(1, 6, 30)
    first = world.first(10)
    world.calls = 0
    assign(world.next_best, 6, 30, room=ListLimits(per_song=3), first=first)
    assert world.calls == 0


def test_nth_of_group():
    assert nth(np.empty(0, np.int64)).tolist() == []
    assert nth(np.array([2, 1, 2, 1, 2])).tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"per_song": 0}, "per_song must be at least 1"),
        ({"per_song": 3, "per_user": 0}, "per_user must be at least 1"),
        ({"per_song": 3, "quota": 4}, r"quota must be in \[0, 3\], got 4"),
    ],
)
def test_limits_are_checked(limits, message):
    with pytest.raises(InputError, match=message):
        ListLimits(**limits)
