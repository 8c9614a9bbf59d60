"""`audiorec.search.near` and `near_seeds`: worked by hand, and what holds for any seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.library.library import Library
from audiorec.search.choice import Chosen, Limit
from audiorec.search.near import draw, near_seeds, together
from audiorec.search.questions import SimilarQuestion
from audiorec.search.space import mean_direction
from audiorec.store.store import write_table

IDS = ["a", "b", "c", "d", "e", "f"]


def ranking(*rows, similarities=None):
    there = np.linspace(0.9, 0.5, len(rows)) if similarities is None else similarities
    return np.array(rows), np.asarray(there, float)


def test_votes_by_hand():
    # 1 has 1/6 + 1/7; 2 has 1/7 + 1/6; 8 has 1/6 alone, but its seed has nothing yet: 1/6 against
    # (1/7 + 1/6) / (1 + .5), of which each of the two seeds was served half.
    found, similarities = draw([ranking(1, 2), ranking(2, 1), ranking(8, 9)], 4)
    assert found.tolist() == [1, 2, 8, 9]
    found, _ = draw([ranking(1, 2, 3, 4), ranking(7, 8, 9)], 7)
    assert found.tolist() == [1, 7, 2, 8, 3, 9, 4]
    assert similarities.tolist() == [0.9, 0.9, 0.9, 0.5]


def test_a_song_that_two_seeds_want_comes_first():
    assert draw([ranking(1, 2), ranking(3, 2)], 3)[0][0] == 2


def test_ties_go_to_the_nearer_and_then_to_the_first_row():
    near = ranking(5, similarities=[0.9])
    assert draw([ranking(4, similarities=[0.2]), near], 2)[0].tolist() == [5, 4]
    assert draw([ranking(6, similarities=[0.9]), near], 2)[0].tolist() == [5, 6]


@given(
    st.lists(
        st.lists(st.integers(0, 30), min_size=1, max_size=20, unique=True), min_size=1, max_size=5
    ),
    st.integers(0, 40),
)
def test_every_song_once_and_no_other(lists, most):
    wanted = {row for rows in lists for row in rows}
    found, similarities = draw([ranking(*rows) for rows in lists], most)
    assert len(found) == len(similarities) == min(most, len(wanted))
    assert len(set(found.tolist())) == len(found)
    assert set(found.tolist()) <= wanted


@given(st.integers(2, 5), st.integers(1, 10))
def test_tastes_that_share_no_song_have_equal_shares(seeds, places):
    lists = [range(100 * seed, 100 * seed + 20) for seed in range(seeds)]
    found, _ = draw([ranking(*rows) for rows in lists], seeds * places)
    assert np.bincount(found // 100).tolist() == [places] * seeds


def test_seeds_of_one_taste_ask_as_one_and_others_by_themselves():
    one, other = np.float32([1, 0, 0]), np.float32([0, 0, 1])
    near = np.float32([np.cos(0.1), np.sin(0.1), 0])
    asked = together(np.stack([one, near, other]))
    assert np.linalg.norm(asked, axis=1) == pytest.approx(1)
    assert asked[0] @ asked[1] > one @ near
    assert asked[2] @ other > 0.99
    assert together(np.zeros((2, 3), np.float32)).tolist() == np.zeros((2, 3)).tolist()


def like(store, *seeds, **wish):
    return store.ask(SimilarQuestion(seeds=seeds, by="vector", minimum=-1, **wish))


@pytest.fixture
def store(tmp_path, make_table, metadata):
    write_table(tmp_path / "vecs.parquet", make_table(IDS), metadata)
    return Library.open(tmp_path / "vecs.parquet")


def every(store, *limits):
    return Chosen(allowed=np.ones(len(store), np.bool_), limits=limits, not_music=0, idle=())


def test_one_seed_is_asked_as_ever_and_so_is_the_mean(store):
    space = store.space()
    units = space.units([0, 3])
    alone = near_seeds(space, units[:1], 5, every(store), taken=[0], minimum=-1)
    assert alone == near_seeds(space, units[0][None], 5, every(store), taken=[0], minimum=-1)
    mean = near_seeds(space, units, 4, every(store), taken=[0, 3], mean=True, minimum=-1)
    direction = mean_direction(units)
    assert mean == near_seeds(space, direction[None], 4, every(store), taken=[0, 3], minimum=-1)


def test_similarities_are_to_the_nearest_seed_and_seeds_are_not_listed(store):
    space = store.space()
    units = space.units([0, 3])
    found = near_seeds(space, units, 6, every(store), taken=[0, 3], minimum=-1)
    assert sorted(found.rows.tolist()) == [1, 2, 4, 5]
    expected = (space.units(found.rows) @ units.T).max(axis=1)
    assert found.similarities == pytest.approx(expected, abs=1e-6)
    assert found == like(store, "a", "d", k=6)


def test_limits_and_the_minimum_hold(store):
    space = store.space()
    units = space.units([0, 3])
    kinds = np.zeros(len(store), np.int32)
    assert len(near_seeds(space, units, 6, every(store, Limit(kinds, 2)), minimum=-1)) == 2
    assert len(near_seeds(space, units, 6, every(store), taken=[0, 3], minimum=0.999)) == 0


def test_away_from_a_seed_is_refused_and_from_another_song_moves(store):
    space = store.space()
    units = space.units([0, 3])
    with pytest.raises(InputError, match="more like and less like the same song"):
        near_seeds(space, units[:1], 3, every(store), away=units[0])
    plain = like(store, "a", "d", k=4)
    moved = like(store, "a", "d", k=3, less_like=["b"])
    assert "b" not in moved.song_ids
    assert set(moved.song_ids) <= set(plain.song_ids)


def test_no_seed_is_refused(store):
    with pytest.raises(InputError, match="name a song"):
        like(store, k=3)
