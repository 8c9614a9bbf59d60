"""`recall.audio.end_to_end`: the backbone learns, its statistics rest, only training masks."""

import pytest
from needs import needs

torch = needs("torch")
needs("torchaudio")

from torch import nn

from audiorec.recall.audio.end_to_end import EndToEndTower, song_means
from audiorec.recall.audio.tower import Tower
from audiorec.recall.audio.tower_spec import TowerSpec
from audiorec.store.segments import join_songs


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
def tower():
    torch.manual_seed(0)
    return EndToEndTower(LittleBackbone(), Tower(TowerSpec(inputs=("log_mel",), width=3, hidden=0)))


@pytest.fixture
def log_mel():
    return torch.rand(5, 187, 96, generator=torch.Generator().manual_seed(1)) + 1


OWNER = torch.tensor([0, 0, 1, 1, 1])


def test_out_of_training_nothing_is_masked_or_by_chance(tower, log_mel):
    tower.eval()
    first, second = (tower(log_mel, OWNER, 2) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (2, 40)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(2))


def test_in_training_each_segment_is_masked_by_itself(tower, log_mel):
    seen = []
    tower.backbone.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    tower.train()
    torch.manual_seed(3)
    tower(log_mel, OWNER, 2)
    silent = seen[0] == 0
    assert silent.any()
    assert silent.float().mean() < 0.4
    bands = {tuple(s.all(0).nonzero().flatten().tolist()) for s in silent}
    frames = {tuple(s.all(1).nonzero().flatten().tolist()) for s in silent}
    assert len(bands | frames) > 2


def test_statistics_and_dropout_of_the_backbone_rest(tower, log_mel):
    before = tower.backbone.norm.running_mean.clone()
    tower.train()
    for _ in range(3):
        tower(log_mel, OWNER, 2)
    assert torch.equal(tower.backbone.norm.running_mean, before)
    assert not tower.backbone.dropout.training
    assert tower.tower.training


def test_the_gradient_reaches_the_backbone(tower, log_mel):
    tower.train()
    tower(log_mel, OWNER, 2)[:, 0].sum().backward()
    assert tower.backbone.dense.weight.grad.abs().sum() > 0


def test_means_are_of_each_song_and_unmasked(tower, log_mel):
    songs = join_songs([("a", log_mel[:2].numpy()), ("b", log_mel[2:].numpy())])
    found = song_means(tower.train(), songs.values, songs.offsets)
    with torch.no_grad():
        expected = tower.backbone(log_mel)[1]
    torch.testing.assert_close(found[0], expected[:2].mean(0))
    torch.testing.assert_close(found[1], expected[2:].mean(0))
