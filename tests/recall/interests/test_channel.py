"""MIND and ComiRec-SA as channels: the contract, lists, users, names, resuming."""

from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from needs import needs

from audiorec.errors import InputError, WeightsError
from audiorec.learning.bundle import read_bundle, write_bundle
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import Category, SongSide
from audiorec.recall.contract.checks import check_channel, synthetic_listening
from audiorec.recall.contract.data import Context, Queries
from audiorec.recall.interests.channel import MIND, ComiRecSA
from audiorec.recall.interests.forward import ComiRecSARecipe, MINDRecipe
from audiorec.recall.registry import load_channel

QUICK = {"dimension": 8, "negatives": 20, "batch_size": 16, "max_epochs": 2}
KINDS = {"mind": (MIND, MINDRecipe), "comirec-sa": (ComiRecSA, ComiRecSARecipe)}
NAMES = tuple(KINDS)


def channel(name, **changes):
    kind, recipe = KINDS[name]
    return kind(recipe(**{**QUICK, **changes}))


def two_genres(new=-1):
    """Return listening where the first twenty songs are jazz, the rest rock, new songs unknown."""
    plain = synthetic_listening()
    ids = plain.song_ids
    number = np.array([new if "new" in i else int(i >= "song-020") for i in ids], np.int32)
    heard = np.zeros(len(ids), np.bool_)
    side = SongSide(
        song_ids=ids,
        categories={"genre": Category(number, ("jazz", "rock"), heard)},
        released=np.full(len(ids), np.nan, np.float32),
    )
    return replace(plain, context=Context(side=side))


def asked(*lists):
    return Queries(Sequences.from_lists(lists))


def test_another_recipe_keeps_the_contract():
    needs("torch")
    recipe = {"shared_table": False, "hidden": 1}
    check_channel(lambda: channel("comirec-sa", max_epochs=1, **recipe))


@pytest.mark.parametrize("name", NAMES)
def test_they_tell_two_kinds_of_music_apart(name):
    needs("torch")
    made = channel(name, max_epochs=8, patience=8).fit(synthetic_listening())
    found = made.recall(asked(["song-001", "song-003"], ["song-021", "song-023"]), 10)
    kinds = [np.mean([name < "song-020" for name in found.of(row)]) for row in (0, 1)]
    assert kinds[0] > 0.8
    assert kinds[1] < 0.2


@pytest.mark.parametrize("name", NAMES)
def test_each_candidate_says_which_interest_brought_it(name):
    needs("torch")
    history = [f"song-{n:03}" for n in (1, 21, 3, 23, 5, 25, 7, 27, 2, 22)]
    made = channel(name).fit(synthetic_listening())
    queries = asked(history, [], ["song-001"])
    found = made.recall(queries, 8)
    interests = made.interests(queries)
    assert (found.interest[1] == -1).all()
    table = found.to_table(queries.user_ids, channel=name, model_id="m")
    assert table.column("interest").null_count == 0
    own = interests[0].any(axis=1)
    near = interests[0] @ made.proposed.T
    for song, interest in zip(found.song[0], found.interest[0], strict=True):
        assert own[interest]
        assert near[interest, song] == pytest.approx(near[own, song].max(), abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_users_have_a_row_an_interest_whose_weights_are_shares(name, tmp_path):
    needs("torch")
    made = channel(name).fit(synthetic_listening())
    queries = asked([f"song-{n:03}" for n in range(16)], [], ["song-001"])
    rows = made.user_interests(queries)
    assert set(rows.user.tolist()) == {0, 2}
    for user in (0, 2):
        own = rows.user == user
        assert rows.weight[own].sum() == pytest.approx(1, abs=1e-5)
        assert (np.diff(rows.weight[own]) <= 0).all()
    assert (rows.user == 2).sum() == 1  # one play cannot stand for two interests
    np.testing.assert_allclose(np.linalg.norm(rows.embedding, axis=1), 1, atol=1e-5)
    # Their union by the largest similarity is what the channel proposes.
    own = rows.embedding[rows.user == 0] @ made.song_embeddings().T
    best = next(made.blocks(queries))[0]
    played = ~made.is_cold
    np.testing.assert_allclose(own.max(axis=0)[played], best[played], atol=1e-5)
    heaviest = rows.embedding[0]
    np.testing.assert_allclose(made.embed_users(queries)[0], heaviest, atol=1e-6)


def test_what_was_played_lately_weighs_more():
    needs("torch")
    made = channel("mind", half_life=1.0, longest=20)
    made.fit(synthetic_listening())
    batch = next(made.batches(asked(["song-001"] * 4)))[1]
    assert made._recency(batch)[0].tolist() == [0.125, 0.25, 0.5, 1.0]  # by hand
    shares = np.zeros((1, 4, 4), np.float32)
    shares[0, :3, 0], shares[0, 3, 1] = 1, 1
    there = np.ones((1, 4, 8), np.float32)
    there[0, 2:] = 0
    weights = made._weights(batch, there, shares)[0]
    np.testing.assert_allclose(weights, [0.875 / 1.875, 1 / 1.875, 0, 0], atol=1e-5)


def test_interests_are_named_by_songs_and_categories():
    needs("torch")
    made = channel("comirec-sa").fit(two_genres())
    found = made.descriptions(asked(["song-001", "song-001", "song-021"], [], ["unknown"]))
    assert found[1] == found[2] == {}
    for interest in found[0].values():
        assert set(interest.songs) == {"song-001", "song-021"}
        assert set(interest.values["genre"]) == {"jazz", "rock"}
    only = made.descriptions(asked(["song-021", "song-022"]))[0]
    assert {values.values["genre"] for values in only.values()} == {("rock",)}


def test_profiles_are_joined_behind_the_interests():
    needs("torch")
    data = synthetic_listening()
    users = data.sequences.owner_ids
    ages = np.arange(len(users), dtype=np.float32)
    known = Profiles(users, {}, {"age": ages})
    made = channel("mind", hidden=0).fit(replace(data, context=Context(profiles=known)))
    history = Sequences.from_lists([["song-001", "song-003"]] * 2, users[:2])
    one, other = made.interests(Queries(history, None, known.for_users(users[:2])))
    assert not np.allclose(one, other)
    assert one.any(axis=1).tolist() == other.any(axis=1).tolist() == [True, False, False, False]


@pytest.mark.parametrize("name", NAMES)
def test_a_training_that_is_stopped_goes_on(name, tmp_path):
    needs("torch")
    data, stop = synthetic_listening(), Event()

    def after_one(line):
        if line["epoch"] == 1:
            stop.set()

    stopped = channel(name).fit(data, work=tmp_path, progress=after_one, stop=stop)
    with pytest.raises(InputError, match="not fitted"):
        stopped.recall(asked(["song-001"]), 3)
    resumed = channel(name).fit(data, work=tmp_path)
    whole = channel(name).fit(data)
    np.testing.assert_array_equal(resumed.songs, whole.songs)
    for part, array in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[part], array)


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_that_does_not_fit_together_is_refused(name, tmp_path):
    needs("torch")
    channel(name).fit(two_genres()).save(tmp_path / "model")
    bundle = read_bundle(tmp_path / "model", kind=f"recall/{name}")
    bent = {**bundle.tensors, "codes": bundle.tensors["codes"][:-1]}
    write_bundle(tmp_path / "bent", tensors=bent, config=bundle.config, card="bent")
    with pytest.raises(WeightsError, match=f"not a valid model of {name}: codes"):
        load_channel(tmp_path / "bent")
    del bent["codes"]
    write_bundle(tmp_path / "none", tensors=bent, config=bundle.config, card="none")
    with pytest.raises(WeightsError, match=f"not a valid model of {name}: KeyError"):
        load_channel(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("mind", {"rounds": 0}),
        ("mind", {"sharpness": -1.0}),
        ("comirec-sa", {"interests": 0}),
        ("comirec-sa", {"attention": 0}),
        ("comirec-sa", {"half_life": 0.0}),
    ],
)
def test_settings_out_of_range_are_named(name, wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))} must be"):
        channel(name, **wrong)
