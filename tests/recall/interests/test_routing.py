"""Dynamic routing in torch, by hand; and that numpy answers as torch does."""

import math

import numpy as np
import pytest
from needs import needs

needs("torch")

import torch
from torch.nn import functional

from audiorec.learning.next_plays import NextPlays, histories, no_features, training_windows
from audiorec.learning.next_song import NextSongLearner, arrays_of
from audiorec.recall.interests.forward import (
    ComiRecSARecipe,
    MINDRecipe,
    pooled_interests,
    routed_interests,
)
from audiorec.recall.interests.network import (
    ComiRecSANetwork,
    MINDNetwork,
    interest_mask,
    routed,
    squash,
    target_cosines,
)

N_SONGS, WIDTH = 30, 2
QUICK = {"dimension": 8, "longest": 12, "interests": 3, "negatives": 20, "batch_size": 8}
BOTH = torch.ones(1, 1, 2, dtype=torch.bool)
SONGS = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
LOGITS = torch.tensor([[[[math.log(3), 0.0], [0.0, 0.0]]]])  # (B, T, interest, song)


def some_plays(seed=0, n=12, profile=WIDTH):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 20, n)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return NextPlays(
        starts=starts,
        song=rng.integers(0, N_SONGS, starts[-1]),
        time=np.full(starts[-1], np.nan),
        n_songs=N_SONGS,
        profile=rng.normal(size=(n, profile)).astype(np.float32),
    )


def network(kind, recipe, profile=WIDTH):
    made = kind(no_features(N_SONGS), recipe, profile=profile)
    with torch.no_grad():  # as large as after some training
        made.table.ids.copy_(made.table.ids / made.table.ids.std())
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def by_hand(z):
    """Squash a pair of numbers, as the paper has it."""
    length = math.hypot(*z)
    return [length**2 / (1 + length**2) * part / length for part in z]


def test_one_round_by_hand():
    # Song 1 belongs to interest 1 by 3/4, song 2 to each by a half: z = (3/4, 1) and (1/4, 1).
    found = routed(SONGS, BOTH, BOTH, LOGITS, rounds=1)
    expected = [by_hand((0.75, 1.0)), by_hand((0.25, 1.0))]
    torch.testing.assert_close(found[0, 0], torch.tensor(expected))
    assert expected[0] == pytest.approx([0.365854, 0.487805], abs=1e-6)


def test_two_rounds_by_hand():
    found = routed(SONGS, BOTH, BOTH, LOGITS, rounds=2)
    u1, u2 = by_hand((0.75, 1.0)), by_hand((0.25, 1.0))
    # Logits grow by the dot product of interest and song: (1, 0) and (0, 2).
    first = 1 / (1 + math.exp(u2[0] - math.log(3) - u1[0]))  # of song 1 to interest 1
    second = 1 / (1 + math.exp(2 * u2[1] - 2 * u1[1]))
    expected = [by_hand((first, 2 * second)), by_hand((1 - first, 2 * (1 - second)))]
    torch.testing.assert_close(found[0, 0], torch.tensor(expected))


def test_the_softmax_is_over_interests_not_over_songs():
    # A third song like the second changes nothing of how the first is shared out. Over songs, it
    # would take from it.
    songs = torch.cat([SONGS, SONGS[:, 1:]], dim=1)
    logits = functional.pad(LOGITS, (0, 1))
    seen = torch.ones(1, 1, 3, dtype=torch.bool)
    found = routed(songs, seen, BOTH, logits, rounds=1)
    torch.testing.assert_close(
        found[0, 0], torch.tensor([by_hand((0.75, 2.0)), by_hand((0.25, 2.0))])
    )


def test_padding_and_interests_that_are_not_there_count_for_nothing():
    logits = torch.randn(1, 1, 2, 3)
    songs = torch.cat([SONGS, torch.full((1, 1, 2), 9.0)], dim=1)
    seen = torch.tensor([[[True, True, False]]])
    plain = routed(songs[:, :2], BOTH, BOTH, logits[..., :2], rounds=3)
    torch.testing.assert_close(routed(songs, seen, BOTH, logits, rounds=3), plain)
    one = torch.tensor([[[True, False]]])
    found = routed(songs[:, :2], BOTH, one, logits[..., :2], rounds=3)[0, 0]
    torch.testing.assert_close(found[0], torch.tensor(by_hand((1.0, 2.0))))  # all of both songs
    assert not found[1].any()


def test_gradients_flow_through_the_last_round_alone():
    # The gradient is that of fixed shares: what routing does to logits is not differentiated.
    songs, logits = torch.randn(1, 5, 4), torch.randn(1, 1, 2, 5)
    seen = torch.ones(1, 1, 5, dtype=torch.bool)
    songs.requires_grad_()
    routed(songs, seen, BOTH, logits, rounds=3).sum().backward()
    frozen = songs.detach()
    now = logits
    for _ in range(2):
        u = squash(now.softmax(dim=2).flatten(1, 2) @ frozen)
        now = now + (u @ frozen.transpose(1, 2)).view(now.shape)
    again = frozen.clone().requires_grad_()
    squash(now.softmax(dim=2).flatten(1, 2) @ again).sum().backward()
    torch.testing.assert_close(songs.grad, again.grad)


def test_how_many_interests_a_history_has():
    found = interest_mask(torch.tensor([1, 2, 3, 4, 7, 8, 15, 16, 1000]), 4).sum(-1)
    assert found.tolist() == [1, 1, 1, 2, 2, 3, 3, 4, 4]


def test_an_interest_that_is_not_there_trains_nothing_and_is_nobodys_nearest():
    queries = torch.tensor([[[-1.0, 0.2], [0.0, 0.0]]])
    target = torch.tensor([[1.0, 0.0]])
    assert target_cosines(queries, target)[1].argmax(dim=1).tolist() == [0]
    for sharpness in (0.0, 1.0, 9.0):
        made = network(MINDNetwork, MINDRecipe(**QUICK, sharpness=sharpness))
        found = made.target_queries(queries, target)
        torch.testing.assert_close(found, functional.normalize(queries[:, 0], dim=1))


def test_label_aware_attention_goes_from_the_mean_to_the_nearest():
    queries = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    target = torch.tensor([[0.8, 0.6]])
    even = network(MINDNetwork, MINDRecipe(**QUICK, sharpness=0.0)).target_queries(queries, target)
    torch.testing.assert_close(even, torch.tensor([[0.5, 0.5]]))
    sharp = network(MINDNetwork, MINDRecipe(**QUICK, sharpness=99.0)).target_queries(
        queries, target
    )
    torch.testing.assert_close(sharp, torch.tensor([[1.0, 0.0]]))


@pytest.mark.parametrize(
    ("kind", "recipe", "forward"),
    [
        (MINDNetwork, MINDRecipe(**QUICK, hidden=2), routed_interests),
        (ComiRecSANetwork, ComiRecSARecipe(**QUICK, hidden=2), pooled_interests),
        (ComiRecSANetwork, ComiRecSARecipe(**QUICK), pooled_interests),
    ],
)
def test_numpy_answers_as_torch_does(kind, recipe, forward):
    plays = some_plays()
    made = network(kind, recipe).eval()
    learner = NextSongLearner(made, plays, recipe)
    batch = histories(plays, np.arange(12), plays.starts[1:], recipe.longest)
    with torch.no_grad():
        expected = made.final_queries(learner.tensors(batch)).numpy()
    weights = arrays_of(made)
    found, shares = forward(batch, weights["table.ids"], weights, recipe)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)
    there = np.arange(shares.shape[1]) < batch.lengths[:, None]
    np.testing.assert_allclose(shares.sum(axis=2), there, atol=1e-5)


def test_a_place_in_training_is_a_history_in_answers():
    # Place t of a stretch reads plays 0..t, as the history of those plays does.
    plays, recipe = some_plays(), ComiRecSARecipe(**QUICK)
    made = network(ComiRecSANetwork, recipe).eval()
    learner = NextSongLearner(made, plays, recipe)
    rng = np.random.default_rng(0)
    owner = np.flatnonzero((plays.lengths > 4) & (plays.lengths <= recipe.longest))[:1]
    first, stop = plays.starts[owner], plays.starts[owner + 1]
    whole = training_windows(plays, first, stop, owner, rng)
    with torch.no_grad():
        at_places, _ = made.queries(learner.tensors(whole))
        for place in range(1, int((stop - first)[0])):
            batch = histories(plays, owner, first + place, recipe.longest)
            alone = made.final_queries(learner.tensors(batch))[0]
            torch.testing.assert_close(at_places[place - 1], alone)


def test_logits_are_drawn_anew_for_each_example_and_step():
    plays, recipe = some_plays(), MINDRecipe(**QUICK)
    made = network(MINDNetwork, recipe).eval()
    learner = NextSongLearner(made, plays, recipe)
    owner = np.flatnonzero(plays.lengths > 8)[:1]
    twice = np.repeat(owner, 2)

    def interests(seed):
        rng = np.random.default_rng(seed)
        batch = training_windows(plays, plays.starts[twice], plays.starts[twice] + 9, twice, rng)
        with torch.no_grad():
            return made.queries(learner.tensors(batch))[0].reshape(2, 8, -1)

    now = interests(1)
    assert not torch.allclose(now[0, 4:], now[1, 4:])  # two examples of one history
    assert not torch.allclose(now[:, 4:], interests(2)[:, 4:])  # another step
    torch.testing.assert_close(now, interests(1), rtol=0, atol=0)
