"""What is known of users as numbers, by hand; and the tower in numpy beside torch."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs

needs("torch")

from two_towers import USERS, mmoe, people, split_halves, train_split, two_tower

from audiorec.errors import InputError, ShapeError, WeightsError
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import Context
from audiorec.recall.registry import load_channel
from audiorec_federated.channel import Mmoe, TwoTower
from audiorec_federated.noise import NOTHING, Defence
from audiorec_federated.recipe import MmoeRecipe
from audiorec_federated.users import Bag, UserEncoder, UserFeatures, UserModel, weights_of


def some():
    return Profiles(
        ("a", "b", "c", "d"),
        {"tags": ["x|y", "x", None, "z| x|x"], "town": ["U", "U", "L", None]},
        {"age": np.array([20.0, 40.0, np.nan, 60.0])},
    )


def test_values_by_hand():
    encoder = UserEncoder.fit(some(), min_users=1)
    assert encoder.values == {"tags": ("x", "y", "z"), "town": ("U", "L")}
    found = encoder.encode(some())
    tags = found.bags["tags"]
    assert tags.starts.tolist() == [0, 2, 3, 3, 5]
    assert tags.code.tolist() == [0, 1, 0, 2, 0]
    z = 20 / np.sqrt(800 / 3)
    np.testing.assert_allclose(found.dense[:, 0], [-z, 0, 0, z], rtol=1e-6)
    assert found.dense[:, 1].tolist() == [0, 0, 1, 0]
    shared = UserEncoder.fit(some(), min_users=2)
    assert shared.values == {"tags": ("x",), "town": ("U",)}
    assert UserEncoder.fit(some(), max_values=1).values["tags"] == ("x",)


def test_of_whom_nothing_is_known_that_was_learnt():
    encoder = UserEncoder.fit(some(), min_users=2)
    strangers = Profiles(("e", "f"), {"tags": ["new", None]}, {"height": np.array([1.0, 2.0])})
    found = encoder.encode(strangers)
    assert found.known.tolist() == [False, False]
    assert encoder.encode(some()).known.tolist() == [True, True, False, True]


@given(st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=8), st.data())
def test_rows_and_values_of_a_bag(lists, data):
    starts = np.cumsum([0, *map(len, lists)])
    bag = Bag(starts, np.array([v for one in lists for v in one], np.int64), 6)
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8))
    taken = bag.take(np.array(rows, np.int64))
    found = [taken.code[a:b].tolist() for a, b in zip(taken.starts, taken.starts[1:], strict=False)]
    assert found == [lists[row] for row in rows]
    mask = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(bag.code), max_size=len(bag.code)))
    )
    kept = bag.keep(mask.astype(bool))
    number = iter(mask.tolist())
    expected = [[v for v in one if next(number)] for one in lists]
    assert [
        kept.code[a:b].tolist() for a, b in zip(kept.starts, kept.starts[1:], strict=False)
    ] == (expected)


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="starts must cut 3"):
        Bag(np.array([0, 2]), np.arange(3), 3)
    with pytest.raises(ShapeError, match="one row per user"):
        UserFeatures({}, np.zeros((2, 0), np.float32), np.zeros(3, np.bool_))


def partner_of(recipe, **defence):
    """Return the partner's channel after a training, and its half."""
    user, _ = train_split(recipe, epochs=1)
    encoder = UserEncoder.fit(people().for_users(USERS), min_users=recipe.min_users)
    weights = weights_of(user.model.state_dict())
    model = UserModel(recipe=recipe, encoder=encoder, weights=weights, **defence)
    kind = Mmoe if isinstance(recipe, MmoeRecipe) else TwoTower
    return kind.of_partner(model, space="here"), user


@pytest.mark.parametrize("recipe", [two_tower(), mmoe(), mmoe(width=5, hidden=(9, 7))])
def test_a_partner_s_model_has_no_user_and_no_song(recipe, tmp_path):
    channel, user = partner_of(recipe)
    rows = np.arange(len(USERS), dtype=np.int64)
    np.testing.assert_array_equal(channel.users.embed(people()), user.embed(rows))
    model_id = channel.save(tmp_path / "users")
    again = load_channel(tmp_path / "users")
    assert (again.model_id, again.space, again.song_ids) == (model_id, "here", ())
    assert np.array_equal(again.users.embed(people()), channel.users.embed(people()))
    stranger = Profiles(("nobody",), {"items": ["unheard of"]}, {})
    assert not again.users.embed(stranger).any()
    asked = Context(profiles=stranger).queries_of(Sequences.from_lists([[]], ["nobody"]))
    with pytest.raises(InputError, match="the music side has the songs"):
        again.recall(asked, 3)
    content = b"".join(file.read_bytes() for file in (tmp_path / "users").iterdir())
    assert not any(name.encode() in content for name in USERS)
    assert b"secret" not in content
    assert b"does not guarantee privacy" in content


def test_noise_on_vectors_is_the_same_each_time_and_follows_from_key_and_profile(tmp_path):
    """Averaging removes nothing, and the difference of two vectors of a user is not free of it."""
    noisy = {"defence": Defence(vector_noise=0.5), "noise_key": b"k" * 32}
    channel, _ = partner_of(two_tower(), **noisy)
    channel.save(tmp_path / "users")
    model, plain = load_channel(tmp_path / "users").users, channel.users.plain()
    assert plain.defence == NOTHING
    first, noise = model.embed(people()), model.embed(people()) - plain.embed(people())
    lengths = np.linalg.norm(noise, axis=1)
    assert 0.05 < lengths.min() < lengths.max() < 2
    few = people().for_users(USERS[::-1][:9])
    # Another batch moves a sum's last digit.
    np.testing.assert_allclose(model.embed(few), first[::-1][:9], atol=1e-6)
    older = Profiles(USERS, people().categories, {"age": people().numbers["age"] + 1})
    other = model.embed(older) - plain.embed(older)
    assert np.linalg.norm(other - noise, axis=1).min() > 0.05
    again = replace(model, noise_key=b"l" * 32).embed(people())
    assert np.linalg.norm(again - first, axis=1).min() > 0.05


def test_vectors_may_be_rounded():
    channel, _ = partner_of(two_tower(), defence=Defence(rounding="float16"))
    found = channel.users.embed(people())
    np.testing.assert_array_equal(found, found.astype(np.float16).astype(np.float32))
    assert not np.array_equal(found, channel.users.plain().embed(people()))


def test_a_damaged_tower_is_refused(tmp_path):
    user, _ = split_halves(two_tower())
    encoder = UserEncoder.fit(people(), min_users=2)
    weights = weights_of(user.model.state_dict())
    for name, wrong in (("head", weights["head"][:, :3]), ("values.0", weights["values.0"][:4])):
        wrong = {**weights, name: wrong}
        model = UserModel(recipe=two_tower(), encoder=encoder, weights=wrong)
        TwoTower.of_partner(model, space="s").save(tmp_path / name)
        said = f"do not fit the recipe of the user tower: .*{name}"
        with pytest.raises(WeightsError, match=said):
            load_channel(tmp_path / name)
