"""Songs of the history stand against the target once each, at the logit of their newest play."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import needs

torch = needs("torch")

from audiorec.learning.losses import add_history, lag_terms, next_repeat, next_song_loss
from audiorec.learning.next_plays import NextPlays, no_features, training_windows
from audiorec.learning.next_song import NextSongLearner, _renumbered
from audiorec.recall.sequence.sasrec.forward import SASRecRecipe
from audiorec.recall.sequence.sasrec.network import SASRecNetwork

N_SONGS = 7


def test_two_plays_by_hand():
    """After a, b: of the songs a, b, c the target c is 1, a was played two ago, b just now."""
    songs, there = torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool)
    asked = torch.tensor([[False, True]])
    at_places = torch.tensor([[[9.0, 9.0], [2.0, 3.0]]])
    again = torch.tensor([[-5.0, 0.5]])
    added, logits, hits = add_history(
        (songs, there, at_places), asked, again, torch.tensor([2]), torch.tensor([0, 1, 2])
    )
    assert added.tolist() == [0.0]
    assert logits[0].tolist() == [2.5, -2.0]  # 2 + 0.5, two plays ago or more; 3 - 5
    assert sorted(zip(*(side.tolist() for side in hits), strict=True)) == [(0, 0), (0, 1), (0, 2)]


def test_a_target_that_was_heard_gets_what_its_newest_play_gets():
    songs, there = torch.tensor([[4, 5, 4]]), torch.ones(1, 3, dtype=torch.bool)
    asked = torch.tensor([[False, False, True]])
    again = torch.tensor([[10.0, 20.0, 30.0]])
    history = (songs, there, torch.zeros(1, 3, 3))
    added, logits, _ = add_history(history, asked, again, torch.tensor([4]), torch.tensor([9]))
    assert added.tolist() == [10.0]
    assert logits[0].tolist() == [-math.inf, 20.0, -math.inf]


def made(seed, repeats=True, profile=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 8, 6)
    starts = np.cumsum([0, *lengths]).astype(np.int64)
    plays = NextPlays(
        starts=starts,
        song=rng.permutation(np.arange(starts[-1]) % N_SONGS),
        time=np.full(starts[-1], np.nan),
        n_songs=N_SONGS,
        profile=rng.normal(size=(6, profile)).astype(np.float32),
    )
    recipe = SASRecRecipe(dimension=8, dropout=0.0, repeats=repeats, longest=10)
    torch.manual_seed(seed)
    network = SASRecNetwork(no_features(N_SONGS), recipe, is_timed=False, profile=profile)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.3 * torch.randn(p.shape))
    batch = training_windows(plays, starts[:-1], starts[1:], np.arange(6), rng)
    return NextSongLearner(network, plays, recipe), batch, plays


def losses_of(learner, batch, rng):
    """Return the losses of a whole batch, as a step has them."""
    songs, log_expected = learner._opponents(rng)
    rows, plays, songs = _renumbered(batch, songs)
    return learner._losses(plays, rows, songs, log_expected)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_among_all_songs_it_is_the_softmax_of_what_is_answered(seed):
    """Each song once, those of the history with what they get: the loss is the softmax of that."""
    learner, batch, plays = made(seed)
    losses = losses_of(learner, batch, np.random.default_rng(0))
    model, scale = learner.model, learner.recipe.temperature
    tensors = learner.tensors(batch)
    with torch.no_grad():
        queries, targets = model.queries(tensors)
        again = model.history_terms(queries)
        unit = torch.nn.functional.normalize(model.output.all_embeddings(), dim=1)
        logits = torch.nn.functional.normalize(queries, dim=1) @ unit.T / scale
        rows, places = (tensors.targets >= 0).nonzero(as_tuple=True)
        for n, (row, place) in enumerate(zip(rows.tolist(), places.tolist(), strict=True)):
            heard = batch.songs[row, : place + 1].tolist()
            for song in set(heard):
                ago = heard[::-1].index(song)
                logits[n, song] += again[n, min(ago, again.shape[1] - 1)]
        expected = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    np.testing.assert_allclose(losses.detach(), expected, atol=2e-5, rtol=1e-5)
    assert plays.n_songs == N_SONGS


def test_a_draw_estimates_the_same_sum():
    """Drawn songs of the history do not count twice: the mean over draws of e^loss is exact."""
    learner, batch, _ = made(3)
    whole = losses_of(learner, batch, np.random.default_rng(0))
    whole = whole.detach().exp() - 1  # e^(sum of others - target)
    few = NextSongLearner(learner.model, learner.plays, replace(learner.recipe, negatives=3))
    rng = np.random.default_rng(1)
    with torch.no_grad():
        drawn = [losses_of(few, batch, rng).exp() - 1 for _ in range(800)]
    np.testing.assert_allclose(torch.stack(drawn).mean(0), whole, rtol=0.15)


def test_without_it_the_loss_is_the_plain_one():
    learner, batch, _ = made(5, repeats=False)
    losses = losses_of(learner, batch, np.random.default_rng(0))
    with torch.no_grad():
        queries, targets = learner.model.queries(learner.tensors(batch))
        unit = torch.nn.functional.normalize(learner.model.output.all_embeddings(), dim=1)
        logits = torch.nn.functional.normalize(queries, dim=1) @ unit.T
        expected = torch.nn.functional.cross_entropy(
            logits / learner.recipe.temperature, targets, reduction="none"
        )
    np.testing.assert_allclose(losses.detach(), expected, atol=2e-5, rtol=1e-5)


def test_first_songs_are_learnt_from_profiles_alone():
    learner, batch, _ = made(2, profile=3)
    losses = losses_of(learner, batch, np.random.default_rng(0))
    asked = int((batch.targets >= 0).sum())
    assert len(losses) == asked + len(batch)
    with torch.no_grad():
        alone = learner.model.profile_queries(learner.tensors(batch))
        unit = torch.nn.functional.normalize(learner.model.output.all_embeddings(), dim=1)
        logits = torch.nn.functional.normalize(alone, dim=1) @ unit.T / learner.recipe.temperature
        first = torch.from_numpy(batch.songs[:, 0])
        expected = torch.nn.functional.cross_entropy(logits, first, reduction="none")
    np.testing.assert_allclose(losses[asked:].detach(), expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("length", [1, 4])
def test_padding_is_nobodys_song(length):
    songs = torch.zeros(1, 4, dtype=torch.int64)
    there = torch.arange(4)[None] < length
    last = length - 1
    assert next_repeat(songs, there)[0, last] == 4
    assert lag_terms(torch.tensor([[1.0, 2.0]]), torch.tensor([[0, 5]])).tolist() == [[1.0, 2.0]]


@given(st.integers(0, 10_000), st.integers(1, 5), st.booleans())
@settings(max_examples=40, deadline=None)
def test_one_pass_is_the_plain_softmax_with_its_gradients(seed, n, has_more):
    draw = torch.Generator().manual_seed(seed)

    def made(*shape):
        return (3 * torch.randn(shape, generator=draw, dtype=torch.float64)).requires_grad_()

    queries, songs, positive = made(n, 4), made(6, 4), made(n)
    more = made(n, 2) if has_more else None
    expected = made(6).detach()
    hits = torch.tensor([0, n - 1]), torch.tensor([2, 3])
    weight = torch.rand(n, generator=draw, dtype=torch.float64)
    given_ = [t for t in (queries, songs, positive, more) if t is not None]
    found = next_song_loss(queries, songs, positive, log_expected=expected, hits=hits, more=more)
    of_found = torch.autograd.grad((found * weight).sum(), given_)
    logits = queries @ songs.T - expected
    logits = logits.index_put(hits, torch.tensor(-torch.inf, dtype=torch.float64))
    parts = [positive[:, None], logits, *([] if more is None else [more])]
    plain = torch.logsumexp(torch.cat(parts, dim=1), dim=1) - positive
    of_plain = torch.autograd.grad((plain * weight).sum(), given_)
    np.testing.assert_allclose(found.detach(), plain.detach(), rtol=1e-10, atol=1e-10)
    for one, other in zip(of_found, of_plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)
