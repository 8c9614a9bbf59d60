"""two-tower and mmoe as channels: profiles answer, new songs have a place, half a model says so."""

from threading import Event

import numpy as np
import pytest
from needs import needs

torch = needs("torch")

from two_towers import N_USERS, SONGS, TASTES, USERS, listening, mmoe, people, two_tower

from audiorec.errors import InputError, WeightsError
from audiorec.learning.bundle import read_bundle, write_bundle
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.channel import Trained
from audiorec.recall.contract.checks import synthetic_listening
from audiorec.recall.contract.data import Context, Queries, RecallData
from audiorec.recall.contract.space import users_in
from audiorec.recall.registry import load_channel
from audiorec.store.embeddings import write_embeddings
from audiorec_federated.channel import Mmoe, TwoTower
from audiorec_federated.halves import ItemHalf, ItemSide
from audiorec_federated.noise import Defence

KINDS = {"two-tower": (TwoTower, two_tower), "mmoe": (Mmoe, mmoe)}


def known():
    return RecallData(listening().sequences, (), Context(profiles=people()))


def trained(name, **settings):
    kind, recipe = KINDS[name]
    made = {"max_epochs": 12, "patience": 12, "learning_rate": 0.02, **settings}
    return kind(recipe(**made)).fit(known())


def newcomers():
    """A user of each taste whom no log knows."""
    items = [f"item-{taste}-0|item-{taste}-3" for taste in range(TASTES)]
    ids = tuple(f"new-{taste}" for taste in range(TASTES))
    return Profiles(ids, {"items": items}, {})


def asked(profiles):
    return Context(profiles=profiles).queries_of(
        Sequences.from_lists([[] for _ in profiles.user_ids], list(profiles.user_ids))
    )


@pytest.mark.parametrize("name", KINDS)
def test_a_profile_alone_brings_the_songs_of_its_taste(name):
    found = trained(name).recall(asked(newcomers()), SONGS)
    for taste in range(TASTES):
        own = [song.startswith(f"song-{taste}-") for song in found.of(taste)]
        assert np.mean(own) > 0.9


@pytest.mark.parametrize("name", KINDS)
def test_of_whom_nothing_is_known_gets_nothing(name):
    unknown = Profiles(("nobody", "new-0"), {"items": ["unheard of", "item-0-0"]}, {})
    found = trained(name, max_epochs=1).recall(asked(unknown), 5)
    assert found.of(0) == []
    assert len(found.of(1)) == 5


def test_mmoe_tells_its_gates_in_every_line(tmp_path):
    channel = trained("mmoe", max_epochs=2)
    chosen = [line for line in channel.trained.lines if line["phase"] == "choose"]
    assert all("gate_entropy_0" in line and "gate_entropy_1" in line for line in chosen)
    channel.save(tmp_path / "model")
    tensors = read_bundle(tmp_path / "model", kind="recall/mmoe").tensors
    assert not any("own" in name or "secret" in name for name in tensors)  # stay where they are


@pytest.mark.parametrize("name", KINDS)
def test_new_songs_lie_where_their_sound_says(name):
    kind, recipe = KINDS[name]
    data = synthetic_listening()
    settings = {"max_epochs": 12, "patience": 12, "min_users": 2, "learning_rate": 0.02}
    channel = kind(recipe(**settings)).fit(data)
    new = [n for n, song in enumerate(channel.song_ids) if "new" in song]
    assert channel.is_cold[new].all()
    assert channel.songs[new].any(axis=1).all()
    found = channel.embed_sound(data.sound)
    np.testing.assert_allclose(found[new], channel.songs[new], atol=1e-5)


def half_a_channel():
    recipe = two_tower()
    data = listening()
    items = ItemSide.of(data, USERS)
    half = ItemHalf(items, recipe, "refit", defence=Defence())
    return TwoTower.of_half(items, half, data, space="spoken-of", trained=Trained())


def test_the_music_side_alone_answers_to_vectors_and_says_where_the_tower_is(tmp_path):
    channel = half_a_channel()
    channel.save(tmp_path / "model")
    loaded = load_channel(tmp_path / "model")
    assert loaded.space == "spoken-of"
    assert np.array_equal(loaded.songs, channel.songs)
    with pytest.raises(InputError, match="the partner has the model of users: give `users`"):
        loaded.recall(asked(newcomers()), 3)
    vectors = np.eye(TASTES, 8, dtype=np.float32)
    path = tmp_path / "users.parquet"
    write_embeddings(
        path, newcomers().user_ids, vectors, kind="users", model_id="theirs", space="spoken-of"
    )
    ids, embedded = users_in(loaded, path)
    queries = Queries(Sequences.from_lists([[] for _ in ids], list(ids)), embedded=embedded)
    found = loaded.recall(queries, 3)
    best = (vectors / 0.25 @ loaded.songs.T + loaded.prior).argmax(axis=1)
    assert found.song[:, 0].tolist() == best.tolist()
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert "do not collude" in card
    assert "does not guarantee privacy" in card
    assert "Defence: clip 1.0, noise 3.0, rounding float32, vector_noise 0.0." in card
    assert loaded.defence == Defence()


def test_without_profiles_there_is_nothing_to_learn_users_from():
    with pytest.raises(InputError, match="two-tower: needs a table of user profiles"):
        TwoTower(two_tower()).fit(listening())
    strangers = Profiles(("x", "y"), {"items": ["a", "a"]}, {})
    data = RecallData(listening().sequences, (), Context(profiles=strangers))
    with pytest.raises(InputError, match="no user known to both sides has a play"):
        TwoTower(two_tower()).fit(data)
    nothing = Profiles(USERS, {"items": [None] * N_USERS}, {})
    data = RecallData(listening().sequences, (), Context(profiles=nothing))
    with pytest.raises(InputError, match="the table of users has no column"):
        Mmoe(mmoe()).fit(data)


def test_parts_that_do_not_fit_together_are_refused(tmp_path):
    half_a_channel().save(tmp_path / "model")
    bundle = read_bundle(tmp_path / "model", kind="recall/two-tower")
    changes = {
        "not a valid recipe of two-tower": ({}, {"recipe": {"dimension": "wide"}}),
        "not a valid model of two-tower: songs": ({"songs": np.zeros((3, 2), np.float32)}, {}),
        "invalid song facts: ": ({}, {"facts": {}}),
        "not a valid defence": ({}, {"defence": {"clip": -1.0}}),
    }
    for place, (reason, (tensors, config)) in enumerate(changes.items()):
        write_bundle(
            tmp_path / str(place),
            tensors={**bundle.tensors, **tensors},
            config={**bundle.config, **config},
            card="",
        )
        with pytest.raises(WeightsError, match=reason):
            load_channel(tmp_path / str(place))


@pytest.mark.parametrize("name", KINDS)
def test_a_training_that_is_stopped_goes_on_to_the_same_weights(name, tmp_path):
    kind, recipe = KINDS[name]
    settings = {"max_epochs": 3, "patience": 3}
    whole = kind(recipe(**settings)).fit(known())
    stop, lines = Event(), []

    def tell(line):
        lines.append(line)
        if len(lines) == 2:
            stop.set()

    stopped = kind(recipe(**settings)).fit(known(), work=tmp_path, progress=tell, stop=stop)
    assert not stopped.song_ids
    again = kind(recipe(**settings)).fit(known(), work=tmp_path)
    assert np.array_equal(again.songs, whole.songs)
    for tower, array in whole.users.weights.items():
        assert np.array_equal(again.users.weights[tower], array), tower
