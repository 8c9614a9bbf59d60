"""`youtube_dnn.job`: listening, songs and profiles are joined by their ids, and by nothing else."""

import dataclasses

import numpy as np
import pytest
from made_logs import log_of
from made_stores import write_store
from needs import needs

from audiorec.errors import InputError, SpecMismatchError
from audiorec.library.library import Library
from audiorec.listening.profiles import Encoder, Profiles
from audiorec.recall.sequence.youtube_dnn.job import (
    SongInputs,
    embed_users,
    model_card,
    train_user_model,
    training_data,
    write_song_side,
    write_users,
)
from audiorec.recall.sequence.youtube_dnn.model import UsersModel
from audiorec.store.embeddings import EmbeddingTable, write_embeddings

DAY = 86_400.0
LOG = log_of(
    ("ana", "kind/song-0002.flac", 5 * DAY, "like"),
    ("ana", "kind/song-0000.flac", 1 * DAY, "finish", 1.0),
    ("ben", "kind/song-0000.flac", 2 * DAY, "skip", 0.1),
    ("eva", "elsewhere.flac", 3 * DAY, "like"),
    ("eva", "kind/song-0001.flac", 3 * DAY, "like"),
)


@pytest.fixture
def store(tmp_path):
    write_store(tmp_path / "vecs.parquet", 4)
    return Library.open(tmp_path / "vecs.parquet")


@pytest.fixture
def songs(tmp_path):
    path = tmp_path / "songs.parquet"
    numbers = np.float32([[1, 2], [3, 4]])
    ids = ["kind/song-0000.flac", "elsewhere.flac"]
    write_embeddings(path, ids, numbers, kind="songs", model_id="m1")
    return EmbeddingTable.open(path)


def small_model(**changes):
    """A model whose users are told by hand: history vector, id, lengths and one category."""
    rng = np.random.default_rng(0)
    given = {
        "song_ids": ("kind/song-0000.flac", "gone.flac"),
        "song_embeddings": np.float32([[1, 0], [0.6, 0.8]]),
        "song_bias": np.float32([0.5, -0.5]),
        "id_embeddings": np.float32([[2], [-1]]),
        "song_inputs": np.float32([[10, 1], [0, 0]]),
        "has_input": np.array([True, False]),
        "input_mean": np.float32([4, 0]),
        "input_scale": np.float32([2, 1]),
        "layers": ((rng.normal(size=(8, 2)).astype(np.float32), np.float32([0.1, -0.2])),),
        "encoder": Encoder({"c": ("SE",)}, {}),
        "half_life_days": 10.0,
        "max_history": 3,
        "info": {"data": {"extractor_id": "0123456789abcdef"}},
    }
    return UsersModel(**(given | changes))


def test_training_data_is_joined_by_id(store):
    profiles = Profiles(("eva", "zoe"), {"c": ["SE", "NO"]}, {"age": np.array([30.0, 1.0])})
    data = training_data(LOG, inputs=SongInputs(store), profiles=profiles)
    assert data.song_ids == ("elsewhere.flac", *(f"kind/song-000{i}.flac" for i in range(3)))
    assert data.has_vector.tolist() == [False, True, True, True]
    np.testing.assert_array_equal(data.vectors[3], store.vector("kind/song-0002.flac"))
    assert data.vectors[0].any() == False  # noqa: E712
    # ana, ben, eva; ana's finish is older than her like.
    assert data.likes.starts.tolist() == [0, 2, 2, 4]
    assert data.likes.song.tolist() == [1, 3, 0, 2]
    assert data.profiles.categories["c"] == [None, None, "SE"]
    assert data.info["songs_with_vector"] == 3
    assert data.info["simulated"] is False


def test_two_sources_of_songs_stand_side_by_side(store, songs):
    numbers, has = SongInputs(store, songs).look_up(["elsewhere.flac", "kind/song-0000.flac"])
    assert has.tolist() == [False, True]
    assert numbers.shape == (2, 26)
    np.testing.assert_array_equal(numbers[1, 24:], [1, 2])
    assert not numbers[0].any()
    made = {"extractor_id": "0123456789abcdef", "songs_model_id": "m1"}
    assert SongInputs(store, songs).identity() == made


def test_nothing_to_train_on_is_said(store):
    with pytest.raises(InputError, match="no user likes a song"):
        training_data(log_of(("ana", "a", 1.0, "skip", 0.0)), inputs=SongInputs(store))
    with pytest.raises(InputError, match="no liked song has a vector"):
        training_data(log_of(("ana", "a", 1.0, "like")), inputs=SongInputs(store))


def test_an_embedding_worked_by_hand():
    model = small_model()
    log = log_of(
        ("ana", "gone.flac", 30 * DAY, "like"),
        ("ana", "kind/song-0000.flac", 20 * DAY, "like", None, 7.0),
        ("ana", "new.flac", 29 * DAY, "like"),
        ("ben", "new.flac", 1 * DAY, "like"),
    )
    found = embed_users(model, log, profiles=Profiles(("ana", "zoe"), {"c": ["SE", "FI"]}, {}))
    assert found.user_ids == ("ana", "ben", "zoe")
    assert found.users.history.tolist() == [2, 0, 0]
    assert found.users.profile_only.tolist() == [False, True, True]
    assert (found.likes, found.unknown) == (4, 2)
    # ana: the only vector is (10 - 4) / 2 and 1; ids 2 with weight 3 halved once, -1 with 1.
    columns = [3, 1, (1.5 * 2 - 1) / 2.5, np.log(3) / np.log(4), 1, 1, 0, 0]
    weight, bias = model.layers[0]
    for row, x in enumerate([columns, [0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1, 0]]):
        expected = np.array(x) @ weight + bias
        expected /= np.linalg.norm(expected)
        np.testing.assert_allclose(found.users.embeddings[row], expected, atol=1e-6)


def test_vectors_bring_songs_that_the_training_did_not_have(tmp_path):
    write_store(tmp_path / "v.parquet", 3)
    store = Library.open(tmp_path / "v.parquet")
    wide = small_model(
        song_inputs=np.zeros((2, 24), np.float32),
        input_mean=np.zeros(24, np.float32),
        input_scale=np.ones(24, np.float32),
        layers=((np.ones((30, 2), np.float32), np.float32([0, 1])),),
    )
    found = embed_users(wide, LOG, inputs=SongInputs(store))
    assert found.users.history.tolist() == [2, 0, 1]
    assert found.unknown == 1


def test_vectors_of_another_extractor_are_refused(songs):
    with pytest.raises(SpecMismatchError, match=r"trained on vectors of extractor 0123.*model m1"):
        embed_users(small_model(), LOG, inputs=SongInputs(None, songs))


def test_somebody_has_to_be_embedded():
    with pytest.raises(InputError, match="no user"):
        embed_users(small_model(), None)


def test_users_and_songs_are_written_in_one_space(tmp_path):
    model = small_model()
    model_id = model.save(tmp_path / "model", card="")
    loaded = UsersModel.load(tmp_path / "model")
    assert loaded.model_id == model_id
    write_users(tmp_path / "users.parquet", embed_users(loaded, LOG), loaded)
    write_song_side(tmp_path / "songs.parquet", loaded)
    users = EmbeddingTable.open(tmp_path / "users.parquet", kind="users")
    warm = EmbeddingTable.open(tmp_path / "songs.parquet", kind="songs")
    users.metadata.check_same_space(warm.metadata, "both")
    table = users.columns(["history", "profile_only"])
    assert table.column("history").to_pylist() == [1, 0, 0]
    assert table.column("profile_only").to_pylist() == [False, True, True]
    np.testing.assert_allclose(warm.embeddings, [[0.6, 0.8], [1, 0]])  # sorted: gone, kind
    assert warm.columns(["bias"]).column("bias").to_pylist() == [-0.5, 0.5]


def test_a_model_survives_its_folder(tmp_path):
    model = small_model(half_life_days=None)
    model.save(tmp_path / "model", card="")
    loaded = UsersModel.load(tmp_path / "model")
    assert loaded.half_life_days is None
    assert loaded.encoder == model.encoder
    first, second = embed_users(model, LOG), embed_users(loaded, LOG)
    np.testing.assert_array_equal(first.users.embeddings, second.users.embeddings)


def test_train_leaves_a_model_a_card_and_no_state(tmp_path, store):
    needs("torch")
    rows = [
        (f"u{u:02}", f"kind/song-000{(u + i) % 4}.flac", (u + i) * DAY, "like")
        for u in range(16)
        for i in range(3)
    ]
    data = training_data(log_of(*rows), inputs=SongInputs(store))
    from audiorec.recall.sequence.youtube_dnn.recipe import UsersRecipe

    recipe = UsersRecipe(dimension=4, hidden=(8,), id_width=3, max_epochs=2)
    told = []
    model = train_user_model(data, tmp_path / "model", recipe=recipe, progress=told.append)
    assert model is not None
    assert [m["epoch"] for m in told] == [1, 2]
    names = ["MODEL_CARD.md", "metrics.jsonl", "model.json", "model.safetensors"]
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == names
    assert not (tmp_path / "model.run").exists()
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert card == model_card(model)
    assert "simulated" not in card
    made_up = dataclasses.replace(
        model, info={**model.info, "data": {**model.info["data"], "simulated": True}}
    )
    assert "Trained on simulated listening" in model_card(made_up)
    assert "48 likes by 16 users of 4 songs, 4 of them with a vector" in card
    assert "vectors of extractor 0123456789abcdef and ids" in card
    assert "u00" not in (tmp_path / "model" / "model.json").read_text()  # nobody is named


def test_a_folder_of_something_else_is_refused_before_the_training(tmp_path, store):
    (tmp_path / "x").write_text("precious")
    with pytest.raises(InputError, match="other files"):
        train_user_model(training_data(LOG, inputs=SongInputs(store)), tmp_path)
    assert (tmp_path / "x").read_text() == "precious"
