"""`audiorec.learning.sampled_softmax`: the correction and the mask, with numbers by hand."""

import numpy as np
import pytest
from needs import needs

from audiorec.errors import InputError
from audiorec.learning.sampled_softmax import Sampler, sampled_softmax_loss

torch = needs("torch")


def loss(positive, negative, log_expected, hits):
    return sampled_softmax_loss(
        torch.tensor(positive, dtype=torch.float64),
        torch.tensor(negative, dtype=torch.float64),
        log_expected=torch.tensor(log_expected, dtype=torch.float64),
        hits=torch.tensor(hits),
    ).numpy()


def test_loss_worked_by_hand():
    # e^p = 4. Negatives e^s = 6 and 5, expected 3 and 0.5 times: 6 / 3 + 5 / 0.5 = 12.
    found = loss([np.log(4.0)], [[np.log(6.0), np.log(5.0)]], np.log([3.0, 0.5]), [[False, False]])
    np.testing.assert_allclose(found, [np.log(16.0 / 4.0)])


def test_the_positive_is_not_corrected_and_hits_are_masked():
    # Row 0: the second draw is its own positive: 4 + 6 / 3 = 6. Row 1: both are masked.
    negative = np.log([[6.0, 4.0], [9.0, 9.0]])
    found = loss(np.log([4.0, 9.0]), negative, np.log([3.0, 0.5]), [[False, True], [True, True]])
    np.testing.assert_allclose(found, [np.log(6.0 / 4.0), 0.0], atol=1e-12)


def test_a_masked_hit_has_no_gradient():
    negative = torch.tensor([[0.3, 1.2, -0.7]], requires_grad=True)
    hits = torch.tensor([[False, True, False]])
    sampled_softmax_loss(
        torch.tensor([0.5]), negative, log_expected=torch.zeros(3), hits=hits
    ).sum().backward()
    assert negative.grad[0, 1] == 0
    assert (negative.grad[0, [0, 2]] > 0).all()


def test_with_all_songs_it_is_the_full_softmax():
    logits = torch.tensor([[0.2, -1.0, 2.5, 0.1]], dtype=torch.float64)
    target = torch.tensor([2])
    found = sampled_softmax_loss(
        logits[:, 2],
        logits,
        log_expected=torch.zeros(4, dtype=torch.float64),
        hits=torch.arange(4)[None] == target[:, None],
    )
    expected = torch.nn.functional.cross_entropy(logits, target)
    np.testing.assert_allclose(found.item(), expected.item())


def test_draws_follow_the_probabilities_by_hand():
    sampler = Sampler([0, 16, 0, 1, 81], power=0.75)
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
    sampler = Sampler(rng.integers(1, 1_000, 50), power=0.75)
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

    assert Sampler([1] * 7, power=1.0).draw(Last(), 2).tolist() == [6, 6]
    assert Sampler([1, 1, 0], power=1.0).draw(Last(), 1).tolist() == [1]


@pytest.mark.parametrize("counts", [[], [0, 0]])
def test_without_likes_there_is_nothing_to_draw(counts):
    with pytest.raises(InputError, match="no song has a like"):
        Sampler(counts, power=0.75)
