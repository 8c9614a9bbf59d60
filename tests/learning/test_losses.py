"""`audiorec.learning.losses`: values worked by hand, masks, gradients."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs

torch = needs("torch")

from audiorec.learning.losses import (
    hinge_loss,
    sampled_softmax_loss,
    shared_hits,
    softmax_loss,
)

LIKED = torch.tensor([0.5, -0.2])
OTHERS = torch.tensor([[0.4, 0.9, -0.7], [-0.1, 0.3, -0.9]])
ALL = torch.ones(2, 3, dtype=torch.bool)


def test_hinge_worked_by_hand():
    # row 0: 0.1, 0.6, 0 -> 0.7/3; row 1: 0.3, 0.7, 0 -> 1.0/3; mean 1.7/6
    found = hinge_loss(LIKED, OTHERS, ALL, margin=0.2)
    assert found.item() == pytest.approx(1.7 / 6, abs=1e-6)


def test_hinge_divides_by_the_usable_ones():
    usable = torch.tensor([[True, False, False], [False, True, True]])
    # row 0: 0.1; row 1: (0.7 + 0) / 2
    found = hinge_loss(LIKED, OTHERS, usable, margin=0.2)
    assert found.item() == pytest.approx((0.1 + 0.35) / 2, abs=1e-6)


def test_softmax_worked_by_hand():
    t = 0.5
    rows = [
        -math.log(math.exp(a / t) / (math.exp(a / t) + sum(math.exp(o / t) for o in others)))
        for a, others in zip(LIKED.tolist(), OTHERS.tolist(), strict=True)
    ]
    found = softmax_loss(LIKED, OTHERS, ALL, temperature=t)
    assert found.item() == pytest.approx(sum(rows) / 2, abs=1e-6)


@pytest.mark.parametrize("extreme", [-60.0, 60.0])
def test_an_unusable_one_counts_for_nothing(extreme):
    usable = torch.tensor([[True, True, False], [True, True, False]])
    changed = OTHERS.clone()
    changed[:, 2] = extreme
    for loss in (
        lambda o: hinge_loss(LIKED, o, usable, margin=0.2),
        lambda o: softmax_loss(LIKED, o, usable, temperature=0.1),
    ):
        assert loss(changed).item() == pytest.approx(loss(OTHERS).item(), abs=1e-6)


def test_an_anchor_without_others_gives_zero_and_a_finite_gradient():
    none = torch.zeros(2, 3, dtype=torch.bool)
    liked = LIKED.clone().requires_grad_()
    loss = softmax_loss(liked, OTHERS, none, temperature=0.1)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(liked.grad).all()
    assert hinge_loss(LIKED, OTHERS, none, margin=0.2).item() == 0


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


def test_with_all_songs_drawn_many_times_it_is_the_full_softmax():
    """Each song drawn as often as expected: its copies, each divided by their number, are it."""
    logits = torch.tensor([[0.2, -1.0, 2.5, 0.1], [0.0, 1.0, -2.0, 0.5]], dtype=torch.float64)
    target, times = torch.tensor([2, 0]), torch.tensor([1, 4, 2, 3])
    drawn = torch.repeat_interleave(torch.arange(4), times)
    found = sampled_softmax_loss(
        logits.gather(1, target[:, None])[:, 0],
        logits[:, drawn],
        log_expected=times.double().log()[drawn],
        hits=drawn[None] == target[:, None],
    )
    expected = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    np.testing.assert_allclose(found, expected)


@given(
    drawn=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    targets=st.lists(st.integers(0, 9), min_size=1, max_size=12),
)
def test_hits_that_are_found_are_those_of_the_whole_table(drawn, targets):
    songs, own = torch.tensor(sorted(drawn)), torch.tensor(targets)
    table = songs[None] == own[:, None]
    rows, columns = shared_hits(songs, own)
    assert torch.equal(torch.stack([rows, columns], dim=1), table.nonzero())
    draw = torch.Generator().manual_seed(len(drawn))
    positive = torch.randn(len(own), generator=draw, requires_grad=True)
    negative = torch.randn(len(own), len(songs), generator=draw, requires_grad=True)
    log_expected = torch.randn(len(songs), generator=draw)
    found = []
    for hits in (table, (rows, columns)):
        losses = sampled_softmax_loss(positive, negative, log_expected=log_expected, hits=hits)
        found.append((losses, *torch.autograd.grad(losses.sum(), (positive, negative))))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
