"""`audiorec.search.space`: sound where the store has it, else the vector and why."""

import numpy as np
import pytest
from made_features import write_features
from made_sound import add_lists, random_sound

from audiorec.errors import InputError, MissingStoreError
from audiorec.library.library import Library
from audiorec.search.space import SpaceChoice, choose_space
from audiorec.store.embeddings import write_embeddings
from audiorec.store.store import write_table

IDS = ["a", "b", "c", "d", "e", "f"]
SOUND = random_sound(6)


@pytest.fixture
def old(tmp_path, make_table, metadata):
    write_table(tmp_path / "vecs.parquet", make_table(IDS), metadata)
    return Library.open(tmp_path / "vecs.parquet")


@pytest.fixture
def store(old):
    return Library.open(add_lists(old.path, sound=SOUND))


def partial_store(old, without):
    values = [None if name in without else value for name, value in zip(IDS, SOUND, strict=True)]
    return Library.open(add_lists(old.path, sound=values))


def test_sound_is_compared_where_it_is(store):
    assert choose_space(store) == SpaceChoice(by="sound")
    found = store.similar("a", 5, minimum=-1)
    assert found.by == "sound"
    assert found == store.similar("a", 5, by="sound", minimum=-1)
    assert found != store.similar("a", 5, by="vector", minimum=-1)
    assert store.space().by == store.similar(["a", "b"], 2).by == "sound"


def test_vectors_are_of_the_vector(store):
    assert store.similar(store.vector("a"), 2).by == "vector"
    assert store.similar(store.vectors[:2], 2).by == "vector"


def test_a_place_in_the_space_may_ask(store):
    found = store.similar(3 * SOUND[2], 2, minimum=-1)
    assert (found.by, found[0].song_id) == ("sound", "c")
    assert found[0].similarity == pytest.approx(1, abs=1e-6)


def test_a_store_without_is_compared_by_vector_and_the_note_names_the_command(old):
    basis = choose_space(old)
    assert (basis.by, basis.table) == ("vector", None)
    assert basis.note == (
        "compared by vector: this store has no sound; to add it: audiorec extract FOLDER "
        f"--overwrite --out {old.path}"
    )
    assert old.similar("a", 2) == old.similar("a", 2, by="vector")
    with pytest.raises(InputError, match="has no sound, as it was extracted without; to add it"):
        old.space("sound")


def test_a_store_whose_songs_all_lack_it_is_compared_by_vector(old):
    store = partial_store(old, IDS)
    assert store.metadata.lists
    assert choose_space(store).by == "vector"


def test_songs_that_lack_it_are_counted_and_never_found(old):
    store = partial_store(old, "bd")
    assert choose_space(store).note.startswith("2 of 6 songs have no sound and are never found")
    space = store.space()
    assert (len(space), space.rows.tolist()) == (4, [0, 2, 4, 5])
    found = store.similar("a", 9, minimum=-1)
    assert sorted(n.song_id for n in found) == ["c", "e", "f"]
    with pytest.raises(InputError, match=r"'b' has no sound.*compare by vector.*--overwrite"):
        store.similar("b")
    assert store.similar("b", 1, by="vector").by == "vector"
    allowed = np.asarray([False, True, True, True, False, False])
    (found,) = space.search(SOUND[:1], 9, allowed=allowed)
    assert found.rows.tolist() == [2]


def test_files_beside_the_store_change_nothing(store, old, tmp_path):
    before = store.similar("a", 5, minimum=-1)
    values = np.random.default_rng(0).random((6, 3)).astype(np.float32)
    write_features(tmp_path / "features.parquet", IDS, values)
    write_embeddings(tmp_path / "embeddings.parquet", IDS, values, kind="songs", model_id="m")
    after = Library.open(store.path)
    assert choose_space(after) == SpaceChoice(by="sound")
    assert after.similar("a", 5, minimum=-1) == before


def test_what_is_asked_for_is_what_is_compared(store, tmp_path):
    assert choose_space(store, "vector") == SpaceChoice(by="vector")
    table = tmp_path / "e.parquet"
    assert choose_space(store, table) == SpaceChoice(by="learnt", table=table)
    with pytest.raises(MissingStoreError, match=r"e\.parquet: no such file"):
        store.space(table)
    with pytest.raises(InputError, match="by must be one of auto, sound, vector, or emb"):
        choose_space(store, "tempo")
