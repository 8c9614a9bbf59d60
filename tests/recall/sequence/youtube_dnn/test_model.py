"""`youtube_dnn.model`: columns worked by hand, and shapes that fit."""

import dataclasses

import numpy as np
import pytest

from audiorec.errors import ShapeError
from audiorec.listening.history import Likes
from audiorec.listening.profiles import Encoder
from audiorec.recall.sequence.youtube_dnn.model import UsersModel
from audiorec.types import Pairs, unit


def made(**changes):
    """Two songs with a vector of one number and ids of one; users are their input columns."""
    given = {
        "song_embeddings": np.float32([[1, 0, 0, 0], [0.6, 0.8, 0, 0]]),
        "song_bias": np.zeros(2, np.float32),
        "id_embeddings": np.float32([[4], [-2]]),
        "song_inputs": np.float32([[3], [0]]),
        "has_input": np.array([True, False]),
        "input_mean": np.float32([1]),
        "input_scale": np.float32([2]),
        "layers": ((np.eye(4, dtype=np.float32), np.zeros(4, np.float32)),),
        "encoder": Encoder({}, {}),
        "half_life": None,
        "max_history": 3,
    }
    return UsersModel(**(given | changes))


def likes_of(*songs):
    n = len(songs)
    pairs = Pairs(
        np.zeros(n, np.int32), np.int32(songs), np.ones(n, np.float32), np.arange(n, dtype=float)
    )
    return Likes.from_pairs(pairs, 1)


def test_columns_worked_by_hand():
    model = made()
    catalogue = model.catalogue(np.array([True, True]))
    assert catalogue.known.tolist() == [0, 1]
    # Vector (3 - 1) / 2; ids -2 and 4; two songs of three at most: log 3 / log 4; a history.
    found = model.embed(likes_of(1, 0), catalogue, np.zeros((1, 0), np.float32))
    expected = np.array([1, 1, np.log(3) / np.log(4), 1])
    np.testing.assert_allclose(found.embeddings[0], expected / np.linalg.norm(expected), rtol=1e-6)
    assert found.history.tolist() == [2]


def test_a_song_without_id_and_vector_says_nothing():
    model = made()
    catalogue = model.catalogue(np.array([True, False]))
    assert catalogue.known.tolist() == [0, -1]
    found = model.embed(likes_of(1), catalogue, np.zeros((1, 0), np.float32))
    assert found.history.tolist() == [0]


def test_layers_have_relu_between_but_not_at_the_end():
    second = np.float32([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    first = -np.eye(4, dtype=np.float32)
    bias = np.float32([0, 0, 0, -1])
    model = made(layers=((first, np.zeros(4, np.float32)), (second, bias)))
    catalogue = model.catalogue(np.array([True, True]))
    # The first layer's output is (0, 2, -..., -1): all but one are cut to 0.
    found = model.embed(likes_of(1), catalogue, np.zeros((1, 0), np.float32))
    np.testing.assert_allclose(found.embeddings[0], np.array([0, 2, 0, -1]) / 5**0.5, atol=1e-6)


def test_many_users_in_blocks_are_as_one_by_one(monkeypatch):
    from audiorec.recall.sequence.youtube_dnn import model as users_model

    monkeypatch.setattr(users_model, "BLOCK_ROWS", 3)
    rng = np.random.default_rng(0)
    user, song = np.repeat(np.arange(8), 2), np.tile([0, 1], 8)
    keep = rng.random(16) < 0.6
    pairs = Pairs(
        user[keep].astype(np.int32),
        song[keep].astype(np.int32),
        rng.random(keep.sum()).astype(np.float32) + 0.1,
        rng.random(keep.sum()),
    )
    model = made()
    catalogue = model.catalogue(np.array([True, True]))
    whole = model.embed(Likes.from_pairs(pairs, 8), catalogue, np.zeros((8, 0), np.float32))
    for u in range(8):
        own = pairs.take(pairs.user == u)
        alone = dataclasses.replace(own, user=np.zeros(len(own), np.int32))
        found = model.embed(Likes.from_pairs(alone, 1), catalogue, np.zeros((1, 0), np.float32))
        np.testing.assert_allclose(whole.embeddings[u], found.embeddings[0], atol=1e-6)
        assert whole.history[u] == len(own)


def test_unit_leaves_zero():
    np.testing.assert_allclose(
        unit(np.float64([[3, -4], [0, 0]])), [[0.6, -0.8], [0, 0]], atol=1e-7
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"song_bias": np.zeros(3, np.float32)}, r"rows"),
        ({"input_mean": np.zeros(2, np.float32)}, "must fit the song inputs"),
        ({"layers": ()}, "users have 4 numbers, songs 4"),
        ({"encoder": Encoder({"c": ()}, {})}, "a layer must take 6 columns"),
        ({"song_embeddings": np.zeros((2, 3), np.float32)}, "users have 4 numbers, songs 3"),
    ],
)
def test_parts_must_fit(changes, message):
    with pytest.raises(ShapeError, match=message):
        made(**changes)
