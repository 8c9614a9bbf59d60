"""`audiorec.recall.audio.model`: users who met the same are near; nothing met is nothing."""

import numpy as np
import pytest
from little_worlds import pairs

from audiorec.errors import InputError
from audiorec.recall.audio.model import factorise


def camps():
    """Ten users of items 0 to 4 and ten of items 5 to 9, each with one gap."""
    rng = np.random.default_rng(0)
    rows = [(u, i + 5 * (u >= 10)) for u in range(20) for i in range(5) if i != u % 5]
    return pairs(*zip(*[rows[i] for i in rng.permutation(len(rows))], strict=True))


def test_users_of_one_camp_are_near_and_of_two_are_not():
    users = factorise(camps(), 21, 10, dimension=6)
    near = users @ users.T
    assert near[:10, :10].min() > 0.8
    assert np.abs(near[:10, 10:20]).max() < 0.2
    np.testing.assert_allclose(np.linalg.norm(users[:20], axis=1), 1, atol=1e-5)
    assert not users[20].any()


def test_repeats_and_weights_do_not_count():
    once = camps()
    twice = pairs(np.tile(once.user, 2), np.tile(once.song, 2))
    a, b = (factorise(p, 20, 10, dimension=4) for p in (once, twice))
    np.testing.assert_allclose(a @ a.T, b @ b.T, atol=1e-4)


def test_rare_items_can_be_left_out():
    odd = pairs([*camps().user, 3], [*camps().song, 10])
    a = factorise(camps(), 20, 11, dimension=3, min_users=2)
    b = factorise(odd, 20, 11, dimension=3, min_users=2)
    np.testing.assert_allclose(a @ a.T, b @ b.T, atol=1e-4)


@pytest.mark.parametrize(("user", "song"), [([0], [0]), ([0, 1], [0, 0]), ([0, 0], [0, 1])])
def test_very_few_users_or_items_give_finite_numbers(user, song):
    users = factorise(pairs(user, song), 3, 2, dimension=40)
    assert users.shape == (3, 40)
    assert np.isfinite(users).all()
    assert users[0].any()


def test_refuses_to_factorise_nothing():
    with pytest.raises(InputError, match="no item has 3 users"):
        factorise(pairs([0, 1], [0, 0]), 2, 1, dimension=2, min_users=3)
