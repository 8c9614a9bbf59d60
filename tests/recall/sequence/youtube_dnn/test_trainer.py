"""`youtube_dnn.trainer`: planted taste is learnt, time is kept, a stop costs nothing."""

import dataclasses
import json
import threading

import numpy as np
import pytest
from needs import needs

needs("torch")

from made_tastes import HALF_LIFE, QUICK, planted

from audiorec.errors import InputError, ShapeError
from audiorec.listening.history import Likes, histories, history_spans
from audiorec.listening.profiles import no_profiles
from audiorec.recall.sequence.youtube_dnn.model import (
    Catalogue,
    Examples,
    YouTubeDNNRecipe,
    epoch_places,
    held_out,
)
from audiorec.recall.sequence.youtube_dnn.trainer import YouTubeDNNLearner, train


def train_users(data, recipe, **given):
    """Train; return the model and the lines of both phases."""
    found = train(data, recipe, HALF_LIFE, **given)
    return None if found is None else (found[0], found[1].history)


def chosen(metrics):
    return [line for line in metrics if line["phase"] == "choose"]


def weights(model):
    named = {f"layer {i}": w for i, (w, _) in enumerate(model.layers)}
    return named | {"songs": model.song_embeddings, "ids": model.id_embeddings}


def other_half_share(model, data, likes=None):
    """How often a user's nearest song is of the other half: 0 is perfect, 0.5 is chance."""
    catalogue = model.catalogue(np.ones(len(data.vectors), np.bool_))
    profiles = model.encoder.encode(data.profiles)
    users = model.embed(data.likes if likes is None else likes, catalogue, profiles)
    nearest = (users.embeddings @ model.song_embeddings.T).argmax(1)
    return float(np.mean(nearest % 2 != np.arange(len(nearest)) % 2))


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ({"profiles": False}, {"id_width": 0}),  # vectors alone
        ({"profiles": False, "vectors": False}, {}),  # ids alone
        ({}, {"hold_out": "later"}),
    ],
)
def test_finds_the_taste_that_was_planted(given, changes):
    data = planted(**given)
    model, metrics = train_users(data, dataclasses.replace(QUICK, **changes))
    assert other_half_share(model, data) < 0.1
    assert min(m["held_out_loss"] for m in chosen(metrics)) < np.log(60) - 0.15


def test_a_user_without_history_is_placed_by_the_profile():
    data = planted()
    model, _ = train_users(data, dataclasses.replace(QUICK, history_dropout=0.5))
    nobody = Likes(np.zeros(121, np.int64), *(np.empty(0, t) for t in (np.int64, float, float)))
    catalogue = model.catalogue(np.ones(60, np.bool_))
    users = model.embed(nobody, catalogue, model.encoder.encode(data.profiles))
    assert users.history.tolist() == [0] * 120
    assert other_half_share(model, data, nobody) < 0.1


def test_nothing_to_learn_is_not_learnt():
    data = planted(profiles=False)
    song = np.random.default_rng(1).permutation(data.likes.song)
    likes = dataclasses.replace(data.likes, song=song)
    _, metrics = train_users(dataclasses.replace(data, likes=likes), QUICK)
    assert min(m["held_out_loss"] for m in chosen(metrics)) > np.log(60) - 0.1


@pytest.mark.parametrize("id_width", [6, 8])  # beside the layers' 8 numbers, and added to them
def test_numpy_and_torch_agree(id_width):
    import torch

    data, recipe = planted(), dataclasses.replace(QUICK, id_width=id_width)
    nobody_out = np.zeros(len(data.likes.song), np.bool_)
    learner = YouTubeDNNLearner(data, recipe, HALF_LIFE, nobody_out)
    for batch in learner.batches(1, 0):
        learner.step(batch)
    places = np.arange(0, len(data.likes.song), 5)
    with torch.no_grad():
        batch = learner.examples.batch(places)
        expected = learner.model.users(batch, training=False).numpy()
    model = learner.trained()
    past = histories(
        data.likes,
        history_spans(data.likes, max_history=100).take(places),
        half_life_days=HALF_LIFE,
    )
    encoded = model.encoder.encode(data.profiles)[data.likes.owner[places]]
    catalogue = model.catalogue(np.ones(60, np.bool_))
    found = model.embed_histories(past, catalogue, encoded)
    np.testing.assert_allclose(found.embeddings, expected, atol=1e-5)


def test_same_seed_same_weights_and_the_global_state_is_left_alone():
    import torch

    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, _ = train_users(planted(), dataclasses.replace(QUICK, max_epochs=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    torch.manual_seed(99)
    second, _ = train_users(planted(), dataclasses.replace(QUICK, max_epochs=2))
    other, _ = train_users(planted(), dataclasses.replace(QUICK, max_epochs=2, seed=1))
    for name, array in weights(first).items():
        np.testing.assert_array_equal(array, weights(second)[name])
        assert not np.array_equal(array, weights(other)[name])


def test_a_stop_at_any_step_and_a_second_start_give_the_same_weights(tmp_path):
    # Negatives are sampled (8 of 60), so that their draws have to be made again, too.
    recipe = dataclasses.replace(QUICK, max_epochs=3, negatives=8)
    whole, metrics = train_users(planted(), recipe)
    for steps in (1, 7, 13, 40):  # the last one in the training on everything
        work = tmp_path / str(steps)
        work.mkdir()
        assert train_users(planted(), recipe, work=work, stop=After(steps)) is None
        resumed, again = train_users(planted(), recipe, work=work)
        for name, array in weights(whole).items():
            np.testing.assert_allclose(weights(resumed)[name], array, atol=1e-6)
        assert [{**line, "seconds": 0} for line in again] == [{**m, "seconds": 0} for m in metrics]
        lines = (work / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["phase"] for line in lines[:4]] == ["choose"] * 3 + ["refit"]


class After(threading.Event):
    """Is set once it has been asked so many times."""

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def is_set(self):
        self.left -= 1
        return self.left < 0


def test_the_state_of_another_training_is_not_gone_on_from(tmp_path):
    recipe = dataclasses.replace(QUICK, max_epochs=2)
    train_users(planted(), recipe, work=tmp_path, stop=After(5))
    other = dataclasses.replace(recipe, seed=5)
    fresh, _ = train_users(planted(), other)
    found, _ = train_users(planted(), other, work=tmp_path)
    np.testing.assert_array_equal(found.song_embeddings, fresh.song_embeddings)


def test_early_stopping_keeps_the_best_epoch():
    recipe = dataclasses.replace(QUICK, max_epochs=40, patience=2, learning_rate=0.05)
    model, metrics = train_users(planted(n_users=30), recipe)
    losses = [m["held_out_loss"] for m in chosen(metrics)]
    assert len(losses) == int(np.argmin(losses)) + 3
    assert len(metrics) - len(losses) == int(np.argmin(losses)) + 1  # then as many on everything
    assert model.song_embeddings.shape == (60, 8)


def test_held_out_users_are_not_learnt_from():
    data = planted()
    held = held_out(data.likes, QUICK)
    assert len(np.unique(data.likes.owner[held])) == 12
    assert not set(data.likes.owner[held]) & set(data.likes.owner[~held])
    later = held_out(data.likes, dataclasses.replace(QUICK, hold_out="later"))
    assert later.sum() == 12
    assert (data.likes.time[later] == 5 * 86_400.0).all()


def test_where_nothing_has_an_order_users_are_held_out():
    data = planted(n_users=20)
    unordered = dataclasses.replace(data.likes, time=np.full(len(data.likes.song), np.nan))
    held = held_out(unordered, dataclasses.replace(QUICK, hold_out="later"))
    assert np.bincount(data.likes.owner[held], minlength=20).tolist().count(6) == 2


def test_an_epoch_takes_a_few_targets_of_each_user():
    data = planted(n_users=40)
    recipe = dataclasses.replace(QUICK, targets_per_user=2)
    learnt = data.likes.owner != 7
    places = epoch_places(data.likes, learnt, recipe, 3)
    counts = np.bincount(data.likes.owner[places], minlength=40)
    assert counts.tolist() == [2] * 7 + [0] + [2] * 32
    assert len(set(places.tolist())) == len(places)
    assert places.tolist() != epoch_places(data.likes, learnt, recipe, 4).tolist()


def test_a_warm_epoch_takes_every_new_play_and_some_of_the_others():
    data, recipe = planted(n_users=40), dataclasses.replace(QUICK, targets_per_user=99)
    every = np.ones(len(data.likes.song), np.bool_)
    is_new = data.likes.owner < 4
    first, second = (set(epoch_places(data.likes, every, recipe, n, is_new)) for n in (1, 2))
    assert set(np.flatnonzero(is_new)) <= first & second
    assert 0.2 < (len(first) - is_new.sum()) / (~is_new).sum() < 0.5
    assert first != second
    assert len(epoch_places(data.likes, is_new, recipe, 1, is_new & False)) > 0


def test_a_hidden_history_leaves_the_profile():
    data = planted(n_users=4)
    catalogue = Catalogue(known=np.arange(60), inputs=data.vectors, has_input=np.ones(60, np.bool_))
    examples = Examples(data.likes, catalogue, QUICK, HALF_LIFE)
    batch = examples.batch(np.array([3, 9]), drop=np.array([True, False]))
    assert batch.by_id.lengths.tolist() == [0, 3]
    np.testing.assert_allclose(batch.lengths, [[0, 0], [np.log(4) / np.log(101), 1]], rtol=1e-6)


def test_refusals():
    data = planted(n_users=1)
    with pytest.raises(InputError, match=r"one user with one play|no held-out play"):
        train_users(data, QUICK)
    with pytest.raises(InputError, match="needs song vectors, or ids"):
        train_users(planted(vectors=False), dataclasses.replace(QUICK, id_width=0))
    with pytest.raises(ShapeError, match="agree in U"):
        dataclasses.replace(data, profiles=no_profiles(["a", "b"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"half_life_days": -1.0}, "half_life_days must be above 0"),
        ({"half_life_plays": 0.0}, "half_life_plays must be above 0"),
        ({"clip": 0.0}, "clip must be above 0"),
        ({"held_out_share": 1.0}, r"held_out_share must be in \(0, 1\)"),
        ({"hidden": (8, 0)}, r"hidden must be at least 1, got \(8, 0\)"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
    ],
)
def test_a_recipe_is_checked(change, message):
    with pytest.raises(InputError, match=message):
        YouTubeDNNRecipe(**change)
