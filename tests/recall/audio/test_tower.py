"""`recall.audio.trainer`, and `model` beside it: one arithmetic; what rests and learns."""

import numpy as np
import pytest
from needs import needs

torch = needs("torch")

from little_worlds import songs_of
from torch import nn

from audiorec.errors import InputError, ShapeError, WeightsError
from audiorec.recall.audio.model import Embedder, TowerSpec, expected_shapes
from audiorec.recall.audio.trainer import EndToEndTower, Tower, embed_songs, song_means
from audiorec.store.features import join_songs

FEATURES = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)


def stirred(**changes) -> Tower:
    """A tower none of whose parts is at its start."""
    torch.manual_seed(0)
    tower = Tower(TowerSpec(inputs=("x",), width=5, embedding=3, **changes))
    for parameter in tower.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    tower.start_from(torch.full((5,), 0.3), torch.tensor([1.0, 2.0, 0.5, 1.0, 0.0]), None)
    return tower.eval()


def test_a_new_tower_is_its_linear_map_and_a_plain_mean():
    tower = Tower(TowerSpec(inputs=("x",), width=5, embedding=2))
    weights = torch.tensor([[1.0, 0, 2, 0, 0], [0, -1, 0, 0, 0.5]])
    tower.start_from(torch.zeros(5), torch.ones(5), weights)
    songs = songs_of(FEATURES)
    mapped = songs.means() @ weights.numpy().T
    expected = mapped / np.linalg.norm(mapped, axis=1, keepdims=True)
    np.testing.assert_allclose(embed_songs(tower, songs), expected, atol=1e-5)


@pytest.mark.parametrize("hidden", [0, 4])
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_both_engines_agree(hidden, pooling):
    tower = stirred(hidden=hidden, pooling=pooling)
    songs = songs_of(FEATURES)
    tensors = {name: tensor.numpy() for name, tensor in tower.state_dict().items()}
    assert {n: t.shape for n, t in tensors.items()} == expected_shapes(tower.spec)
    found = Embedder(tower.spec, tensors).embed(songs)
    np.testing.assert_allclose(found, embed_songs(tower, songs), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_song_is_embedded_by_its_own_segments_in_any_order():
    tower = stirred(hidden=4)
    songs = songs_of(FEATURES)
    whole = embed_songs(tower, songs)
    for number in (0, 3, 6):
        own = songs.values[songs.offsets[number] : songs.offsets[number + 1]]
        alone = embed_songs(tower, join_songs([("one", own[::-1])]))
        np.testing.assert_allclose(alone[0], whole[number], atol=1e-5)


def test_attention_can_tell_segments_apart():
    songs = songs_of(FEATURES, noise=2.0)
    plain, weighed = stirred(pooling="attention"), stirred(pooling="attention")
    with torch.no_grad():
        plain.importance.weight.zero_()
    assert np.abs(embed_songs(plain, songs) - embed_songs(weighed, songs)).max() > 0.05


def test_extreme_features_stay_finite():
    songs = join_songs([("loud", np.full((3, 5), 1e6, np.float32)), ("odd", FEATURES[:1] * 1e-9)])
    tower = stirred()
    tensors = {name: tensor.numpy() for name, tensor in tower.state_dict().items()}
    for found in (embed_songs(tower, songs), Embedder(tower.spec, tensors).embed(songs)):
        assert np.isfinite(found).all()


def test_refuses_weights_of_another_form():
    tower = stirred(hidden=4)
    tensors = {name: tensor.numpy() for name, tensor in tower.state_dict().items()}
    with pytest.raises(
        WeightsError, match=r"'hidden.weight' must have shape \(6, 5\), got \(4, 5\)"
    ):
        Embedder(TowerSpec(inputs=("x",), width=5, embedding=3, hidden=6), tensors)
    del tensors["mean"]
    with pytest.raises(WeightsError, match=r"'mean' .* got none"):
        Embedder(tower.spec, tensors)


def test_refuses_segments_of_another_width():
    tower = stirred()
    tensors = {name: tensor.numpy() for name, tensor in tower.state_dict().items()}
    with pytest.raises(ShapeError, match=r"\(5,\), got \(4,\)"):
        Embedder(tower.spec, tensors).embed(join_songs([("a", FEATURES[:, :4])]))


@pytest.mark.parametrize("wrong", [{"hidden": -1}, {"dropout": 1.0}, {"pooling": "max"}])
def test_refuses_impossible_forms(wrong):
    with pytest.raises(InputError):
        TowerSpec(inputs=("x",), width=5, **wrong)


class LittleBackbone(nn.Module):
    """Log-mel (B, 187, 96) to a penultimate layer of 3, with all that could move in training."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(96)
        self.dense = nn.Linear(96, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, log_mel):
        hidden = self.dropout(self.dense(self.norm(log_mel.mean(1))))
        return hidden, hidden, hidden, hidden


@pytest.fixture
def end_to_end():
    needs("torchaudio")
    torch.manual_seed(0)
    return EndToEndTower(LittleBackbone(), Tower(TowerSpec(inputs=("log_mel",), width=3, hidden=0)))


@pytest.fixture
def log_mel():
    return torch.rand(5, 187, 96, generator=torch.Generator().manual_seed(1)) + 1


OWNER = torch.tensor([0, 0, 1, 1, 1])


def test_out_of_training_nothing_is_masked_or_by_chance(end_to_end, log_mel):
    end_to_end.eval()
    first, second = (end_to_end(log_mel, OWNER, 2) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (2, 40)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(2))


def test_in_training_each_segment_is_masked_by_itself(end_to_end, log_mel):
    seen = []
    end_to_end.backbone.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    end_to_end.train()
    torch.manual_seed(3)
    end_to_end(log_mel, OWNER, 2)
    silent = seen[0] == 0
    assert silent.any()
    assert silent.float().mean() < 0.4
    bands = {tuple(s.all(0).nonzero().flatten().tolist()) for s in silent}
    frames = {tuple(s.all(1).nonzero().flatten().tolist()) for s in silent}
    assert len(bands | frames) > 2


def test_statistics_and_dropout_of_the_backbone_rest(end_to_end, log_mel):
    before = end_to_end.backbone.norm.running_mean.clone()
    end_to_end.train()
    for _ in range(3):
        end_to_end(log_mel, OWNER, 2)
    assert torch.equal(end_to_end.backbone.norm.running_mean, before)
    assert not end_to_end.backbone.dropout.training
    assert end_to_end.tower.training


def test_the_gradient_reaches_the_backbone(end_to_end, log_mel):
    end_to_end.train()
    end_to_end(log_mel, OWNER, 2)[:, 0].sum().backward()
    assert end_to_end.backbone.dense.weight.grad.abs().sum() > 0


def test_means_are_of_each_song_and_unmasked(end_to_end, log_mel):
    songs = join_songs([("a", log_mel[:2].numpy()), ("b", log_mel[2:].numpy())])
    found = song_means(end_to_end.train(), songs.values, songs.offsets)
    with torch.no_grad():
        expected = end_to_end.backbone(log_mel)[1]
    torch.testing.assert_close(found[0], expected[:2].mean(0))
    torch.testing.assert_close(found[1], expected[2:].mean(0))
