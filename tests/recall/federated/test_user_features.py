"""What is known of users as numbers, by hand; and the tower in numpy beside torch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs

needs("torch")

from two_towers import USERS, mmoe, people, split_halves, train_split, two_tower

from audiorec.errors import InputError, ShapeError, WeightsError
from audiorec.listening.profiles import Profiles
from audiorec.recall.federated.user_features import Bag, UserEncoder, UserFeatures
from audiorec.recall.federated.user_model import UserModel, weights_of


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


def test_there_and_back():
    encoder = UserEncoder.fit(some())
    again = UserEncoder.from_json(encoder.to_json())
    assert again == encoder


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


@pytest.mark.parametrize("recipe", [two_tower(), mmoe(), mmoe(width=5, hidden=(9, 7))])
def test_numpy_says_what_torch_says(recipe, tmp_path):
    needs("torch")
    user, _ = train_split(recipe, epochs=1)
    encoder = UserEncoder.fit(people().for_users(USERS), min_users=recipe.min_users)
    model = UserModel(
        recipe=recipe, encoder=encoder, weights=weights_of(user.model.state_dict()), space="here"
    )
    rows = np.arange(len(USERS), dtype=np.int64)
    np.testing.assert_allclose(model.embed(people()), user.embed(rows)[0], atol=2e-6)
    model_id = model.save(tmp_path / "users")
    again = UserModel.load(tmp_path / "users")
    assert (again.model_id, again.space) == (model_id, "here")
    assert np.array_equal(again.embed(people()), model.embed(people()))
    stranger = Profiles(("nobody",), {"items": ["unheard of"]}, {})
    assert not again.embed(stranger).any()
    with pytest.raises(InputError, match="no business 1; the model has 1"):
        again.embed(people(), business=1)
    content = b"".join(file.read_bytes() for file in (tmp_path / "users").iterdir())
    assert not any(name.encode() in content for name in USERS)
    assert b"secret" not in content
    assert b"does not guarantee privacy" in content


def test_a_damaged_tower_is_refused(tmp_path):
    needs("torch")
    user, _ = split_halves(two_tower())
    encoder = UserEncoder.fit(people(), min_users=2)
    weights = weights_of(user.model.state_dict())
    for name, wrong in (("head", weights["head"][:, :3]), ("values.0", weights["values.0"][:4])):
        model = UserModel(recipe=two_tower(), encoder=encoder, weights={**weights, name: wrong})
        model.save(tmp_path / name)
        with pytest.raises(WeightsError, match=f"do not fit the recipe of the user tower: {name}"):
            UserModel.load(tmp_path / name)
    model = UserModel(recipe=mmoe(), encoder=encoder, weights=weights)
    model.save(tmp_path / "other")
    with pytest.raises(WeightsError, match="do not fit the recipe of the user tower"):
        UserModel.load(tmp_path / "other")
