"""`audiorec.search.space`: one search over sounds, vectors, means and learnt embeddings."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_library import series, song, write_library
from made_sound import add_lists, random_sound, unit_rows

from audiorec.errors import InputError, ShapeError, SpecMismatchError, StoreError, UnknownSongError
from audiorec.library.library import Library
from audiorec.search.questions import Choice
from audiorec.search.space import Neighbour, mean_direction
from audiorec.store.embeddings import write_embeddings
from audiorec.store.store import write_table

IDS = ["a", "b", "c", "d", "e", "f"]
EXTRACTOR = "0123456789abcdef"


@pytest.fixture
def store(tmp_path, make_table, metadata):
    write_table(tmp_path / "vecs.parquet", make_table(IDS), metadata)
    return Library.open(tmp_path / "vecs.parquet")


@pytest.fixture
def embeddings(tmp_path):
    """Four songs of the store and one of elsewhere; "b" and "e" point the same way."""
    path = tmp_path / "embeddings.parquet"
    ids = ["e", "b", "elsewhere", "a", "d"]
    values = np.float32([[2, 0, 0.1], [1, 0, 0.04], [1, 0, 0.05], [0, 1, 0], [0, 0.6, 0.8]])
    write_embeddings(path, ids, values, kind="songs", model_id="m", extractor_id=EXTRACTOR)
    return path


def ids_of(store, rows):
    return [store.ids[row] for row in rows]


def test_embeddings_are_compared_as_they_are(store, embeddings):
    found = store.similar("b", 5, by=embeddings)
    assert [n.song_id for n in found] == ["e", "d", "a"]
    b, e = np.array([1, 0, 0.04]), np.array([2, 0, 0.1])
    cosine = b @ e / np.linalg.norm(b) / np.linalg.norm(e)
    assert found[0].similarity == pytest.approx(cosine, abs=1e-6)
    assert found[0].row["uri"] == "/music/e"


def test_rows_are_those_of_the_store(store, embeddings):
    space = store.space(embeddings)
    assert ids_of(store, space.rows) == ["a", "b", "d", "e"]
    assert len(space) == 4
    np.testing.assert_allclose(space.units([0])[0], [0, 1, 0])
    allowed = np.isin(IDS, ["a", "c", "d"])
    rows = space.search(space.units([4]), 9, allowed=allowed)[0].rows
    assert ids_of(store, rows) == ["d", "a"]


def test_an_embedding_of_any_song_may_ask(store, embeddings):
    found = store.similar(np.float32([0, 5, 0]), 2, by=embeddings)
    assert [(n.song_id, round(n.similarity, 4)) for n in found] == [("a", 1.0), ("d", 0.6)]


def test_a_song_without_an_embedding_cannot_ask(store, embeddings):
    with pytest.raises(InputError, match="the embeddings have no row for 'c'; compare by"):
        store.similar("c", by=embeddings)
    with pytest.raises(UnknownSongError):
        store.similar("elsewhere", by=embeddings)


def test_sound_is_compared_as_it_is_stored(store):
    sound = unit_rows([[1, 0], [0.6, 0.8], [0, 1], [-1, 0], [0, 0], [0.8, -0.6]])
    store = Library.open(add_lists(store.path, sound=sound))
    space = store.space("sound")
    np.testing.assert_array_equal(space.matrix, sound)
    np.testing.assert_array_equal(space.units([2, 0]), sound[[2, 0]])
    # Worked by hand: the cosines with (1, 0); "e" has no direction.
    found = store.similar("a", 9, minimum=-1)
    assert [(n.song_id, round(n.similarity, 6)) for n in found] == [
        ("f", 0.8), ("b", 0.6), ("c", 0.0), ("e", 0.0), ("d", -1.0),
    ]  # fmt: skip


def test_a_song_from_outside_is_placed_by_its_sound_or_vector(store):
    vector, lists = store.vectors[1], {"sound": np.float32([0, 2])}
    plain = store.space("vector")
    np.testing.assert_array_equal(plain.of_song(vector, lists), plain.matrix[1])
    store = Library.open(add_lists(store.path, sound=random_sound(6, width=2)))
    np.testing.assert_array_equal(store.space().of_song(vector, lists), [0, 1])
    with pytest.raises(InputError, match="not in the store has no sound to compare"):
        store.space().of_song(vector, {})


def test_a_sound_of_another_length_is_damage(store):
    wrong = 2 * random_sound(6)
    store = Library.open(add_lists(store.path, sound=wrong))
    with pytest.raises(StoreError, match=r"the sound of 'a' is not of length 1.*--overwrite"):
        store.similar("a")


@given(n=st.integers(2, 12), added=st.integers(0, 8), seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_songs_that_are_added_move_nobody(n, added, seed):
    sound = random_sound(n + added, seed=seed)
    rows = [song(f"{i:02}", series(i)) for i in range(n + added)]

    def neighbours(count):
        with tempfile.TemporaryDirectory() as folder:
            path = write_library(Path(folder), rows[:count])
            store = Library.open(add_lists(path, sound=sound[:count]))
            options = {
                "minimum": -1,
                "choice": Choice(exclude_ids=[f"{i:02}" for i in range(n, count)]),
            }
            return [store.similar(f"{i:02}", n, **options) for i in range(n)]

    for before, after in zip(neighbours(n), neighbours(n + added), strict=True):
        assert before.song_ids.tolist() == after.song_ids.tolist()
        np.testing.assert_array_equal(before.similarities, after.similarities)


def test_the_space_of_vectors_is_what_similarity_says(store):
    space = store.space()
    assert (space.by, len(space)) == ("vector", 6)
    assert space is store.space("vector")
    assert space.matrix is space.matrix
    np.testing.assert_array_equal(space.units([2, 0]), space.matrix[[2, 0]])
    (found,) = space.search(space.units([3]), 2)
    assert found.rows[0] == 3
    assert found.similarities[0] == pytest.approx(1, abs=1e-6)


def test_search_refuses_other_shapes(store):
    space = store.space()
    with pytest.raises(ShapeError, match=r"units must have shape \(Q, 9\), got \(1, 18\)"):
        space.search(np.zeros((1, 18), np.float32), 1)
    with pytest.raises(ShapeError, match=r"units must have shape \(Q, 9\), got \(9,\)"):
        space.search(np.zeros(9, np.float32), 1)
    with pytest.raises(ShapeError, match=r"allowed must have shape \(6,\), got \(5,\)"):
        space.search(space.units([0]), 1, allowed=np.ones(5, np.bool_))
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        space.search(space.units([0]), 0)


def test_embeddings_of_another_extractor_are_refused(store, tmp_path):
    values = np.random.default_rng(0).random((6, 3)).astype(np.float32)
    path = tmp_path / "e.parquet"
    write_embeddings(path, IDS, values, kind="songs", model_id="m", extractor_id="other")
    with pytest.raises(SpecMismatchError, match="made by extractor other"):
        store.space(path)


def test_imported_embeddings_go_with_any_store(store, tmp_path):
    values = np.eye(6, 3, dtype=np.float32)
    write_embeddings(tmp_path / "e.parquet", IDS, values, kind="songs", model_id="m")
    assert len(store.space(tmp_path / "e.parquet")) == 6


def test_a_table_that_shares_no_song(store, tmp_path):
    write_embeddings(
        tmp_path / "e.parquet", ["x"], np.ones((1, 3), np.float32), kind="songs", model_id="m"
    )
    space = store.space(tmp_path / "e.parquet")
    assert len(space) == 0
    (found,) = space.search(np.float32([[1, 0, 0]]), 3)
    assert (len(found), found.similarities.tolist()) == (0, [])


def test_songs_are_not_their_own_neighbours(store):
    space = store.space()
    own = np.array([4, 0, 2])
    together = space.search(space.units(own), 9, own=own)
    assert together.rows.shape == (3, 6)
    for row, found in zip(own, together, strict=True):
        assert sorted([*found.rows, row]) == list(range(6))
        assert found == space.search(space.units([row]), 9, own=np.array([row]))[0]
    allowed = np.arange(6) < 3
    found = space.search(space.units(own), 2, allowed=allowed, own=own)
    assert [sorted(one.rows.tolist()) for one in found][1:] == [[1, 2], [0, 1]]
    assert len(found[0]) == 2


def test_own_songs_of_a_table_that_has_fewer(store, embeddings):
    space = store.space(embeddings)
    own = np.array([0, 4])
    found = space.search(space.units(own), 2, own=own)
    assert [ids_of(store, one.rows) for one in found] == [["d", "b"], ["b", "d"]]


def test_neighbours_of_one_query(store):
    found = store.similar("a", 3, minimum=-1)
    assert len(found) == 3
    assert found.song_ids.tolist() == [n.song_id for n in found] == ids_of(store, found.rows)
    assert isinstance(found[0], Neighbour)
    assert found[-1] == list(found)[2]
    assert found[1].row == store.row(found[1].song_id)
    assert found[:2] == store.similar("a", 2, minimum=-1) != found
    assert found[1:].song_ids.tolist() == found.song_ids[1:].tolist()
    assert found[1:][0].row["song_id"] == found.song_ids[1]
    assert repr(found[:1]).startswith("1 neighbour\n")
    assert found != list(found)
    with pytest.raises(IndexError):
        found[3]


def test_neighbours_of_several_queries(store):
    options = {"choice": Choice(exclude_ids=["a", "b"]), "minimum": -1}
    found = store.similar(["c", "a"], 4, **options)
    assert found.song_ids.shape == (2, 4)
    assert [len(one) for one in found] == [3, 4]  # "c" has one candidate less
    assert found.song_ids[0, 3] is None
    assert np.isnan(found.similarities[0, 3])
    assert list(found) == [store.similar(name, 4, **options) for name in "ca"]
    assert found == store.similar(
        ("c", "a"), 4, **options | {"choice": Choice(exclude_ids={"a", "b"})}
    )
    assert len(store.similar([], 2)) == 0


def test_the_mean_worked_by_hand():
    # (3, 0, 0) / 3 + (0, 3, 4) / 5, halved: (0.5, 0.3, 0.4), of length sqrt(0.5)
    found = mean_direction(np.float32([[1, 0, 0], [0, 0.6, 0.8]]))
    np.testing.assert_allclose(found, np.array([0.5, 0.3, 0.4]) / np.sqrt(0.5), rtol=1e-6)


def test_one_seed_stays_bit_by_bit():
    unit = np.float32([[0.1, 0.7, -0.2]])
    np.testing.assert_array_equal(mean_direction(unit), unit[0])


def test_seeds_without_a_direction_are_refused():
    with pytest.raises(InputError, match="name at least one"):
        mean_direction(np.empty((0, 3), np.float32))
    with pytest.raises(InputError, match="opposites"):
        mean_direction(np.float32([[1, 0], [-1, 0]]))


def test_songs_that_a_space_lacks_are_marked(tmp_path):
    store = Library.open(write_library(tmp_path, [song(n, series(1)) for n in "abc"]))
    embeddings = np.float32([[3, 4], [0, 1]])
    path = tmp_path / "embeddings.parquet"
    write_embeddings(path, ["c", "a"], embeddings, kind="songs", model_id="m")
    units, there = store.space(path).units_by_row()
    assert there.tolist() == [True, False, True]
    np.testing.assert_allclose(units, [[0, 1], [0, 0], [0.6, 0.8]], rtol=1e-6)
