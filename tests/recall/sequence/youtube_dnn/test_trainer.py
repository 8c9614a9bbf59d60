"""`youtube_dnn.trainer`: planted taste is learnt, time is kept, a kill costs nothing."""

import dataclasses
import json
import os
import signal
import sys
import threading

import numpy as np
import pytest
from needs import needs

needs("torch")

from audiorec.errors import InputError, MissingExtraError, ShapeError
from audiorec.learning.checkpoint import load_checkpoint, save_checkpoint
from audiorec.listening.history import Likes
from audiorec.listening.profiles import Profiles, no_profiles
from audiorec.recall.sequence.youtube_dnn.examples import (
    Examples,
    UsersData,
    epoch_places,
    held_out,
)
from audiorec.recall.sequence.youtube_dnn.model import Catalogue
from audiorec.recall.sequence.youtube_dnn.recipe import UsersRecipe
from audiorec.recall.sequence.youtube_dnn.trainer import train_users
from audiorec.spec import fingerprint
from audiorec.types import Pairs

QUICK = UsersRecipe(
    dimension=8,
    hidden=(16,),
    id_width=6,
    max_epochs=8,
    patience=8,
    learning_rate=1e-2,
    batch_size=64,
    half_life_days=30.0,
)


def planted(n_users=120, n_songs=60, seed=0, vectors=True, profiles=True):
    """Two tastes: a user likes songs of one half; vectors and a category tell the half."""
    rng = np.random.default_rng(seed)
    half = np.arange(n_users) % 2
    rows = []
    for user in range(n_users):
        songs = rng.permutation(n_songs // 2)[:6] * 2 + half[user]
        rows += [(user, song, 1.0, float(t)) for t, song in enumerate(songs)]
    user, song, weight, time = map(np.array, zip(*rows, strict=True))
    liked = Pairs(
        user.astype(np.int32), song.astype(np.int32), weight.astype(np.float32), time * 86_400.0
    )
    numbers = rng.normal(size=(n_songs, 5)).astype(np.float32)
    numbers[:, 2] += 3 * (np.arange(n_songs) % 2)
    ids = tuple(f"u{i}" for i in range(n_users))
    known = Profiles(ids, {"half": [f"h{h}" for h in half]}, {"age": rng.normal(40, 9, n_users)})
    return UsersData(
        likes=Likes.from_pairs(liked, n_users),
        song_ids=tuple(f"s{i}" for i in range(n_songs)),
        vectors=numbers if vectors else np.zeros((n_songs, 0), np.float32),
        has_vector=np.full(n_songs, vectors),
        profiles=known if profiles else no_profiles(ids),
        info={"vectors": "planted"},
    )


def weights(model):
    named = {f"layer {i}": w for i, (w, _) in enumerate(model.layers)}
    return named | {"songs": model.song_embeddings, "ids": model.id_embeddings}


def other_half_share(model, data, likes=None):
    """How often a user's nearest song is of the other half: 0 is perfect, 0.5 is chance."""
    catalogue = model.catalogue(data.song_ids, data.vectors, data.has_vector)
    users = model.embed(data.likes if likes is None else likes, catalogue, data.profiles)
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
    assert min(m["held_out_loss"] for m in metrics) < np.log(60) - 0.15


def test_a_user_without_history_is_placed_by_the_profile():
    data = planted()
    model, _ = train_users(data, dataclasses.replace(QUICK, history_dropout=0.5))
    nobody = Likes(np.zeros(121, np.int64), *(np.empty(0, t) for t in (np.int64, float, float)))
    catalogue = model.catalogue(data.song_ids)
    users = model.embed(nobody, catalogue, data.profiles)
    assert users.profile_only.all()
    assert users.history.tolist() == [0] * 120
    assert other_half_share(model, data, nobody) < 0.1


def test_nothing_to_learn_is_not_learnt():
    data = planted(profiles=False)
    song = np.random.default_rng(1).permutation(data.likes.song)
    likes = dataclasses.replace(data.likes, song=song)
    _, metrics = train_users(dataclasses.replace(data, likes=likes), QUICK)
    assert min(m["held_out_loss"] for m in metrics) > np.log(60) - 0.1


def test_numpy_and_torch_agree(tmp_path):
    data = planted()
    seen = {}

    def watch(self, batch, *, training, original=None):
        users = original(self, batch, training=training)
        if not training:
            seen["batch"], seen["users"] = batch, users.detach().numpy()
        return users

    from audiorec.recall.sequence.youtube_dnn.network import Network

    original = Network.users
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Network,
            "users",
            lambda s, b, *, training: watch(s, b, training=training, original=original),
        )
        model, metrics = train_users(data, dataclasses.replace(QUICK, max_epochs=1))
    assert len(metrics) == 1
    catalogue = model.catalogue(data.song_ids, data.vectors, data.has_vector)
    examples = Examples(data.likes, catalogue, QUICK)
    places = [
        int(np.flatnonzero((examples.user == u) & (data.likes.song == t))[0])
        for u, t in zip(seen["batch"].user, seen["batch"].target, strict=True)
    ]
    from audiorec.listening.history import before, histories

    spans = before(data.likes, max_history=100).take(np.array(places))
    past = histories(data.likes, spans, half_life_days=30.0)
    encoded = model.encoder.encode(data.profiles)[examples.user[places]]
    found = model.embed_histories(past, catalogue, encoded)
    np.testing.assert_allclose(found.embeddings, seen["users"], atol=1e-5)


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
    for steps in (1, 7, 13):
        work = tmp_path / str(steps)
        work.mkdir()
        assert train_users(planted(), recipe, work=work, stop=After(steps)) is None
        resumed, again = train_users(planted(), recipe, work=work)
        for name, array in weights(whole).items():
            np.testing.assert_allclose(weights(resumed)[name], array, atol=1e-6)
        assert again == metrics
        lines = (work / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]


class After(threading.Event):
    """Is set once it has been asked so many times."""

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def is_set(self):
        self.left -= 1
        return self.left < 0


def train_until_it_dies(recipe, work, *, steps):
    """Write the state after every step, and die by SIGKILL where the last one would begin."""
    from audiorec.recall.sequence.youtube_dnn import trainer

    learn, count = trainer._UserLearner.step, [0]

    def dying(self, batch):
        count[0] += 1
        if count[0] == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        return learn(self, batch)

    trainer._UserLearner.step = dying
    train_users(planted(), recipe, work=work, checkpoint_every_s=0.0)


def test_a_kill_while_training_costs_nothing(tmp_path):
    """The process dies between two steps, as by a power cut; its state is a few steps old."""
    recipe = dataclasses.replace(QUICK, max_epochs=3)
    child = os.fork()  # torch is imported already, which costs a new process four seconds
    if child == 0:  # no way out but its end: the child must not run pytest's
        try:
            signal.alarm(60)
            train_until_it_dies(recipe, tmp_path, steps=12)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    whole, _ = train_users(planted(), recipe)
    with pytest.MonkeyPatch.context() as patch:
        steps = []
        from audiorec.recall.sequence.youtube_dnn import trainer as users_train

        learn = users_train._UserLearner.step
        patch.setattr(
            users_train._UserLearner, "step", lambda s, b: (steps.append(1), learn(s, b))[1]
        )
        resumed, _ = train_users(planted(), recipe, work=tmp_path)
    assert len(steps) == 3 * 11 - 11  # the eleven steps that were done are not done again
    for name, array in weights(whole).items():
        np.testing.assert_allclose(weights(resumed)[name], array, atol=1e-6)


def test_the_state_of_another_training_is_not_gone_on_from(tmp_path):
    recipe = dataclasses.replace(QUICK, max_epochs=2)
    train_users(planted(), recipe, work=tmp_path, stop=After(5))
    other = dataclasses.replace(recipe, seed=5)
    fresh, _ = train_users(planted(), other)
    found, _ = train_users(planted(), other, work=tmp_path)
    np.testing.assert_array_equal(found.song_embeddings, fresh.song_embeddings)


def test_a_state_of_before_the_one_loop_is_gone_on_from(tmp_path):
    """A user model's own state was called "now", and the best epoch counted from 1."""
    recipe = dataclasses.replace(QUICK, max_epochs=3)
    whole, metrics = train_users(planted(), recipe)
    assert train_users(planted(), recipe, work=tmp_path, stop=After(17)) is None
    path = tmp_path / "checkpoint.safetensors"
    identity = fingerprint({"recipe": dataclasses.asdict(recipe), "data": planted().fingerprint})
    tensors, at = load_checkpoint(path, identity)
    assert (at.epoch, at.batch) == (1, 6)
    old = {n.replace("model.", "now.", 1): t for n, t in tensors.items()}
    save_checkpoint(path, old, dataclasses.replace(at, best_epoch=1))
    resumed, again = train_users(planted(), recipe, work=tmp_path)
    assert again == metrics
    for name, array in weights(whole).items():
        np.testing.assert_array_equal(weights(resumed)[name], array)


def test_early_stopping_keeps_the_best_epoch():
    recipe = dataclasses.replace(QUICK, max_epochs=40, patience=2, learning_rate=0.05)
    model, metrics = train_users(planted(n_users=30), recipe)
    losses = [m["held_out_loss"] for m in metrics]
    assert len(losses) == int(np.argmin(losses)) + 3
    assert model.info["figures"]["held_out_loss"] == min(losses)
    assert model.info["figures"]["epoch"] == int(np.argmin(losses)) + 1


def test_held_out_users_are_not_learnt_from():
    data = planted()
    held = held_out(data.likes, QUICK)
    assert len(np.unique(data.likes.user[held])) == 12
    assert not set(data.likes.user[held]) & set(data.likes.user[~held])
    later = held_out(data.likes, dataclasses.replace(QUICK, hold_out="later"))
    assert later.sum() == 12
    assert (data.likes.time[later] == 5 * 86_400.0).all()


def test_an_epoch_takes_a_few_targets_of_each_user():
    data = planted(n_users=40)
    recipe = dataclasses.replace(QUICK, targets_per_user=2)
    learnt = data.likes.user != 7
    places = epoch_places(data.likes, learnt, recipe, 3)
    counts = np.bincount(data.likes.user[places], minlength=40)
    assert counts.tolist() == [2] * 7 + [0] + [2] * 32
    assert len(set(places.tolist())) == len(places)
    assert places.tolist() != epoch_places(data.likes, learnt, recipe, 4).tolist()


def test_a_hidden_history_leaves_the_profile():
    data = planted(n_users=4)
    catalogue = Catalogue(known=np.arange(60), inputs=data.vectors, has_input=np.ones(60, np.bool_))
    examples = Examples(data.likes, catalogue, QUICK)
    batch = examples.batch(np.array([3, 9]), drop=np.array([True, False]))
    assert batch.by_id.counts.tolist() == [0, 3]
    np.testing.assert_allclose(batch.lengths, [[0, 0], [np.log(4) / np.log(101), 1]], rtol=1e-6)


def test_refusals(monkeypatch):
    data = planted(n_users=1)
    with pytest.raises(InputError, match=r"too few users .* hold out later likes instead"):
        train_users(data, QUICK)
    unordered = dataclasses.replace(data.likes, time=np.full(len(data.likes.song), np.nan))
    with pytest.raises(InputError, match="hold out users instead"):
        held_out(unordered, dataclasses.replace(QUICK, hold_out="later"))
    with pytest.raises(InputError, match="needs vectors of songs, or ids"):
        train_users(planted(vectors=False), dataclasses.replace(QUICK, id_width=0))
    with pytest.raises(ShapeError, match="agree in U"):
        dataclasses.replace(data, profiles=no_profiles(["a", "b"]))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"audiorec\[train\]"):
        train_users(planted(), QUICK)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"half_life_days": -1.0}, "half_life_days must be above 0"),
        ({"held_out_share": 1.0}, r"held_out_share must be in \(0, 1\)"),
        ({"hidden": (8, 0)}, "hidden must be 1 or more"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
    ],
)
def test_a_recipe_is_checked(change, message):
    with pytest.raises(InputError, match=message):
        UsersRecipe(**change)
