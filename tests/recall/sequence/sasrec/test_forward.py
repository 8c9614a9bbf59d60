"""SASRec in numpy says what it says in torch, looks at the past alone, and knows gaps by hand."""

from dataclasses import replace

import numpy as np
import pytest
from needs import needs

torch = needs("torch")

from audiorec.errors import InputError
from audiorec.learning.next_plays import Favourites, NextPlays, histories, no_features
from audiorec.learning.next_song import NextSongLearner, arrays_of
from audiorec.listening.sequences import Sequences
from audiorec.recall.sequence.sasrec.forward import (
    SASRecRecipe,
    capped_by_session,
    gap_bins,
    history_terms,
    n_gap_bins,
    newest_query,
    profile_query,
)
from audiorec.recall.sequence.sasrec.network import SASRecNetwork

N_SONGS = 30


def made_plays(*, timed=True, profile=0, seed=0, liked=False):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 14, 40)
    starts = np.cumsum([0, *lengths]).astype(np.int64)
    gaps = rng.choice([0.0, 5.0, 200.0, 1e5, 1e7], starts[-1])
    time = 1.6e9 + np.cumsum(gaps)
    time[rng.random(len(time)) < 0.1] = np.nan
    many = rng.integers(0, 4, len(lengths))
    favourites = Favourites(
        starts=np.cumsum([0, *many]).astype(np.int64),
        song=rng.integers(0, N_SONGS, many.sum()),
        time=np.full(many.sum(), 1.6e9 + 1e7),
    )
    return NextPlays(
        starts=starts,
        song=rng.integers(0, N_SONGS, starts[-1]),
        time=time if timed else np.full(len(time), np.nan),
        n_songs=N_SONGS,
        profile=rng.normal(size=(len(lengths), profile)).astype(np.float32),
        favourites=favourites if liked else None,
    )


def made_network(recipe, plays):
    network = SASRecNetwork(
        no_features(N_SONGS),
        recipe,
        is_timed=plays.is_timed,
        profile=plays.profile.shape[1],
        favourites=plays.favourites is not None,
    )
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():  # as after training: nothing is 0, and no norm is the identity
        for p in network.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=draw))
    return network.eval()


def both(recipe, plays, *, rows=slice(None)):
    """Return the queries of torch and of numpy at the end of each history."""
    network = made_network(recipe, plays)
    owner = np.arange(len(plays.lengths))[rows]
    batch = histories(plays, owner, plays.starts[owner + 1], recipe.longest)
    tensors = NextSongLearner(network, plays, recipe).tensors(batch)
    with torch.no_grad():
        expected = network.final_queries(tensors).numpy()
    weights = arrays_of(network)
    return expected, newest_query(batch, weights["table.ids"], weights, recipe)


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("positions", [False, True])
def test_numpy_agrees_with_torch(blocks, heads, timed, positions):
    recipe = SASRecRecipe(
        dimension=16, blocks=blocks, heads=heads, longest=8, positions=positions, seed=blocks
    )
    expected, found = both(recipe, made_plays(timed=timed, profile=3 * heads - 3))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)
    assert np.abs(expected).max() > 0.5


def test_what_is_switched_on_counts():
    plays = made_plays(profile=2)
    plain = SASRecRecipe(dimension=16, longest=8)
    whole = both(plain, plays)[1]
    for setting in ("positions", "relative_time"):
        off = SASRecRecipe(dimension=16, longest=8, **{setting: False})
        assert np.abs(both(off, plays)[1] - whole).max() > 1e-3


def test_what_is_liked_counts_in_numpy_as_in_torch():
    recipe = SASRecRecipe(dimension=16, longest=8)
    expected, found = both(recipe, made_plays(liked=True))
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)
    network = made_network(recipe, made_plays(liked=True))
    plays, owner = made_plays(liked=True), np.arange(40)
    batch = histories(plays, owner, plays.starts[owner + 1], recipe.longest)
    assert (batch.favourites >= 0).any()
    weights = arrays_of(network)
    without = replace(batch, favourites=np.full((40, 0), -1, np.int64))
    other = newest_query(without, weights["table.ids"], weights, recipe)
    has = (batch.favourites >= 0).any(axis=1)
    moved = np.abs(found - other).max(axis=1) > 1e-3
    assert np.array_equal(moved, has)


def test_a_query_alone_and_beside_longer_ones():
    recipe, plays = SASRecRecipe(dimension=16, longest=8), made_plays()
    whole = both(recipe, plays)[1]
    for row in (0, 7, 39):
        alone = both(recipe, plays, rows=slice(row, row + 1))[1]
        np.testing.assert_allclose(alone[0], whole[row], atol=1e-5)


def test_no_place_sees_what_comes_later():
    recipe, plays = SASRecRecipe(dimension=16, longest=20, blocks=2), made_plays()
    network = made_network(recipe, plays)
    learner = NextSongLearner(network, plays, recipe)
    row = int(plays.lengths.argmax())
    batch = learner.tensors(histories(plays, np.array([row]), plays.starts[[row + 1]], 20))
    with torch.no_grad():
        before = network._attend(batch)
        batch.songs[0, 5:] = (batch.songs[0, 5:] + 1) % N_SONGS
        after = network._attend(batch)
    assert torch.equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] - after[:, 5:]).abs().amax(-1).min() > 1e-3


def test_attention_by_hand():
    """One head, two plays, weights that pass the values on: shares are e^1 and e^2 by their sum."""
    recipe = SASRecRecipe(dimension=2, longest=2, positions=False, dropout=0.0, hidden=1)
    plays = made_plays(timed=False)
    network = made_network(recipe, plays)
    block = network.blocks[0]
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        network.norm.weight.fill_(1)
        block.before.weight.fill_(1)  # songs (1, -1) and (-1, 1) are their own norms
        network.table.ids[0], network.table.ids[1] = torch.tensor([[1.0, -1], [-1, 1]])
        root = 2**0.25  # logits are q k / sqrt(2): 2 root^2 / sqrt(2) = 2 for a song with itself
        block.read.weight.copy_(torch.cat([root * torch.eye(2), root * torch.eye(2), torch.eye(2)]))
        block.write.weight.copy_(torch.eye(2))
        songs = torch.tensor([[0, 1]])
        seen = block._attended(network.table(songs), None)
    # At song 1: logit of itself 2, of the other -2; the values are (-1, 1) and (1, -1).
    share = np.exp(2) / (np.exp(2) + np.exp(-2))
    expected = share * np.array([-1, 1]) + (1 - share) * np.array([1, -1])
    np.testing.assert_allclose(seen[0, 1].numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(seen[0, 0].numpy(), [1, -1], atol=1e-4)


def test_gaps_by_hand():
    assert n_gap_bins(1 / 86_400) == 2  # a second: none, and all others
    assert n_gap_bins(365) == 26  # 2^25 s are 388 days
    later = np.array([0.0, 0.5, 1.0, 2.0, 1023.0, 1024.0, 1e9])
    assert gap_bins(later, np.zeros(7), 26).tolist() == [0, 0, 1, 2, 10, 11, 25]


def test_songs_of_the_history_get_the_same_in_numpy_and_torch():
    recipe, plays = SASRecRecipe(dimension=16, longest=8), made_plays()
    network = made_network(recipe, plays)
    owner = np.arange(len(plays.lengths))
    batch = histories(plays, owner, plays.starts[owner + 1], recipe.longest)
    learner, weights = NextSongLearner(network, plays, recipe), arrays_of(network)
    with torch.no_grad():
        tensors = learner.tensors(batch)
        query = network.final_queries(tensors)
        expected = torch.zeros(len(owner), N_SONGS)
        learner._add_again(expected, tensors, network.history_terms(query))
    row, song, added = history_terms(batch, query.numpy(), weights)
    found = np.zeros((len(owner), N_SONGS), np.float32)
    np.add.at(found, (row, song), added * recipe.temperature)  # each song of a history once
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    heard = np.array([len(set(b[:n])) for b, n in zip(batch.songs, batch.lengths, strict=True)])
    assert np.array_equal((found != 0).sum(axis=1), heard)


def test_a_profile_alone_in_numpy_and_torch():
    recipe, plays = SASRecRecipe(dimension=16, longest=8), made_plays(profile=3)
    network = made_network(recipe, plays)
    owner = np.arange(5)
    batch = histories(plays, owner, plays.starts[owner + 1], recipe.longest)
    with torch.no_grad():
        expected = network.profile_queries(
            NextSongLearner(network, plays, recipe).tensors(batch)
        ).numpy()
    found = profile_query(batch.profile, arrays_of(network))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-2


def test_sessions_by_hand():
    plays = Sequences.from_lists([["a", "b", "c"], ["a", "b"]])
    plays = replace(plays, time=np.array([0.0, 60.0, 9_000.0, np.nan, 70.0]))
    found = capped_by_session(plays, gap_s=1_800, longest_days=1)
    assert gap_bins(found[1:3], found[0:2], n_gap_bins(1)).tolist() == [6, n_gap_bins(1) - 1]
    assert np.isnan(found[3])  # unknown stays unknown
    named = replace(plays, session=np.array([4, 5, 5, 6, 6], np.int32))
    found = capped_by_session(named, gap_s=1e9, longest_days=1)
    assert np.diff(found)[:2].tolist() == [60 + 86_400, 8_940]


def test_refusals():
    with pytest.raises(InputError, match="heads must divide dimension 128, got 5"):
        SASRecRecipe(heads=5)
    with pytest.raises(InputError, match=r"dropout must be in \[0, 1\), got 1"):
        SASRecRecipe(dropout=1.0)
    with pytest.raises(InputError, match="network_rate must be above 0"):
        SASRecRecipe(network_rate=0.0)
