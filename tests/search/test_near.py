"""`audiorec.search.near` and `choice`: limits, copies, the least similarity; one or many."""

import numpy as np
import pyarrow as pa
import pytest

from audiorec.errors import InputError
from audiorec.search.choice import Chooser, Chosen, Limit
from audiorec.search.near import near_each, near_seeds
from audiorec.search.questions import Choice
from audiorec.search.searchable import SearchableStore
from audiorec.store.store import write_table

IDS = ["a", "b", "c", "d", "e", "f"]


@pytest.fixture
def store(tmp_path, make_table, metadata):
    write_table(tmp_path / "vecs.parquet", make_table(IDS), metadata)
    return SearchableStore.open(tmp_path / "vecs.parquet")


@pytest.fixture
def library(tmp_path, make_table, metadata):
    """Sixty songs: every third by one artist, each tenth the same audio as the one before."""
    tables = []
    for i in range(60):
        kind = i - 1 if i % 10 == 9 else i
        vector = np.random.default_rng(kind).random(18)
        artist = {0: "Abba", 1: "ABBA ", 2: None}.get(i % 9, f"artist {i}")
        changes = {"vector": vector, "content_hash": f"hash {kind}", "artist": artist}
        tables.append(make_table([f"{i:02}"], album=f"album {i % 7}", **changes))
    write_table(tmp_path / "sixty.parquet", pa.concat_tables(tables), metadata)
    return SearchableStore.open(tmp_path / "sixty.parquet")


def every(store, *limits):
    return Chosen(allowed=np.ones(len(store), np.bool_), limits=limits, not_music=0, idle=())


def test_limits_are_kept_and_the_query_counts(store):
    space, unit = store.space(), store.space().units([0])[0]
    plain = space.search(space.units([0]), 6)[0]
    first, *others = plain.rows.tolist()
    kinds = np.where(np.isin(np.arange(6), others[1:]), -1, 0).astype(np.int32)
    limited = every(store, Limit(kinds, 1))
    found = near_seeds(space, unit[None], 6, limited, minimum=-1)
    assert found.rows.tolist() == [first, *others[1:]]
    assert near_seeds(space, unit[None], 6, every(store), minimum=-1) == plain
    found = near_seeds(space, unit[None], 6, limited, taken=[first], minimum=-1)
    assert found.rows.tolist() == others[1:]  # it counts, and does not come
    spread = near_seeds(space, unit[None], 6, every(store), diversity=0.9, minimum=-1)
    assert sorted(spread.rows) == sorted(plain.rows)
    assert spread != plain


def test_no_song_of_less_than_the_minimum_comes(store):
    space = store.space()
    plain = space.search(space.units([2]), 6, own=np.array([2]))[0]
    assert plain.similarities.min() < 0 < plain.similarities.max()
    for minimum in (0.0, float(plain.similarities[1]), -1.0):
        expected = plain.rows[plain.similarities >= minimum].tolist()
        for options in ({}, {"diversity": 0.5}):
            found = store.similar("c", 9, minimum=minimum, **options)
            assert sorted(found.rows) == sorted(expected)
    assert store.similar("c", 9) == store.similar("c", 9, minimum=0.0)
    assert len(store.similar("c", 9, minimum=1.0)) == 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"choice": Choice(per_artist=1)},
        {"choice": Choice(per_artist=2, per_album=1), "diversity": 0.3},
        {"choice": Choice(also=("copies",), per_album=3)},
        {"choice": Choice(only="artist!=abba", exclude=["1"]), "minimum": -1},
    ],
)
@pytest.mark.parametrize("k", [1, 4, 30])
def test_many_queries_get_what_each_alone_gets(library, options, k):
    together = library.similar(library.ids, k, **options)
    assert list(together) == [library.similar(song_id, k, **options) for song_id in library.ids]


def test_limits_of_the_words(library):
    artists = [
        row["artist"]
        for row in library.similar("05", 60, minimum=-1, choice=Choice(per_artist=1)).songs
    ]
    plain = [(name or "").strip().casefold() for name in artists]
    assert plain.count("abba") == 1
    assert plain.count("") > 1  # unknown artists are not one artist
    free = library.similar("05", 60, minimum=-1, choice=Choice(per_artist=0))
    assert free == library.similar("05", 60, minimum=-1)
    with pytest.raises(InputError, match="per_album must be at least 1, or 0 for no limit"):
        library.similar("05", choice=Choice(per_album=-1))


def test_a_copy_is_no_neighbour_and_copies_come_once(library):
    assert "08" not in library.similar("09", 60, minimum=-1).song_ids
    assert library.similar("09", 1, choice=Choice(also=("copies",)))[0].song_id == "08"
    found = library.similar("00", 60, minimum=-1).song_ids.tolist()
    assert [i for i in range(8, 60, 10) if f"{i:02}" in found and f"{i + 1:02}" in found] == []
    assert len(found) == 60 - 1 - 6
    assert library.copies([8]) == library.copies([9]) == 1
    assert library.copies([8, 9]) == library.copies([0]) == 0


def test_limits_that_nothing_can_reach_are_left_out(store, library):
    assert Chooser(store).chosen(Choice(per_artist=1)).limits == ()
    (limit,) = library.chosen(Choice(per_album=8, also=("copies",))).limits
    assert (limit.name, limit.most, len(limit.kinds)) == ("album", 8, 60)
    assert library.chosen(Choice(per_album=9, also=("copies",))).limits == ()


def test_what_may_come_and_what_fits_nothing(library):
    chosen = library.chosen(Choice(exclude=["nobody", "0"], exclude_ids=["11", "not there"]))
    assert chosen.idle == ("nobody",)
    left = [song_id for song_id, may in zip(library.ids, chosen.allowed, strict=True) if may]
    there = [i for i in range(60) if "0" not in f"{i:02}" and i != 11]
    assert left == [f"{i:02}" for i in there if i % 10 != 9]  # which are copies of the one before
    assert chosen.copies == 5
    before = library.music.copy()
    chosen.allowed[:] = False
    np.testing.assert_array_equal(library.music, before)


def test_none_and_nothing_to_choose_from(library):
    empty = Chosen(allowed=np.zeros(60, np.bool_), limits=(), not_music=0, idle=())
    space = library.space()
    assert len(near_seeds(space, space.units([0])[0][None], 3, empty)) == 0
    limited = Chosen(
        allowed=empty.allowed,
        limits=(Limit(np.zeros(60, np.int32), 1),),
        not_music=0,
        idle=(),
    )
    found = near_each(space, space.units([0, 1]), 3, limited, own=np.array([0, 1]))
    assert [len(one) for one in found] == [0, 0]
    with pytest.raises(InputError, match="k must be at least 1"):
        near_each(space, space.units([0]), 0, empty)
