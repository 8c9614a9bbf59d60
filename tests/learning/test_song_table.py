"""`audiorec.learning.next_model`: ids and side in one table, a song without an id by its side."""

import numpy as np
import pytest
from needs import needs

torch = needs("torch")

from audiorec.errors import ShapeError
from audiorec.learning.next_model import SongTable
from audiorec.learning.next_plays import SongFeatures, no_features, side_embeddings

N, D = 7, 4


def features():
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, 3, N), rng.integers(0, 5, N)], axis=1)
    dense = rng.normal(size=(N, 3)).astype(np.float32)
    codes[2], dense[2] = 0, 0  # of this song nothing is known
    return SongFeatures(codes=codes.astype(np.int64), sizes=(3, 5), dense=dense)


def table(**given):
    return SongTable(features(), D, **{"side_width": 2, "id_dropout": 0.5, "seed": 1, **given})


def test_numpy_says_what_torch_says():
    made = table().eval()
    with torch.no_grad():
        expected = made.side(torch.arange(N)).numpy()
    found = side_embeddings(features(), {n: p.numpy() for n, p in made.state_dict().items()})
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found[[0, 1, 3]]).min() > 0
    assert not found[2].any()


def test_an_embedding_is_its_id_and_its_side():
    made = table().eval()
    songs = torch.tensor([[0, 2], [2, 5]])
    with torch.no_grad():
        found, side = made(songs), made.side(songs)
        assert torch.allclose(found, made.ids[songs] + side)
        assert torch.equal(found[0, 1], made.ids[2])
        learnt = torch.tensor([True] * 5 + [False] * 2)
        whole = made.all_embeddings(learnt)
        assert torch.allclose(whole[5:], made.side(torch.tensor([5, 6])))


def test_in_training_ids_are_left_out_where_a_side_can_stand_alone():
    made = table().train()
    torch.manual_seed(0)
    songs = torch.arange(N).repeat(400)
    with torch.no_grad(), made.cached(songs):
        by_side = (made(torch.arange(len(songs))) - made.side(songs)).abs().amax(1) < 1e-7
    share = by_side.view(400, N).float().mean(0)
    assert share[2] == 0  # it has nothing but its id
    others = share[[0, 1, 3, 4, 5, 6]]
    assert ((others > 0.4) & (others < 0.6)).all()


def test_only_gives_the_same_and_the_same_gradients():
    made = table(id_dropout=0.0)
    few, places = torch.tensor([1, 3, 6]), torch.tensor([[0, 2], [2, 1]])
    weight = torch.arange(16.0).view(2, 2, 4)
    with made.cached(few):
        (made(places) * weight).sum().backward()
    within = made.ids.grad.clone()
    made.zero_grad()
    (made(few[places]) * weight).sum().backward()
    assert torch.allclose(within, made.ids.grad)
    assert made._few is None


def test_ids_alone():
    made = SongTable(no_features(3), D)
    assert sorted(made.state_dict()) == ["ids"]
    assert torch.equal(made(torch.tensor([1])), made.ids[[1]])
    assert side_embeddings(no_features(3), {"ids": 0}).shape == (3, 0)


def test_refusals():
    with pytest.raises(ShapeError, match="codes"):
        SongFeatures(codes=np.zeros((2, 1), np.int64), sizes=(), dense=np.zeros((2, 0)))
