"""`audiorec.search.space_choice`: features where they are whole, else the vector and why."""

import numpy as np
import pytest
from made_features import write_features

from audiorec.errors import InputError, MissingFileError
from audiorec.library.library import Library
from audiorec.search import space_choice as module
from audiorec.search.space_choice import choose_space
from audiorec.store.store import write_table

IDS = ["a", "b", "c", "d", "e", "f"]
VALUES = np.random.default_rng(0).random((6, 3)).astype(np.float32)


@pytest.fixture
def store(tmp_path, make_table, metadata):
    write_table(tmp_path / "vecs.parquet", make_table(IDS), metadata)
    return Library.open(tmp_path / "vecs.parquet")


@pytest.fixture
def features(tmp_path):
    return write_features(tmp_path / "features.parquet", IDS, VALUES)


def test_features_that_have_every_song_are_taken(store, features):
    basis = choose_space(store)
    assert (basis.by, basis.table, basis.note) == ("features", features, "")
    found = store.similar("a", 5, minimum=-1)
    assert found.by == "features"
    assert found == store.similar("a", 5, by="features", table=features, minimum=-1)
    assert found != store.similar("a", 5, by="vector", minimum=-1)
    assert store.similar(["a", "b"], 2).by == "features"


def test_vectors_and_weights_are_of_the_vector(store, features):
    assert store.similar(store.vector("a"), 2).by == "vector"
    assert store.similar("a", 2, weights=[0, 0, 1, 0, 0, 0]).by == "vector"
    assert store.space().by == "vector"


def test_without_features_the_note_names_the_command(store):
    basis = choose_space(store)
    assert (basis.by, basis.table) == ("vector", None)
    path = store.path.with_name("features.parquet")
    assert f"audiorec extract FOLDER --out {store.path} --features {path}" in basis.note
    assert store.similar("a", 2) == store.similar("a", 2, by="vector")


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"ids": [*IDS[:4], "x", "y"]}, "lacks 2 of 6 songs"),
        ({"extractor_id": "other"}, "another extractor; make it again: audiorec extract"),
        ({"names": ("msd_penultimate",)}, "lacks one of msd_penultimate, mtt_penultimate"),
        ({"names": ("msd_tags",)}, "has none of the features"),
    ],
)
def test_features_that_are_not_whole_are_passed_over(store, tmp_path, change, note):
    arguments = {"ids": IDS, "values": VALUES} | change
    write_features(tmp_path / "features.parquet", **arguments)
    basis = choose_space(store)
    assert basis.by == "vector"
    assert note in basis.note


def test_damage_is_said_and_passed_over(store, features):
    features.write_bytes(features.read_bytes()[:200])
    assert choose_space(store).by == "vector"
    assert "features.parquet" in choose_space(store).note


def test_more_songs_than_are_read_at_once(store, features, monkeypatch):
    monkeypatch.setattr(module, "MOST_SONGS", 5)
    assert choose_space(store).by == "vector"
    assert "--by features" in choose_space(store).note


def test_an_index_is_of_the_vector(store, features, tmp_path):
    (tmp_path / "vecs.faiss.json").write_text("{}")
    assert choose_space(store) == module.SpaceChoice(by="vector")


def test_what_is_asked_for_is_what_is_compared(store, features):
    assert choose_space(store, "mean") == module.SpaceChoice(by="mean")
    assert choose_space(store, "features").table == features
    with pytest.raises(MissingFileError, match=r"embeddings\.parquet: no such file, needed"):
        choose_space(store, "embedding")
    with pytest.raises(InputError, match="say what it holds"):
        choose_space(store, "auto", features)
    with pytest.raises(InputError, match="by must be one of auto, vector"):
        choose_space(store, "tempo")
