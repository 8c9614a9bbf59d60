"""Split training equals central training bit for bit; what crosses, and what a half refuses."""

from copy import deepcopy
from dataclasses import replace
from itertools import combinations
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs

torch = needs("torch")

from two_towers import (
    USERS,
    listening,
    mmoe,
    one_step,
    people,
    sides,
    split_halves,
    train_split,
    two_tower,
)

from audiorec.errors import InputError, ShapeError
from audiorec.learning.machine import one_thread
from audiorec.recall.federated.keys import Keys
from audiorec.recall.federated.learner import CentralTraining
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.session import Shared
from audiorec.recall.federated.shared_draws import JointStep, split_rows, steps_in, steps_of
from audiorec.recall.federated.sides import ItemSide
from audiorec.recall.federated.towers import draws_of

GUARDED = Defence(noise=2.0, rounding="float16", vector_noise=0.1)
CASES = {
    "two-tower": (two_tower(), 1, NOTHING),
    "two-tower, clipped and noised, vectors rounded and noised": (two_tower(), 1, GUARDED),
    "two-tower, three songs of each, in-batch": (
        two_tower(positives=3, negative_source="in-batch"),
        1,
        NOTHING,
    ),
    "two-tower, given songs": (two_tower(songs="given"), 1, GUARDED),
    "mmoe": (mmoe(weight_decay=0.01), 1, NOTHING),
    "mmoe, three businesses": (mmoe(item_weights=(1.0, 0.3)), 2, NOTHING),
    "mmoe, three businesses, noised": (mmoe(item_weights=(0.7, 0.3)), 2, GUARDED),
}


def numbers(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


@pytest.fixture
def known_noise(monkeypatch):
    """Let noise follow from the rows that it is added to: the same wherever these are."""

    def noised(rows, norm, seed=None):
        drawn = np.random.default_rng(crc32(np.ascontiguousarray(rows).tobytes()))
        return (rows + norm / 3 * drawn.normal(size=rows.shape)).astype(np.float32)

    monkeypatch.setattr("audiorec.recall.federated.noise._noised", noised)


@pytest.mark.parametrize("case", CASES)
def test_split_training_equals_central_training_bit_for_bit(case, known_noise):
    recipe, businesses, defence = CASES[case]
    with one_thread("the test"):
        users, items = sides(recipe, businesses)
        central = CentralTraining(recipe, defence, secret=5).learner(users, items, "choose")
        for epoch in (1, 2):
            for step in central.batches(epoch, 0):
                central.step(step)
        user, halves = train_split(recipe, businesses, defence)
    pairs = [(central.user, user), *zip(central.items, halves, strict=True)]
    for one, other in pairs:
        ours, theirs = numbers(one.model), numbers(other.model)
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            assert tensor.tobytes() == theirs[name].tobytes(), name
    assert central.items[0].loss == halves[0].loss
    # It has learnt: users lie nearer to what they played than at the start.
    fresh, fresh_items = split_halves(recipe, businesses, defence)
    before = fresh_items[0].figures(fresh.validation()[0])
    after = halves[0].figures(user.validation()[0])
    assert after["ndcg"] > before["ndcg"]


def noise_of_messages():
    """Train in both phases; return the noise of every message of gradients."""
    recipe, seen = two_tower(max_epochs=2), []
    users, items = sides(recipe)

    def note(_step, _played, raw, sent):
        lengths = np.linalg.norm(raw.astype(np.float64), axis=1, keepdims=True)
        seen.append(sent - raw * np.minimum(1, 1 / np.maximum(lengths, 1e-30)))

    def listen(central, _phase):
        central.items[0].witness = note

    CentralTraining(recipe, Defence(), secret=5, watch=listen).run(users, items)
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
            users.half(recipe, phase, defence=guard, secret=5) for guard in (defence, NOTHING)
        )
        steps = steps_of(noisy.learnt, recipe, 1)
        seen += [noisy.vectors(step)[0] - plain.vectors(step)[0] for step in steps]
        rows = np.arange(len(seen[0]))
        seen += [noisy.embed(rows)[0] - plain.embed(rows)[0] for _ in range(2)]
    worst, chance = alike(seen)
    assert worst < chance


def test_draws_of_a_party_belong_to_one_key_run_and_phase():
    seeds = [
        draws_of(Keys(b"", key), run)(phase)
        for key in (b"one", b"other")
        for run in ("aa", "ab")
        for phase in ("choose", "refit")
    ]
    assert len(set(seeds)) == len(seeds)
    assert draws_of(Keys(b"", b"one"), "aa")("choose") == seeds[0]
    assert all(0 <= seed < 2**62 for seed in seeds)
    agreed = Shared(recipe=two_tower(), users=9)
    runs = [agreed.run(["a"]), agreed.run(["b"]), agreed.run(["a", "b"])]
    runs += [other.run(["a"]) for other in (
        replace(agreed, users=8), replace(agreed, recipe=two_tower(seed=1)),
    )]  # fmt: skip
    assert len(set(runs)) == len(runs)


def test_another_secret_changes_what_crosses_and_the_recipe_does_not_say_it():
    recipe = two_tower()
    step = next(steps_of(split_rows(len(USERS), recipe, hold_out=True)[0], recipe, 1))
    _, (side,) = sides(recipe)
    user = split_halves(recipe)[0]
    sent = [
        side.half(recipe, "choose", secret=secret).gradient(step, user.vectors(step)[0])
        for secret in (5, 5, 6)
    ]
    assert np.array_equal(sent[0], sent[1])
    assert not np.array_equal(sent[0], sent[2])
    assert side.half(recipe, "choose").model.secret != side.half(recipe, "choose").model.secret


def test_a_row_without_a_play_gets_a_zero_gradient_that_is_noised_like_all():
    recipe = two_tower()
    user, (half,) = split_halves(recipe)
    rows = np.arange(0, 20, dtype=np.int64)  # 0 and 10 played nothing
    step = JointStep(1, 0, rows, 0.0)
    raw = half.gradient(step, user.vectors(step)[0])
    silent = np.isin(rows, (0, 10))
    assert not raw[silent].any()
    assert (np.linalg.norm(raw[~silent], axis=1) > 0.1).all()
    assert (np.linalg.norm(raw, axis=1) <= 2.0).all()  # as the docstring of `Defence` says
    noised = Defence().gradients(raw)
    assert (np.linalg.norm(noised[silent], axis=1) > 1).all()


def test_a_state_goes_on_where_it_was():
    recipe = mmoe()
    user, items = split_halves(recipe)
    steps = list(steps_of(user.learnt, recipe, 1))[:4]
    for step in steps[:2]:
        one_step(user, items, step)
    kept = [deepcopy(half.state_dict()) for half in (user, *items)]
    again_user, again_items = split_halves(recipe)
    for half, state in zip((again_user, *again_items), kept, strict=True):
        half.load_state_dict(state)
    for step in steps[2:]:
        one_step(again_user, again_items, step)
        assert np.isfinite(again_user.loss)
    for step in steps[2:]:
        one_step(user, items, step)
    assert all(
        np.array_equal(t, numbers(again_user.model)[n]) for n, t in numbers(user.model).items()
    )


def test_the_own_task_is_hidden_from_its_own_question():
    # The item that is asked for is not among what is known of the user.
    recipe = mmoe(value_dropout=0.0)
    user, _ = split_halves(recipe)
    rng = np.random.default_rng(0)
    features, target = user._asked(user.learnt, rng)
    bag, whole = features.bags["items"], user.features.take(user.learnt).bags["items"]
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
    user, (half,) = split_halves(recipe)
    first, second = list(steps_of(user.learnt, recipe, 1))[:2]
    vectors = user.vectors(first)[0]
    with pytest.raises(ShapeError, match="vectors sent last"):
        user.learn(second, [vectors])
    with pytest.raises(ShapeError, match="vectors sent last"):
        user.learn(first, [vectors])  # what failed is over
    user.vectors(first)
    with pytest.raises(ShapeError, match="finite"):
        user.learn(first, [np.full_like(vectors, np.nan)])
    with pytest.raises(ShapeError, match=r"expected finite vectors \(16, 8\)"):
        half.gradient(first, vectors[:3])
    with pytest.raises(ShapeError, match="finite"):
        half.gradient(first, np.full_like(vectors, np.inf))


def test_what_cannot_be_learnt_from_is_refused():
    recipe, data = two_tower(), listening()
    with pytest.raises(InputError, match="no user known to both sides has a play"):
        ItemSide.of(data, ["a stranger", "another"])
    with pytest.raises(InputError, match="at least two users in common"):
        ItemSide.of(data, USERS[1:2]).half(recipe, "choose")
    side = ItemSide.of(data, USERS)
    with pytest.raises(InputError, match="needs vectors of dimension=8 numbers"):
        side.half(replace(recipe, songs="given"), "choose")
    with pytest.raises(InputError, match="users have no column 'friends'; columns: items"):
        split_halves(mmoe(own_column="friends"))
    assert not people().categories["items"][0].startswith("|")


@given(st.integers(2, 400), st.integers(1, 60), st.integers(1, 3), st.integers(0, 5))
def test_every_row_stands_once_in_each_pass_and_resuming_changes_no_step(n, batch, passes, seed):
    recipe = TwoTowerRecipe(batch_size=batch, passes=passes, seed=seed)
    learnt, judged = split_rows(n, recipe, hold_out=True)
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
    assert len(split_rows(n, recipe, hold_out=False)[1]) == 0


def test_tasks_weigh_what_comes_back_and_not_what_leaves():
    recipe = mmoe(item_weights=(1.0, 0.25), own_weight=0.5, dropout=0.0, value_dropout=0.0)
    user, _ = split_halves(recipe, 2)
    step = next(steps_of(user.learnt, recipe, 1))
    (first, second), _ = user.take(step)
    assert torch.allclose(first.norm(dim=1), torch.ones(len(step.rows)))
    # Every task has a head of its own: what reaches it is weighed, whatever the others do.
    came = []
    for vectors in (first, second):
        user.model.zero_grad()
        vectors.backward(torch.ones_like(vectors), retain_graph=True)
        came.append(user.tower.head.grad.clone())
    plain, _ = split_halves(replace(recipe, item_weights=(1.0, 1.0)), 2)
    plain.model.load_state_dict(user.model.state_dict())
    _, unweighed = plain.take(step)[0]
    plain.model.zero_grad()
    unweighed.backward(torch.ones_like(unweighed))
    np.testing.assert_allclose(came[1][1], 0.25 * plain.tower.head.grad[1], rtol=1e-5, atol=1e-7)
    assert not came[1][0].any()
