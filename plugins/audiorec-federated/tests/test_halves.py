"""Halves of a model: what crosses, whose draws it follows from, and what a half refuses."""

from dataclasses import replace
from itertools import combinations
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs

needs("torch")

import federated_attacks as attacks
from two_towers import (
    USERS,
    listening,
    mmoe,
    people,
    sides,
    split_halves,
    train_split,
    two_tower,
)

from audiorec.errors import InputError, ShapeError
from audiorec.learning.machine import one_thread
from audiorec_federated.exchange import Shared
from audiorec_federated.halves import ItemHalf, ItemSide, UserHalf
from audiorec_federated.keys import Keys
from audiorec_federated.noise import NOTHING, Defence
from audiorec_federated.recipe import TwoTowerRecipe
from audiorec_federated.split import TowersLearner, train_here
from audiorec_federated.towers import JointStep, draws_of, split_rows, steps_in, steps_of

GUARDED = Defence(noise=2.0, rounding="float16", vector_noise=0.1)
CASES = {
    "two-tower": (two_tower(), NOTHING),
    "two-tower, clipped and noised, vectors rounded and noised": (two_tower(), GUARDED),
    "mmoe": (mmoe(), NOTHING),
    "mmoe, noised": (mmoe(), GUARDED),
}


def numbers(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


@pytest.fixture
def known_noise(monkeypatch):
    """Let noise follow from the rows that it is added to: the same wherever these are."""

    def noised(rows, norm, seed=None):
        drawn = np.random.default_rng(crc32(np.ascontiguousarray(rows).tobytes()))
        return (rows + norm / 3 * drawn.normal(size=rows.shape)).astype(np.float32)

    monkeypatch.setattr("audiorec_federated.noise._noised", noised)


@pytest.mark.parametrize("case", CASES)
def test_one_optimiser_for_both_halves_steps_as_two_do(case, known_noise):
    """In one process a checkpoint has the moments of both; over the wire each side has its own."""
    recipe, defence = CASES[case]
    with one_thread("the test"):
        together = TowersLearner(*split_halves(recipe, defence))
        for epoch in (1, 2):
            for step in together.batches(epoch, 0):
                together.step(step)
        user, item = train_split(recipe, defence)
    for one, other in ((together.user, user), (together.item, item)):
        ours, theirs = numbers(one.model), numbers(other.model)
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            assert tensor.tobytes() == theirs[name].tobytes(), name
    assert together.item.loss == item.loss
    # It has learnt: users lie nearer to what they played than at the start.
    fresh, fresh_item = split_halves(recipe, defence)
    before, after = (
        fresh_item.figures(fresh.embed(fresh.judged)),
        item.figures(user.embed(user.judged)),
    )
    assert after["ndcg"] > before["ndcg"]


def noise_of_messages():
    """Train in both phases; return the noise of every message of gradients."""
    recipe, seen = two_tower(max_epochs=2), []

    def note(_step, _played, raw, sent):
        lengths = np.linalg.norm(raw.astype(np.float64), axis=1, keepdims=True)
        seen.append(sent - raw * np.minimum(1, 1 / np.maximum(lengths, 1e-30)))

    def listen(learner, _phase):
        attacks.watched(learner.item, note)

    train_here(*sides(recipe), recipe, defence=Defence(), secret=5, watch=listen)
    return seen


def alike(messages):
    """Return the largest mean cosine of any two messages' rows, and how far chance reaches."""
    rows = min(map(len, messages))
    unit = [m[:rows] / np.linalg.norm(m[:rows], axis=1, keepdims=True) for m in messages]
    found = [abs(float((a * b).sum(axis=1).mean())) for a, b in combinations(unit, 2)]
    return max(found), 6 / np.sqrt(rows * messages[0].shape[1])


def test_no_two_messages_of_gradients_share_noise():
    """Of a training in two phases, and of a training that is repeated with the same secret."""
    seen = noise_of_messages() + noise_of_messages()
    assert len(seen) > 50
    worst, chance = alike(seen)
    assert worst < chance


def test_no_two_messages_of_vectors_share_noise():
    recipe, defence = two_tower(), Defence(vector_noise=2.0)
    users, _ = sides(recipe)
    seen = []
    for phase in ("choose", "refit", "refit"):
        noisy, plain = (
            UserHalf(users, recipe, phase, defence=guard, secret=5) for guard in (defence, NOTHING)
        )
        seen += [
            noisy.vectors(step) - plain.vectors(step) for step in steps_of(noisy.rows, recipe, 1)
        ]
        rows = np.arange(len(seen[0]))
        seen += [noisy.embed(rows) - plain.embed(rows) for _ in range(2)]
    worst, chance = alike(seen)
    assert worst < chance


def test_draws_of_a_party_belong_to_one_key_and_run():
    seeds = [draws_of(Keys(b"", key), run) for key in (b"one", b"other") for run in ("aa", "ab")]
    assert len(set(seeds)) == len(seeds)
    assert draws_of(Keys(b"", b"one"), "aa") == seeds[0]
    assert all(0 <= seed < 2**62 for seed in seeds)
    agreed = Shared(recipe=two_tower(), users=9, alignment="a")
    others = [{"alignment": "b"}, {"users": 8}, {"recipe": two_tower(seed=1)}]
    assert len({one.run for one in (agreed, *(replace(agreed, **o) for o in others))}) == 4


def test_another_secret_changes_what_crosses_and_the_recipe_does_not_say_it():
    recipe = two_tower()
    user, _ = split_halves(recipe)
    step = next(steps_of(user.rows, recipe, 1))
    _, side = sides(recipe)
    sent = [
        ItemHalf(side, recipe, "choose", secret=secret).gradient(step, user.vectors(step))
        for secret in (5, 5, 6)
    ]
    assert np.array_equal(sent[0], sent[1])
    assert not np.array_equal(sent[0], sent[2])
    drawn = [ItemHalf(side, recipe, "choose").model.secret for _ in range(2)]
    assert drawn[0] != drawn[1]


def test_a_row_without_a_play_gets_a_zero_gradient_that_is_noised_like_all():
    recipe = two_tower()
    user, half = split_halves(recipe)
    rows = np.arange(0, 20, dtype=np.int64)  # 0 and 10 played nothing
    step = JointStep(1, 0, rows, 0.0)
    raw = half.gradient(step, user.vectors(step))
    silent = np.isin(rows, (0, 10))
    assert not raw[silent].any()
    assert (np.linalg.norm(raw[~silent], axis=1) > 0.1).all()
    assert (np.linalg.norm(raw, axis=1) <= 2.0).all()  # as the docstring of `Defence` says
    noised = Defence().gradients(raw)
    # Noise is drawn anew each time: of eight numbers and more, none is so short but by a fault.
    assert (np.linalg.norm(noised[silent], axis=1) > 0.1).all()


def test_the_own_task_is_hidden_from_its_own_question():
    # The item that is asked for is not among what is known of the user.
    recipe = mmoe(value_dropout=0.0)
    user, _ = split_halves(recipe)
    rng = np.random.default_rng(0)
    features, target = user._hide_one(user.rows, rng)
    bag, whole = features.bags["items"], user.features.take(user.rows).bags["items"]
    for row, asked in enumerate(target.tolist()):
        rest = set(bag.code[bag.starts[row] : bag.starts[row + 1]].tolist())
        all_of_it = set(whole.code[whole.starts[row] : whole.starts[row + 1]].tolist())
        assert asked not in rest
        assert rest | {asked} == all_of_it


def test_gates_and_the_own_task_are_told_and_a_two_tower_has_none():
    user, _ = train_split(mmoe())
    line = user.figures()
    assert set(line) == {"gate_entropy_0", "gate_entropy_1", "own_hit_rate@100"}
    assert 0 < line["gate_entropy_0"] <= 1
    assert line["own_hit_rate@100"] == 1  # there are only 32 items
    assert split_halves(two_tower())[0].figures() == {}
    assert split_halves(mmoe(own_weight=0.0))[0].own is None


def test_what_does_not_belong_to_a_step_is_refused():
    recipe = two_tower()
    user, half = split_halves(recipe)
    first, second = list(steps_of(user.rows, recipe, 1))[:2]
    vectors = user.vectors(first)
    with pytest.raises(ShapeError, match="vectors sent last"):
        user.learn(second, vectors)
    with pytest.raises(ShapeError, match="vectors sent last"):
        user.learn(first, vectors)  # what failed is over
    user.vectors(first)
    with pytest.raises(ShapeError, match="finite"):
        user.learn(first, np.full_like(vectors, np.nan))
    with pytest.raises(ShapeError, match=r"expected finite vectors \(16, 8\)"):
        half.gradient(first, vectors[:3])
    with pytest.raises(ShapeError, match="finite"):
        half.gradient(first, np.full_like(vectors, np.inf))


def test_what_cannot_be_learnt_from_is_refused():
    recipe, data = two_tower(), listening()
    with pytest.raises(InputError, match="at least two users in common"):
        ItemHalf(ItemSide.of(data, USERS[1:2]), recipe, "choose")
    with pytest.raises(InputError, match="users have no column 'friends'; columns: items"):
        split_halves(mmoe(own_column="friends"))
    assert not people().categories["items"][0].startswith("|")


@given(st.integers(2, 400), st.integers(1, 60), st.integers(1, 3), st.integers(0, 5))
def test_every_row_stands_once_in_each_pass_and_resuming_changes_no_step(n, batch, passes, seed):
    recipe = TwoTowerRecipe(batch_size=batch, passes=passes, seed=seed)
    learnt, judged = split_rows(n, recipe, "choose")
    assert sorted([*learnt, *judged]) == list(range(n))
    steps = list(steps_of(learnt, recipe, 1))
    assert [s.number for s in steps] == list(range(steps_in(len(learnt), recipe)))
    rows = np.concatenate([s.rows for s in steps])
    assert (np.bincount(rows, minlength=n)[learnt] == passes).all()
    assert not np.bincount(rows, minlength=n)[judged].any()
    first = len(steps) // 2
    for one, other in zip(steps[first:], steps_of(learnt, recipe, 1, first), strict=True):
        assert one.number == other.number
        assert np.array_equal(one.rows, other.rows)
    assert len(split_rows(n, recipe, "refit")[1]) == 0


def test_the_own_task_weighs_what_reaches_the_tower():
    """Of both tasks: with twice the weight, the own head moves twice as far by plain descent."""
    found = []
    for weight in (0.25, 0.5):
        recipe = mmoe(own_weight=weight, dropout=0.0, value_dropout=0.0)
        user, item = split_halves(recipe)
        step = next(steps_of(user.rows, recipe, 1))
        gradients = item.gradient(step, user.vectors(step))
        user.optimiser.step = lambda: None
        user.learn(step, gradients)
        found.append(user.tower.head.grad.clone().numpy())
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_allclose(2 * found[0][1], found[1][1], rtol=1e-5, atol=1e-7)
