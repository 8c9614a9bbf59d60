"""`audiorec.learning.negatives`: never a heard song, disliked ones first, popularity by a power."""

import numpy as np
import pytest
from little_worlds import pairs

from audiorec.errors import InputError
from audiorec.learning.negatives import NegativeRule, NegativeSampler, SharedSampler

LIKES = np.array([8, 0, 3, 0, 24, 1])
NOBODY = pairs([], [])


def sampler(rule, *, heard=NOBODY, disliked=NOBODY, pool=range(6)):
    return NegativeSampler(heard, disliked, np.array(pool), LIKES, rule)


def draws(rule, users, **given):
    return sampler(rule, **given).sample(np.array(users), np.random.default_rng(0))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_songs_come_as_often_as_their_popularity_to_a_power(power):
    songs, usable = draws(NegativeRule(count=50_000, popularity_exponent=power), [0])
    assert usable.all()
    expected = (LIKES + 1.0) ** power
    found = np.bincount(songs[0], minlength=6) / songs.size
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.01)


def test_a_heard_song_is_not_drawn():
    heard = pairs([1, 1, 1, 0], [4, 0, 2, 1])
    songs, usable = draws(NegativeRule(count=200), [1, 0, 1], heard=heard)
    assert not np.isin(songs[[0, 2]][usable[[0, 2]]], [0, 2, 4]).any()
    assert usable[1].all()
    assert usable.mean() > 0.9  # this user has heard nine tenths of all that is ever drawn
    assert 4 in songs[1]
    assert 1 not in songs[1]


def test_who_has_heard_everything_gets_nothing_usable():
    heard = pairs([2] * 6, range(6))
    _, usable = draws(NegativeRule(count=7), [2, 3], heard=heard)
    assert not usable[0].any()
    assert usable[1].all()


def test_disliked_songs_come_first_also_if_heard_and_never_more_than_count():
    heard = disliked = pairs([1, 1, 1], [0, 3, 5])
    rule = NegativeRule(count=2)
    songs, usable = draws(rule, [1, 0], heard=heard, disliked=disliked)
    assert set(songs[0]) <= {0, 3, 5}
    assert len(set(songs[0])) == 2
    assert usable.all()
    songs, _ = draws(NegativeRule(count=5), [1], heard=heard, disliked=disliked)
    assert sorted(songs[0, :3]) == [0, 3, 5]
    assert not np.isin(songs[0, 3:], [0, 3, 5]).any()


def test_a_song_outside_the_pool_is_never_drawn():
    songs, _ = draws(NegativeRule(count=300), [0], disliked=pairs([0], [5]), pool=[1, 3])
    assert set(songs[0]) == {1, 3}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"count": 0}, "at least 1"), ({"popularity_exponent": -1}, r"in \[0, 2\], got -1")],
)
def test_refuses_rules_out_of_range(wrong, message):
    with pytest.raises(InputError, match=message):
        NegativeRule(**wrong)


def test_refuses_an_empty_pool():
    with pytest.raises(InputError, match="no songs to draw"):
        sampler(NegativeRule(), pool=[])


def test_draws_follow_the_probabilities_by_hand():
    sampler = SharedSampler([0, 16, 0, 1, 81], power=0.75)
    np.testing.assert_allclose(sampler.probability, np.array([0, 8, 0, 1, 27]) / 36)
    draw = sampler.draw(np.random.default_rng(3), 36_000)
    counts = np.bincount(draw, minlength=5)
    assert counts[[0, 2]].tolist() == [0, 0]
    np.testing.assert_allclose(counts[[1, 3, 4]], [8_000, 1_000, 27_000], rtol=0.1)
    expected = sampler.log_expected(np.array([3, 4]), 10)
    np.testing.assert_allclose(expected, np.log([10 / 36, 270 / 36]), rtol=1e-6)


def test_corrected_sums_estimate_the_full_sum_and_uncorrected_ones_do_not():
    rng = np.random.default_rng(8)
    logits = rng.normal(size=50)
    sampler = SharedSampler(rng.integers(1, 1_000, 50), power=0.75)
    target, n = 7, 20
    full = np.exp(logits).sum() - np.exp(logits[target])
    estimates, naive = [], []
    for _ in range(4_000):
        songs = sampler.draw(rng, n)
        terms = np.exp(logits[songs]) * (songs != target)
        estimates.append((terms / np.exp(sampler.log_expected(songs, n))).sum())
        naive.append(terms.sum() * 50 / n)
    assert np.mean(estimates) == pytest.approx(full, rel=0.03)
    assert abs(np.mean(naive) - full) > 0.03 * full


def test_the_sampler_reaches_its_last_song():
    class Last:
        def random(self, n):
            return np.full(n, np.nextafter(1.0, 0.0))

    assert SharedSampler([1] * 7, power=1.0).draw(Last(), 2).tolist() == [6, 6]
    assert SharedSampler([1, 1, 0], power=1.0).draw(Last(), 1).tolist() == [1]


@pytest.mark.parametrize("counts", [[], [0, 0]])
def test_without_likes_there_is_nothing_to_draw(counts):
    with pytest.raises(InputError, match="no song has a count"):
        SharedSampler(counts, power=0.75)
