"""A tower that hears log-mel segments: the backbone is trained along.

    log-mel (B, 187, 96) ──masked in training──▶ backbone ──▶ penultimate (B, 200) ──▶ Tower

The backbone comes from outside: any module that returns logits, the penultimate layer and
two pools. Its batch-norms keep the statistics that they came with, also in training: a batch
of a few songs knows less of music than they do.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from audiorec.errors import MissingExtraError
from audiorec.recall.audio.tower import Tower

# SpecAugment on segments of 187 frames and 96 bands: at most a sixth of the one axis, and an
# eighth of the other, is silenced.
TIME_MASK, FREQUENCY_MASK = 32, 12


class EndToEndTower(nn.Module):
    """A backbone under a tower.

    Parameters
    ----------
    backbone : Module
        Log-mel (B, F, M) in; logits, penultimate (B, D), maximum and mean pools out.
    tower : Tower
        Of width D.

    Raises
    ------
    MissingExtraError
        If torchaudio, which masks in training, cannot be imported.
    """

    def __init__(self, backbone: nn.Module, tower: Tower) -> None:
        super().__init__()
        self.spec = tower.spec
        self.backbone = backbone
        self.tower = tower
        self.masks = nn.ModuleList(_masks())

    def train(self, mode: bool = True) -> "EndToEndTower":
        """Switch as usual, but leave the backbone's batch-norms and dropout at rest."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, log_mel: Tensor, owner: Tensor, n_songs: int) -> Tensor:
        """Embed songs: (B, F, M) to (n_songs, E); see `Tower.forward`."""
        embedded: Tensor = self.tower(self.penultimate(log_mel), owner, n_songs)
        return embedded

    def penultimate(self, log_mel: Tensor) -> Tensor:
        """Return what the tower reads of B segments: (B, D)."""
        if self.training:
            image = log_mel.transpose(1, 2).unsqueeze(1)  # (B, 1, M, F), as the masks want it
            for mask in self.masks:
                image = mask(image)
            log_mel = image.squeeze(1).transpose(1, 2)
        _, penultimate, _, _ = self.backbone(log_mel)
        hidden: Tensor = penultimate
        return hidden

    def start_from(self, mean: Tensor, scale: Tensor, weights: Tensor | None) -> None:
        """As `Tower.start_from`, of the backbone's penultimate layer."""
        self.tower.start_from(mean, scale, weights)


def _masks() -> list[Any]:
    """Return the two masks of torchaudio; each segment is masked differently."""
    try:
        from torchaudio.transforms import FrequencyMasking, TimeMasking
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingExtraError("training end to end", "train", str(error)) from error
    # `iid_masks` draws one mask an example, from torch's generator.
    return [
        TimeMasking(TIME_MASK, iid_masks=True),
        FrequencyMasking(FREQUENCY_MASK, iid_masks=True),
    ]


def song_means(tower: EndToEndTower, values: Any, offsets: Any, *, device: str = "cpu") -> Tensor:
    """Return each song's mean penultimate features, unmasked: shape (S, D), float32."""
    tower.eval().to(device)
    means = []
    with torch.inference_mode():
        for first, last in pairwise(offsets):
            block = torch.from_numpy(values[first:last].astype("float32")).to(device)
            means.append(tower.penultimate(block).mean(0).cpu())
    return torch.stack(means)
