"""Attacks by hand, and on trainings: they find what is there, and noise hides it."""

import numpy as np
import pytest
from needs import needs

torch = needs("torch")

import federated_attacks as attacks
from two_towers import N_USERS, sides, two_tower

from audiorec.evaluation.classification import Interval
from audiorec_federated.audit import INVERSION, inversion, leaks_of
from audiorec_federated.halves import ItemHalf
from audiorec_federated.noise import NOTHING, Defence
from audiorec_federated.split import train_here
from audiorec_federated.users import Bag, UserFeatures

DIFFERENCE, LENGTH, NEAREST = attacks.DIFFERENCE, attacks.LENGTH, attacks.NEAREST
SUMMED, Leak, Seen = attacks.SUMMED, attacks.Leak, attacks.Seen
# Wide enough for the songs to stand apart: in eight numbers, 48 songs crowd each other.
WIDE = {"batch_size": 48, "passes": 4, "dimension": 48, "width": 48}


def rng():
    return np.random.default_rng(0)


def plays(*lists):
    starts = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    return Bag(starts, np.array([s for own in lists for s in own], np.int64), 9)


def test_the_nearest_gradient_by_hand():
    gradients = np.array([[1, 0], [2, 0.1], [0, 1], [0.1, 1], [9, 9]], np.float32)
    played = np.array([3, 3, 5, 3, -1])
    found = attacks.nearest_gradient([Seen(np.arange(5), played, gradients)], rng())
    # Rows 0, 1 and 3 have a partner; 0 and 1 find each other, 3 finds 2, who played another song.
    assert found.found.value == pytest.approx(2 / 3)
    assert found.chance == pytest.approx(2 / 3)  # each has two of three others
    apart = np.array([3, 4, 5, 6, -1])
    assert attacks.nearest_gradient([Seen(np.arange(5), apart, gradients)], rng()) is None


def test_sums_and_activity_by_hand():
    sums = np.array([[1, 0], [1, 0.1], [-1, 0], [-1, 0.1], [0, 0]], np.float32)
    who = plays([1, 2], [2, 3], [4], [5], [])
    found = attacks.summed_gradients(sums, who, np.arange(5), rng())
    assert found.found.value == 0.5  # 0 and 1 share song 2; 2 and 3 share none
    assert found.chance == pytest.approx((1 + 1 + 0 + 0) / 3 / 4)
    found = attacks.activity(sums, who, np.arange(5), rng())
    assert found.found.value == 1.0
    assert found.chance == 0.5
    assert attacks.activity(sums[:4], who, np.arange(4), rng()) is None


def test_differences_by_hand():
    noise = np.array([[3, 4], [-5, 1], [2, 2], [0, 6]], np.float32)
    first, second = np.zeros((2, 4, 2), np.float32)
    first[1:], second[3] = [[1, 0], [1, 0.1], [0, 1]], [0.5, 0]
    played = [np.array([-1, 3, 3, 4]), np.array([-1, -1, -1, 5, 6])]
    rows = [np.arange(4), np.arange(7, 12)]
    longer = np.concatenate([second + noise, np.ones((1, 2), np.float32)])
    pair = (Seen(rows[0], played[0], first + noise), Seen(rows[1], played[1], longer))
    # What both messages share is gone: 1 and 2 play the same song.
    assert attacks.nearest_difference([pair], rng()).found.value == 1.0
    assert attacks.nearest_difference([], rng()) is None


def test_inversion_finds_what_is_in_a_vector_and_nothing_where_nothing_is():
    truth = np.arange(400) % 2
    bag = Bag(np.arange(401), truth.astype(np.int64), 2)
    features = UserFeatures({"sex": bag}, np.zeros((400, 0), np.float32), np.ones(400, np.bool_))
    vectors = rng().normal(size=(400, 5)).astype(np.float32)
    blind = inversion(vectors, features, rng())
    assert blind.low < 0.5 < blind.high
    vectors[:, 3] += truth
    seen = inversion(vectors, features, rng())
    assert seen.low > 0.6


def test_membership_by_hand():
    songs = np.eye(9, dtype=np.float32)
    who = plays(*[[n % 9] for n in range(40)])
    vectors = np.full((40, 9), 0.1, np.float32)
    near = vectors.copy()
    near[np.arange(20), np.arange(20) % 9] += 0.5  # those that were learnt from
    learnt, others = np.arange(20), np.arange(20, 40)
    assert attacks.membership(near, songs, who, learnt, others, rng()).found.value == 1.0
    assert attacks.membership(vectors, songs, who, learnt, others, rng()).found.value == 0.5


def test_an_attack_that_fails_undefended_does_not_count():
    def leak(attack, value, low):
        return Leak(attack, 0.1, Interval(value, low, value), Interval(0.1, 0.05, 0.15))

    assert leak(SUMMED, 0.3, 0.2).counts
    assert not leak(SUMMED, 0.3, 0.09).counts
    assert leak(NEAREST, 0.995, 0.99).counts
    assert not leak(NEAREST, 0.98, 0.97).counts


@pytest.fixture(scope="module")
def table():
    recipe = two_tower(**WIDE, max_epochs=4, patience=4)
    users, items = sides(recipe)
    return attacks.audit(users, items, recipe, Defence(noise=8.0, vector_noise=8.0))


def test_the_nearest_gradient_finds_all_undefended_and_noise_hides_them(table):
    found = {leak.attack: leak for leak in table}
    assert set(found) == set(attacks.ATTACKS)
    nearest = found[NEAREST]
    assert nearest.undefended.value >= 0.99
    assert nearest.counts
    assert nearest.defended.value < 0.5
    assert found[LENGTH].undefended.value == 1.0
    assert found[LENGTH].defended.value < 0.9
    assert found[DIFFERENCE].counts
    assert found[DIFFERENCE].defended.value < 0.5
    assert found[SUMMED].counts
    assert found[INVERSION].counts  # the taste stands in the vector
    assert found[INVERSION].defended.value < found[INVERSION].undefended.value


def test_vectors_that_say_nothing_leak_nothing():
    recipe = two_tower(**WIDE, max_epochs=2)
    users, items = sides(recipe)
    trained, _ = attacks.train_with_witness(users, items, recipe, NOTHING)
    vectors = trained.user.embed(np.arange(N_USERS))
    (own,) = leaks_of(vectors, np.zeros_like(vectors), users.features)
    assert own["counts"]
    assert own["defended"][0] == pytest.approx(0.5, abs=0.05)


def test_a_witness_changes_nothing_and_has_seen_everybody():
    recipe = two_tower(max_epochs=1)
    users, items = sides(recipe)
    seen, witness = attacks.train_with_witness(users, items, recipe, NOTHING)
    learners = []
    train_here(users, items, recipe, watch=lambda one, _: learners.append(one))
    for name, tensor in seen.model.state_dict().items():
        assert torch.equal(tensor, learners[0].model.state_dict()[name]), name
    assert witness.rows.tolist() == list(range(N_USERS))  # of both phases


def test_the_audit_sees_noise_that_two_messages_share(monkeypatch):
    """As it was: seeded by the step alone, so the same in both phases."""
    recipe = two_tower(**WIDE, max_epochs=2)
    users, items = sides(recipe)
    step, gradient = [], ItemHalf.gradient

    def noised(rows, norm, seed=None):
        drawn = np.random.default_rng(step[-1]).normal(size=rows.shape)
        return (rows + norm / rows.shape[1] ** 0.5 * drawn).astype(np.float32)

    def at(half, of, vectors):
        step.append((of.epoch, of.number))
        return gradient(half, of, vectors)

    monkeypatch.setattr("audiorec_federated.noise._noised", noised)
    monkeypatch.setattr(ItemHalf, "gradient", at)
    _, witness = attacks.train_with_witness(users, items, recipe, Defence(noise=8.0))
    found = {leak.attack: leak for leak in attacks.leaks_of_gradients(witness, items.plays)}
    assert found[DIFFERENCE].defended.value > 2 * found[NEAREST].defended.value


def test_summed_gradients_tell_who_plays():
    recipe = two_tower(**(WIDE | {"passes": 16}), max_epochs=4, patience=4)
    users, items = sides(recipe)
    _, witness = attacks.train_with_witness(users, items, recipe, Defence())
    found = {leak.attack: leak for leak in attacks.leaks_of_gradients(witness, items.plays)}
    assert found[LENGTH].counts
    assert found[LENGTH].defended.low > 0.7
